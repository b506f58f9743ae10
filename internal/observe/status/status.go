package status

import (
	"strings"
	"time"
)

// Provider is one running copy of the provider.
type Provider struct {
	// Version is that of the program.
	Version     string `json:"version"`
	ProviderKey string `json:"provider_key"`
	Lattice     string `json:"lattice"`
	HostID      string `json:"host_id"`
	// InstanceID tells copies of one provider on one host apart, and a copy from the one before its restart.
	InstanceID string `json:"instance_id,omitempty"`
	// Words are what its links are called, where that is not links.
	Words   Words     `json:"words,omitempty"`
	Started time.Time `json:"started"`
	// Time is when all of this was so, by the provider's clock: ages are relative to it, whatever the reader's clock says.
	Time time.Time `json:"time"`
	// Healthy and Message are what the host hears: Message says what is wrong, "" where nothing is.
	Healthy bool   `json:"healthy"`
	Message string `json:"message,omitempty"`
	// Problems are those of Message that are no link's, each with its kind.
	Problems Problems `json:"problems,omitempty"`
	// Memory says how much of its memory the provider has taken.
	Memory Memory `json:"memory"`
	// Causes are problems that several links have: each is told here once. Their links have them among their own, too.
	Causes []Cause `json:"causes,omitempty"`
	// Links are sorted by component, name, direction and package.
	Links []Link `json:"links"`
	// Control tells that whoever has a token may act on links where this was asked for.
	Control bool `json:"control,omitempty"`
	// Omitted says what was left out to keep the answer within a limit; nil where nothing was.
	Omitted *Omitted `json:"omitted,omitempty"`
	// Copies are those of which this is made, and Silent says who has not answered, where it is made of several; see
	// [Merge].
	Copies []Copy   `json:"copies,omitempty"`
	Silent []string `json:"silent,omitempty"`
}

// Memory is what the provider may take of memory, and has taken.
type Memory struct {
	// LimitBytes is what the process may take; 0 where nothing limits it. From says where that comes from.
	LimitBytes int64  `json:"limit_bytes"`
	From       string `json:"from"`
	// ResidentBytes is what it has taken, 0 where the system does not tell.
	ResidentBytes int64 `json:"resident_bytes"`
	// BudgetBytes are for records, calls and changes of links, UsedBytes what they take, RefusedTimes how often there was
	// no room for more.
	BudgetBytes  int64 `json:"budget_bytes"`
	UsedBytes    int64 `json:"used_bytes"`
	RefusedTimes int64 `json:"refused_times"`
}

// Omitted counts what [Encode] left out.
type Omitted struct {
	Events     int `json:"events,omitempty"`
	Partitions int `json:"partitions,omitempty"`
	Links      int `json:"links,omitempty"`
}

// State is how a link is.
type State string

// The states of a link. A link that is merely idle is healthy.
const (
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy"
	// Failing is a component that takes calls and handles nothing: every call of late has failed.
	Failing  State = "failing"
	Starting State = "starting"
	Stopping State = "stopping"
	// Paused is a link that reads nothing because somebody asked for that. Nothing is wrong with it.
	Paused State = "paused"
)

// States are all of them.
var States = []State{Healthy, Unhealthy, Failing, Starting, Stopping, Paused}

// Ill tells whether somebody should look at a link in this state.
func (s State) Ill() bool { return s == Unhealthy || s == Failing }

// Directions of a link.
const (
	// Target links have the component call the provider, to publish.
	Target = "target"
	// Source links have the provider hand records to the component.
	Source = "source"
)

// Callers is the package of a bridge's route by which callers publish.
const Callers = "http-callers"

// NATSMessages stands for a package where a route publishes what comes on subjects of NATS, and has no callers besides.
const NATSMessages = "nats-messages"

