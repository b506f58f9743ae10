package otlp

import (
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// encodeResource writes who sends.
func encodeResource(res *resource.Resource) *resourcepb.Resource {
	return &resourcepb.Resource{Attributes: encodeAttributes(res.Attributes())}
}

func encodeAttributes(list []attribute.KeyValue) []*commonpb.KeyValue {
	if len(list) == 0 {
		return nil
	}
	encoded := make([]*commonpb.KeyValue, len(list))
	for i, kv := range list {
		encoded[i] = &commonpb.KeyValue{Key: valid(string(kv.Key)), Value: encodeValue(kv.Value)}
	}
	return encoded
}

// encodeValue writes a value. An empty one has no kind.
func encodeValue(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.STRING:
		return encodeString(v.AsString())
	case attribute.INT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.AsInt64()}}
	case attribute.FLOAT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v.AsFloat64()}}
	case attribute.BOOL:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v.AsBool()}}
	case attribute.BYTESLICE:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: v.AsByteSlice()}}
	case attribute.MAP:
		list := &commonpb.KeyValueList{Values: encodeAttributes(v.AsMap())}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: list}}
	case attribute.SLICE:
		return encodeSlice(v.AsSlice(), func(v attribute.Value) attribute.Value { return v })
	case attribute.STRINGSLICE:
		return encodeSlice(v.AsStringSlice(), attribute.StringValue)
	case attribute.INT64SLICE:
		return encodeSlice(v.AsInt64Slice(), attribute.Int64Value)
	case attribute.FLOAT64SLICE:
		return encodeSlice(v.AsFloat64Slice(), attribute.Float64Value)
	case attribute.BOOLSLICE:
		return encodeSlice(v.AsBoolSlice(), attribute.BoolValue)
	default:
		return &commonpb.AnyValue{}
	}
}

func encodeSlice[T any](list []T, value func(T) attribute.Value) *commonpb.AnyValue {
	values := make([]*commonpb.AnyValue, len(list))
	for i, v := range list {
		values[i] = encodeValue(value(v))
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: values}}}
}

// nanos is a time as OTLP writes it, 0 where there is none.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(0, t.UnixNano()))
}

func encodeString(text string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: valid(text)}}
}

// valid makes text what protobuf takes for a string: one byte that is no UTF-8 would lose all that is sent with it.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
