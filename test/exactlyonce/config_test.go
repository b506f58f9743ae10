//go:build exactlyonce

package exactlyonce

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

// config says how much there is to count.
type config struct {
	form     string
	seed     uint64
	duration time.Duration // of the faults; mending and running dry come on top
	records  int           // of each pipeline
}

var forms = map[string]config{
	"ci":   {duration: 25 * time.Second, records: 5_000},
	"long": {duration: 5 * time.Minute, records: 50_000},
}

const (
	brokers = 3
	copies  = 3
)

// configure reads the environment: EXACTLYONCE is the form (ci by default), and EXACTLYONCE_DURATION,
// EXACTLYONCE_RECORDS and EXACTLYONCE_SEED change what it says.
func configure(t *testing.T) config {
	t.Helper()
	form := os.Getenv("EXACTLYONCE")
	if form == "" {
		form = "ci"
	}
	c, ok := forms[form]
	if !ok {
		t.Fatalf("EXACTLYONCE=%s: it is ci or long", form)
	}
	c.form, c.seed = form, fleet.Seed()
	fleet.FromEnv(t, map[string]any{
		"EXACTLYONCE_DURATION": &c.duration, "EXACTLYONCE_RECORDS": &c.records, "EXACTLYONCE_SEED": &c.seed,
	})
	return c
}

// The links' settings that the faults go by.
const (
	handleTimeout = 3 * time.Second
	sessionTime   = 6 * time.Second
)

const (
	inPartitions  = 8
	outPartitions = 4
	keys          = 100
)

// linkConfig is the source config of a pipeline's link. Variants differ in what can change without harm.
func (p *pipeline) linkConfig(hosts string, variant int) map[string]string {
	m := map[string]string{
		"hosts":             hosts,
		"topic":             p.in,
		"consumer_group":    p.name,
		"group_protocol":    p.protocol,
		"transactions":      strconv.FormatBool(p.transactions),
		"start":             "earliest",
		"order":             "key",
		"dead_letter_topic": p.deadTopic,
		"max_attempts":      "6",
		"max_in_flight":     "16",
		"batch_max_records": strconv.Itoa(50 - 5*variant),
		"handle_timeout":    handleTimeout.String(),
		"retry_backoff":     "50ms",
		"retry_backoff_max": "500ms",
		"rebalance_timeout": "20s",
		"metadata_max_age":  "5s",
		"dial_timeout":      "2s",
		"request_timeout":   "5s",
		"publish_timeout":   "20s",
		"drain_timeout":     "4s",
	}
	if p.protocol == "classic" {
		m["session_timeout"] = sessionTime.String()
	}
	return m
}

// Kinds of faults besides those of Kafka.
const (
	killCopy     fleet.Kind = "kill a copy"                       // SIGKILL, and the same host starts it again
	moveCopy     fleet.Kind = "kill a copy, start it elsewhere"   // another host starts it
	pauseCopy    fleet.Kind = "pause a copy"                      // SIGSTOP, for longer than the session timeout
	doubleCopy   fleet.Kind = "pause a copy, start it twice"      // and the first one wakes up beside the second
	stopCopy     fleet.Kind = "stop a copy"                       // as the host does it
	resetLattice fleet.Kind = "reset a copy's lattice connection" //
	replaceLinks fleet.Kind = "replace the links"                 // the target picks the settings
	deleteLinks  fleet.Kind = "delete and put the links"          //
)

const linkVariants = 3

func lanes() []fleet.Lane {
	const ms, s = time.Millisecond, time.Second
	return append(fleet.KafkaLanes(brokers, 2*s, 10*s, fleet.Choose(resetLattice, 2, 0, 0, copies)), []fleet.Lane{
		{Name: "copies", Min: 2 * s, Max: 6 * s, Choices: []fleet.Choice{
			fleet.Choose(killCopy, 4, 100*ms, 3*s, copies),
			fleet.Choose(moveCopy, 2, 100*ms, 3*s, copies),
			fleet.Choose(pauseCopy, 3, sessionTime+1*s, sessionTime+4*s, copies),
			fleet.Choose(doubleCopy, 2, sessionTime-2*s, sessionTime+3*s, copies),
			fleet.Choose(stopCopy, 1, 100*ms, 3*s, copies),
		}},
		{Name: "links", Min: 6 * s, Max: 15 * s, Choices: []fleet.Choice{
			fleet.Choose(replaceLinks, 2, 0, 0, linkVariants),
			fleet.Choose(deleteLinks, 1, 50*ms, 2*s, linkVariants),
		}},
	}...)
}

func (c config) String() string {
	return fmt.Sprintf("seed %d (EXACTLYONCE_SEED=%d gives the same schedule), form %s: %d records a pipeline, %v of faults, %d copies, %d brokers",
		c.seed, c.seed, c.form, c.records, c.duration, copies, brokers)
}
