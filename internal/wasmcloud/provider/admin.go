package provider

import (
	"context"
	"net"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/admin"
)

// adminCloseTimeout is short: it comes out of the time that a host gives a shutdown.
const adminCloseTimeout = 100 * time.Millisecond

// serveAdmin serves what operators look at, under names besides its address; nothing where address is empty. It tells where to listening, unless that is
// nil. The function that it returns ends that and waits for it.
func (p *Provider) serveAdmin(address string, names []string, listening func(net.Addr)) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	server, err := admin.Start(admin.Config{Address: address, Hosts: names, Source: p, Gatherer: p.metrics.Registry, Log: p.log})
	if err != nil {
		return func() {}, err
	}
	p.log.Info("serving metrics and health", "address", server.Addr().String(), "page", "http://"+server.Addr().String()+"/")
	if listening != nil {
		listening(server.Addr())
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
		defer cancel()
		server.Close(ctx)
	}, nil
}
