package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// outcome is what a run came to.
type outcome struct {
	err      error
	out, log string
}

// begin runs in the background. The log can be read while it does.
func begin(t *testing.T, ctx context.Context, in io.Reader, opts Options) (log *testkit.Log, end func() outcome) {
	t.Helper()
	log = new(testkit.Log)
	var out bytes.Buffer
	opts.In, opts.Out, opts.Err = in, &out, log
	done := make(chan error, 1)
	go func() { done <- Run(ctx, opts) }()
	return log, func() outcome {
		t.Helper()
		select {
		case err := <-done:
			return outcome{err, out.String(), log.String()}
		case <-time.After(2 * testkit.DefaultTimeout):
			t.Fatalf("the run does not end; so far it said\n%s", log.String())
			panic("unreachable")
		}
	}
}

// pipe runs with text on the input.
func pipe(t *testing.T, text string, opts Options) outcome {
	t.Helper()
	_, end := begin(t, t.Context(), strings.NewReader(text), opts)
	return end()
}

var echoLine = regexp.MustCompile(`(?m)^wasmcloud\.echo\.reply partition (\d+) offset (\d+) \(([^)]+)\): (.*)$`)

// check reads the echoes: their values and offsets must be these, all of lines sent here.
func (o outcome) check(t *testing.T, firstOffset int, want ...string) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("%v\n%s", o.err, o.log)
	}
	if lines := strings.Count(o.out, "\n"); lines != len(want) {
		t.Fatalf("%d lines of output, want %d:\n%.2000s", lines, len(want), o.out)
	}
	for i, m := range echoLine.FindAllStringSubmatch(o.out, -1) {
		if _, err := time.ParseDuration(m[3]); err != nil {
			t.Errorf("echo %d took %q", i, m[3])
		}
		if m[1] != "0" || m[2] != fmt.Sprint(firstOffset+i) || m[4] != want[i] {
			t.Fatalf("echo %d is at partition %s offset %s with %.200q, want offset %d with %.200q", i, m[1], m[2], m[4],
				firstOffset+i, want[i])
		}
	}
}

func TestEveryLineComesBackInOrder(t *testing.T) {
	for name, test := range map[string]struct {
		input string
		want  []string
	}{
		"no line":                       {"", nil},
		"one line":                      {"hello\n", []string{"hello"}},
		"a last line without an end":    {"a\nb\nc", []string{"a", "b", "c"}},
		"empty lines":                   {"\n\nx\n\n", []string{"", "", "x", ""}},
		"the same line again and again": {strings.Repeat("same\n", 50), slices.Repeat([]string{"same"}, 50)},
		"text of many scripts":          {"grüße\n漢字\n🙂\n\ttabs\t\n", []string{"grüße", "漢字", "🙂", "\ttabs\t"}},
		"bytes that are no text":        {"\xff\xfe\nesc \x1b[31m\n", []string{`"\xff\xfe"`, `"esc \x1b[31m"`}},
	} {
		t.Run(name, func(t *testing.T) { pipe(t, test.input, Options{}).check(t, 0, test.want...) })
	}
}

func TestAThousandLinesComeBackInOrder(t *testing.T) {
	want := make([]string, 1000)
	for i := range want {
		want[i] = fmt.Sprint("line ", i)
	}
	pipe(t, strings.Join(want, "\n"), Options{}).check(t, 0, want...)
}

func TestItSaysWhatItStarted(t *testing.T) {
	got := pipe(t, "x\n", Options{Lattice: "mine"})
	got.check(t, 0, "x")
	for _, want := range []string{
		`NATS +nats://127\.0\.0\.1:\d+, embedded, lattice mine`,
		`Kafka +127\.0\.0\.1:\d+, embedded, in memory`,
		`component +echo, `, `provider +messaging-kafka, `, `page +http://127\.0\.0\.1:\d+/$`,
		`link +echo to messaging-kafka: hosts=127\.0\.0\.1:\d+ topic=wasmcloud\.echo`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(got.log) {
			t.Errorf("no %q in\n%s", want, got.log)
		}
	}
	if strings.Contains(got.log, "level=INFO") {
		t.Errorf("the provider's log is shown unasked:\n%s", got.log)
	}
	if loud := pipe(t, "x\n", Options{Verbose: true}); !strings.Contains(loud.log,
		"level=INFO msg=\"partitions assigned\"") {
		t.Errorf("with Verbose the provider's log is not shown:\n%s", loud.log)
	}
}

func TestLinesUpToTheLimitPassAndLongerOnesAreRefused(t *testing.T) {
	longest := strings.Repeat("x", MaxLine)
	got := pipe(t, "before\n"+longest+"\n"+longest+"y\nafter\n", Options{})
	if got.err == nil || !strings.Contains(got.err.Error(), "1 of 4 lines did not come back: line 3") {
		t.Errorf("got error %v", got.err)
	}
	if !strings.Contains(got.log, "line 3 was not sent: it is longer than 1048576 bytes") {
		t.Errorf("line 3 is not named in\n%.3000s", got.log)
	}
	got.err = nil
	got.check(t, 0, "before", longest, "after")
}

