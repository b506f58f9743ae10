package bridge

import (
	"context"
	"fmt"

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
// known without listening.
func CheckStart(c *config.Config) error {
	if c.Listen.Address != "" {
		o := serverOptions(c, func(string) (httpin.Sender, bool) { return nil, false })
		if err := httpin.Check(o); err != nil {
			return fmt.Errorf("serving callers: %w", err)
		}
	}
	_, err := credentialsOf(c)
	return err
}

// listen serves callers where a file says so.
func (b *Bridge) listen(c *config.Config) error {
	if c.Listen.Address == "" {
		return nil
	}
	o := serverOptions(c, b.sender)
	o.Memory, o.Log, o.Fit = b.Memory.Open("requests of callers"), b.Log, b.Secrets.Text
	o.Observer = b.Requests()
	server, err := httpin.Start(o)
	if err != nil {
		return fmt.Errorf("serving callers: %w", err)
	}
	b.server = server
	b.Log.Info("serving callers", "address", server.Addr().String())
	if b.o.OnListen != nil {
		b.o.OnListen(server.Addr())
	}
	return nil
}

// stopListening ends the server within ctx. What runs is answered.
func (b *Bridge) stopListening(ctx context.Context) {
	if b.server != nil {
		b.server.Stop(ctx)
	}
}

// serverFault says why callers are not served any more, nil where they are.
func (b *Bridge) serverFault() error {
	if b.server == nil {
		return nil
	}
	return b.server.Fault()
}

// exchangeCallers has the server know those of another file.
func (b *Bridge) exchangeCallers(c *config.Config) error {
	if b.server == nil || c.Listen.Address == "" {
		return nil
	}
	if err := b.server.SetCallers(callersOf(c), anyoneOf(c)); err != nil {
		return config.Errors{{File: b.o.Path, Key: "callers", Problem: err.Error()}}
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
