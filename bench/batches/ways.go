package batches

import (
	"encoding/base64"
	"fmt"
)

// Way is one way of records from a topic to another through a component, or what it is compared with.
type Way struct {
	Name string `json:"name"`
	// Interface is what the link names: the package and the interface; "" for a client of Kafka that copies by itself.
	Package   string `json:"package"`
	Interface string `json:"interface"`
	// Behind is what a bridge hands the records to instead, by deliver=http-records: "component", in wasmtime, or
	// "program".
	Behind string `json:"behind,omitempty"`
	// Link are settings beside hosts and topic.
	Link map[string]string `json:"link,omitempty"`
	// Window is how many records may be under way.
	Window int `json:"window"`
	// Sink has no outputs: what counts is what the group has committed.
	Sink bool `json:"sink,omitempty"`
	// fill makes the value with an id of idLen digits out of a payload of the given size.
	fill func(id string, payload []byte) []byte
	// payload is made once for all values.
	payload func(size int) []byte
}

// idLen is the length of the number at the start of each value, by which a record is known.
const idLen = 16

const (
	messages = "wasmcloud:messaging"
	records  = "messaging-kafka:records"

	component = "component"
	program   = "program"

	// echoWindow is for the way of one record a call: some more than the component may have at once.
	echoWindow = 1_000
	// batchWindow is more than one commit interval's worth at the rates that are reached.
	batchWindow = 20_000
)

// The names of the ways that goals speak of.
const (
	wayEcho      = "0.2.0 echo"
	wayProcessor = "processor, text"
	wayComponent = "HTTP, component, text"
)

func ways() []Way {
	atOnce := map[string]string{"commit_interval": "100ms"}
	return []Way{
		{Name: "Kafka alone", Window: batchWindow, fill: front, payload: text},
		{Name: wayEcho, Package: messages, Interface: "consumer", Link: atOnce, Window: echoWindow,
			fill: front, payload: text},
		{Name: "handler, text", Package: records, Interface: "handler", Link: atOnce, Window: batchWindow, Sink: true,
			fill: front, payload: text},
		{Name: "handler, bytes", Package: records, Interface: "handler", Link: atOnce, Window: batchWindow, Sink: true,
			fill: front, payload: bytes},
		{Name: wayProcessor, Package: records, Interface: "processor", Link: atOnce, Window: batchWindow,
			fill: front, payload: text},
		{Name: "processor, text, transactions", Package: records, Interface: "processor",
			Link: map[string]string{"transactions": "true"}, Window: batchWindow, fill: front, payload: text},
		{Name: "processor, bytes", Package: records, Interface: "processor", Link: atOnce, Window: batchWindow, fill: front,
			payload: bytes},
		{Name: "processor, bytes, binary=base64", Package: records, Interface: "processor",
			Link: map[string]string{"commit_interval": "100ms", "binary": "base64"}, Window: batchWindow, fill: front,
			payload: bytes},
		{Name: "processor, base64 in the topic", Package: records, Interface: "processor", Link: atOnce, Window: batchWindow,
			fill: front, payload: encoded},
		{Name: wayComponent, Behind: component, Link: atOnce, Window: batchWindow, fill: front, payload: text},
		{Name: "HTTP, component, text, transactions", Behind: component, Link: map[string]string{"transactions": "true"},
			Window: batchWindow, fill: front, payload: text},
		{Name: "HTTP, program, text", Behind: program, Link: atOnce, Window: batchWindow, fill: front, payload: text},
	}
}

// topics returns the topic that the way reads and the one that it writes.
func (w *Way) topics(i int) (in, out string) {
	in = fmt.Sprintf("bench.batches.%d", i)
	switch {
	case w.Package == records || w.Behind == component:
		return in, in + ".out"
	default:
		return in, in + ".reply"
	}
}

func front(id string, payload []byte) []byte {
	v := make([]byte, 0, len(id)+len(payload))
	return append(append(v, id...), payload...)
}

func text(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + i*7%26)
	}
	return b
}

// bytes is no UTF-8, and the id before it does not make it so.
func bytes(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(0x80 + i*7%0x80)
	}
	return b
}

// encoded is what holds size bytes as text.
func encoded(size int) []byte {
	return base64.StdEncoding.AppendEncode(nil, bytes(size))
}
