package settings

import (
	"regexp"
	"strings"
	"time"
)

// Link is what one link asks for, checked and with all defaults filled in. It is made by [ParseLink] and never
// changed afterwards; equal settings compare equal with reflect.DeepEqual.
type Link struct {
	Cluster  Cluster
	Consumer Consumer
	Delivery Delivery
	Producer Producer
	Request  Request
	// Schema says which values a schema registry describes.
	Schema Schema
	// HTTP says where a bridge's route hands records over; links of wasmCloud have none.
	HTTP HTTP
	// NATS says so of NATS, and what comes from there.
	NATS NATS
	// Create says which topics may be created, and how.
	Create CreateTopics
	// LogPayloads allows record values in the log at debug level.
	LogPayloads bool
}

// Cluster says which Kafka to connect to, as whom and how.
type Cluster struct {
	// Hosts are the bootstrap addresses, each "host:port" with IPv6 hosts in brackets.
	Hosts          []string
	ClientID       string
	MetadataMaxAge time.Duration
	DialTimeout    time.Duration
	// RequestTimeout bounds one request to a broker, the time the broker may take included.
	RequestTimeout time.Duration
	Security       Security
}

// Protocol is Kafka's security.protocol.
type Protocol string

// The protocols, by Kafka's names.
const (
	Plaintext     Protocol = "PLAINTEXT"
	TLS           Protocol = "SSL"
	SASLPlaintext Protocol = "SASL_PLAINTEXT"
	SASLTLS       Protocol = "SASL_SSL"
)

// UsesTLS tells whether connections are encrypted.
func (p Protocol) UsesTLS() bool { return p == TLS || p == SASLTLS }

// UsesSASL tells whether connections authenticate by SASL.
func (p Protocol) UsesSASL() bool { return p == SASLPlaintext || p == SASLTLS }

// Mechanism is Kafka's sasl.mechanism.
type Mechanism string

// The mechanisms, by Kafka's names.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
	OAuthBearer Mechanism = "OAUTHBEARER"
	AWSMSKIAM   Mechanism = "AWS_MSK_IAM"
)

// Security is how connections are encrypted and authenticated. It is the part of a link that may change while the
// link runs: new connections use the new values, the group membership stays.
type Security struct {
	Protocol  Protocol
	Mechanism Mechanism

	Username string
	Password Secret

	// TLSCA, TLSCert and TLSKey are PEM text; the *File variants name files that are read again when they change.
	TLSCA, TLSCert string
	TLSKey         Secret
	// TLSKeyPassword is that of TLSKeyFile. TLSKey is not encrypted.
	TLSKeyPassword          Secret
	TLSCAFile               string
	TLSCertFile, TLSKeyFile string
	TLSServerName           string
	TLSMinVersion           uint16 // a crypto/tls version constant
	TLSInsecureSkipVerify   bool
	OAuthTokenEndpoint      string
	OAuthClientID           string
	OAuthClientSecret       Secret
	OAuthScope              []string
	OAuthExtensions         map[string]string
	AWSRegion               string
	AWSAccessKeyID          string
	AWSSecretAccessKey      Secret
	AWSSessionToken         Secret
	// AWSCredentialsFile has the keys of AWSProfile ("default" where it is "").
	AWSCredentialsFile, AWSProfile string
	// AWSRoleARN is a role that is taken on, by the token in AWSWebIdentityTokenFile where that is not "".
	AWSRoleARN, AWSRoleSessionName, AWSWebIdentityTokenFile string

	// Registry is how the link proves who it is to its schema registry.
	Registry RegistryAuth

	// AllowedFolders are the only folders whose files are read; empty means any. They are absolute and clean.
	AllowedFolders []string
}

// RegistryAuth are credentials for a schema registry: a user with a password, or a token.
type RegistryAuth struct {
	Username        string
	Password, Token Secret
}

