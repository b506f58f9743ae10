package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// loopback is where all that is embedded listens.
const loopback = "127.0.0.1"

// ErrPort says that an address that was asked for cannot be had.
var ErrPort = errors.New("the address cannot be had")

// listenAt listens on a port of the loopback; 0 is a free one.
func listenAt(network string, port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.Background(), network, net.JoinHostPort(loopback, strconv.Itoa(port)))
}

// checkPorts sees, before anything is started, that what was asked for by name is free: half a start would leave a
// person to find out what is there already.
func (o Options) checkPorts(ctx context.Context) (err error) {
	admin, err := settings.ListenAddress(o.Admin) // as admin_address is read
	if err != nil {
		return fmt.Errorf("%w: --admin %s: %w", ErrPort, o.Admin, err)
	}
	if strings.HasPrefix(admin, ":") {
		admin = loopback + admin
	}
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
	}()
	for _, one := range []struct {
		flag, address string
		embedded      bool
	}{
		{"kafka-port", net.JoinHostPort(loopback, strconv.Itoa(o.KafkaPort)), o.Hosts == "" && o.KafkaPort != 0},
		{"nats-port", net.JoinHostPort(loopback, strconv.Itoa(o.NATSPort)), o.NATSURL == "" && o.NATSPort != 0},
		{"admin", admin, true},
	} {
		if !one.embedded {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", one.address)
		if err != nil {
			return fmt.Errorf("%w: --%s %s: %w", ErrPort, one.flag, one.address, err)
		}
		listeners = append(listeners, listener) // until all are looked at: two of them may be one
	}
	return nil
}
