package chaos

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

// config says how much chaos there is.
type config struct {
	form     string
	seed     uint64
	duration time.Duration // of the faults; mending and running dry come on top
	records  int
	copies   int
	protocol string // group_protocol of the link
}

const brokers = 3

var forms = map[string]config{
	// for development: whether it runs at all
	"smoke": {duration: 30 * time.Second, records: 3_000},
	// about 5 minutes all in all
	"ci":   {duration: 200 * time.Second, records: 20_000},
	"long": {duration: 20 * time.Minute, records: 100_000},
}

// configure reads the environment: CHAOS is the form (1 means ci; without it the test is skipped), and CHAOS_DURATION,
// CHAOS_RECORDS, CHAOS_SEED, CHAOS_COPIES and CHAOS_PROTOCOL (classic or consumer) change what the form says.
func configure(t *testing.T) config {
	t.Helper()
	form := os.Getenv("CHAOS")
	if form == "" {
		t.Skip("CHAOS is not set: it takes minutes; see test/chaos.sh")
	}
	if form == "1" {
		form = "ci"
	}
	c, ok := forms[form]
	if !ok {
		t.Fatalf("CHAOS=%s: it is smoke, ci (or 1) or long", form)
	}
	c.form, c.copies, c.seed, c.protocol = form, 3, fleet.Seed(), "classic"
	fleet.FromEnv(t, map[string]any{
		"CHAOS_DURATION": &c.duration, "CHAOS_RECORDS": &c.records, "CHAOS_COPIES": &c.copies, "CHAOS_SEED": &c.seed,
		"CHAOS_PROTOCOL": &c.protocol,
	})
	return c
}

// The link's settings that rules speak of.
const (
	handleTimeout = 3 * time.Second
	maxAttempts   = 4
	maxInFlight   = 32
	sessionTime   = 6 * time.Second
)

const (
	topic      = "chaos.orders"
	deadTopic  = "chaos.orders.dead"
	group      = "chaos"
	partitions = 12
	keys       = 200
)

// linkConfig is the link's source config. Variants differ in what can change without a record being lost.
func (c config) linkConfig(hosts string, variant int) map[string]string {
	m := map[string]string{
		"hosts":             hosts,
		"topic":             topic,
		"consumer_group":    group,
		"group_protocol":    c.protocol,
		"start":             "earliest",
		"order":             "key",
		"dead_letter_topic": deadTopic,
		"max_attempts":      strconv.Itoa(maxAttempts),
		"max_in_flight":     strconv.Itoa(maxInFlight - 4*variant),
		"handle_timeout":    handleTimeout.String(),
		"retry_backoff":     "50ms",
		"retry_backoff_max": "1s",
		"rebalance_timeout": "20s",
		"commit_interval":   fmt.Sprintf("%dms", 100+50*variant),
		"fetch_max_wait":    fmt.Sprintf("%dms", 100+100*variant),
		"metadata_max_age":  "5s",
		"dial_timeout":      "2s",
		"request_timeout":   "5s",
		"log_payloads":      "false",
		// Longer than handle_timeout: a link that is replaced or deleted waits for its calls, and gives none up.
		"drain_timeout": "5s",
	}
	if c.protocol == "classic" {
		m["session_timeout"] = sessionTime.String()
	}
	return m
}
