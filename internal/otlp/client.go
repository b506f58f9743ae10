package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// client sends the export requests of one signal to one collector. It is safe for concurrent use.
type client struct {
	to     *target
	agent  string
	http   *http.Client
	report *reporter

	mu      sync.Mutex
	closed  bool
	pending sync.WaitGroup // the calls of send

	life  context.Context // ends when the time for a shutdown is over
	cut   context.CancelFunc
	once  sync.Once
	ended chan struct{} // closed by close, at its end
}

const (
	dialTimeout = 5 * time.Second
	// pingAfter and pingTimeout bound how long a connection over HTTP/2 is taken for alive that is not.
	pingAfter   = 30 * time.Second
	pingTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
)

func newClient(to *target, agent string, report *reporter) (*client, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
		// A signal is exported by one goroutine at a time; a flush may come in between.
		MaxIdleConnsPerHost: 2,
		Protocols:           new(http.Protocols),
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		// What is compressed is said by to.gzip; answers are short.
		DisableCompression: true,
	}
	if to.url.Scheme == "https" {
		var err error
		if transport.TLSClientConfig, err = to.tls.config(); err != nil {
			return nil, err
		}
		transport.Protocols.SetHTTP2(true)
	}
	if to.grpc {
		transport.Protocols.SetUnencryptedHTTP2(to.url.Scheme == "http")
	} else {
		transport.Protocols.SetHTTP1(true)
	}
	c := &client{to: to, agent: agent, report: report, ended: make(chan struct{}), http: &http.Client{
		Transport: transport,
		// Headers with tokens must not follow a redirect to somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.life, c.cut = context.WithCancel(context.Background())
	return c, nil
}

var errClosed = errors.New("the export has been shut down")

// send exports one message, whose items are counted as sent or lost. It tries again what may go well later, until
// the time of one export is over or ctx ends. The outcome is reported; send returns it for those who wait for it.
func (c *client) send(ctx context.Context, msg proto.Message, items int) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return errClosed
	}
	c.pending.Add(1)
	c.mu.Unlock()
	defer c.pending.Done()

	ctx, cancel := context.WithTimeout(ctx, c.to.timeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := c.repeat(ctx, msg)
	c.report.outcome(items, err)
	return err
}

const (
	firstWait = 500 * time.Millisecond
	longest   = 5 * time.Second
)

func (c *client) repeat(ctx context.Context, msg proto.Message) error {
	body, err := c.encode(msg)
	if err != nil {
		return err
	}
	for wait := firstWait; ; wait = min(2*wait, longest) {
		err := c.try(ctx, body)
		var f *failure
		if err == nil || !errors.As(err, &f) || !f.again {
			return err
		}
		// Half of the time at least, so that providers that failed together come back one after another.
		pause := max(f.after, wait/2+rand.N(wait/2))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// encode makes the body of the request; over gRPC with its prefix of a flag and a length.
func (c *client) encode(msg proto.Message) ([]byte, error) {
	const prefix = 5
	plain, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, prefix, prefix+proto.Size(msg)), msg)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	var flag byte
	if c.to.gzip {
		var b bytes.Buffer
		b.Write(plain[:prefix])
		z := gzip.NewWriter(&b)
		// Writing into memory does not fail.
		_, _ = z.Write(plain[prefix:])
		_ = z.Close()
		plain, flag = b.Bytes(), 1
	}
	if !c.to.grpc {
		return plain[prefix:], nil
	}
	appendPrefix(plain[:0], flag, len(plain)-prefix)
	return plain, nil
}

// failure is an export that did not go well.
type failure struct {
	err   error
	again bool          // another try may go well
	after time.Duration // which the collector wants not to come before
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// try makes one request.
func (c *client) try(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.to.url.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making a request: %w", withoutURL(err))
	}
	for key, values := range c.to.header {
		req.Header[key] = values
	}
	req.Header.Set("User-Agent", c.agent)
	if c.to.grpc {
		req.Header.Set("Content-Type", "application/grpc+proto")
		req.Header.Set("TE", "trailers")
		if c.to.gzip {
			req.Header.Set("Grpc-Encoding", "gzip")
		}
	} else {
		req.Header.Set("Content-Type", "application/x-protobuf")
		if c.to.gzip {
			req.Header.Set("Content-Encoding", "gzip")
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return &failure{err: withoutURL(err), again: ctx.Err() == nil}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &failure{err: fmt.Errorf("reading the collector's answer: %w", err), again: ctx.Err() == nil}
	}
	if c.to.grpc {
		return judgeGRPC(resp, answer)
	}
	return judgeHTTP(resp, answer)
}

// withoutURL takes off the URL, in which there may be a user and a query.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// close gives up what is being sent when ctx ends, waits for it to end, and closes the connections. Calls after the
// first return at once.
func (c *client) close(ctx context.Context) {
	c.once.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		stop := context.AfterFunc(ctx, c.cut)
		c.pending.Wait()
		stop()
		c.cut()
		c.http.CloseIdleConnections()
		close(c.ended)
	})
}
