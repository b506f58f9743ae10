package httpout

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// spoken is a connection in clear that knows by which protocol the other end speaks: in clear nobody agrees on one
// before.
type spoken struct {
	net.Conn
	// first are the first bytes that came, had of them. Reads follow each other.
	first [4]byte
	had   int
	// protocol is known once the first bytes are there.
	protocol atomic.Int32
}

// The protocols by which connections are spoken to.
const (
	// settingsFrame: HTTP/2, whose servers begin with a frame of that type. 0 is that nothing was heard.
	settingsFrame int32 = iota + 1
	// tlsRecord: TLS, of which the other end tells by an alert or a handshake.
	tlsRecord
	otherProtocol
)

// Read implements net.Conn.
func (s *spoken) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.had < len(s.first) && n > 0 {
		if s.had += copy(s.first[s.had:], b[:n]); s.had == len(s.first) {
			// The length of the frame in three bytes, of six for each setting, and its type.
			const typeOfSettings = 4
			// The type of a record of TLS, and its version, which begins with a 3 in all of them.
			const alert, handshake, version = 21, 22, 3
			switch {
			case s.first[0] == 0 && s.first[3] == typeOfSettings:
				s.protocol.Store(settingsFrame)
			case (s.first[0] == alert || s.first[0] == handshake) && s.first[1] == version:
				s.protocol.Store(tlsRecord)
			default:
				s.protocol.Store(otherProtocol)
			}
		}
	}
	return n, err
}

// listening has connections know by which protocol they are spoken to.
func listening(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &spoken{Conn: conn}, nil
	}
}

var (
	errNoHTTP2 = errors.New("the other end does not speak HTTP/2 in clear: set http_protocol=http1")
	errTLS     = errors.New("the other end speaks TLS: begin the url with https")
	errNoHTTP1 = errors.New("the other end speaks HTTP/2 alone: set http_protocol=h2")
)

// misunderstood says why a request that failed on a connection cannot have been understood: the other end speaks by
// another protocol. It is nil where it may have been, and for connections with TLS, which agree on one before.
func misunderstood(conn net.Conn, http2 bool) error {
	s, is := conn.(*spoken)
	if !is {
		return nil
	}
	switch protocol := s.protocol.Load(); {
	case protocol == tlsRecord:
		return errTLS
	case http2 && protocol != settingsFrame:
		return errNoHTTP2
	case !http2 && protocol == settingsFrame:
		return errNoHTTP1
	default:
		return nil
	}
}
