package otlp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/sdk/resource"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// meter exports what a Prometheus registry holds, at an interval. The metrics keep the names that they have there.
type meter struct {
	client   *client
	gather   prometheus.Gatherer
	interval time.Duration
	resource *resource.Resource
	scope    *commonpb.InstrumentationScope
	started  time.Time // what counts, counts from then on, where Prometheus does not say

	flushes chan chan struct{}
	quit    chan struct{}
	done    chan struct{}
}

func (m *meter) start() {
	m.started = time.Now()
	m.flushes, m.quit, m.done = make(chan chan struct{}), make(chan struct{}), make(chan struct{})
	go m.run()
}

func (m *meter) run() {
	defer close(m.done)
	ticker := time.NewTicker(m.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.export()
		case flushed := <-m.flushes:
			m.export()
			close(flushed)
		case <-m.quit:
			m.export()
			return
		}
	}
}

// export sends everything once. The client bounds its time and reports its outcome.
func (m *meter) export() {
	families, err := m.gather.Gather()
	if err != nil {
		// What could be gathered comes all the same.
		m.client.report.log.Warn("some metrics cannot be gathered", "error", err)
	}
	data, points, err := m.encode(families, time.Now())
	if err != nil {
		m.client.report.log.Warn("some metrics cannot be written as OTLP", "error", err)
	}
	if points > 0 {
		_ = m.client.send(context.Background(), data, points)
	}
}

// flush exports now and waits until that is done or ctx ends.
func (m *meter) flush(ctx context.Context) {
	flushed := make(chan struct{})
	select {
	case m.flushes <- flushed:
	case <-m.done:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-flushed:
	case <-ctx.Done():
	}
}

// shutdown exports a last time within ctx. It must be called once.
func (m *meter) shutdown(ctx context.Context) {
	close(m.quit)
	select {
	case <-m.done:
	case <-ctx.Done():
	}
	m.client.close(ctx)
	<-m.done
}

// encode writes families as a MetricsData, which on the wire is an ExportMetricsServiceRequest, and counts the points
// in it. An error names the families that are left out.
func (m *meter) encode(families []*dto.MetricFamily, now time.Time) (*metricspb.MetricsData, int, error) {
	scope := &metricspb.ScopeMetrics{Scope: m.scope}
	points := 0
	var errs []error
	for _, family := range families {
		metric, err := m.metric(family, now)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		scope.Metrics = append(scope.Metrics, metric)
		points += len(family.Metric)
	}
	return &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{
		Resource: encodeResource(m.resource), SchemaUrl: m.resource.SchemaURL(),
		ScopeMetrics: []*metricspb.ScopeMetrics{scope},
	}}}, points, errors.Join(errs...)
}

func (m *meter) metric(family *dto.MetricFamily, now time.Time) (*metricspb.Metric, error) {
	out := &metricspb.Metric{Name: family.GetName(), Description: family.GetHelp()}
	const cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	switch kind := family.GetType(); kind {
	case dto.MetricType_COUNTER:
		sum := &metricspb.Sum{AggregationTemporality: cumulative, IsMonotonic: true}
		for _, one := range family.Metric {
			sum.DataPoints = append(sum.DataPoints, number(one, now, one.Counter.GetValue(), m.since(one.Counter.GetCreatedTimestamp())))
		}
		out.Data = &metricspb.Metric_Sum{Sum: sum}
	case dto.MetricType_GAUGE, dto.MetricType_UNTYPED:
		gauge := &metricspb.Gauge{}
		for _, one := range family.Metric {
			value := one.Gauge.GetValue()
			if kind == dto.MetricType_UNTYPED {
				value = one.Untyped.GetValue()
			}
			gauge.DataPoints = append(gauge.DataPoints, number(one, now, value, 0))
		}
		out.Data = &metricspb.Metric_Gauge{Gauge: gauge}
	case dto.MetricType_HISTOGRAM:
		histogram := &metricspb.Histogram{AggregationTemporality: cumulative}
		for _, one := range family.Metric {
			if len(one.Histogram.GetBucket()) == 0 && (len(one.Histogram.GetPositiveSpan()) > 0 || len(one.Histogram.GetNegativeSpan()) > 0) {
				return nil, fmt.Errorf("%s is a native histogram", family.GetName())
			}
			histogram.DataPoints = append(histogram.DataPoints, m.buckets(one, now))
		}
		out.Data = &metricspb.Metric_Histogram{Histogram: histogram}
	case dto.MetricType_SUMMARY:
		summary := &metricspb.Summary{}
		for _, one := range family.Metric {
			summary.DataPoints = append(summary.DataPoints, m.quantiles(one, now))
		}
		out.Data = &metricspb.Metric_Summary{Summary: summary}
	default:
		return nil, fmt.Errorf("%s is of type %s", family.GetName(), kind)
	}
	return out, nil
}

func number(one *dto.Metric, now time.Time, value float64, since uint64) *metricspb.NumberDataPoint {
	return &metricspb.NumberDataPoint{
		Attributes: labels(one), StartTimeUnixNano: since, TimeUnixNano: at(one, now),
		Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: value},
	}
}

// buckets writes a histogram. Prometheus counts in each bucket what is in those below too, OTLP does not; and OTLP has
// a last bucket without a bound, which Prometheus may leave out.
func (m *meter) buckets(one *dto.Metric, now time.Time) *metricspb.HistogramDataPoint {
	h := one.Histogram
	sum := h.GetSampleSum()
	out := &metricspb.HistogramDataPoint{
		Attributes: labels(one), StartTimeUnixNano: m.since(h.GetCreatedTimestamp()), TimeUnixNano: at(one, now),
		Count: h.GetSampleCount(), Sum: &sum,
	}
	var below uint64
	for _, b := range h.GetBucket() {
		if math.IsInf(b.GetUpperBound(), +1) {
			continue
		}
		out.ExplicitBounds = append(out.ExplicitBounds, b.GetUpperBound())
		out.BucketCounts = append(out.BucketCounts, b.GetCumulativeCount()-below)
		below = b.GetCumulativeCount()
	}
	out.BucketCounts = append(out.BucketCounts, h.GetSampleCount()-below)
	return out
}

func (m *meter) quantiles(one *dto.Metric, now time.Time) *metricspb.SummaryDataPoint {
	s := one.Summary
	out := &metricspb.SummaryDataPoint{
		Attributes: labels(one), StartTimeUnixNano: m.since(s.GetCreatedTimestamp()), TimeUnixNano: at(one, now),
		Count: s.GetSampleCount(), Sum: s.GetSampleSum(),
	}
	for _, q := range s.GetQuantile() {
		out.QuantileValues = append(out.QuantileValues, &metricspb.SummaryDataPoint_ValueAtQuantile{
			Quantile: q.GetQuantile(), Value: q.GetValue(),
		})
	}
	return out
}

func (m *meter) since(created *timestamppb.Timestamp) uint64 {
	if created != nil {
		return nanos(created.AsTime())
	}
	return nanos(m.started)
}

func at(one *dto.Metric, now time.Time) uint64 {
	if ms := one.GetTimestampMs(); ms != 0 {
		now = time.UnixMilli(ms)
	}
	return nanos(now)
}

func labels(one *dto.Metric) []*commonpb.KeyValue {
	out := make([]*commonpb.KeyValue, len(one.Label))
	for i, l := range one.Label {
		out[i] = &commonpb.KeyValue{Key: valid(l.GetName()), Value: encodeString(l.GetValue())}
	}
	return out
}