// Link is one link of the provider, or one route of a bridge.
type Link struct {
	Component string `json:"component"`
	Name      string `json:"name"`
	// Package is that of the WIT interfaces: wasmcloud:messaging or messaging-kafka:records. For a bridge's route it is
	// how records are handed over (http-records …), or [Callers].
	Package    string   `json:"package"`
	Direction  string   `json:"direction"`
	Interfaces []string `json:"interfaces,omitempty"`
	// Provider is the provider's key where links of several are told together, and Copies is how many have the link; see
	// [Merge].
	Provider string `json:"provider,omitempty"`
	Copies   int    `json:"copies,omitempty"`

	State State `json:"state"`
	// Reason says why the link is not healthy, or who paused it and why; "" where it is healthy.
	Reason string `json:"reason,omitempty"`
	// Problems are the parts of Reason, each with its kind.
	Problems Problems `json:"problems,omitempty"`
	// Paused says who wants the link not to read; nil is nobody. Its state is another one where something is wrong, too.
	Paused *Pause `json:"paused,omitempty"`
	// Advice says what to look at where a link is well and falls behind, or makes no headway; "" where nothing is known.
	Advice string `json:"advice,omitempty"`
	// Since is when the state began.
	Since time.Time `json:"since"`

	// Group and Topics are what a link reads. A pattern stands in Topics as /pattern/.
	Group  string   `json:"group,omitempty"`
	Topics []string `json:"topics,omitempty"`
	// SharedWith names the link in the other direction by which the component's records are counted: two links that
	// ask for the same records share one consumer, whose figures stand at that link alone.
	SharedWith string `json:"shared_with,omitempty"`
	// Partitions are those that the group has given to this copy, sorted by topic and number.
	Partitions []Partition `json:"partitions,omitempty"`

	// InFlight is the number of records that the component holds, Waiting of those that were read and wait for it.
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`
	// BufferedBytes is the size of all these.
	BufferedBytes int64 `json:"buffered_bytes"`
	// OldestUnfinishedSeconds is the age of the record that was read first of those that are not finished, since it was
	// read; 0 where there is none. Commits wait for it.
	OldestUnfinishedSeconds float64 `json:"oldest_unfinished_seconds"`

	// OldestCallSeconds is the age of the call of the component that has been under way for longest; 0 where there is
	// none.
	OldestCallSeconds float64 `json:"oldest_call_seconds"`
	// LastFailure is the last delivery that the component failed, with the position of its record; nil where it has
	// failed none. It stays when the component works again.
	LastFailure *Event `json:"last_failure,omitempty"`

	// KeylessOnly tells that all records that were read have no key, and that order=key lets those of a partition go one
	// after another.
	KeylessOnly bool `json:"keyless_only,omitempty"`

	Counters Counters `json:"counters"`
	Rates    Rates    `json:"rates"`

	// RecentErrors are what the log told of the link at level warn and above, and its changes of state;
	// RecentDeadLetters what was written to its dead-letter topic. Each holds the last [MaxEvents], newest first.
	RecentErrors      []Event `json:"recent_errors,omitempty"`
	RecentDeadLetters []Event `json:"recent_dead_letters,omitempty"`
	// DeadLetterReasons count dead letters by why they are ones. They are the [MaxReasons] that came last, newest first.
	DeadLetterReasons []Reason `json:"dead_letter_reasons,omitempty"`
}

// ID names the link among all of its provider: component/name where it is the usual one, with what differs added.
func (l *Link) ID() string {
	id := l.Component + "/" + l.Name
	if l.Package != "" && l.Package != "wasmcloud:messaging" {
		id += " (" + l.Package + ")"
	}
	// A route of a bridge has no package of WIT but what it is handed over by, which goes one way alone.
	ofLattice := l.Package == "" || strings.Contains(l.Package, ":")
	if l.Direction != "" && l.Direction != Target && ofLattice {
		id += " (as " + l.Direction + ")"
	}
	if l.Provider != "" {
		id += " of " + l.Provider
	}
	return id
}

// Lag is the number of records that the group has not finished in all partitions whose lag is known. known is false
// where that is none.
func (l *Link) Lag() (records int64, known bool) {
	for i := range l.Partitions {
		if n := l.Partitions[i].Lag; n >= 0 {
			records += n
			known = true
		}
	}
	return records, known
}

// LagSeconds is the largest lag in time of the link's partitions; known is false where none is known.
func (l *Link) LagSeconds() (seconds float64, known bool) {
	for i := range l.Partitions {
		if s := l.Partitions[i].LagSeconds; s != nil && (!known || *s > seconds) {
			seconds, known = *s, true
		}
	}
	return seconds, known
}

// Partition is one partition that a link reads.
type Partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Committed is the offset that the group has committed, End the end of what can be read (the last stable offset
	// where only committed records are). -1 is unknown.
	Committed int64 `json:"committed"`
	End       int64 `json:"end"`
	// Lag is the number of offsets between the two, -1 where one of them is unknown.
	Lag int64 `json:"lag"`
	// LagSeconds is how long ago the first record was written that is not committed yet, 0 where there is none; nil
	// where that is unknown.
	LagSeconds *float64 `json:"lag_seconds,omitempty"`
	// CommitAgeSeconds is how long ago the offset was last committed by this copy; nil where it has not been.
	CommitAgeSeconds *float64 `json:"commit_age_seconds,omitempty"`
	// OldestUnfinishedSeconds is the age of the lowest unfinished record since it was read, 0 where there is none: nothing
	// behind it can be committed before it is finished.
	OldestUnfinishedSeconds float64 `json:"oldest_unfinished_seconds"`
	// UncommittedSeconds is for how long the lowest finished record has been waiting for a commit, 0 where none waits. It
	// is for the metrics of the link.
	UncommittedSeconds float64 `json:"-"`
	BufferedBytes      int64   `json:"buffered_bytes"`
	// Held says why the partition stands still, "" where it does not.
	Held string `json:"held,omitempty"`
	// Copy names the copy that reads it, where several are told together; see [Merge].
	Copy string `json:"copy,omitempty"`
}

// From these on a partition is worth a look, and far behind: its first record that is not committed was written so many
// seconds ago. The alert of deploy/observability begins at the second.
const (
	LagWarnSeconds = 60
	LagFarSeconds  = 300
)

// Counters count since the link's metrics began: with the link, or with the link of the same component and name before
// it. They are the same as the metrics of /metrics.
type Counters struct {
	// RecordsIn and BytesIn came from Kafka, RecordsOut was published by the component and acknowledged.
	RecordsIn  float64 `json:"records_in"`
	BytesIn    float64 `json:"bytes_in"`
	RecordsOut float64 `json:"records_out"`
	BytesOut   float64 `json:"bytes_out"`
	// Deliveries are calls of the component by their outcome, Publishes those of the component by the class of their
	// result.
	Deliveries map[string]float64 `json:"deliveries,omitempty"`
	Publishes  map[string]float64 `json:"publishes,omitempty"`
	// Redeliveries are deliveries that were not the first of their record.
	Redeliveries float64 `json:"redeliveries"`
	// DeadLetters were written to the dead-letter topic; Skipped could not, for want of one, and were passed over.
	DeadLetters float64 `json:"dead_letters"`
	Skipped     float64 `json:"skipped"`
	// Filtered were kept from the component by the link's filter, which failed so many times.
	Filtered       float64 `json:"filtered,omitempty"`
	FilterFailures float64 `json:"filter_failures,omitempty"`
	Rebalances     float64 `json:"rebalances"`
	Missed         float64 `json:"missed"`
	// HandleSeconds is how long calls of the component took, PublishSeconds how long its publishes did.
	HandleSeconds  *Histogram `json:"handle_seconds,omitempty"`
	PublishSeconds *Histogram `json:"publish_seconds,omitempty"`
}

// Failures are the deliveries that the component failed: it did not answer, or it said no. Deliveries for which there
// was no component do not count.
func (c *Counters) Failures() float64 { return c.Deliveries["retry"] + c.Deliveries["reject"] }

// Rates are per second over the last seconds; see [Tracker].
type Rates struct {
	In  float64 `json:"in"`
	Out float64 `json:"out"`
	// Failures are deliveries that the component failed, Retries those that were not the first of their record.
	Failures float64 `json:"failures"`
	Retries  float64 `json:"retries"`
	// HandleMean, HandleP50 and HandleP99 are of the calls of the component that ended meanwhile, in seconds; nil where
	// there were none.
	HandleMean *float64 `json:"handle_mean_seconds,omitempty"`
	HandleP50  *float64 `json:"handle_p50_seconds,omitempty"`
	HandleP99  *float64 `json:"handle_p99_seconds,omitempty"`
}

// MaxEvents bounds each list of events of a link.
const MaxEvents = 20

// MaxEventText bounds the text of an event in bytes.
const MaxEventText = 1 << 10

// Event is something that happened to a link. It never holds a payload.
type Event struct {
	Time time.Time `json:"time"`
	// Level is that of the log line: WARN or ERROR; "" for a dead letter.
	Level string `json:"level,omitempty"`
	Text  string `json:"text"`
	// Topic, Partition and Offset tell the record, where it is about one.
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	// Count is how often it happened in a row, told at its last time; 0 and 1 are once.
	Count int `json:"count,omitempty"`
}
