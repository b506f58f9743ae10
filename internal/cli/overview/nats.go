package overview

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// NATSOptions say whom to ask over NATS.
type NATSOptions struct {
	// URL is the NATS server of the lattice, Credentials a file with a user's JWT and seed, "" for none.
	URL, Credentials string
	Lattice          string
	// Providers are the keys of the providers to ask. Without any, the hosts of the lattice are asked which providers
	// they run.
	Providers []string
	// Timeout bounds each of the two questions.
	Timeout time.Duration
}

// byNATS asks over the lattice.
type byNATS struct {
	opts   NATSOptions
	nc     *nats.Conn
	closed chan struct{}
}

// quiet is how long no answer may come before a question is taken as answered by all that will.
const quiet = 400 * time.Millisecond

// maxAnswers bounds the answers to one question.
const maxAnswers = 4096

// ByNATS connects to a lattice.
func ByNATS(opts NATSOptions) (Asker, error) {
	for _, token := range append([]string{opts.Lattice}, opts.Providers...) {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n\x00") {
			return nil, fmt.Errorf("%q is no name in a lattice", token)
		}
	}
	closed := make(chan struct{})
	options := []nats.Option{
		nats.Name("messaging-kafka status"), nats.Timeout(opts.Timeout), nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1), nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}
	if opts.Credentials != "" {
		options = append(options, nats.UserCredentials(opts.Credentials))
	}
	nc, err := nats.Connect(opts.URL, options...)
	if err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok {
			err = errors.New("this is no URL") // its own text repeats it, in which there may be a password
		}
		return nil, fmt.Errorf("connecting to NATS at %s: %w", redact.URLs(opts.URL), err)
	}
	return &byNATS{opts: opts, nc: nc, closed: closed}, nil
}

// Close implements Asker.
func (n *byNATS) Close() {
	n.nc.Close()
	<-n.closed
}

// Ask implements Asker.
func (n *byNATS) Ask(ctx context.Context) (*Answer, error) {
	answer := &Answer{Time: time.Now()}
	keys, copies := n.opts.Providers, map[string][]string(nil)
	if len(keys) == 0 {
		var err error
		if copies, err = n.discover(ctx); err != nil {
			return nil, err
		}
		keys = slices.Sorted(maps.Keys(copies))
	}
	for _, key := range keys {
		providers, err := n.askProvider(ctx, key, len(copies[key]))
		switch {
		case errors.Is(err, nats.ErrNoResponders) && copies != nil:
			continue // a provider of another kind
		case errors.Is(err, nats.ErrNoResponders):
			answer.Silent = append(answer.Silent, fmt.Sprintf("provider %s: nobody of that key listens in the lattice %s", key,
				n.opts.Lattice))
			continue
		case err != nil:
			answer.Silent = append(answer.Silent, fmt.Sprintf("provider %s: %v", key, err))
			continue
		}
		answer.Providers = append(answer.Providers, providers...)
		for _, host := range copies[key] {
			if !slices.ContainsFunc(providers, func(p status.Provider) bool { return p.HostID == host }) {
				answer.Silent = append(answer.Silent,
					fmt.Sprintf("provider %s on host %s: no answer within %s", key, host, n.opts.Timeout))
			}
		}
	}
	if len(answer.Providers) == 0 {
		if len(answer.Silent) > 0 {
			return nil, errors.New(strings.Join(answer.Silent, "; "))
		}
		return nil, fmt.Errorf("no host of the lattice %s runs a messaging-kafka that tells its status", n.opts.Lattice)
	}
	answer.sort()
	return answer, nil
}

// askProvider asks all copies of a provider. expected is how many there are, 0 where that is not known.
func (n *byNATS) askProvider(ctx context.Context, key string, expected int) ([]status.Provider, error) {
	var providers []status.Provider
	var bad error
	subject := "wasmbus.rpc." + n.opts.Lattice + "." + key + ".status"
	err := n.gather(ctx, subject, nil, n.opts.Timeout, expected, func(data []byte) {
		p, err := decode(data)
		if err != nil {
			bad = err
			return
		}
		providers = append(providers, *p)
	})
	if len(providers) == 0 {
		return nil, cmp.Or(err, bad)
	}
	return providers, nil
}

// controlAnswer is a host's answer on the control interface.
type controlAnswer[T any] struct {
	Success  bool   `json:"success"`
	Message  string `json:"message"`
	Response T      `json:"response"`
}

// discover asks the hosts of the lattice what they run, and returns the hosts of each provider by its key.
func (n *byNATS) discover(ctx context.Context) (map[string][]string, error) {
	control := "wasmbus.ctl.v1." + n.opts.Lattice + ".host."
	var hosts []string
	err := n.gather(ctx, control+"ping", nil, n.opts.Timeout, 0, func(data []byte) {
		var a controlAnswer[struct {
			ID string `json:"id"`
		}]
		if json.Unmarshal(data, &a) == nil && a.Response.ID != "" {
			hosts = append(hosts, a.Response.ID)
		}
	})
	if len(hosts) == 0 {
		if errors.Is(err, nats.ErrNoResponders) {
			err = errors.New("nobody listens")
		}
		return nil, fmt.Errorf("no host of the lattice %s answers (%w): name the lattice with --lattice, or the provider with --provider", n.opts.Lattice, err)
	}
	found := make(map[string][]string)
	for _, host := range hosts {
		within, cancel := context.WithTimeout(ctx, n.opts.Timeout)
		msg, err := n.nc.RequestWithContext(within, control+"get."+host, nil)
		cancel()
		if err != nil {
			return nil, fmt.Errorf("asking host %s what it runs: %w", host, err)
		}
		var a controlAnswer[struct {
			Providers []struct {
				ID string `json:"id"`
			} `json:"providers"`
		}]
		if err := json.Unmarshal(msg.Data, &a); err != nil {
			return nil, fmt.Errorf("reading what host %s runs: %w", host, err)
		}
		for _, p := range a.Response.Providers {
			// Keys are one token of a subject; what is not cannot be asked.
			if p.ID != "" && !strings.ContainsAny(p.ID, ".*> \t\r\n\x00") {
				found[p.ID] = append(found[p.ID], host)
			}
		}
	}
	return found, nil
}

// gather asks everybody who listens on a subject, and takes answers until expected came (0 for any number), none came
// for a while, or the time is up. The error is that of a question without any answer.
func (n *byNATS) gather(
	ctx context.Context, subject string, question []byte, timeout time.Duration, expected int, take func([]byte),
) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	inbox := nats.NewInbox()
	sub, err := n.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // it may be gone with the connection
	if err := n.nc.PublishRequest(subject, inbox, question); err != nil {
		return err
	}
	for came := 0; came < maxAnswers; {
		wait, cancel := ctx, context.CancelFunc(func() {})
		if came > 0 && expected == 0 {
			wait, cancel = context.WithTimeout(ctx, quiet)
		}
		msg, err := sub.NextMsgWithContext(wait)
		cancel()
		switch {
		case err != nil && came > 0:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("no answer within %s", timeout)
		case err != nil:
			return err
		case len(msg.Data) == 0 && msg.Header.Get("Status") == "503":
			return nats.ErrNoResponders
		}
		take(msg.Data)
		if came++; came == expected {
			return nil
		}
	}
	return nil
}
