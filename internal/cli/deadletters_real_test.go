//go:build brokers

package cli

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestLettersGoBackOnceThoughRedrivesAreKilled sends 10,000 letters back by redrives that are killed in the middle.
func TestLettersGoBackOnceThoughRedrivesAreKilled(t *testing.T) {
	for _, version := range []string{testkit.Kafka4, testkit.Kafka3} {
		t.Run(version, func(t *testing.T) { redriveKilled(t, version) })
	}
}

func redriveKilled(t *testing.T, version string) {
	const count = 10_000
	brokers := testkit.StartKafka(t, testkit.KafkaOptions{Version: version}).Brokers()
	cl := testkit.NewClient(t, brokers)
	cl.Topic("orders", 3, nil)
	cl.Topic("orders.dead", 3, nil)
	all := make([]*kgo.Record, count)
	for n := range all {
		all[n] = deadLetter(n, "no connection")
	}
	cl.Produce(all...)
	stable := func() (n int64) {
		offsets, err := kadm.NewClient(cl.Client).ListCommittedOffsets(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		offsets.Each(func(o kadm.ListedOffset) { n += o.Offset })
		return n
	}
	args := []string{"dead-letters", "redrive", "--set", "hosts=" + strings.Join(brokers, ","), "--topic", "orders.dead"}
	used := func() (n int64) {
		for _, end := range cl.EndOffsets("orders") {
			n += end
		}
		return n
	}
	// The rate makes sure that there is a middle. Whoever looks at once at what comes sees a transaction that is open.
	for kills, before := 0, int64(0); kills < 6; kills++ {
		command := exec.Command(program, append(args, "--rate", "2000")...)
		var out testkit.Log
		command.Stdout, command.Stderr = &out, &out
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(testkit.DefaultTimeout); used() <= before+int64(kills%2)*500; {
			if time.Now().After(deadline) {
				t.Fatalf("it sends nothing: %s", out.String())
			}
		}
		if err := command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := command.Wait(); command.ProcessState.ExitCode() != -1 {
			t.Fatalf("it was over before it was killed (%v): %s", err, out.String())
		}
		before = used()
		t.Logf("killed with %d offsets in use, %d of them stable", before, stable())
	}
	got := run(t, "", nil, args...)
	if got.code != exitOK {
		t.Fatalf("the last redrive: exit %d\n%s%s", got.code, got.out, got.err)
	}
	t.Logf("the last one: %s%s", got.out, got.err)
	for range 2 {
		if got := run(t, "", nil, args...); got.code != exitOK ||
			got.out != "0 letters of orders.dead sent\n"+
				"what was there before was passed by an earlier redrive (10000 offsets): --round NAME begins anew\n" {
			t.Errorf("another one: exit %d\n%s%s", got.code, got.out, got.err)
		}
	}
	// One behind all, in each partition, tells that all has been read.
	marks := testkit.NewClient(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(3) {
		marks.Produce(&kgo.Record{Topic: "orders", Partition: p, Value: []byte("end")})
	}
	reader := testkit.NewClient(t, brokers, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ends := func(records []*kgo.Record) (n int) {
		for _, r := range records {
			if string(r.Value) == "end" {
				n++
			}
		}
		return n
	}
	times := make(map[string]int)
	all = reader.ReadUntil("orders", testkit.DefaultTimeout, func(rs []*kgo.Record) bool { return ends(rs) == 3 })
	for _, r := range all {
		times[string(r.Value)]++
	}
	delete(times, "end")
	var wrong []string
	for n := range count {
		if value := fmt.Sprintf(`{"n":%d}`, n); times[value] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s %d times", value, times[value]))
		}
	}
	if len(wrong) > 0 || len(times) != count {
		t.Errorf("%d of %d letters are not there once: %q", len(wrong), count, wrong[:min(len(wrong), 10)])
	}
}