// Schema says which keys and values a schema registry describes, and where it is.
type Schema struct {
	// Registries are the URLs of one registry; none is that there is none.
	Registries []string
	// CA and CAFile are authorities besides the system's: PEM text, or a file of it.
	CA, CAFile string
	// Timeout bounds one question.
	Timeout time.Duration
	// Topics are glob patterns (* and ?) of topics whose records are framed; empty means all.
	Topics []string
	Parts  SchemaParts
	// Subject is where the schema of a publish is found; "{topic}" and "{part}" in it stand for what they say.
	Subject string
	// Message is the message that is written where a schema of Protobuf has several, "" for the first.
	Message  string
	Unframed Unframed
}

// Enabled tells whether the link has a schema registry.
func (s *Schema) Enabled() bool { return len(s.Registries) > 0 }

// SchemaParts says which parts of a record are framed.
type SchemaParts string

// Values of schema_parts.
const (
	SchemaValue SchemaParts = "value"
	SchemaKey   SchemaParts = "key"
	SchemaBoth  SchemaParts = "both"
)

// HasKey tells whether keys are framed, HasValue whether values are.
func (p SchemaParts) HasKey() bool { return p != SchemaValue }

// HasValue tells whether values are framed.
func (p SchemaParts) HasValue() bool { return p != SchemaKey }

// Unframed says what becomes of a record that is read and is not framed.
type Unframed string

// Values of schema_unframed.
const (
	UnframedReject Unframed = "reject"
	UnframedPass   Unframed = "pass"
)

// GroupProtocol chooses how copies of the provider share a topic.
type GroupProtocol string

const (
	// GroupClassic is the client-side assigned consumer group of every Kafka version.
	GroupClassic GroupProtocol = "classic"
	// GroupConsumer is the broker-side assigned consumer group of KIP-848 (Kafka 4.0 and later).
	GroupConsumer GroupProtocol = "consumer"
	// GroupShare is the share group of KIP-932 (Kafka 4.2 and later): a queue without order.
	GroupShare GroupProtocol = "share"
)

// StartKind says where a group that has no offset yet begins.
type StartKind uint8

const (
	// StartLatest begins at the end of the topic, as it is at the first assignment.
	StartLatest StartKind = iota
	// StartEarliest begins with the oldest record that is kept.
	StartEarliest
	// StartTime begins with the first record from a time on.
	StartTime
	// StartBack begins with the first record from a time before now on.
	StartBack
)

// Start is where a group begins in a partition for which it has committed no offset.
type Start struct {
	Kind StartKind
	Time time.Time     // for StartTime
	Back time.Duration // for StartBack: so far before now
}

// OutOfRange says what happens when the group's offset is no longer in the log.
type OutOfRange string

// Values of on_offset_out_of_range.
const (
	OutOfRangeEarliest OutOfRange = "earliest"
	OutOfRangeLatest   OutOfRange = "latest"
	OutOfRangeStop     OutOfRange = "stop"
)

// Consumer says what is read from Kafka. A link without Topics and TopicPattern only publishes.
type Consumer struct {
	Topics []string
	// TopicPattern, if not nil, matches whole topic names; Topics is then empty.
	TopicPattern *regexp.Regexp
	Group        string
	// GroupProtocol, InstanceID ("" for a dynamic member) and the two timeouts describe the group membership.
	GroupProtocol GroupProtocol
	InstanceID    string
	// CommonInstanceID is, where InstanceID was made automatically, the one for what a component's links of this name
	// read together.
	CommonInstanceID string
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	// Partitions limits the link to these partitions of each topic; empty means all.
	Partitions     []int32
	Start          Start
	OnOutOfRange   OutOfRange
	ReadCommitted  bool
	CommitInterval time.Duration
	FetchMaxBytes  int32
	FetchMaxWait   time.Duration
	Rack           string
}

// Enabled tells whether the link reads anything.
func (c *Consumer) Enabled() bool { return len(c.Topics) > 0 || c.TopicPattern != nil }

// Order says which records wait for each other.
type Order string

const (
	// OrderKey delivers records of one key one after another, and different keys at once. The records of a partition that
	// have no key are as those of one key.
	OrderKey Order = "key"
	// OrderPartition delivers the records of a partition one after another.
	OrderPartition Order = "partition"
	// OrderNone delivers all records at once.
	OrderNone Order = "none"
)

