package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

const (
	softwareName = "messaging-kafka"
	// metadataMinAge is how soon a client may ask for metadata again. The client's own 5 s would be the time that
	// a publish to a topic created a moment ago has to wait.
	metadataMinAge = 250 * time.Millisecond
)

// ErrNewClientNeeded is returned by [Access.Update] for a change that a running client cannot take up: a Kafka
// client decides at its start whether its connections authenticate by SASL at all.
var ErrNewClientNeeded = errors.New("switching SASL authentication on or off needs a new Kafka client")

// Access is the way into one cluster. It holds the security settings that connections are made with, and may be
// given new ones while clients run: connections that are open stay, new ones (and re-authentications of open ones,
// KIP-368) use the new settings. An Access can serve several clients; its methods may be called by many goroutines
// at once.
type Access struct {
	cluster settings.Cluster
	seeds   []string
	log     *slog.Logger
	hooks   []kgo.Hook
	// connector makes TCP connections; nil is the machine's own way.
	connector Connector
	// secrets are taken out of what brokers say; they are own, those of this access, until [Access.Redact].
	secrets *redact.Redactor
	own     redact.Redactor

	updating sync.Mutex // serialises Update, so that the last one wins whole
	state    atomic.Pointer[securityState]
	health   connectionHealth
}

// securityState is what new connections are made with. It is replaced as a whole.
type securityState struct {
	settings.Security
	tls   *tlsSource   // nil without TLS
	oauth *tokenSource // nil unless the mechanism is OAUTHBEARER
	aws   *awsSource   // nil unless the mechanism is AWS_MSK_IAM
}

// NewAccess checks the settings as far as that is possible without a connection. PEM text that cannot be read is an
// error here; files are read when a connection is made, so that a file that comes late mends itself.
func NewAccess(cluster settings.Cluster, log *slog.Logger) (*Access, error) {
	if len(cluster.Hosts) == 0 {
		return nil, errors.New("no bootstrap address given: set hosts")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &Access{cluster: cluster, seeds: slices.Clone(cluster.Hosts), log: log}
	a.secrets = &a.own
	a.own.Add(secretsOf(cluster.Security)...)
	state, err := a.newState(cluster.Security)
	if err != nil {
		return nil, err
	}
	a.state.Store(state)
	a.health.refused = func() { // some brokers say no more than that
		if source := a.state.Load().oauth; source != nil {
			source.refuse("")
		}
	}
	return a, nil
}

func (a *Access) newState(s settings.Security) (*securityState, error) {
	state := &securityState{Security: s}
	if s.Protocol.UsesTLS() {
		source, err := newTLSSource(s, a.log)
		if err != nil {
			return nil, err
		}
		state.tls = source
	}
	if !s.Protocol.UsesSASL() {
		return state, nil
	}
	switch s.Mechanism {
	case settings.Plain, settings.ScramSHA256, settings.ScramSHA512:
	case settings.OAuthBearer:
		source, err := newTokenSource(s, a.requestTimeout(), a.reach, a.log)
		if err != nil {
			return nil, err
		}
		state.oauth = source
	case settings.AWSMSKIAM:
		state.aws = newAWSSource(s, a.requestTimeout())
	default:
		return nil, fmt.Errorf("unknown sasl_mechanism %q", s.Mechanism)
	}
	return state, nil
}

// Update makes new connections use s. Nothing changes where it returns an error; that is [ErrNewClientNeeded] where
// a running client cannot follow.
//
// A connection that is being authenticated in the very moment in which the mechanism changes can fail once, since
// it has announced the old one by then; the client tries again by itself.
func (a *Access) Update(s settings.Security) error {
	a.updating.Lock()
	defer a.updating.Unlock()
	if a.state.Load().Protocol.UsesSASL() != s.Protocol.UsesSASL() {
		return ErrNewClientNeeded
	}
	state, err := a.newState(s)
	if err != nil {
		return err
	}
	if state.oauth != nil {
		state.oauth.adopt(a.state.Load().oauth)
	}
	a.own.Add(secretsOf(s)...) // a broker may yet repeat the ones before
	a.state.Store(state)
	return nil
}

// Watch has hooks told what clients do. It is called before [Access.Options].
func (a *Access) Watch(hooks ...kgo.Hook) { a.hooks = append(a.hooks, hooks...) }

// ConnectBy has connections made by connect, in place of the machine's network, those to a token endpoint too: what
// encrypts and authenticates them stays. It is called before [Access.Options]; nil changes nothing.
func (a *Access) ConnectBy(connect Connector) { a.connector = connect }

// Redact has secrets taken out of what brokers say, in place of those of this access alone; it has to know these. It is
// called before [Access.Options]; nil changes nothing.
func (a *Access) Redact(secrets *redact.Redactor) {
	if secrets != nil {
		a.secrets = secrets
	}
}

// Options returns what every client of this cluster needs: bootstrap addresses, dialer with TLS, SASL, client id,
// deadlines and logging. The caller adds what they do not set (consuming, producing).
func (a *Access) Options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(a.seeds...),
		kgo.Dialer(a.Dial),
		kgo.SoftwareNameAndVersion(softwareName, softwareVersion()),
		kgo.RequestTimeoutOverhead(a.requestTimeout()),
		kgo.WithLogger(logAdapter{a.log, a.Explain}),
		kgo.WithHooks(append([]kgo.Hook{&a.health}, a.hooks...)...),
		kgo.MetadataMinAge(metadataMinAge),
		// Brokers that subscribe to client metrics (KIP-714) would get pushes from every link; the provider has
		// its own metrics.
		kgo.DisableClientMetrics(),
	}
	if id := a.cluster.ClientID; id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	if age := a.cluster.MetadataMaxAge; age > 0 {
		opts = append(opts, kgo.MetadataMaxAge(max(age, metadataMinAge)))
	}
	if a.state.Load().Protocol.UsesSASL() {
		opts = append(opts, kgo.SASL(liveMechanism{a}))
	}
	return opts
}