func TestDataIsKeptBetweenRuns(t *testing.T) {
	directory := t.TempDir() + "/new/data"
	first := pipe(t, "a\nb\n", Options{Data: directory})
	first.check(t, 0, "a", "b")
	if !strings.Contains(first.log, "embedded, data in "+directory) || strings.Count(first.log, "created") != 2 {
		t.Errorf("the first run says\n%s", first.log)
	}
	// Nothing of the first run is echoed again, and nothing of the second is missed: the group's offsets are kept.
	second := pipe(t, "c\nd\n", Options{Data: directory})
	second.check(t, 2, "c", "d")
	if strings.Contains(second.log, "created") {
		t.Errorf("the second run makes topics:\n%s", second.log)
	}
	pipe(t, "", Options{Data: directory}).check(t, 4)
}

func TestAGivenKafkaIsUsed(t *testing.T) {
	cluster := testkit.Kfake(t)
	opts := Options{Hosts: " " + strings.Join(cluster.Brokers(), ",") + ", "}
	first := pipe(t, "a\n", opts)
	first.check(t, 0, "a")
	for _, topic := range []string{Topic, ReplyTopic} {
		if !strings.Contains(first.log, "topic "+topic+" created") {
			t.Errorf("it does not say that it made %s:\n%s", topic, first.log)
		}
	}
	second := pipe(t, "b\n", opts)
	second.check(t, 1, "b")
	if strings.Contains(second.log, "created") || strings.Contains(second.log, "embedded, in memory") {
		t.Errorf("the second run says\n%s", second.log)
	}
	if values := testkit.NewClient(t, cluster.Brokers()).Read(ReplyTopic, 2); string(values[1].Value) != "b" {
		t.Errorf("the reply topic holds %q", values[1].Value)
	}
}

func TestATopicOfSeveralPartitionsKeepsTheOrder(t *testing.T) {
	cluster := testkit.Kfake(t)
	cluster.Topic(Topic, 5)
	cluster.Topic(ReplyTopic, 1)
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint(i))
	}
	pipe(t, strings.Join(want, "\n"), Options{Hosts: cluster.Brokers()[0]}).check(t, 0, want...)
}

func TestALatticeIsJoined(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	calls := ns.Connect()
	seen, err := calls.SubscribeSync("mine.echo.wrpc.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := calls.Flush(); err != nil {
		t.Fatal(err)
	}
	got := pipe(t, "a\nb\n", Options{NATSURL: ns.URL(), Lattice: "mine"})
	got.check(t, 0, "a", "b")
	if n, _, err := seen.Pending(); err != nil || n != 2 {
		t.Errorf("%d calls came by the given server (%v), want 2", n, err)
	}
}

func TestASecondRunInTheSameLatticeIsRefused(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	input, typed := io.Pipe()
	log, end := begin(t, t.Context(), input, Options{NATSURL: ns.URL()})
	waitFor(t, log, "Each line")
	if got := pipe(t, "x\n", Options{NATSURL: ns.URL()}); got.err == nil ||
		!strings.Contains(got.err.Error(), "lattice dev already") {
		t.Errorf("got %v", got.err)
	}
	pipe(t, "x\n", Options{NATSURL: ns.URL(), Lattice: "another"}).check(t, 0, "x")
	typed.Close()
	end().check(t, 0)
}

func waitFor(t *testing.T, log *testkit.Log, text string) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !strings.Contains(log.String(), text) {
			return fmt.Errorf("no %q in\n%s", text, log.String())
		}
		return nil
	})
}

func TestRecordsOfOtherProgramsAreEchoed(t *testing.T) {
	cluster := testkit.Kfake(t)
	input, typed := io.Pipe()
	opts := Options{Hosts: cluster.Brokers()[0]}
	log, end := begin(t, t.Context(), input, opts)
	waitFor(t, log, "Each line")
	client := testkit.NewClient(t, cluster.Brokers())
	client.ProduceText(Topic, "from elsewhere")
	client.Read(ReplyTopic, 1)
	fmt.Fprintln(typed, "from here")
	client.Read(ReplyTopic, 2)
	typed.Close()
	got := end()
	if got.err != nil {
		t.Fatal(got.err)
	}
	if !strings.Contains(got.out, "offset 0 (not from here): from elsewhere\n") ||
		!regexp.MustCompile(`offset 1 \([0-9.]+[mµ]?s\): from here\n`).MatchString(got.out) {
		t.Errorf("the output is\n%s", got.out)
	}
}

