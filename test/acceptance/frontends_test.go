//go:build acceptance

package acceptance

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// frontEnd is one way from Kafka to an application and back, with what it honestly cannot do.
type frontEnd struct {
	name string
	// start starts an application and the program, with one route between Kafka and it.
	start func(p *place, settings map[string]string)
	// settings are those that all its routes have, whole those by which keys, headers and null get through, batches those
	// by which several records go in one call.
	settings map[string]string
	whole    []string
	batches  []string
	// returns says that outputs are a part of the verdict, sends that a handler sends them.
	returns, sends bool
	// asks says that the application asks the bridge to publish; without it, it asks to request at most.
	asks bool
	// attempts says that the application knows how often a record came.
	attempts bool
	// forgets says that who counts failures keeps no reason of them: a dead letter tells their number alone.
	forgets bool
	// cannot has the names of cases, each with the reason.
	cannot map[string]string
}

// Why something cannot be.
const (
	oneByOne     = "`wasmcloud:messaging` has one message a call"
	ownPublishes = "the component publishes by itself, which is in nobody's transaction"
	ownHeaders   = "whoever gets whole records reads the address of the answer in their headers"
	noAttempts   = "messages do not tell how often they came, and the component keeps nothing between calls"
	putAnew      = "the host tells nobody of a changed config, and a link that is put anew leaves and joins its group"
	asksInCalls  = "the test component requests as a handler alone"
	natsRequests = "over NATS a component publishes, and requests nothing of Kafka"
	silent       = "a component that replies nothing else than its answers cannot tell of an error: its host throws away what a handler returns"
	noReplyTo    = "a stream does not keep where a record wants its answer"
	inTheStream  = "the bridge is finished with a record when the stream has it: what becomes of it there is the consumer's"
)

// envelopes are the settings by which messages have keys, headers and null.
var envelopes = []string{"payload", "envelope", "tombstones", "envelope"}

// cannotInAStream is what nobody can who gets records by a stream.
var cannotInAStream = map[string]string{
	"batches": oneByOne, "retries": noAttempts, "requests": natsRequests, "answers": noReplyTo,
	"transactions": ownPublishes, "scaled to zero": inTheStream, "drain": inTheStream,
}

var frontEnds = []*frontEnd{
	{
		name: "lattice, messages", start: startLatticeMessages, attempts: true,
		settings: map[string]string{"reply_topic": out}, whole: envelopes,
		cannot: map[string]string{"batches": oneByOne, "transactions": ownPublishes},
	},
	{
		name: "lattice, records", start: startLatticeRecords, returns: true, attempts: true,
		cannot: map[string]string{"answers": ownHeaders},
	},
	{
		name: "wasmCloud 1.9, messages", start: startWasmCloudMessages,
		settings: map[string]string{"reply_topic": out}, whole: envelopes,
		cannot: map[string]string{
			"batches": oneByOne, "retries": noAttempts, "transactions": ownPublishes, "credentials": putAnew,
		},
	},
	{
		name: "wasmCloud 1.9, processor", start: startWasmCloudProcessor, returns: true, attempts: true,
		cannot: map[string]string{"answers": ownHeaders, "requests": asksInCalls, "credentials": putAnew},
	},
	{
		name: "http-records", start: startRecords, returns: true, attempts: true,
		cannot: map[string]string{"answers": ownHeaders},
	},
	{
		name: "http-records, JSON", start: startRecords, returns: true, attempts: true,
		settings: map[string]string{"http_format": "json"},
		cannot:   map[string]string{"answers": ownHeaders},
	},
	{
		name: "http-messages", start: startMessages, attempts: true, asks: true,
		settings: map[string]string{"reply_topic": out}, whole: envelopes,
		batches: []string{"batch_max_records", "20"},
		cannot:  map[string]string{"transactions": ownPublishes},
	},
	{
		name: "http-cloudevents", start: startEvents, attempts: true, asks: true,
		settings: map[string]string{"reply_topic": out},
		batches:  []string{"http_mode", "batched"},
		cannot:   map[string]string{},
	},
	{
		name: "nats-reply", start: startNATSReply(standInWorkload), returns: true,
		settings: map[string]string{"reply_topic": out, "handle_timeout": "2s"}, whole: envelopes,
		cannot: map[string]string{"batches": oneByOne, "retries": noAttempts, "requests": natsRequests},
	},
	{
		name: "nats-reply, wasmtime", start: startNATSReply(wasmWorkload(realVerdicts)), returns: true,
		settings: map[string]string{"reply_topic": out, "handle_timeout": "2s"}, whole: envelopes,
		cannot: map[string]string{"batches": oneByOne, "retries": noAttempts, "requests": natsRequests},
	},
	{
		name: "nats-reply, echo", start: startNATSReply(wasmWorkload(realEcho)), returns: true,
		settings: map[string]string{"reply_topic": out, "handle_timeout": "2s"}, whole: envelopes,
		cannot: map[string]string{
			"batches": oneByOne, "retries": noAttempts, "requests": natsRequests, "rejects": silent, "dead letters": silent,
		},
	},
	{
		name: "jetstream", start: startJetStream(standInWorkload), whole: envelopes, forgets: true, cannot: cannotInAStream,
	},
	{
		name: "jetstream, wasmtime", start: startJetStream(wasmWorkload(realVerdicts)), whole: envelopes, forgets: true,
		cannot: cannotInAStream,
	},
	{
		name: "wasmtime, processor", start: startWasiProcessor, returns: true, attempts: true,
		cannot: map[string]string{"answers": ownHeaders, "requests": asksInCalls},
	},
	{
		name: "wasmtime, handler", start: startWasiHandler, attempts: true, asks: true, sends: true,
		cannot: map[string]string{"answers": ownHeaders, "transactions": ownPublishes},
	},
	{
		name: "wasmtime, messages", start: startWasiMessages, asks: true,
		settings: map[string]string{"reply_topic": out}, whole: envelopes,
		batches: []string{"batch_max_records", "20"},
		cannot:  map[string]string{"retries": noAttempts, "transactions": ownPublishes},
	},
}