func (a *Access) requestTimeout() time.Duration {
	if t := a.cluster.RequestTimeout; t > 0 {
		return max(t, 100*time.Millisecond) // the client's own lower bound
	}
	return 10 * time.Second
}

func (a *Access) dialTimeout() time.Duration {
	if t := a.cluster.DialTimeout; t > 0 {
		return t
	}
	return 10 * time.Second
}

// Seeds returns the bootstrap addresses as "host:port".
func (a *Access) Seeds() []string { return slices.Clone(a.seeds) }

// LastFailure returns why the cluster cannot be reached, or nil where the last connection attempt to any of its
// brokers succeeded or none has been made. It is how a call that merely ran out of time can say why.
func (a *Access) LastFailure() error { return a.health.last() }

// Explain is like the function [Explain], and can say more since it knows the addresses and settings in use. Where
// the error itself says no more than that a connection broke or time ran out, and brokers cannot be reached, the
// diagnosis is that of [Access.LastFailure].
func (a *Access) Explain(err error) Diagnosis {
	in := a.situation()
	d := explain(err, in)
	if (d.Class == ClassClosed || d.Class == ClassTimeout) && addressOf(err) == "" {
		if failure := a.LastFailure(); failure != nil {
			return explain(failure, in)
		}
	}
	if d.Class == ClassTimeout {
		if throttled := a.Throttled(); throttled != nil {
			return explain(throttled, in)
		}
	}
	return d
}

// Throttled returns a [*ThrottleError] while a broker holds this client back because of a quota and for a minute
// after, else nil. Brokers delay clients without an error, so this is how a call that ran out of time can say why.
func (a *Access) Throttled() error { return a.health.throttled(time.Now()) }

func (a *Access) situation() situation {
	state := a.state.Load()
	return situation{
		known:     true,
		seeds:     a.seeds,
		secrets:   a.secrets,
		worked:    a.health.worked,
		protocol:  state.Protocol,
		mechanism: state.Mechanism,
		user:      state.principal(),
		hasCert:   state.TLSCert != "" || state.TLSCertFile != "",
	}
}

