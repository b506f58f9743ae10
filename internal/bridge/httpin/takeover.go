package httpin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
)

// resolveTimeout bounds the question for the address of a name that is to be listened on.
const resolveTimeout = 5 * time.Second

func listenOn(address string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// TryListen says why an address cannot be listened on, as [Start] would; nil is that it can. Nothing that comes
// meanwhile is accepted.
func TryListen(address string) error {
	l, err := listenOn(listen.Address(address))
	if err != nil {
		return err
	}
	return l.Close()
}

// Successor starts a server that takes the place of s, which is still to be retired. Where both listen on the same
// socket address, by whatever name, they do so side by side until then, so that no connection is refused. Where the
// address of s is in the way of the other one (one port, and one of the two is that of all hosts), s accepts what has
// come, listens no more, and only then the other one is listened on; s listens again where that cannot be. Such a
// server has no address of its own any more, and answers what runs.
func (s *Server) Successor(o Options) (*Server, error) { return start(o, s.yield) }

// yield listens on an address for a server that takes the place of s.
func (s *Server) yield(address string) (net.Listener, error) {
	at := s.listening()
	mine, ok := at.Listener.(*net.TCPListener)
	if !ok || s.fault.Load() != nil {
		return listenOn(address)
	}
	if address == s.o.Address {
		return s.share(mine)
	}
	l, err := listenOn(address)
	wanted := occupied(err)
	if wanted == nil {
		return l, err
	}
	own, ok := mine.Addr().(*net.TCPAddr)
	switch {
	case !ok || !listen.Clash(wanted.String(), own.String()):
		return nil, err // somebody else has it
	case wanted.IP.IsUnspecified() && own.IP.IsUnspecified() || wanted.IP.Equal(own.IP) && wanted.Zone == own.Zone:
		return s.share(mine)
	default:
		return s.makeWay(at, mine, wanted)
	}
}

// occupied is the address that an attempt to listen found taken, nil where that was not its error.
func occupied(err error) *net.TCPAddr {
	op, is := errors.AsType[*net.OpError](err)
	if !is || !errors.Is(err, syscall.EADDRINUSE) {
		return nil
	}
	at, _ := op.Addr.(*net.TCPAddr)
	return at
}

// share listens once more on the socket of s.
func (s *Server) share(l *net.TCPListener) (net.Listener, error) {
	file, err := l.File()
	if err != nil {
		return nil, err
	}
	taken, err := net.FileListener(file)
	if closed := file.Close(); err == nil && closed != nil { // the listener has one of its own
		return nil, errors.Join(closed, taken.Close())
	}
	s.shared = err == nil
	return taken, err
}

// makeWay listens on an address for which s must not listen on its own. Where that fails, s listens on its own again.
func (s *Server) makeWay(at *listen.Conns, mine *net.TCPListener, wanted *net.TCPAddr) (net.Listener, error) {
	acceptLast(mine)
	before := mine.Addr().String()
	if err := s.leave(at); err != nil {
		s.fault.Store(&err)
		return nil, fmt.Errorf("giving up %s for it: %w", before, err)
	}
	l, err := listenOn(wanted.String())
	if err == nil {
		return l, nil
	}
	back, gone := listenOn(before)
	if gone != nil {
		s.fault.Store(&gone)
		return nil, errors.Join(err, fmt.Errorf("and nothing is listened on now: %w", gone))
	}
	s.serve(back)
	return nil, err
}
