package telemetry

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// namespace is the beginning of all names.
const namespace = "messaging_kafka"

// kind is the type of a metric.
type kind string

const (
	counter   kind = "counter"
	gauge     kind = "gauge"
	histogram kind = "histogram"
)

// metric is the declaration of one metric: what the registry and docs/metrics.md are made of.
type metric struct {
	section string
	name    string // without the namespace
	kind    kind
	labels  []string
	help    string // what it counts, also for Prometheus
	bad     string // which value is a bad one and what it means; "" where none is
	buckets []float64
}

func (m *metric) fullName() string { return namespace + "_" + m.name }

func (m *metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(m.fullName(), m.help, m.labels, nil)
}

// declared are all metrics of the provider, in the order of docs/metrics.md.
var declared []*metric

func declare(m metric) *metric {
	declared = append(declared, &m)
	return &m
}

// The labels of a link's metrics. Their values come from link definitions and the topics that these name, so there are
// as many series as there are links and partitions, and those of a link go with it.
var (
	ofLink      = []string{"component", "link"}
	ofPartition = append(slices.Clone(ofLink), "topic", "partition")
	ofOneLink   = append(slices.Clone(ofLink), "package", "direction")
)

func with(labels []string, more ...string) []string { return append(slices.Clone(labels), more...) }

// Buckets: durations from a call answered on the same machine to one that uses up the default handle_timeout; records
// of a call up to the largest batch.
var (
	durations = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	batches   = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000}
)

const (
	sectionIn        = "What comes in"
	sectionComponent = "The component"
	sectionLag       = "Lag and commits"
	sectionOut       = "What goes out"
	sectionRequests  = "Requests over Kafka"
	sectionHealth    = "Health"
	sectionLattice   = "The lattice"
	sectionHTTP      = "Requests over HTTP"
	sectionClients   = "Kafka clients"
)