// principal is the name under which brokers know this client, as far as the settings tell.
func (s *securityState) principal() string {
	if !s.Protocol.UsesSASL() {
		return ""
	}
	switch s.Mechanism {
	case settings.OAuthBearer:
		return s.OAuthClientID
	case settings.AWSMSKIAM:
		return s.AWSAccessKeyID
	default:
		return s.Username
	}
}

// connectionHealth remembers the last failed connection attempt. It is a hook of the client, which reports the end
// of every attempt there, API version negotiation and authentication included.
type connectionHealth struct {
	failure  atomic.Pointer[error]
	mu       sync.Mutex
	reached  map[string]struct{} // addresses to which a connection was made and authenticated
	throttle atomic.Pointer[throttle]
	large    atomic.Pointer[largeAnswer]
	refused  func() // is told where a broker refuses the credentials
}

// largeAnswer is the last answer that was too large to be read.
type largeAnswer struct {
	err error
	at  time.Time
}

// TooLarge returns an [*AnswerTooLargeError] while a broker gives answers that are too large to be read, and for a
// minute after, else nil. The client asks again and again by itself, and tells nobody.
func (a *Access) TooLarge() error {
	if l := a.health.large.Load(); l != nil && time.Since(l.at) < largeMemory {
		return l.err
	}
	return nil
}

// largeMemory is for how long an answer that was too large is reported.
const largeMemory = 20 * time.Second

// throttle is the last time that a broker asked to be left alone.
type throttle struct {
	err   ThrottleError
	until time.Time
}

var (
	_ kgo.HookBrokerConnect  = (*connectionHealth)(nil)
	_ kgo.HookBrokerThrottle = (*connectionHealth)(nil)
)

// OnBrokerThrottle implements [kgo.HookBrokerThrottle].
func (h *connectionHealth) OnBrokerThrottle(meta kgo.BrokerMetadata, wait time.Duration, _ bool) {
	h.throttle.Store(&throttle{
		err:   ThrottleError{Addr: net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port)), Wait: wait},
		until: time.Now().Add(wait + throttleMemory),
	})
}

// throttleMemory is for how long the end of a wait still explains what took too long.
const throttleMemory = time.Minute

func (h *connectionHealth) throttled(now time.Time) error {
	if t := h.throttle.Load(); t != nil && now.Before(t.until) {
		return &t.err
	}
	return nil
}

// ThrottleError says that a broker holds this client back because of a quota (KIP-13, KIP-124).
type ThrottleError struct {
	Addr string // "host:port"
	// Wait is for how long the client was last told to wait.
	Wait time.Duration
}

func (e *ThrottleError) Error() string {
	return fmt.Sprintf("%s told this client to wait %s because of a quota", e.Addr, e.Wait)
}

// OnBrokerConnect implements [kgo.HookBrokerConnect].
func (h *connectionHealth) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	addr := net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))
	if err == nil {
		h.failure.Store(nil)
		h.noteReached(addr)
		return
	}
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) {
		return
	}
	if errors.Is(err, kerr.SaslAuthenticationFailed) && h.refused != nil {
		h.refused()
	}
	err = &BrokerError{Addr: addr, Err: err}
	h.failure.Store(&err)
}

// maxReached bounds the addresses that are remembered: brokers may tell any number of them.
const maxReached = 1000

func (h *connectionHealth) noteReached(addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reached == nil || len(h.reached) >= maxReached {
		h.reached = make(map[string]struct{})
	}
	h.reached[addr] = struct{}{}
}

// worked tells whether a connection to addr, or to any address where that is "", was made and authenticated.
func (h *connectionHealth) worked(addr string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if addr == "" {
		return len(h.reached) > 0
	}
	_, worked := h.reached[addr]
	return worked
}

func (h *connectionHealth) last() error {
	if p := h.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// BrokerError says at which broker an error happened.
type BrokerError struct {
	Addr string // "host:port"
	Err  error
}

func (e *BrokerError) Error() string { return e.Addr + ": " + e.Err.Error() }
func (e *BrokerError) Unwrap() error { return e.Err }

// softwareVersion is what brokers see (KIP-511); they refuse other characters than these.
var softwareVersion = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, info.Main.Version), ".-")
	if version == "" {
		return "devel"
	}
	return version
})
