package bridge

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/httpin"
)

// serverOptions are what a file says of how callers are served.
func serverOptions(c *config.Config, routes func(string) (httpin.Sender, bool)) httpin.Options {
	l := &c.Listen
	o := httpin.Options{
		Address: l.Address, Open: l.Open, Hosts: l.Hosts, MaxBody: l.MaxBody, MaxConnections: l.MaxConnections,
		Callers: callersOf(c), Anyone: anyoneOf(c), Routes: routes,
	}
	if l.CertFile != "" {
		o.TLS = &httpin.TLS{CertFile: l.CertFile, KeyFile: l.KeyFile, ClientCAFile: l.ClientCAFile}
	}
	return o
}

// CheckStart says why a bridge would not start with a file that can be read, nil where it would as far as that can be
// known without listening, which [TryListen] tries. Its error is [config.Errors].
func CheckStart(c *config.Config) error {
	if c.Listen.Address != "" {
		o := serverOptions(c, func(string) (httpin.Sender, bool) { return nil, false })
		if err := httpin.Check(o); err != nil {
			return serverFault(c, err)
		}
	}
	_, err := credentialsOf(c)
	return err
}

// serverFault names the place of a file for which callers cannot be served.
func serverFault(c *config.Config, err error) error {
	if fault, ok := errors.AsType[*httpin.Fault](err); ok {
		return c.Fault(fault.Setting, fault.Err)
	}
	return c.Fault(keyListen, err)
}

// keyListen is the key of the file that has callers served.
const keyListen = "listen"

// listen serves callers as a file says, in place of a server before, nil for none, which is still to be retired. It
// returns nil where the file has nobody served.
func (b *Bridge) listen(c *config.Config, before *httpin.Server) (*httpin.Server, error) {
	if c.Listen.Address == "" {
		return nil, nil
	}
	o := serverOptions(c, b.sender)
	o.Memory, o.Log, o.Fit = b.Memory, b.Log, b.Secrets.Text
	o.Observer = b.Requests()
	begin := httpin.Start
	if before != nil {
		begin = before.Successor
	}
	server, err := begin(o)
	if err != nil {
		return nil, serverFault(c, err)
	}
	return server, nil
}

// announce tells where callers are served, once their routes are there.
func (b *Bridge) announce(server *httpin.Server) {
	b.Log.Info("serving callers", "address", server.Addr().String())
	if b.o.OnListen != nil {
		b.o.OnListen(server.Addr())
	}
}

// serving is the server of callers, nil where nobody is served.
func (b *Bridge) serving() *httpin.Server {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.server
}

// stopListening ends the server within ctx, and waits for those before it. What runs is answered.
func (b *Bridge) stopListening(ctx context.Context) {
	if server := b.serving(); server != nil {
		server.Stop(ctx)
	}
	defer context.AfterFunc(ctx, b.cutOff)()
	b.retiring.Wait()
}

// unserved says why callers are not served any more, nil where they are.
func (b *Bridge) unserved() error {
	if server := b.serving(); server != nil {
		return server.Fault()
	}
	return nil
}

// retireTimeout is how long requests may go on that run when another server takes the place of theirs.
const retireTimeout = 10 * time.Second

// exchangeServer has callers be served as another file says. Where that cannot be, all stays as it was.
func (b *Bridge) exchangeServer(now *config.Config) error {
	before := b.serving()
	if before != nil && before.Fault() == nil && reflect.DeepEqual(b.current().Listen, now.Listen) {
		if err := before.SetCallers(callersOf(now), anyoneOf(now)); err != nil {
			return serverFault(now, err)
		}
		return nil
	}
	server, err := b.listen(now, before)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.server = server
	b.mu.Unlock()
	if before != nil {
		b.retiring.Go(func() {
			ctx, cancel := context.WithTimeout(b.life, retireTimeout)
			defer cancel()
			before.Retire(ctx)
		})
	}
	return nil
}

func callersOf(c *config.Config) []httpin.Caller {
	list := make([]httpin.Caller, len(c.Callers))
	for i, one := range c.Callers {
		list[i] = httpin.Caller{
			Name: one.Name, Tokens: one.Tokens, Certificates: one.Certificates, Routes: one.Routes,
			AllowedTopics: one.AllowedTopics, MaxInFlight: one.MaxInFlight,
		}
	}
	return list
}

// anyoneOf is who a request without a token is from: nobody where there are callers.
func anyoneOf(c *config.Config) *httpin.Caller {
	if len(c.Callers) > 0 {
		return nil
	}
	anyone := &httpin.Caller{Name: "anyone"}
	for _, r := range c.Routes {
		if r.Publishes {
			anyone.Routes = append(anyone.Routes, r.Name)
		}
	}
	return anyone
}

// sender finds the route by which callers publish.
func (b *Bridge) sender(name string) (httpin.Sender, bool) {
	c := b.current()
	if c == nil {
		return nil, false
	}
	for _, r := range c.Routes {
		if r.Name == name && r.Publishes {
			found := b.publishes(c.Name, r)
			return found, found != nil
		}
	}
	return nil, false
}
