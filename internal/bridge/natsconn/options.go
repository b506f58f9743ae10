package natsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/nats-io/nuid"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
	"github.com/messaging-kafka/messaging-kafka/internal/nats/refusal"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	// An attempt to connect and a ping must fail soon, since nothing else notices that the way to the server is gone.
	dialTimeout  = 2 * time.Second
	pingInterval = 10 * time.Second
	maxPingsOut  = 2
)

// optionsOf are what says how to connect, and as whom. No error of it has a secret.
func optionsOf(s *settings.NATSServer, log *slog.Logger) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Timeout(dialTimeout), nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPingsOut), nats.NoEcho(),
		// A server decides by itself whether it wants TLS. nats.Secure would ask it of all.
		func(o *nats.Options) error {
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			return nil
		},
	}
	if s.TLSCAFile != "" {
		options = append(options, rootsFrom(s.TLSCAFile, log))
	}
	if s.TLSCertFile != "" {
		options = append(options, certificateFrom(s.TLSCertFile, s.TLSKeyFile))
	}
	switch {
	case !s.Creds.Empty():
		options = append(options, nats.UserCredentialBytes([]byte(s.Creds.Reveal())))
	case !s.Seed.Empty():
		pair, err := nkeys.FromSeed([]byte(s.Seed.Reveal()))
		if err != nil {
			return nil, errors.New("nats_nkey is no seed of an nkey")
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("reading nats_nkey: %w", err)
		}
		options = append(options, nats.Nkey(public, pair.Sign))
	case !s.Token.Empty():
		options = append(options, nats.Token(s.Token.Reveal()))
	case s.User != "":
		options = append(options, nats.UserInfo(s.User, s.Password.Reveal()))
	}
	return options, nil
}

// rootsFrom has TLS asked of every server, under the authorities in a file, which is read for each connection.
func rootsFrom(path string, log *slog.Logger) nats.Option {
	return func(o *nats.Options) error {
		o.RootCAsCB = func() (*x509.CertPool, error) {
			certs, err := pemtext.LoadCertificates(path)
			if err != nil {
				return nil, fmt.Errorf("reading nats_tls_ca_file: %w", err)
			}
			return certs.Pool(log.With("setting", "nats_tls_ca_file")), nil
		}
		o.Secure = true
		_, err := o.RootCAsCB()
		return err
	}
}

// certificateFrom shows a certificate to every server. Its files are read for each connection.
func certificateFrom(certPath, keyPath string) nats.Option {
	return func(o *nats.Options) error {
		o.TLSCertCB = func() (tls.Certificate, error) {
			pair, err := pemtext.LoadPair(certPath, keyPath)
			if err != nil {
				return tls.Certificate{}, fmt.Errorf("reading nats_tls_cert_file and nats_tls_key_file: %w", err)
			}
			return *pair, nil
		}
		o.Secure = true
		_, err := o.TLSCertCB()
		return err
	}
}

// LeftOut are the numbers of the certificates in nats_tls_ca_file that cannot be read: no server is known by them.
func LeftOut(server *settings.NATSServer) []int {
	if server.TLSCAFile == "" {
		return nil
	}
	certs, err := pemtext.LoadCertificates(server.TLSCAFile)
	if err != nil {
		return nil // which Check tells
	}
	return certs.Skipped
}

// Question is something that is asked of a server without an effect, such as what a stream is like.
type Question struct {
	Subject string
	Body    []byte
}

// Answer is what is answered to a question, or why nothing is: a [RefusedError], [ErrNoResponders], [ErrSilent].
type Answer struct {
	Data []byte
	Err  error
}

// Checked is what [Check] found out: what the user may not subscribe to, by the patterns, and the answers to the
// questions in their order.
type Checked struct {
	Refused []string
	Answers []Answer
}

