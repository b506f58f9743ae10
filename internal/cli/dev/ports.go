package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// loopback is where all that is embedded listens.
const loopback = "127.0.0.1"

// ErrPort says that an address that was asked for cannot be had.
var ErrPort = errors.New("the address is taken")

// listenAt listens on a port of the loopback; 0 is a free one.
func listenAt(network string, port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), network, net.JoinHostPort(loopback, strconv.Itoa(port)))
}

// checkPorts sees, before anything is started, that what was asked for by name is free: half a start would leave a
// person to find out what is there already.
func (o Options) checkPorts(ctx context.Context) error {
	for _, one := range []struct {
		flag, address string
		embedded      bool
	}{
		{"kafka-port", net.JoinHostPort(loopback, strconv.Itoa(o.KafkaPort)), o.Hosts == "" && o.KafkaPort != 0},
		{"nats-port", net.JoinHostPort(loopback, strconv.Itoa(o.NATSPort)), o.NATSURL == "" && o.NATSPort != 0},
		{"admin", o.Admin, true},
	} {
		if !one.embedded {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", one.address)
		if err != nil {
			return fmt.Errorf("%w: --%s %s: %w", ErrPort, one.flag, one.address, err)
		}
		if err := listener.Close(); err != nil {
			return fmt.Errorf("looking whether %s is free: %w", one.address, err)
		}
	}
	return nil
}
