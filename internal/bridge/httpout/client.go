package httpout

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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
	// Connections is the most that are open at once; the load over them is even only where there are several, since
	// balancers choose by connection.
	Connections int
	// HTTP2 has requests share connections by HTTP/2, in clear without an upgrade (h2c).
	HTTP2 bool
	// TLS is for https; nil trusts what the system does.
	TLS *tls.Config
	// Bearer is sent as a token, Key signs each request; both may be empty.
	Bearer, Key settings.Secret
	// MaxAnswer bounds the body of an answer, in bytes.
	MaxAnswer int64
	// Dial makes connections; nil is the machine's network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
	// keptText is how much of an answer's body is kept as the reason that it gives.
	keptText = 2 << 10
)

// client posts to one URL. It is safe for concurrent use.
type client struct {
	o    Options
	url  *url.URL
	http *http.Client
	wire *http.Transport
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
	}
	wire := &http.Transport{
		DialContext:           o.Dial,
		TLSClientConfig:       o.TLS,
		TLSHandshakeTimeout:   dialTimeout,
		MaxConnsPerHost:       o.Connections,
		MaxIdleConns:          o.Connections,
		MaxIdleConnsPerHost:   o.Connections,
		IdleConnTimeout:       idleTimeout,
		DisableCompression:    true, // what is decompressed has no bound that counts
		Protocols:             new(http.Protocols),
		ExpectContinueTimeout: time.Second,
	}
	if o.Dial == nil {
		wire.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if o.HTTP2 {
		wire.Protocols.SetHTTP2(true)
		wire.Protocols.SetUnencryptedHTTP2(true)
	} else {
		wire.Protocols.SetHTTP1(true)
	}
	return &client{o: o, url: u, wire: wire, http: &http.Client{
		Transport:     wire,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *client) close() { c.wire.CloseIdleConnections() }

// answer is what came back, its body whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// mediaType is the media type of the body, without parameters and in lower case.
func (a *answer) mediaType() string {
	t, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// broken is an error of an exchange that has no answer.
type broken struct {
	// taken tells that somebody may be at work on the request.
	taken bool
	err   error
}

// post sends one request and returns its answer, or how it got none. A request whose connection breaks before anything
// of an answer is there is sent once more: a connection that was kept may be one that the other end has closed already,
// and of an application that is gone nobody knows until the next connection is refused.
func (c *client) post(ctx context.Context, header http.Header, body []byte) (*answer, *broken) {
	a, failed := c.try(ctx, header, body)
	if failed != nil && failed.taken && ctx.Err() == nil && !errors.Is(failed.err, errOversize) {
		c.wire.CloseIdleConnections()
		a, failed = c.try(ctx, header, body)
	}
	return a, failed
}

var errOversize = errors.New("the answer is too large")

func (c *client) try(ctx context.Context, header http.Header, body []byte) (*answer, *broken) {
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &broken{err: fmt.Errorf("making the request: %w", err)}
	}
	req.Header = header.Clone()
	req.Host = c.o.Host
	req.Header.Set("Messaging-Kafka-Route", c.o.Route)
	if token := c.o.Bearer.Reveal(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if key := c.o.Key.Reveal(); key != "" {
		req.Header.Set("Messaging-Kafka-Signature", sign(key, time.Now(), body))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// An *url.Error repeats the URL, which people find in the settings.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, &broken{taken: written.Load(), err: err}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxAnswer+1))
	switch {
	case err != nil:
		return nil, &broken{taken: true, err: fmt.Errorf("reading the answer: %w", err)}
	case int64(len(got)) > c.o.MaxAnswer:
		return nil, &broken{taken: true, err: fmt.Errorf("%w: more than %d bytes (http_max_answer)", errOversize, c.o.MaxAnswer)}
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: got}, nil
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

// outcome is what a request without an answer means for the records in it.
func (b *broken) outcome() record.Outcome {
	if b.taken {
		return record.Outcome{Kind: record.Unanswered, Err: fmt.Errorf("the application gave no answer: %w", b.err)}
	}
	return record.Outcome{Kind: record.Unavailable, Err: fmt.Errorf("the application cannot be reached: %w", b.err)}
}

// exchange posts a body for n records and returns the answer's, of the same media type. Where there is none to read,
// all is what became of each record, and nil elsewhere.
func (c *client) exchange(
	ctx context.Context, header http.Header, body []byte, mediaType string, n int,
) (answered []byte, all []record.Outcome) {
	header.Set("Content-Type", mediaType)
	header.Set("Accept", mediaType)
	a, failed := c.post(ctx, header, body)
	if failed != nil {
		return nil, record.Each(n, failed.outcome())
	}
	if o := judge(a, n, time.Now()); o.Kind != record.Done || len(a.body) == 0 {
		return nil, record.Each(n, o)
	}
	if got := a.mediaType(); got != mediaType {
		return nil, record.Each(n, unreadable(fmt.Errorf("its answer is %q where %s was asked for", got, mediaType)))
	}
	return a.body, nil
}
