package httpout

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Options say where the records of a route go, and how.
type Options struct {
	// Route is the name of the route, which requests carry.
	Route string
	// URL is where requests are posted to: http or https, without credentials.
	URL string
	// Host is what requests have in their Host header, "" for the URL's.
	Host string
	// Connections is about the most that are open at once; the load over them is even only where there are several, since
	// balancers choose by connection. By HTTP/1.1 it is also how many requests there are at once.
	Connections int
	// HTTP2 has requests share connections by HTTP/2, in clear without an upgrade (h2c).
	HTTP2 bool
	// TLS is for https; nil trusts what the system does.
	TLS *tls.Config
	// Bearer is sent as a token, Key signs each request; both may be empty.
	Bearer, Key settings.Secret
	// Current, if not nil, tells token and key at each request: others have taken the place of Bearer and Key.
	Current func() (bearer, key settings.Secret)
	// Pair, if not nil, tells which client certificate TLS shows now, nil for none: connections that have shown another
	// one are used no more.
	Pair func() *tls.Certificate
	// MaxAnswer bounds the body of an answer, in bytes.
	MaxAnswer int64
	// Memory is what answers, and what is made of them, are taken from until they are handed over; nil is without a bound.
	// It is none that records which wait are taken from, or these could leave no room for the answers that they wait for.
	// The receiver closes it.
	Memory *memory.Account
	// Dial makes connections; nil is the machine's network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// client posts to one URL. It is safe for concurrent use.
type client struct {
	o     Options
	url   *url.URL
	wires []*wire
	turn  atomic.Uint32
	// secrets are taken out of what the application says.
	secrets redact.Redactor
	known   sync.Map // those that have been added, by settings.Secret
}

func newClient(o Options) (*client, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, errors.New("the url cannot be read") // its text may have what is secret
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("the url is no http://HOST or https://HOST")
	case u.User != nil:
		return nil, errors.New("the url has credentials, which logs would show: set http_bearer_token instead")
	case !httpguts.ValidHeaderFieldValue(o.Bearer.Reveal()):
		return nil, errors.New("http_bearer_token has a line break or another character that no header can have")
	case !httpguts.ValidHostHeader(o.Host):
		return nil, errors.New("http_host is no name of a host")
	}
	u.Fragment, u.RawFragment = "", ""
	c := &client{o: o, url: u, wires: newWires(o)}
	c.hide(o.Bearer, o.Key)
	return c, nil
}

// hide has secrets taken out of what the application says from now on.
func (c *client) hide(secrets ...settings.Secret) {
	for _, s := range secrets {
		if _, known := c.known.LoadOrStore(s, true); !known {
			c.secrets.Add(s.Reveal())
		}
	}
}

// credentials are the token and the key of the moment.
func (c *client) credentials() (bearer, key settings.Secret) {
	if c.o.Current == nil {
		return c.o.Bearer, c.o.Key
	}
	bearer, key = c.o.Current()
	c.hide(bearer, key)
	return bearer, key
}

func (c *client) close() {
	for _, w := range c.wires {
		w.now.Load().CloseIdleConnections()
	}
	c.o.Memory.Close()
}

// broken is an error of an exchange that has no answer.
type broken struct {
	// taken tells that somebody may be at work on the request, began that something of an answer has come.
	taken, began bool
	err          error
}

// outcome is what a request without an answer means for the records in it.
func (b *broken) outcome() record.Outcome {
	if b.taken {
		return record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf("the application gave no answer: %w", b.err)}
	}
	return record.Outcome{Kind: record.Unavailable, Err: fmt.Errorf("the application cannot be reached: %w", b.err)}
}

// post sends one request, of whatever method, and returns its answer, whose body is to be closed, or how it got none.
// A request whose
// connection breaks before anything of an answer is there is sent once more: a connection that was kept may be one that
// the other end has closed already, and of an application that is gone nobody knows until the next connection is
// refused.
func (c *client) post(
	ctx context.Context, method string, header http.Header, body *buffer,
) (*http.Response, *broken) {
	w := c.wires[int(c.turn.Add(1)-1)%len(c.wires)]
	wire := w.get(time.Now())
	resp, failed := c.try(ctx, wire, method, header, body)
	if failed != nil && failed.taken && !failed.began && ctx.Err() == nil {
		wire.CloseIdleConnections()
		resp, failed = c.try(ctx, wire, method, header, body)
	}
	return resp, failed
}

// flight is what is known of a request on its way.
type flight struct {
	trace             httptrace.ClientTrace
	conn              atomic.Pointer[net.Conn]
	written, answered atomic.Bool
}

func (c *client) try(
	ctx context.Context, wire *http.Transport, method string, header http.Header, body *buffer,
) (*http.Response, *broken) {
	f := &flight{}
	f.trace.GotConn = func(got httptrace.GotConnInfo) { f.conn.Store(&got.Conn) }
	f.trace.WroteHeaders = func() { f.written.Store(true) }
	f.trace.GotFirstResponseByte = func() { f.answered.Store(true) }
	req := (&http.Request{
		Method: method, URL: c.url, Host: c.o.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body.b)),
		Body: http.NoBody,
	}).WithContext(httptrace.WithClientTrace(ctx, &f.trace))
	if len(body.b) > 0 {
		f.trace.WroteRequest = func(httptrace.WroteRequestInfo) { body.release() }
		req.Body, req.GetBody = body.reader(), body.again
	}
	resp, err := wire.RoundTrip(req)
	if err == nil {
		return resp, nil
	}
	failed := &broken{taken: f.written.Load(), began: f.answered.Load(), err: err}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" && !failed.began {
		// TLS: the other end refuses the connection, such as for our certificate, of which TLS 1.3 tells only once the
		// request is on its way. Nobody has read it.
		failed.taken = false
	}
	if conn := f.conn.Load(); conn != nil && ctx.Err() == nil {
		if why := misunderstood(*conn, c.o.HTTP2); why != nil {
			failed = &broken{err: fmt.Errorf("%w (%w)", why, err)}
		}
	}
	return nil, failed
}

// sign makes the signature of a body: whoever has the key can tell who sent it, and when.
func sign(key string, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(stamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