// Check connects once and makes a round trip, and says why that did not work. It also subscribes, to where answers
// would come in and to a subject of each pattern, in the queue group, on which nobody publishes: so it takes nothing
// from anybody. Then it asks questions.
func Check(
	ctx context.Context, server settings.NATSServer, queue string, patterns []string, questions ...Question,
) (checked Checked, err error) {
	options, err := optionsOf(&server, slog.New(slog.DiscardHandler))
	if err != nil {
		return checked, err
	}
	options = append(options, nats.Timeout(dialWithin(ctx, server.URLs)))
	closed := make(chan struct{})
	a := asking{
		inbox: nats.NewInbox(), heard: make(chan *nats.Msg, len(questions)), deaf: make(chan error, 1), failed: make(map[string]chan error),
	}
	tried := map[string]string{a.inbox + ".*": inboxes + ">"}
	for _, pattern := range patterns {
		tried[unused(pattern)] = pattern
	}
	for _, q := range questions {
		a.failed[q.Subject] = make(chan error, 1)
	}
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		r, is := refusal.Of(err)
		if !is {
			return
		}
		if of := tried[r.Subject]; of != "" { // one call at a time, all of them before closed
			checked.Refused = append(checked.Refused, of)
		}
		a.refused(r)
	}))
	nc, err := nats.Connect(server.URLs, append(options, nats.NoReconnect(), nats.Name("messaging-kafka bridge check"),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		return checked, explained(&server, err)
	}
	err = try(ctx, nc, queue, tried, a.hear)
	for i := range questions {
		if err != nil {
			break
		}
		checked.Answers = append(checked.Answers, a.ask(ctx, nc, i, &questions[i]))
	}
	nc.Close()
	<-closed
	slices.Sort(checked.Refused)
	return checked, err
}

// dialWithin is how long each of the servers may take, so that all of them have their turn while ctx lasts, of which
// NATS's client knows nothing.
func dialWithin(ctx context.Context, urls string) time.Duration {
	end, bounded := ctx.Deadline()
	if !bounded {
		return dialTimeout
	}
	each := time.Until(end) / time.Duration(1+strings.Count(urls, ","))
	return max(time.Millisecond, min(dialTimeout, each)) // 0 is no limit
}

// try subscribes, and returns when the server has said what it thinks of that.
func try(ctx context.Context, nc *nats.Conn, queue string, tried map[string]string, hear nats.MsgHandler) error {
	for subject, of := range tried {
		in, handle := queue, func(*nats.Msg) {}
		if strings.HasPrefix(of, inboxes) {
			in, handle = "", hear
		}
		if _, err := nc.QueueSubscribe(subject, in, handle); err != nil {
			return fmt.Errorf("subscribing to %s: %w", of, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	return nil
}

// answerTimeout bounds the wait for the answer to a question.
const answerTimeout = 5 * time.Second

// asking is what questions are asked by. It does not change.
type asking struct {
	inbox  string // answers come in below it
	heard  chan *nats.Msg
	deaf   chan error            // that nothing can come in
	failed map[string]chan error // by the subjects of questions
}

func (a *asking) hear(m *nats.Msg) {
	select {
	case a.heard <- m:
	default: // more than one answer to a question
	}
}

func (a *asking) refused(r refusal.Refusal) {
	to := a.failed[r.Subject]
	if r.Subscription {
		to = nil
		if strings.HasPrefix(r.Subject, a.inbox) {
			to = a.deaf
		}
	}
	select {
	case to <- &RefusedError{Subject: r.Subject, Deaf: r.Subscription}:
	default: // to nobody, or it is known
	}
}

func (a *asking) ask(ctx context.Context, nc *nats.Conn, number int, q *Question) Answer {
	reply := fmt.Sprintf("%s.%d", a.inbox, number)
	if err := nc.PublishRequest(q.Subject, reply, q.Body); err != nil {
		return Answer{Err: fmt.Errorf("asking on %s: %w", q.Subject, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for {
		select {
		case m := <-a.heard:
			switch {
			case m.Subject != reply: // a late one
			case isNoResponders(m):
				return Answer{Err: ErrNoResponders}
			default:
				return Answer{Data: m.Data}
			}
		case err := <-a.failed[q.Subject]:
			return Answer{Err: err}
		case err := <-a.deaf:
			a.deaf <- err // for the next question
			return Answer{Err: err}
		case <-ctx.Done():
			return Answer{Err: ErrSilent}
		}
	}
}

// unused is a subject of a pattern that nobody has.
func unused(pattern string) string {
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		if token == "*" || token == ">" {
			tokens[i] = "messaging-kafka-check-" + nuid.Next()
		}
	}
	return strings.Join(tokens, ".")
}
