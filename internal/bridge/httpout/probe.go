package httpout

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Probed is what became of a question whether somebody is there.
type Probed struct {
	// Status is that of the answer, 0 where there was none.
	Status int
	// Outcome is what the same end of a request would mean for a record in it.
	Outcome record.Outcome
}

// Probe asks by a HEAD request, which hands nothing over, in all else as records are handed over: with the route's
// credentials, by the same kind of connection, and with the same judgement. Its error says that no request can be made
// at all. The probe closes what it has of memory.
func Probe(ctx context.Context, o Options) (Probed, error) {
	c, err := newClient(o)
	if err != nil {
		o.Memory.Close()
		return Probed{}, err
	}
	defer c.close()
	header := http.Header{"User-Agent": {"messaging-kafka"}}
	if httpguts.ValidHeaderFieldValue(o.Route) {
		header.Set(routeHeader, o.Route)
	}
	bearer, key := c.credentials()
	if !bearer.Empty() {
		header.Set("Authorization", "Bearer "+bearer.Reveal())
	}
	if !key.Empty() {
		header.Set(signatureHeader, sign(key.Reveal(), time.Now(), nil))
	}
	resp, failed := c.post(ctx, http.MethodHead, header, new(buffer))
	if failed != nil {
		return Probed{Outcome: failed.outcome()}, nil
	}
	p := Probed{Status: resp.StatusCode, Outcome: record.Outcome{Kind: record.Done}}
	if isSuccess(resp.StatusCode) {
		return p, resp.Body.Close()
	}
	p.Outcome = judge(resp.StatusCode, resp.Header, c.reason(resp), 1, time.Now())
	return p, nil
}
