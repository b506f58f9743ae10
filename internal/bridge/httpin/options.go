package httpin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Sender is what callers publish by. A [route.Route] is one.
type Sender interface {
	Send(ctx context.Context, from route.Trace, list []record.Outgoing) []record.Result
	Request(ctx context.Context, from route.Trace, out record.Outgoing, timeout time.Duration) (*record.Record, error)
	Publish(ctx context.Context, from route.Trace, msg payload.Message) error
	RequestMessage(
		ctx context.Context, from route.Trace, msg payload.Message, timeout time.Duration,
	) (payload.Message, error)
}

var _ Sender = (*route.Route)(nil)

// Options are what a [Server] needs.
type Options struct {
	// Address is where it listens: host:port, :port or port. Without a host it is the loopback's: whoever wants others
	// to reach it says so.
	Address string
	// Open lets others reach the server without token or certificate, which is an error else.
	Open bool
	// Hosts are names under which it is asked, besides that in Address, localhost, and addresses as such. Requests
	// under others are refused where a browser could make them: on the loopback, and where no token is needed.
	Hosts []string
	// TLS has the server's certificate; nil serves in clear.
	TLS *TLS
	// Callers are who may ask. Anyone is who a request without a token or certificate is from; nil refuses it.
	Callers []Caller
	Anyone  *Caller
	// Routes finds a route by its name. It is called by many goroutines at once.
	Routes func(name string) (Sender, bool)
	// MaxBody bounds the body of a request in bytes, MaxConnections how many connections are open at once; 0 is the
	// default.
	MaxBody        int64
	MaxConnections int
	// Memory is what requests are counted in while they run, those of each caller by themselves; nil is without a bound.
	Memory *memory.Budget
	Log    *slog.Logger
	// Fit takes secrets out of a text that is told to callers; nil leaves texts as they are.
	Fit func(string) string
	// Observer counts requests; nil does not.
	Observer Observer
}

// Observer counts requests. Its methods are called by many goroutines at once.
type Observer interface {
	Began()
	// Ended follows each Began. caller is "" where nobody knows who it was, bytes what was read of the body.
	Ended(caller, endpoint string, status, bytes int, took time.Duration)
}

type uncounted struct{}

// Began implements Observer.
func (uncounted) Began() {}

// Ended implements Observer.
func (uncounted) Ended(string, string, int, int, time.Duration) {}

// Caller is somebody who may ask.
type Caller struct {
	// Name is for log and metrics.
	Name string
	// Tokens are what the caller shows, any of them: while one is exchanged there are two.
	Tokens []settings.Secret
	// Certificates are names in client certificates by which the caller is known: cn:NAME, dns:NAME, uri:NAME.
	Certificates []string
	// Routes are the names of the routes that the caller may publish by. Requests name one where there are several.
	Routes []string
	// AllowedTopics are glob patterns of topics, of those that the route allows; empty allows all of these.
	AllowedTopics []string
	// MaxInFlight bounds the requests that run at once; 0 is the default.
	MaxInFlight int
}

// What is the case where the options say nothing else.
const (
	DefaultMaxBody        = 16 << 20
	DefaultMaxConnections = 512
	DefaultMaxInFlight    = 256
)

// minToken is the length of the shortest token that is hard enough to guess.
const minToken = 16

// complete fills in defaults and says what cannot work.
func (o *Options) complete() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fit == nil {
		o.Fit = func(text string) string { return text }
	}
	if o.Observer == nil {
		o.Observer = uncounted{}
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	o.Address = listen.Address(o.Address)
	if o.Anyone != nil && !o.Open && !isLoopback(o.Address) {
		return o.tooOpen()
	}
	if o.Routes == nil {
		return errors.New("there are no routes to publish by")
	}
	return nil
}

// The keys of a bridge's file that a [Fault] names.
const (
	listenSetting   = "listen"
	callersSetting  = "callers"
	certSetting     = "listen_tls_cert_file"
	keySetting      = "listen_tls_key_file"
	clientCASetting = "listen_client_ca_file"
)

// Fault says which setting of a bridge's file is why nobody can be served.
type Fault struct {
	// Setting is the key, and Err a clause that goes on after it.
	Setting string
	Err     error
}

// Error implements error.
func (f *Fault) Error() string { return f.Setting + ": " + f.Err.Error() }

// Unwrap returns what was said.
func (f *Fault) Unwrap() error { return f.Err }

// tooOpen is the fault of a server that others reach without a token.
func (o *Options) tooOpen() error {
	return &Fault{listenSetting, fmt.Errorf(
		"others reach %s, and requests need no token: name callers with tokens or certificates, or say listen_open: true", o.Address)}
}

// isLoopback tells whether an address is reached from this machine alone.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
