package testkit

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// This file is the wire of wasmcloud:messaging@0.2.0 over wRPC 0.0.1 on NATS, as a component's host speaks it. It
// works on whole values in memory, which is enough for a test's peer and leaves little to get wrong.

const (
	handleMessage   = "wasmcloud:messaging/handler@0.2.0.handle-message"
	publishFunction = "wasmcloud:messaging/consumer@0.2.0.publish"
	requestFunction = "wasmcloud:messaging/consumer@0.2.0.request"
)

func wrpcSubject(lattice, id, function string) string {
	return lattice + "." + id + ".wrpc.0.0.1." + function
}

// Message is a broker-message of wasmcloud:messaging@0.2.0.
type Message struct {
	Subject string
	Body    []byte
	// ReplyTo is nil for none; an empty text is another thing.
	ReplyTo *string
}

// errShort says that the bytes end within a value: more may come.
var errShort = errors.New("the value is not complete")

func appendBytes[T string | []byte](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendMessage(b []byte, m Message) []byte {
	b = appendBytes(b, m.Subject)
	b = appendBytes(b, m.Body)
	if m.ReplyTo == nil {
		return append(b, 0)
	}
	return appendBytes(append(b, 1), *m.ReplyTo)
}

// wireReader reads values one after another; after a failure it keeps the first error and reads zero values.
type wireReader struct {
	b   []byte
	err error
}

func (r *wireReader) byte() byte {
	if r.err == nil && len(r.b) == 0 {
		r.err = errShort
	}
	if r.err != nil {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *wireReader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	switch {
	case n == 0:
		r.err = errShort
		return 0
	case n < 0 || v > 1<<32-1:
		r.err = errors.New("a number is larger than a u32")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *wireReader) bytes() []byte {
	n := r.uint()
	if r.err == nil && uint64(len(r.b)) < n {
		r.err = errShort
	}
	if r.err != nil {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *wireReader) flag(what string) bool {
	v := r.byte()
	if r.err == nil && v > 1 {
		r.err = fmt.Errorf("%s begins with %#02x instead of 0 or 1", what, v)
	}
	return v == 1
}

func (r *wireReader) message() Message {
	m := Message{Subject: string(r.bytes()), Body: r.bytes()}
	if r.flag("an option") {
		s := string(r.bytes())
		m.ReplyTo = &s
	}
	return m
}

// end turns what is left over into an error.
func (r *wireReader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes are left after the value", len(r.b))
	}
	return r.err
}

// sendChunks publishes b on subject in messages that the server takes, then the empty message that ends the channel.
func sendChunks(nc *nats.Conn, subject string, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), int(nc.MaxPayload()))
		if err := nc.Publish(subject, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nc.Publish(subject, nil)
}

// headerRoom is what the headers take of a message's payload, as NATS counts it.
func headerRoom(h nats.Header) int {
	n := len("NATS/1.0\r\n\r\n")
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}