// OnReject says what happens to a rejected record where no dead-letter topic is set.
type OnReject string

// Values of on_reject.
const (
	RejectSkip OnReject = "skip"
	RejectStop OnReject = "stop"
)

// OnFilterError says what becomes of a record at which the filter fails.
type OnFilterError string

// Values of on_filter_error.
const (
	FilterErrorDeliver OnFilterError = "deliver"
	FilterErrorSkip    OnFilterError = "skip"
	FilterErrorReject  OnFilterError = "reject"
)

// Delivery says how records are handed to the component.
type Delivery struct {
	// Filter is the expression that says which records are handed over; "" hands over all. OnFilterError says what becomes
	// of a record for which it has no answer.
	Filter        string
	OnFilterError OnFilterError
	Order         Order
	MaxInFlight   int
	// Batch bounds the batches of links whose component takes batches.
	Batch Batch
	// Transactions commits what the component makes of records together with their offsets.
	Transactions bool
	// MaxBuffer bounds the bytes of records that wait or are being handled.
	MaxBuffer     int64
	HandleTimeout time.Duration
	// RetryBackoff doubles from failure to failure up to RetryBackoffMax.
	RetryBackoff    time.Duration
	RetryBackoffMax time.Duration
	// MaxAttempts is the number of deliveries before a failing record is dead-lettered; 0 means without end.
	MaxAttempts int
	// RetryTopics are where failing records wait for their next delivery, with rising delays; without any they wait in
	// their places.
	RetryTopics     []RetryTopic
	DeadLetterTopic string
	OnReject        OnReject
	DrainTimeout    time.Duration
	// ReplyTopic is the reply-to of each message: "" for none. The text "{topic}" in it stands for the record's topic.
	ReplyTopic string
	// Payload is what the body of a wasmcloud:messaging message is. It stands here because it makes deliveries differ;
	// publishes by the link obey it, too.
	Payload Payload
	// Tombstones says what a record without a value is to the component.
	Tombstones Tombstones
}

// RetryTopic is a topic in which records wait for a while before they are delivered again.
type RetryTopic struct {
	Topic string
	Delay time.Duration
}

// ReplyTopicFor is the reply topic for the records of a topic, "" where there is none.
func (d *Delivery) ReplyTopicFor(topic string) string {
	return strings.ReplaceAll(d.ReplyTopic, topicTemplate, topic)
}

// Payload says what the body of a message is.
type Payload string

const (
	// PayloadRaw is the record's value alone.
	PayloadRaw Payload = "raw"
	// PayloadEnvelope is JSON with the whole record in it.
	PayloadEnvelope Payload = "envelope"
)

// Tombstones says what a record whose value is null is to a component.
type Tombstones string

const (
	// TombstonesEmpty is an empty body, or the envelope where there is one.
	TombstonesEmpty Tombstones = "empty"
	// TombstonesSkip finishes the record without a call.
	TombstonesSkip Tombstones = "skip"
	// TombstonesEnvelope is an envelope with a mark.
	TombstonesEnvelope Tombstones = "envelope"
)

// KeyFrom says where the key of a published record comes from besides the envelope.
type KeyFrom string

const (
	// KeyFromNone has no such place.
	KeyFromNone KeyFrom = "none"
	// KeyFromSubject lets the subject name key and headers.
	KeyFromSubject KeyFrom = "subject"
)

// Batch says how large batches are made, and how long a record may wait for others while the component is busy.
type Batch struct {
	MaxRecords int
	MaxBytes   int64
	MaxWait    time.Duration
	Binary     Binary
}

// Binary says how a component that takes batches is given what is no UTF-8.
type Binary string

const (
	// BinaryBytes is a list<u8>.
	BinaryBytes Binary = "bytes"
	// BinaryBase64 is a string, which a wasmCloud 1.9 host passes on several times as fast.
	BinaryBase64 Binary = "base64"
)

// Fanout says how a link with several producer partitions uses them.
type Fanout string

const (
	// FanoutSpread puts each record into one of the partitions.
	FanoutSpread Fanout = "spread"
	// FanoutCopy puts a copy of each record into each of the partitions, as the original provider did.
	FanoutCopy Fanout = "copy"
)

