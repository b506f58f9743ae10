package httpout

import (
	"context"
	"maps"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/tracing"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// The headers that requests have besides those of their bodies.
const (
	routeHeader     = "Messaging-Kafka-Route"
	topicHeader     = "Messaging-Kafka-Topic"
	partitionHeader = "Messaging-Kafka-Partition"
	signatureHeader = "Messaging-Kafka-Signature"
)

// sender is what all receivers of a route have in common.
type sender struct {
	client *client
	trace  *tracing.Link
	// fixed are the headers that all requests have. The lists in it are shared and never changed.
	fixed http.Header
}

// newSender returns a sender whose requests have bodies of a media type, "" where each has its own, and ask for answers
// of the type accept, "" for any.
func newSender(o Options, mediaType, accept string, trace *tracing.Link) (*sender, error) {
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	s := &sender{client: c, trace: trace, fixed: http.Header{"User-Agent": {"messaging-kafka"}}}
	if httpguts.ValidHeaderFieldValue(o.Route) {
		s.fixed.Set(routeHeader, o.Route)
	}
	if mediaType != "" {
		s.fixed.Set("Content-Type", mediaType)
	}
	if accept != "" {
		s.fixed.Set("Accept", accept)
	}
	if token := o.Bearer.Reveal(); token != "" {
		s.fixed.Set("Authorization", "Bearer "+token)
	}
	return s, nil
}

// Close ends the connections that no request uses.
func (s *sender) Close() { s.client.close() }

// delivery is a request for some records of a partition, from the making of its headers to its end.
type delivery struct {
	*sender
	batch  []*record.Record
	span   *tracing.Span
	header http.Header
	// held is what the answer, and what is made of it, hold of the route's memory until the engine has it.
	held memory.Share
}

// begin begins the delivery of records, one at least. Its header has room for so many more than all have.
func (s *sender) begin(ctx context.Context, batch []*record.Record, more int) (context.Context, *delivery) {
	d := &delivery{
		sender: s, batch: batch, header: make(http.Header, len(s.fixed)+6+more), held: s.client.o.Memory.Share(),
	}
	ctx, d.span = s.trace.ProcessBatch(ctx, batch)
	maps.Copy(d.header, s.fixed)
	if bearer, _ := s.client.credentials(); bearer != s.client.o.Bearer {
		delete(d.header, "Authorization")
		if !bearer.Empty() {
			d.header["Authorization"] = []string{"Bearer " + bearer.Reveal()}
		}
	}
	about := []string{batch[0].Topic, strconv.Itoa(int(batch[0].Partition))}
	d.header[topicHeader], d.header[partitionHeader] = about[0:1:1], about[1:2:2]
	var alone *record.Record
	if len(batch) == 1 {
		alone = batch[0] // a request has one trace, and the records of a batch each their own
	}
	for name, values := range d.span.Headers(alone) {
		// Whoever wrote the record chose them, and one that no header can have must not hold it up.
		if len(values) > 0 && httpguts.ValidHeaderFieldValue(values[0]) {
			d.header[http.CanonicalHeaderKey(name)] = values[:1:1]
		}
	}
	return ctx, d
}

// end ends the delivery. Outputs get the traces of the records that they were made of; the span says what happened to
// the first record that was not finished.
func (d *delivery) end(outcomes []record.Outcome) []record.Outcome {
	d.held.Release()
	for i := range outcomes {
		for k := range outcomes[i].Outputs {
			d.trace.Create(d.span, d.batch[i], len(d.batch) > 1, &outcomes[i].Outputs[k])
		}
	}
	for i := range outcomes {
		if o := &outcomes[i]; o.Kind != record.Done && o.Kind != record.Skipped {
			d.span.End(o.Kind.Label(), o.Err)
			return outcomes
		}
	}
	d.span.End("", nil)
	return outcomes
}

// post posts a body for n records. Where the answer's status says that all is well, it is returned and its body is to
// be closed; else all is what became of each record.
func (d *delivery) post(ctx context.Context, body *buffer, n int) (resp *http.Response, all []record.Outcome) {
	if _, key := d.client.credentials(); !key.Empty() {
		d.header.Set(signatureHeader, sign(key.Reveal(), time.Now(), body.b))
	}
	resp, failed := d.client.post(ctx, http.MethodPost, d.header, body)
	if failed != nil {
		return nil, record.Each(n, failed.outcome())
	}
	if isSuccess(resp.StatusCode) {
		return resp, nil
	}
	reason := d.client.reason(resp)
	return nil, record.Each(n, judge(resp.StatusCode, resp.Header, reason, n, time.Now()))
}

// exchange posts a body for n records and returns the answer's, of the same media type. Where there is none to read,
// all is what became of each record, and nil elsewhere.
func (d *delivery) exchange(ctx context.Context, body *buffer, n int) (answered []byte, all []record.Outcome) {
	resp, all := d.post(ctx, body, n)
	if all != nil {
		return nil, all
	}
	defer resp.Body.Close()
	answered, err := d.read(resp)
	if err != nil {
		return nil, unreadable(err, n)
	}
	if len(answered) == 0 {
		return nil, record.Each(n, record.Outcome{Kind: record.Done})
	}
	if got, want := mediaType(resp.Header), d.fixed.Get("Content-Type"); got != want {
		return nil, unreadable(wrongType(got, want), n)
	}
	return answered, nil
}
