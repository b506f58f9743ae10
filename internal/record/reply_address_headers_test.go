package record

import (
	"reflect"
	"strings"
	"testing"
)

func TestReplyAddressOf(t *testing.T) {
	t.Parallel()
	id := []byte{0, 1, 0xfe, 0xff}
	for name, test := range map[string]struct {
		headers []Header
		want    ReplyAddress
		none    bool
	}{
		"what Spring sends without a partition": {
			headers: []Header{{CorrelationHeader, id}, {ReplyTopicHeader, []byte("orders.answers")}},
			want:    ReplyAddress{Topic: "orders.answers", Partition: AnyPartition, Correlation: id},
		},
		"what Spring sends with a partition": {
			headers: []Header{{CorrelationHeader, id}, {ReplyTopicHeader, []byte("a")},
				{ReplyPartitionHeader, []byte{0, 0, 1, 2}}},
			want: ReplyAddress{Topic: "a", Partition: 258, Correlation: id},
		},
		"a topic alone": {
			headers: []Header{{ReplyTopicHeader, []byte("a")}},
			want:    ReplyAddress{Topic: "a", Partition: AnyPartition, Correlation: []byte{}},
		},
		"the last of several headers counts": {
			headers: []Header{{ReplyTopicHeader, []byte("a")}, {ReplyTopicHeader, []byte("b")}},
			want:    ReplyAddress{Topic: "b", Partition: AnyPartition, Correlation: []byte{}},
		},
		"a partition written as text": {
			headers: []Header{{ReplyTopicHeader, []byte("a")}, {ReplyPartitionHeader, []byte("3")}},
			want:    ReplyAddress{Topic: "a", Partition: AnyPartition, Correlation: []byte{}},
		},
		"a partition of eight bytes": {
			headers: []Header{{ReplyTopicHeader, []byte("a")}, {ReplyPartitionHeader, make([]byte, 8)}},
			want:    ReplyAddress{Topic: "a", Partition: AnyPartition, Correlation: []byte{}},
		},
		"a negative partition": {
			headers: []Header{{ReplyTopicHeader, []byte("a")}, {ReplyPartitionHeader, []byte{0xff, 0xff, 0xff, 0xff}}},
			want:    ReplyAddress{Topic: "a", Partition: AnyPartition, Correlation: []byte{}},
		},
		"an empty correlation": {
			headers: []Header{{ReplyTopicHeader, []byte("a")}, {CorrelationHeader, nil}},
			want:    ReplyAddress{Topic: "a", Partition: AnyPartition, Correlation: []byte{}},
		},
		"no headers":                     {none: true},
		"an answer":                      {headers: []Header{{CorrelationHeader, id}}, none: true},
		"an empty topic":                 {headers: []Header{{ReplyTopicHeader, []byte{}}}, none: true},
		"a null topic":                   {headers: []Header{{ReplyTopicHeader, nil}}, none: true},
		"a topic that reads as a query":  {headers: []Header{{ReplyTopicHeader, []byte("a?partition=1")}}, none: true},
		"a topic of a foreign alphabet":  {headers: []Header{{ReplyTopicHeader, []byte("größe")}}, none: true},
		"a topic that is a folder":       {headers: []Header{{ReplyTopicHeader, []byte("..")}}, none: true},
		"a topic that is a folder's own": {headers: []Header{{ReplyTopicHeader, []byte(".")}}, none: true},
		"a topic longer than Kafka's":    {headers: []Header{{ReplyTopicHeader, []byte(strings.Repeat("a", 250))}}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := ReplyAddressOf(&Record{Headers: test.headers})
			if ok == test.none || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v and %v, want %+v and %v", got, ok, test.want, !test.none)
			}
		})
	}
}

func TestReplyAddressOfCopiesTheCorrelation(t *testing.T) {
	t.Parallel()
	id := []byte{1}
	address, _ := ReplyAddressOf(&Record{Headers: []Header{{ReplyTopicHeader, []byte("a")}, {CorrelationHeader, id}}})
	id[0] = 2
	if address.Correlation[0] != 1 {
		t.Error("the address changes with the record's buffer")
	}
}

// FuzzReplyAddressOf checks that whatever a stranger puts into the headers becomes a subject that reads as the same
// address, and headers that do.
func FuzzReplyAddressOf(f *testing.F) {
	f.Add([]byte("orders.answers"), []byte{0, 0, 0, 3}, []byte("0123456789abcdef"))
	f.Add([]byte("a?partition=1"), []byte("3"), []byte{})
	f.Add([]byte{}, []byte{0xff, 0xff, 0xff, 0xff}, []byte{0})
	f.Fuzz(func(t *testing.T, topic, partition, correlation []byte) {
		r := &Record{Headers: []Header{{ReplyTopicHeader, topic}, {ReplyPartitionHeader, partition},
			{CorrelationHeader, correlation}}}
		address, ok := ReplyAddressOf(r)
		if !ok {
			if !reflect.DeepEqual(address, ReplyAddress{}) {
				t.Errorf("no address, but %+v", address)
			}
			return
		}
		if read, err := ParseSubject(address.String()); err != nil || !reflect.DeepEqual(read, address) {
			t.Errorf("%+v became %+v by way of %q: %v", address, read, address.String(), err)
		}
		if read, ok := ReplyAddressOf(&Record{Headers: address.RequestHeaders()}); !ok || !reflect.DeepEqual(read, address) {
			t.Errorf("%+v became %+v by way of its headers", address, read)
		}
	})
}