// Acks is Kafka's acks.
type Acks string

// Values of acks, by Kafka's names.
const (
	AcksAll    Acks = "all"
	AcksLeader Acks = "1"
	AcksNone   Acks = "0"
)

// Partitioner says how a record without a given partition gets one.
type Partitioner string

const (
	// PartitionerMurmur2 hashes keys as Kafka's Java client does and sticks to a partition per batch without a key.
	PartitionerMurmur2 Partitioner = "murmur2"
	// PartitionerSticky sticks to a partition per batch whether there is a key or not.
	PartitionerSticky Partitioner = "sticky"
	// PartitionerRoundRobin takes one partition after another.
	PartitionerRoundRobin Partitioner = "round_robin"
)

// Compression is Kafka's compression.type.
type Compression string

// The compressions, by Kafka's names.
const (
	CompressionNone   Compression = "none"
	CompressionGzip   Compression = "gzip"
	CompressionSnappy Compression = "snappy"
	CompressionLZ4    Compression = "lz4"
	CompressionZstd   Compression = "zstd"
)

// Producer says how the link's component publishes.
type Producer struct {
	// Partitions limits publishing to these partitions; empty means all.
	Partitions []int32
	Fanout     Fanout
	// AllowedTopics are glob patterns (* and ?) of topics that may be published to; empty allows all.
	AllowedTopics []string
	// ReplyTopicsFromRecords are glob patterns of topics that a record may name for its answer, besides the link's own
	// reply topic; nil is what AllowedTopics has.
	ReplyTopicsFromRecords []string
	// KeyFrom says whether the subject of a message may name key and headers.
	KeyFrom KeyFrom
	Client  ProducerClient
}

// ProducerClient is the part of [Producer] that links must share to share one connection to Kafka. It is
// comparable.
type ProducerClient struct {
	Acks            Acks
	Idempotent      bool
	Compression     Compression
	Linger          time.Duration
	MaxMessageBytes int32
	Partitioner     Partitioner
	// PublishTimeout bounds one publish, retries included.
	PublishTimeout time.Duration
}

// Request is how consumer.request gets its answers.
type Request struct {
	// ReplyTopic is where answers are read; "" refuses requests.
	ReplyTopic string
	// ReplyPartition is the partition that answers are asked for in, or record.AnyPartition to read them all.
	ReplyPartition int32
}

// CreateTopics says how missing topics are created.
type CreateTopics struct {
	Enabled     bool
	Partitions  int32 // -1: the broker's default
	Replication int16 // -1: the broker's default
}

// Provider is what the provider's own start config asks for, besides defaults for its links.
type Provider struct {
	// MaxInFlight bounds the calls of all links together.
	MaxInFlight int
	// MaxMemory is what the process may take; 0 leaves it to the control group or the machine.
	MaxMemory int64
	// ShutdownTimeout bounds the end of the provider when its host asks for it.
	ShutdownTimeout time.Duration
	// AdminAddress serves metrics and health over HTTP; "" serves none.
	AdminAddress string
	// AdminHosts are names under which that is asked, besides localhost and addresses.
	AdminHosts []string
	// AllowedHosts are patterns of the hosts that links may name, with or without a port; empty means any.
	AllowedHosts []string
	// AllowedFolders are the folders that links' files may be in; empty means any.
	AllowedFolders []string
	// InboxPrefixes are beginnings of reply subjects that are answered besides NATS's own.
	InboxPrefixes []string
	// ControlTokens are those of operators who may act on links over HTTP; ControlLattice lets those who may publish to
	// the provider's subject act on them over the lattice.
	ControlTokens  []ControlToken
	ControlLattice bool
	// ControlPayloads lets operators with a token see keys, values and headers of records.
	ControlPayloads bool
	// PausesFile is where pauses are kept that are to outlast a restart; "" keeps none.
	PausesFile string
}

// ControlToken is what one operator shows to act on links.
type ControlToken struct {
	// Name is what the log calls him.
	Name  string
	Token Secret
}
