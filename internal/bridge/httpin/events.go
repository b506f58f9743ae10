package httpin

import (
	"net/http"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// eventHeader is in each request that is an event in binary mode.
const eventHeader = "Ce-Specversion"

// inBinaryMode tells whether the request is an event whose data is the body.
func (x *exchange) inBinaryMode() bool { return len(x.r.Header[eventHeader]) > 0 }

// events produces events of CloudEvents: one in binary or structured mode, or a list. Where one is not stored, the
// status of the answer says so, since senders of events look at nothing else.
func (x *exchange) events() error {
	if _, err := x.query(); err != nil {
		return err
	}
	b, err := x.body()
	if err != nil {
		return err
	}
	if !x.inBinaryMode() {
		if err := x.holdJSON(b); err != nil {
			return err
		}
	}
	list, _, err := payload.OutgoingsOfHTTP(x.r.Header, b)
	if err != nil {
		return badRequest("the event cannot be read: %v", err)
	}
	for i := range list {
		list[i].Topic = x.topic
		keyByPartitionKey(&list[i])
	}
	results, err := x.send(list)
	if err != nil {
		return err
	}
	if f := worst(results); f != nil {
		if len(results) > 1 {
			f.offsets = offsetsOf(results)
		}
		return f
	}
	return x.reply(http.StatusOK, mediaPlain, appendOffsets(results))
}

// keyByPartitionKey gives a record without a key the one that the event's attribute partitionkey says (CloudEvents
// Kafka protocol binding, 3.1).
func keyByPartitionKey(out *record.Outgoing) {
	for _, h := range out.Headers {
		if h.Key == "ce_partitionkey" && out.Key == nil {
			out.Key = h.Value
		}
	}
}

// worst is the failure of the results: one that another try may mend, where there is such a one. It is nil where all
// records were stored.
func worst(results []record.Result) *failure {
	var found *failure
	for i := range results {
		if results[i].Err == nil {
			continue
		}
		f := notStored(wit.SendErrorOf(results[i].Err))
		if found == nil || f.status > found.status && f.status >= http.StatusInternalServerError {
			found = f
		}
	}
	return found
}
