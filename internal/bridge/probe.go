package bridge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// probeTimeout bounds the question whether an application is there.
const probeTimeout = 10 * time.Second

// Probe asks by a HEAD request, which hands nothing over, whether an application answers at the url of a route, with
// the route's credentials. It returns the status of the answer.
func Probe(ctx context.Context, h *settings.HTTP) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var mine credentials
	mine.now.Store(&shown{})
	if h.TLSCert != "" {
		pair, err := pairOf(h)
		if err != nil {
			return 0, err
		}
		mine.now.Store(&shown{pair: pair})
	}
	wire := &http.Transport{
		DialContext: (&net.Dialer{}).DialContext, TLSClientConfig: tlsOf(h, mine.certificate), DisableKeepAlives: true, Protocols: new(http.Protocols),
	}
	if h.Protocol == settings.HTTP2 {
		wire.Protocols.SetHTTP2(true)
		wire.Protocols.SetUnencryptedHTTP2(true)
	} else {
		wire.Protocols.SetHTTP1(true)
	}
	defer wire.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, h.URL, http.NoBody)
	if err != nil {
		return 0, errors.New("the url cannot be read") // its text may have what is secret
	}
	req.Host = h.Host
	if !h.BearerToken.Empty() {
		req.Header.Set("Authorization", "Bearer "+h.BearerToken.Reveal())
	}
	resp, err := wire.RoundTrip(req) // which follows no redirect
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
