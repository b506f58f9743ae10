package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
)

// startNATS returns the URL of the lattice's NATS server, which it starts unless one is given.
func (r *runner) startNATS() (string, error) {
	if r.opts.NATSURL != "" {
		r.screen.say("NATS       %s, lattice %s\n", redact.URLs(r.opts.NATSURL), r.opts.Lattice)
		return r.opts.NATSURL, nil
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "messaging-kafka-dev",
		Host:       loopback,
		Port:       cmp.Or(r.opts.NATSPort, server.RANDOM_PORT),
		NoSigs:     true, // signals are the command's, which stops the server last
		NoLog:      true,
	})
	if err != nil {
		return "", fmt.Errorf("starting a NATS server: %w", err)
	}
	r.onStop("the NATS server", func(context.Context) error {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil
	})
	srv.Start()
	if !srv.ReadyForConnections(stopTimeout) {
		return "", fmt.Errorf("starting a NATS server: it takes no connections after %s", stopTimeout)
	}
	r.screen.say("NATS       %s, embedded, lattice %s\n", srv.ClientURL(), r.opts.Lattice)
	return srv.ClientURL(), nil
}

// connectNATS makes the connection of what is no part of the provider: the host and the component.
func (r *runner) connectNATS(address string) (*nats.Conn, error) {
	closed := make(chan struct{})
	nc, err := nats.Connect(address,
		nats.Name("messaging-kafka dev"),
		nats.Timeout(2*time.Second),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectBufSize(-1), // a call that leaves seconds late comes to somebody who has given up
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				r.log.Warn("connection to NATS lost, reconnecting", "error", err)
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	)
	if err != nil {
		if _, ok := errors.AsType[*url.Error](err); ok {
			err = errors.New("this is no URL") // its own text repeats it, in which there may be a password
		}
		return nil, fmt.Errorf("connecting to NATS at %s: %w", redact.URLs(address), err)
	}
	r.onStop("the connection to NATS", func(context.Context) error {
		nc.Close()
		<-closed
		return nil
	})
	return nc, nil
}