func TestTheEndOfTheContextEndsARunInOrder(t *testing.T) {
	t.Run("while it waits for lines", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		input, typed := io.Pipe()
		log, end := begin(t, ctx, input, Options{})
		waitFor(t, log, "Each line")
		cancel()
		typed.Close()
		end().check(t, 0)
	})
	t.Run("before anything has started", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, end := begin(t, ctx, strings.NewReader("x\n"), Options{})
		end().check(t, 0)
	})
	t.Run("while echoes are due", func(t *testing.T) {
		cluster := testkit.Kfake(t)
		ctx, cancel := context.WithCancel(t.Context())
		// The lines are taken, but what reads them gets nothing.
		log, end := begin(t, ctx, strings.NewReader("a\nb\n"), Options{Hosts: cluster.Brokers()[0]})
		starve(cluster)
		waitFor(t, log, "Each line")
		testkit.NewClient(t, cluster.Brokers()).WaitMembers("wasmcloud.dev.echo.default", 1)
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if info := cluster.PartitionInfo(Topic, 0); info == nil || info.HighWatermark < 2 {
				return errors.New("the lines are not there yet")
			}
			return nil
		})
		cancel()
		got := end()
		if got.err == nil || !strings.Contains(got.err.Error(), "interrupted: 2 of 2 lines did not come back: lines 1, 2") {
			t.Errorf("got %v\n%s", got.err, got.log)
		}
	})
}

// starve makes every fetch of the cluster find nothing.
func starve(cluster *testkit.FakeKafka) {
	cluster.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.FetchResponse)
		return response, nil, true
	})
}

func TestMissingEchoesAreNamed(t *testing.T) {
	cluster := testkit.Kfake(t)
	starve(cluster)
	got := pipe(t, strings.Repeat("x\n", 12), Options{Hosts: cluster.Brokers()[0], EchoTimeout: 3 * time.Second})
	if got.err == nil || !strings.Contains(got.err.Error(),
		"12 of 12 lines did not come back: lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more") {
		t.Errorf("got %v", got.err)
	}
	if got.out != "" || !strings.Contains(got.log, "no echo within 3s of lines 1, ") {
		t.Errorf("it showed %q and said\n%s", got.out, got.log)
	}
}

func TestWhatCannotStartIsNamed(t *testing.T) {
	occupied := t.TempDir()
	if err := os.WriteFile(occupied+"/novel.txt", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := testkit.NATS(t, testkit.NATSOptions{})
	url, addr := plain.URL(), plain.Addr()
	plain.Stop()
	for name, test := range map[string]struct {
		opts Options
		want []string
	}{
		"hosts and data":              {Options{Hosts: "x", Data: "y"}, []string{"embedded Kafka"}},
		"a lattice of several tokens": {Options{Lattice: "a.*"}, []string{`"a.*"`}},
		"hosts with a scheme":         {Options{Hosts: "http://kafka"}, []string{"hosts", "http://"}},
		"no Kafka at the hosts":       {Options{Hosts: addr}, []string{addr, "refused"}},
		"no NATS at the URL":          {Options{NATSURL: url}, []string{"connecting to NATS at " + url}},
		"a NATS URL with a password": {Options{NATSURL: "nats://me:hidden@" + addr},
			[]string{"connecting to NATS at nats://me:xxxxx@" + addr}},
		"an unreadable NATS URL":           {Options{NATSURL: "nats://me:hidden@[::"}, []string{"connecting to NATS"}},
		"a directory of somebody else's":   {Options{Data: occupied}, []string{occupied, "novel.txt"}},
		"a file in place of a directory":   {Options{Data: occupied + "/novel.txt"}, []string{"novel.txt"}},
		"a component that never gets well": {Options{Hosts: hopeless(t), StartTimeout: 5 * time.Second}, []string{"link", "deadline"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := pipe(t, "x\n", test.opts)
			if got.err == nil {
				t.Fatalf("it worked: %s", got.out)
			}
			for _, want := range test.want {
				if !strings.Contains(got.err.Error(), want) {
					t.Errorf("got %q, want %q in it", got.err, want)
				}
			}
			if strings.Contains(got.err.Error()+got.log, "hidden") {
				t.Errorf("the password is shown: %v\n%s", got.err, got.log)
			}
		})
	}
}

// hopeless is a Kafka in which no group can be joined.
func hopeless(t *testing.T) string {
	cluster := testkit.Kfake(t)
	cluster.ControlKey(int16(kmsg.JoinGroup), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		response := request.ResponseKind().(*kmsg.JoinGroupResponse)
		response.ErrorCode = 30 // GROUP_AUTHORIZATION_FAILED
		return response, nil, true
	})
	return cluster.Brokers()[0]
}

func TestADataDirectoryIsUsedByOneRunAtATime(t *testing.T) {
	directory := t.TempDir()
	input, typed := io.Pipe()
	log, end := begin(t, t.Context(), input, Options{Data: directory})
	waitFor(t, log, "Each line")
	if got := pipe(t, "x\n", Options{Data: directory}); !errors.Is(got.err, errInUse) {
		t.Errorf("got %v", got.err)
	}
	typed.Close()
	end().check(t, 0)
	pipe(t, "x\n", Options{Data: directory}).check(t, 0, "x")
}