var (
	fetchedRecords = declare(metric{section: sectionIn, name: "fetched_records_total", kind: counter, labels: ofLink,
		help: "Records read from Kafka.",
		bad:  "No increase while the topic's end moves on: see lag_records and link_healthy."})
	fetchedBytes = declare(metric{section: sectionIn, name: "fetched_bytes_total", kind: counter, labels: ofLink,
		help: "Bytes of keys, values and headers read from Kafka."})
	missedRecords = declare(metric{section: sectionIn, name: "missed_records_total", kind: counter, labels: ofLink,
		help: "Records that were gone from a topic before they could be read.",
		bad:  "Any increase is lost data: the topic's retention is shorter than the link was behind."})
	rebalances = declare(metric{section: sectionIn, name: "rebalances_total", kind: counter, labels: ofLink,
		help: "Assignments of partitions by the group.",
		bad:  "A steady increase without copies coming and going: members miss session_timeout or rebalance_timeout."})
	assignedPartitions = declare(metric{section: sectionIn, name: "assigned_partitions", kind: gauge, labels: ofLink,
		help: "Partitions that the group has given to this copy.",
		bad:  "0 over all copies: nobody reads."})

	deliveries = declare(metric{section: sectionComponent, name: "deliveries_total", kind: counter,
		labels: with(ofLink, "outcome"),
		help:   "Deliveries of records to the component, by how they ended; skipped are those that cause no call: tombstones, and what the filter keeps back.",
		bad:    "A share of retry, reject or unavailable that does not go back to 0: the component fails, refuses records, or is not there. given_up grows at stops and rebalances only."})
	redeliveries = declare(metric{section: sectionComponent, name: "redeliveries_total", kind: counter, labels: ofLink,
		help: "Deliveries that were not the first of their record.",
		bad:  "Close to deliveries_total: the component works, but mostly in vain."})
	deliverySeconds = declare(metric{section: sectionComponent, name: "delivery_seconds", kind: histogram, labels: ofLink,
		buckets: durations,
		help:    "Duration of calls of the component. In a batch, each record counts with the time of its call.",
		bad:     "Values near handle_timeout: calls are about to be given up."})
	batchRecords = declare(metric{section: sectionComponent, name: "batch_records", kind: histogram, labels: ofLink,
		buckets: batches,
		help:    "Records of one call, where records go to the component in batches.",
		bad:     "Mostly 1 under load: batches are not filled; see batch_max_wait."})
	recordsGivenUp = declare(metric{section: sectionComponent, name: "buried_records_total", kind: counter,
		labels: with(ofLink, "fate"),
		help:   "Records that no delivery could help: dead_lettered, or skipped for want of a dead_letter_topic.",
		bad:    "Any increase wants a look at the dead letters. skipped is lost to the component: set dead_letter_topic."})
	filteredRecords = declare(metric{section: sectionComponent, name: "filtered_records_total", kind: counter,
		labels: ofLink,
		help:   "Records that the filter does not match, or at which it failed with on_filter_error=skip: they are finished without a call.",
		bad:    "As many as fetched_records_total where records are expected to match: the filter keeps all of them from the component."})
	filterFailures = declare(metric{section: sectionComponent, name: "filter_failures_total", kind: counter,
		labels: ofLink,
		help:   "Evaluations of the filter that failed. on_filter_error says what becomes of their records.",
		bad:    "Any increase: the filter has no answer for some records. The log says at which place of the expression, and why."})
	recordsDelayed = declare(metric{section: sectionComponent, name: "delayed_records_total", kind: counter,
		labels: with(ofLink, "delay"),
		help:   "Records that failed and were stored in a retry topic (retry_topics), by its delay. They come again from there.",
		bad:    "A steady increase: the component fails at some records. That of the longest delay: they fail again and again, and become dead letters next."})
	inFlightRecords = declare(metric{section: sectionComponent, name: "in_flight_records", kind: gauge, labels: ofLink,
		help: "Records that are with the component.",
		bad:  "Always at max_in_flight while waiting_records grows: the component is the bottleneck."})
	waitingRecords = declare(metric{section: sectionComponent, name: "waiting_records", kind: gauge, labels: ofLink,
		help: "Records that were read and wait for a call.",
		bad:  "High with few in flight: one key or partition holds the others up, or no component takes calls."})
	bufferedBytes = declare(metric{section: sectionComponent, name: "buffered_bytes", kind: gauge, labels: ofLink,
		help: "Memory that the records take which wait or are with the component.",
		bad:  "At max_buffer: reading has paused until the component catches up."})
	failingCalls = declare(metric{section: sectionComponent, name: "failing_calls", kind: gauge, labels: ofLink,
		help: "Calls of the component in a row that have failed, where there are enough of them for the state failing; else 0.",
		bad:  "Anything but 0: the component handles nothing. The link's reason has its last error."})
	oldestCall = declare(metric{section: sectionComponent, name: "oldest_call_seconds", kind: gauge, labels: ofLink,
		help: "Time since the call of the component began that has been under way for longest; 0 where there is none.",
		bad:  "Near handle_timeout: the component hangs, or waits for an instance."})
	oldestUnfinished = declare(metric{section: sectionComponent, name: "oldest_unfinished_seconds",
		kind: gauge, labels: ofLink,
		help: "Time since the record was read that has been unfinished for longest; 0 where there is none.",
		bad:  "Grows without end: a record holds back the commit of all behind it (head-of-line blocking)."})

	lagRecords = declare(metric{section: sectionLag, name: "lag_records", kind: gauge, labels: ofPartition,
		help: "Offsets between what the group has committed and the end of what the link may read. Each copy tells of the partitions that it has.",
		bad:  "Grows for minutes: less is handled than is written."})
	lagSeconds = declare(metric{section: sectionLag, name: "lag_seconds", kind: gauge, labels: ofPartition,
		help: "Time since the first record that is not committed was written, by its timestamp; 0 where all is committed. Until that record has been read, the time for which this copy has known that there is one.",
		bad:  "More than the service promises: consumers are that late. Records that were written with an old timestamp are old at once."})
	committedOffset = declare(metric{section: sectionLag, name: "committed_offset", kind: gauge, labels: ofPartition,
		help: "Offset that the group has committed."})
	heldPartitions = declare(metric{section: sectionLag, name: "held_partitions", kind: gauge, labels: ofLink,
		help: "Partitions that stand still until somebody acts (on_reject=stop, on_offset_out_of_range=stop).",
		bad:  "Anything but 0."})
	commitAge = declare(metric{section: sectionLag, name: "commit_age_seconds", kind: gauge, labels: ofLink,
		help: "For how long the oldest finished record has been waiting for a commit; 0 where none waits.",
		bad:  "More than a few times commit_interval: commits fail, and a crash would have that much delivered again."})
	commits = declare(metric{section: sectionLag, name: "commits_total", kind: counter, labels: with(ofLink, "result"),
		help: "Commits of offsets, in transactions too, and acknowledgements of share groups; result is ok or error.",
		bad:  "A steady increase of error. Single errors at a rebalance are harmless."})

	publishes = declare(metric{section: sectionOut, name: "publishes_total", kind: counter, labels: with(ofLink, "class"),
		help: "Records that the component published, by the class of the result.",
		bad:  "Any class but ok. unavailable and timed_out: the cluster; not_authorised: rights or allowed_topics; too_large, unknown_topic, invalid: the component."})
	publishSeconds = declare(metric{section: sectionOut, name: "publish_seconds", kind: histogram, labels: ofLink,
		buckets: durations,
		help:    "Duration of publishes until Kafka acknowledged or refused.",
		bad:     "Values near publish_timeout: publishes are about to fail."})
	publishedRecords = declare(metric{section: sectionOut, name: "published_records_total", kind: counter, labels: ofLink,
		help: "Records for the component that Kafka has acknowledged or committed: publishes with each of their copies, requests, and outputs. Dead letters are counted by buried_records_total."})
	publishedBytes = declare(metric{section: sectionOut, name: "published_bytes_total", kind: counter, labels: ofLink,
		help: "Bytes of keys, values and headers of these records."})
	transactions = declare(metric{section: sectionOut, name: "transactions_total", kind: counter,
		labels: with(ofLink, "result"),
		help:   "Transactions of outputs and offsets; result is committed or aborted.",
		bad:    "A steady increase of aborted: outputs cannot be produced, or another copy has taken the partitions."})
	transactionSeconds = declare(metric{section: sectionOut, name: "transaction_seconds", kind: histogram, labels: ofLink,
		buckets: durations,
		help:    "Duration of transactions from their begin to their end.",
		bad:     "Near 10 seconds, when brokers abort a transaction."})

	requests = declare(metric{section: sectionRequests, name: "requests_total", kind: counter,
		labels: with(ofLink, "result"),
		help:   "Requests over Kafka, by how they ended: answered, timed_out, or late_answer for an answer that nobody waited for any more.",
		bad:    "timed_out: whoever answers is slow or away. late_answer: the component's timeout is too short."})
	requestSeconds = declare(metric{section: sectionRequests, name: "request_seconds", kind: histogram, labels: ofLink,
		buckets: durations,
		help:    "Duration of requests over Kafka until their answer came."})

	linkHealthy = declare(metric{section: sectionHealth, name: "link_healthy", kind: gauge, labels: ofOneLink,
		help: "1 where a link is healthy, else 0. One that is merely idle is healthy, and so is one that an operator has paused: link_state tells.",
		bad:  "0 for longer than a start takes. The health message, GET /readyz and the log say why."})
	linkState = declare(metric{section: sectionHealth, name: "link_state", kind: gauge, labels: with(ofOneLink, "state"),
		help: "1 for the state that a link is in, 0 for the others: healthy, unhealthy, failing, starting, stopping, paused.",
		bad:  "unhealthy; failing, which is a component that handles nothing; starting for minutes; or paused for longer than it was meant to be."})
	providerHealthy = declare(metric{section: sectionHealth, name: "healthy", kind: gauge,
		help: "1 where the provider and all its links are healthy, else 0.",
		bad:  "0: link_healthy tells which link it is; where none is, the provider's own config is wrong or components make too many calls: the health message says it."})
	buildInfo = declare(metric{section: sectionHealth, name: "build_info", kind: gauge,
		labels: []string{"version", "commit", "go_version"},
		help:   "Always 1; the labels say which build runs.",
		bad:    "More than one version over all copies for longer than an upgrade takes."})
	memoryLimit = declare(metric{section: sectionHealth, name: "memory_limit_bytes", kind: gauge,
		help: "Memory that the process may take (provider_max_memory); 0 is without a limit.",
		bad:  "process_resident_memory_bytes near it: what comes from others does not fill it alone; look for what does with a profile."})
	memoryBudget = declare(metric{section: sectionHealth, name: "memory_budget_bytes", kind: gauge,
		help: "The part of it for records of all links, calls of components and changes of links; 0 is without a limit."})
	memoryUsed = declare(metric{section: sectionHealth, name: "memory_used_bytes", kind: gauge,
		help: "How much of memory_budget_bytes is taken.",
		bad:  "Near memory_budget_bytes: reading pauses and calls are refused. Raise provider_max_memory, or lower max_buffer of the links with the highest buffered_bytes."})
	memoryRefused = declare(metric{section: sectionHealth, name: "memory_refused_total", kind: counter,
		help: "Times that there was no room for a batch, a call or a change of a link. Batches are fetched again, calls are refused.",
		bad:  "A steady increase: see memory_used_bytes."})

	wrpcCalls = declare(metric{section: sectionLattice, name: "wrpc_calls_total", kind: counter,
		help: "Calls of components that came over wRPC, those that were refused included."})
	wrpcRunning = declare(metric{section: sectionLattice, name: "wrpc_running_calls", kind: gauge,
		help: "Calls of components that are being served.",
		bad:  "Thousands: publishes hang; see publish_seconds."})
	wrpcWaiting = declare(metric{section: sectionLattice, name: "wrpc_waiting_calls", kind: gauge,
		help: "Calls of components that wait to be served.",
		bad:  "Anything but 0: as many calls run as may."})
	wrpcAwaited = declare(metric{section: sectionLattice, name: "wrpc_awaited_calls", kind: gauge,
		help: "Calls of components that can go on only when their caller sends more: the rest of the parameters, or their end.",
		bad:  "Hundreds: callers begin calls and do not end them, and some are given up when there are 4096."})
	wrpcRepeats = declare(metric{section: sectionLattice, name: "wrpc_accept_repeats_total", kind: counter,
		help: "Accepts of calls that were sent again because the caller's first message did not follow.",
		bad:  "A large share of wrpc_calls_total: hosts or the NATS servers between are overloaded."})
	wrpcRefused = declare(metric{section: sectionLattice, name: "wrpc_refused_calls_total", kind: counter,
		help: "Calls that were refused, or given up for others, because there were too many at once.",
		bad:  "Any increase: components publish faster than Kafka takes it, or one begins calls that it does not end. Health names the last caller."})
	wrpcFailed = declare(metric{section: sectionLattice, name: "wrpc_failed_calls_total", kind: counter,
		labels: []string{"reason"},
		help:   "Calls that ended without a result, by reason: unclosed (the end of the parameters did not come), malformed, or failed.",
		bad:    "Any steady increase: calls are cut off on their way, or a component was built against another interface."})
	natsConnected = declare(metric{section: sectionLattice, name: "nats_connected", kind: gauge,
		help: "1 while the provider is connected to the lattice, else 0.",
		bad:  "0: neither calls nor links come, and records wait."})
	natsReconnects = declare(metric{section: sectionLattice, name: "nats_reconnects_total", kind: counter,
		help: "Times that the connection to the lattice came back.",
		bad:  "A steady increase: the network or the NATS server is unstable."})

	httpRequests = declare(metric{section: sectionHTTP, name: "http_requests_total", kind: counter,
		labels: []string{"caller", "endpoint", "status"},
		help:   "Requests to the bridge, by who made them (empty where nobody knows), what they asked for, and the status of the answer. A list of records has 200 whatever became of each; see publishes_total for that.",
		bad:    "401 and 403: somebody asks for what is not theirs, see the log. 429: a caller has more requests at once than it may, or memory is short. 503, 504: the cluster."})
	httpSeconds = declare(metric{section: sectionHTTP, name: "http_request_seconds", kind: histogram,
		labels: []string{"endpoint"}, buckets: durations,
		help: "Duration of requests to the bridge from the end of their header to the end of the answer.",
		bad:  "Far above publish_seconds: callers send their bodies slowly, or the machine is busy."})
	httpBytes = declare(metric{section: sectionHTTP, name: "http_request_bytes_total", kind: counter,
		labels: []string{"caller"},
		help:   "Bytes of the bodies of requests that were read."})
	httpRunning = declare(metric{section: sectionHTTP, name: "http_running_requests", kind: gauge,
		help: "Requests to the bridge that are being answered.",
		bad:  "Near what all callers may have at once: publishes hang; see publish_seconds."})

	clientConnects = declare(metric{section: sectionClients, name: "client_connects_total", kind: counter,
		labels: []string{"client", "broker", "result"},
		help:   "Attempts to connect to brokers, authentication included; result is ok or error. client is consumer (its transactions included), producer, or replies to requests, broker the broker's number, or seed for an address of hosts.",
		bad:    "error grows: a broker is away or refuses. ok grows steadily: connections do not last."})
	clientReadBytes = declare(metric{section: sectionClients, name: "client_read_bytes_total", kind: counter,
		labels: []string{"client", "broker"},
		help:   "Bytes that came from brokers, compressed as they came."})
	clientWrittenBytes = declare(metric{section: sectionClients, name: "client_written_bytes_total", kind: counter,
		labels: []string{"client", "broker"},
		help:   "Bytes that went to brokers, compressed as they went."})
	clientErrors = declare(metric{section: sectionClients, name: "client_errors_total", kind: counter,
		labels: []string{"client", "broker"},
		help:   "Requests that broke off while they were written or their answer was read.",
		bad:    "A steady increase: connections break."})
	clientRequestSeconds = declare(metric{section: sectionClients, name: "client_request_seconds", kind: histogram,
		labels: []string{"client"}, buckets: durations,
		help: "Duration of requests to brokers from the begin of writing to the end of reading. Fetches wait at the broker for up to fetch_max_wait.",
		bad:  "Rises for producer: brokers are slow."})
	clientThrottled = declare(metric{section: sectionClients, name: "client_throttled_seconds_total", kind: counter,
		labels: []string{"client"},
		help:   "Time for which brokers told the clients to wait because of a quota.",
		bad:    "Any increase: a quota slows the link down."})
)
