package process

import (
	"context"
	"net"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/admin"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
)

// FrontEnd is what the page and the metrics ask a front-end. Both begin with what the process knows, see
// [Process.Status] and [route.Set.Snapshot].
type FrontEnd interface {
	admin.Source
	Snapshot() telemetry.Snapshot
}

// adminCloseTimeout is short: it comes out of the time that a host gives a shutdown.
const adminCloseTimeout = 100 * time.Millisecond

// overHTTP carries out what comes to the admin address.
type overHTTP struct{ p *Process }

// Control implements admin.Controller.
func (o overHTTP) Control(ctx context.Context, operator string, r control.Request) control.Answer {
	return o.p.Control(ctx, Operator{Name: operator, Via: viaToken}, r)
}

// Serve shows a front-end: by metrics, and where admin_address is set by a page. It tells where to listening, unless
// that is nil. The function that it returns ends the page and waits for it. It is called once.
func (p *Process) Serve(f FrontEnd, listening func(net.Addr)) (stop func()) {
	p.metrics.Ask(f.Snapshot)
	if p.Own.AdminAddress == "" {
		return func() {}
	}
	server, err := admin.Start(admin.Config{
		Address: p.Own.AdminAddress, Hosts: p.Own.AdminHosts, Source: f, Gatherer: p.metrics.Registry, Log: p.Log,
		Controller: overHTTP{p}, Tokens: p.Own.ControlTokens,
	})
	if err != nil {
		// An address that is taken must not keep records from flowing.
		p.Log.Error("the admin address cannot be served", "error", err)
		p.mu.Lock()
		p.unseen = err
		p.mu.Unlock()
		return func() {}
	}
	p.Log.Info("serving metrics and health", "address", server.Addr().String(), "page",
		"http://"+server.Addr().String()+"/")
	if listening != nil {
		listening(server.Addr())
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
		defer cancel()
		server.Close(ctx)
	}
}
