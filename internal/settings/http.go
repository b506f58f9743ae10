package settings

// Deliver says how a route of a bridge hands its records over.
type Deliver string

// Values of deliver; "" is a route that only publishes, and any link of wasmCloud.
const (
	// DeliverRecords posts batches of whole records.
	DeliverRecords Deliver = "http-records"
	// DeliverMessages posts messages of wasmcloud:messaging.
	DeliverMessages Deliver = "http-messages"
	// DeliverCloudEvents posts events of CloudEvents.
	DeliverCloudEvents Deliver = "http-cloudevents"
	// DeliverNATSReply makes a request on NATS of each record, whose reply is the verdict.
	DeliverNATSReply Deliver = "nats-reply"
	// DeliverJetStream stores records in a stream of NATS.
	DeliverJetStream Deliver = "jetstream"
	// DeliverNATS publishes records on NATS, at most once.
	DeliverNATS Deliver = "nats"
)

// OverNATS tells whether records go to NATS.
func (d Deliver) OverNATS() bool {
	return d == DeliverNATSReply || d == DeliverJetStream || d == DeliverNATS
}

// OverHTTP tells whether records go to a URL.
func (d Deliver) OverHTTP() bool { return d != "" && !d.OverNATS() }

// HTTPProtocol is the version of HTTP that a route speaks.
type HTTPProtocol string

// Values of http_protocol.
const (
	HTTP1 HTTPProtocol = "http1"
	HTTP2 HTTPProtocol = "h2"
)

// HTTPFormat says how bodies are written.
type HTTPFormat string

// Values of http_format.
const (
	FormatValue HTTPFormat = "value"
	FormatJSON  HTTPFormat = "json"
)

// HTTPMode says how events of CloudEvents stand in requests.
type HTTPMode string

// What http_mode may be.
const (
	ModeBinary     HTTPMode = "binary"
	ModeStructured HTTPMode = "structured"
	ModeBatched    HTTPMode = "batched"
)

// HTTP says where a route of a bridge hands its records over, and how. Links of wasmCloud have the zero value.
type HTTP struct {
	Deliver Deliver
	URL     string
	// Host is the Host header, "" for the one of URL.
	Host string
	// Connections is the most that are open at once.
	Connections int
	Protocol    HTTPProtocol
	Format      HTTPFormat
	Mode        HTTPMode
	// MaxAnswer bounds an answer, in bytes.
	MaxAnswer int64
	// TLSCA and TLSCert are PEM text. TLSCert and TLSKey may change while the route runs.
	TLSCA, TLSCert string
	TLSKey         Secret
	// TLSKeyPassword is used up by the parser: TLSKey is not encrypted.
	TLSKeyPassword Secret
	// BearerToken and HMACKey prove who asks. They may change while the route runs.
	BearerToken, HMACKey Secret
}
