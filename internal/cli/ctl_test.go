package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/overview"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const ctlToken = "0123456789abcdef"

// copies are two copies of a provider, each on a host of its own, with a link that reads by both.
type copies struct {
	t         *testing.T
	kc        *testkit.Client
	nats      string
	addresses []string
	came      func() int
	outputs   []func() string
}

// startCopies starts them with a config. Each has an admin address.
func startCopies(t *testing.T, config map[string]string) *copies {
	t.Helper()
	kafka := testkit.Kfake(t)
	kafka.Topic("in", 4)
	ns := testkit.NATS(t, testkit.NATSOptions{})
	c := &copies{t: t, kc: testkit.NewClient(t, kafka.Brokers()), nats: "nats://" + ns.Addr()}
	component := testkit.NewComponent(t, ns, testkit.ComponentOptions{
		Handler: func(context.Context, *testkit.Component, testkit.Call) error { return nil },
	})
	c.came = component.Calls
	first := testkit.NewFakeHost(t, ns, testkit.FakeHostOptions{})
	first.PutLink(testkit.SourceLink("kafka", "echo", map[string]string{
		"hosts": strings.Join(kafka.Brokers(), ","), "topic": "in", "start": "earliest", "commit_interval": "20ms",
		"fetch_max_wait": "100ms",
	}))
	for i, host := range []*testkit.FakeHost{first, first.Peer()} {
		own := map[string]string{"admin_address": freeAddress(t)}
		maps.Copy(own, config)
		if file := own["provider_pauses_file"]; file != "" {
			own["provider_pauses_file"] = fmt.Sprint(file, i)
		}
		p := host.StartProvider(testkit.ProviderSpec{Binary: program, Config: own})
		p.WaitHealthy()
		c.addresses = append(c.addresses, own["admin_address"])
		c.outputs = append(c.outputs, p.Output)
	}
	c.kc.WaitMembers(ctlGroup, 2)
	return c
}

const ctlGroup = "wasmcloud.default.echo.default"

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (c *copies) overNATS(args ...string) result {
	c.t.Helper()
	return run(c.t, "", nil, slices.Concat([]string{"ctl"}, args, []string{"--nats", c.nats, "--provider", "kafka"})...)
}

func (c *copies) byAddress(args ...string) result {
	c.t.Helper()
	for _, address := range c.addresses {
		args = append(args, "--address", address)
	}
	return run(c.t, "", []string{tokenVariable + "=" + ctlToken}, append([]string{"ctl"}, args...)...)
}

// begunAnew checks that act leaves a group two members that were not in it before.
func (c *copies) begunAnew(group string, act func()) {
	c.t.Helper()
	before := c.kc.MemberIDs(group)
	act()
	c.kc.WaitMembers(group, 2)
	for _, id := range c.kc.MemberIDs(group) {
		if slices.Contains(before, id) {
			c.t.Errorf("member %s was not begun anew", id)
		}
	}
}

func (c *copies) awaitCalls(n int) {
	c.t.Helper()
	testkit.Eventually(c.t, testkit.DefaultTimeout, func() error {
		if got := c.came(); got != n {
			return fmt.Errorf("%d calls, want %d", got, n)
		}
		return nil
	})
}

const sourceLink = "echo/default (as source)"

// TestCtlActsOnAllCopies: over the lattice and over HTTP all copies of a provider pause, resume, restart, and go on
// from other offsets.
func TestCtlActsOnAllCopies(t *testing.T) {
	c := startCopies(t, map[string]string{
		"provider_control_lattice": "true", "provider_control_tokens": "alice:" + ctlToken,
	})
	calls := 0
	for name, ctl := range map[string]func(args ...string) result{
		"over the lattice": c.overNATS, "by address": c.byAddress,
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			good := func(args ...string) result {
				t.Helper()
				got := ctl(args...)
				if got.code != 0 || got.err != "" {
					t.Fatalf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
				}
				return got
			}
			c.kc.ProduceText("in", "a", "b", "c", "d", "e", "f", "g", "h")
			calls += 8
			c.awaitCalls(calls)
			c.kc.WaitDrained(ctlGroup, "in")
			end := c.kc.EndOffsets("in")
			total := 0
			for _, at := range end {
				total += int(at)
			}

			if got := good("pause", "echo/default", "--reason", "the shop moves"); strings.Count(got.out, sourceLink) != 2 {
				t.Errorf("pausing says\n%s", got.out)
			}
			c.kc.WaitMembers(ctlGroup, 0)
			asked := run(t, "", nil, "status", "--address", c.addresses[0], "--address", c.addresses[1])
			if asked.code != 0 || strings.Count(asked.out, "1 of 1 link paused") != 2 ||
				strings.Count(asked.out, "the shop moves") != 2 {
				t.Errorf("the status of paused links: exit %d\n%s%s", asked.code, asked.out, asked.err)
			}
			c.kc.ProduceText("in", "later")
			calls++

			dry := good("seek", "default", "--to", "start", "--dry-run")
			if !strings.Contains(dry.out, "  in/0: from ") || !strings.Contains(dry.out, "nothing was done") {
				t.Errorf("a dry run says\n%s", dry.out)
			}
			good("resume", "echo/default")
			c.awaitCalls(calls)
			c.kc.WaitMembers(ctlGroup, 2)

			c.begunAnew(ctlGroup, func() { good("restart", "echo/default") })
			c.kc.WaitDrained(ctlGroup, "in")

			got := good("seek", "echo/default", "--to", "start")
			if n := len(regexp.MustCompile(`(?m)^  in/\d: from \d+ to 0$`).FindAllString(got.out, -1)); n != 4 {
				t.Errorf("a seek says\n%s", got.out)
			}
			calls += total + 1
			c.awaitCalls(calls)
			c.kc.WaitMembers(ctlGroup, 2)
			c.kc.WaitDrained(ctlGroup, "in")

			got = good("seek", "echo/default", "--offset", "0", "--partition", "2", "--topic", "in", "--json")
			var answers []control.Answer
			if err := json.Unmarshal([]byte(got.out), &answers); err != nil || len(answers) != 1 ||
				len(answers[0].Moves) != 1 || answers[0].Moves[0].Partition != 2 {
				t.Fatalf("as JSON it says\n%s", got.out)
			}
			calls += int(answers[0].Moves[0].From)
			c.awaitCalls(calls)
			c.kc.WaitMembers(ctlGroup, 2)

			holds := strings.Count(c.outputs[0](), "action=hold")
			bad := ctl("seek", "echo/default", "--offset", "999", "--partition", "2")
			if n := strings.Count(c.outputs[0](), "action=hold"); n != holds {
				t.Error("the copies stop reading for a seek that is refused")
			}
			if bad.code != 1 || !strings.Contains(bad.err, "offset 999 is not in the log of in/2") {
				t.Errorf("beyond the log: exit %d\n%s%s", bad.code, bad.out, bad.err)
			}
			c.kc.WaitMembers(ctlGroup, 2)
			if unknown := ctl("pause", "shop/default"); unknown.code != 2 || !strings.Contains(unknown.err, "has a link shop/default: they have echo/default") {
				t.Errorf("a link that nobody has: exit %d\n%s%s", unknown.code, unknown.out, unknown.err)
			}
		})
	}
	if !strings.Contains(c.outputs[0]()+c.outputs[1](), "action=seek") {
		t.Error("no copy logs the seek that it has made")
	}
	c.t = t
	for _, output := range c.outputs {
		for _, what := range []string{
			"operator=alice via=token", `via="lattice, by the name that he gives"`, "action=hold", `reason="the shop moves"`,
		} {
			if !strings.Contains(output(), what) {
				t.Errorf("the log does not say %s:\n%s", what, output())
			}
		}
		if strings.Contains(output(), ctlToken) {
			t.Error("the log has the token")
		}
	}
}

// TestCtlRefusesASeekBesideOthers: a copy that is not named reads, and nothing changes.
func TestCtlRefusesASeekBesideOthers(t *testing.T) {
	c := startCopies(t, map[string]string{"provider_control_tokens": "alice:" + ctlToken})
	c.kc.ProduceText("in", "a", "b", "c", "d")
	c.awaitCalls(4)
	c.kc.WaitDrained(ctlGroup, "in")
	before := fmt.Sprint(c.kc.Committed(ctlGroup, "in"))
	both := c.addresses
	c.addresses = both[:1]
	got := c.byAddress("seek", "echo/default", "--to", "start")
	if got.code != 1 || !strings.Contains(got.err, "the group has members") || got.out != "" {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	holds := strings.Count(c.outputs[0](), "action=hold")
	if holds > 0 {
		t.Error("the copy stops reading for a seek that is refused")
	}
	if dry := c.byAddress("seek", "echo/default", "--to", "start", "--dry-run"); dry != got {
		t.Errorf("the dry run says otherwise: exit %d\n%s%s", dry.code, dry.out, dry.err)
	}
	c.addresses = both
	dry := c.byAddress("seek", "echo/default", "--to", "start", "--dry-run")
	if dry.code != 0 || strings.Count(dry.out, " to 0\n") != 4 {
		t.Errorf("the dry run of both: exit %d\n%s%s", dry.code, dry.out, dry.err)
	}
	c.kc.WaitMembers(ctlGroup, 2)
	if after := fmt.Sprint(c.kc.Committed(ctlGroup, "in")); after != before {
		t.Errorf("the offsets went from %s to %s", before, after)
	}
	if n := c.came(); n != 4 {
		t.Errorf("%d calls", n)
	}

	// One that reads nothing itself, since it is paused, is no exception.
	c.addresses = both[:1]
	if paused := c.byAddress("pause", "echo/default"); paused.code != 0 {
		t.Fatalf("pausing: exit %d\n%s%s", paused.code, paused.out, paused.err)
	}
	c.kc.WaitMembers(ctlGroup, 1)
	if dry := c.byAddress("seek", "echo/default", "--to", "start", "--dry-run"); dry != got {
		t.Errorf("the dry run by a copy that is paused: exit %d\n%s%s", dry.code, dry.out, dry.err)
	}
}

// TestCtlNamesWhoDoesNotAnswer also where another copy refuses.
func TestCtlNamesWhoDoesNotAnswer(t *testing.T) {
	c := startCopies(t, map[string]string{"provider_control_tokens": "alice:another-token-than-his"})
	nobody := freeAddress(t)
	got := run(t, "", []string{tokenVariable + "=" + ctlToken},
		"ctl", "pause", "echo/default", "--address", c.addresses[0], "--address", nobody)
	if got.code != exitNotAsked || !strings.Contains(got.err, "takes a token of provider_control_tokens") ||
		!strings.Contains(got.err, "no answer: http://"+nobody) {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
}

// TestCtlIsRefusedWhereItIsOff, which is so by default, and to who has no token.
func TestCtlIsRefusedWhereItIsOff(t *testing.T) {
	c := startCopies(t, nil)
	if got := c.overNATS("pause", "echo/default"); got.code != 2 ||
		!strings.Contains(got.err, "set provider_control_lattice=true") {
		t.Errorf("over the lattice: exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := c.byAddress("pause", "echo/default"); got.code != 2 ||
		!strings.Contains(got.err, "set provider_control_tokens") {
		t.Errorf("by address: exit %d\n%s%s", got.code, got.out, got.err)
	}
	c.kc.WaitMembers(ctlGroup, 2)
}

func TestCtlRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("another-token-than-his\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := served(t, oneLink(status.Healthy, ""))
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no link":                   {[]string{"pause"}, "accepts 2 arg(s)"},
		"another action":            {[]string{"stop", "a"}, `"stop" is none of pause, resume, restart and seek`},
		"an action of copies":       {[]string{"hold", "a"}, `"hold" is none of`},
		"a seek to nowhere":         {[]string{"seek", "a"}, "give one of --to and --offset"},
		"a seek to two places":      {[]string{"seek", "a", "--to", "end", "--offset", "1", "--partition", "1"}, "give one of --to and --offset"},
		"an offset of everywhere":   {[]string{"seek", "a", "--offset", "1"}, "names the partition"},
		"a time that is none":       {[]string{"seek", "a", "--to", "noon"}, "such as 2026-03-01T12:00:00Z"},
		"a pause with a place":      {[]string{"pause", "a", "--to", "end"}, "go with seek only"},
		"a restart that is kept":    {[]string{"restart", "a", "--keep"}, "go with pause only"},
		"a seek with a reason":      {[]string{"seek", "a", "--to", "end", "--reason", "b"}, "go with pause only"},
		"a topic that is not set":   {[]string{"seek", "a", "--to", "end", "--topic", ""}, "--topic is empty"},
		"nobody to ask":             {[]string{"pause", "a"}, "whom to ask"},
		"no token":                  {[]string{"pause", "a", "--address", address}, "shows a token"},
		"a file of no token":        {[]string{"pause", "a", "--address", address, "--token-file", token + "x"}, "no such file"},
		"a token for the lattice":   {[]string{"pause", "a", "--nats", "nats://127.0.0.1:1", "--token-file", token}, "goes with --address only"},
		"an address that is a file": {[]string{"pause", "a", "--address", "file:///x", "--token-file", token}, "an address is http://host:port"},
	} {
		got := run(t, "", nil, append([]string{"ctl"}, test.args...)...)
		if got.code != exitUsage || !strings.Contains(got.err, test.says) || got.out != "" {
			t.Errorf("%s: exit %d\n%s%s", name, got.code, got.out, got.err)
		}
	}
	// What answers there is no provider that can be acted on.
	got := run(t, "", nil, "ctl", "pause", "echo/default", "--address", address, "--token-file", token)
	if got.code != 2 || !strings.Contains(got.err, "something else than messaging-kafka answers") {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
}

// TestCtlKeepsAPause over a restart of the copies, in a file of each.
func TestCtlKeepsAPause(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pauses.json")
	c := startCopies(t, map[string]string{"provider_control_lattice": "true", "provider_pauses_file": file})
	if got := c.overNATS("pause", "echo/default", "--keep"); got.code != 0 {
		t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	for i := range c.addresses {
		text, err := os.ReadFile(fmt.Sprint(file, i))
		if err != nil || !strings.Contains(string(text), `"component": "echo"`) {
			t.Errorf("the file of copy %d: %s, %v", i, text, err)
		}
	}
	if got := c.overNATS("resume", "echo/default"); got.code != 0 {
		t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	for i := range c.addresses {
		if text, err := os.ReadFile(fmt.Sprint(file, i)); err != nil || strings.Contains(string(text), "echo") {
			t.Errorf("the file of copy %d: %s, %v", i, text, err)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("both have one file: %v", err)
	}
}

func TestCtlTellsCopiesApart(t *testing.T) {
	copies := []*status.Provider{
		{ProviderKey: "shop", HostID: "vm", InstanceID: "one", Words: status.OfRoutes},
		{ProviderKey: "shop", HostID: "vm", InstanceID: "two", Words: status.OfRoutes},
		{ProviderKey: "kafka", HostID: "other", InstanceID: "three"},
	}
	want := map[string]string{
		"one": "bridge shop on host vm, copy one", "two": "bridge shop on host vm, copy two",
		"three": "provider kafka on host other",
	}
	if got := copyNames(copies); !maps.Equal(got, want) {
		t.Errorf("they are called %q", got)
	}
	bridges := &overview.Answer{Providers: []status.Provider{*copies[0], *copies[1]}}
	if got := wordsOf(bridges); got != status.OfRoutes {
		t.Errorf("bridges have %s", got.Link())
	}
	bridges.Providers = append(bridges.Providers, *copies[2])
	if got := wordsOf(bridges); got != status.OfLinks {
		t.Errorf("a bridge and a provider have %s", got.Link())
	}
}

func TestADryRunLeavesOutTheMembersThatCopiesTell(t *testing.T) {
	t.Parallel()
	dry := control.Request{Action: control.Seek, Link: "a", Seek: &control.Target{To: control.ToEnd}, DryRun: true}
	long := make([]string, 400)
	for i := range long {
		long[i] = strings.Repeat("m", 40)
	}
	for name, test := range map[string]struct {
		told    [][]string
		members []string
		unknown string
	}{
		"nobody reads":            {[][]string{{}, {}}, []string{}, ""},
		"two copies":              {[][]string{{"a"}, {}, {"b", "c"}}, []string{"a", "b", "c"}, ""},
		"one of an older release": {[][]string{{"a"}, nil}, nil, "not all copies tell"},
		"too many":                {[][]string{long}, nil, "names of more than 12288 bytes"},
	} {
		var answers []control.Answer
		for _, members := range test.told {
			answers = append(answers, control.Answer{OK: true, Members: members})
		}
		members, unknown := membersOf(answers, dry)
		if !slices.Equal(members, test.members) || (members == nil) != (test.members == nil) ||
			!strings.Contains(unknown, test.unknown) || (unknown == "") != (test.unknown == "") {
			t.Errorf("%s: %q, %s", name, members, unknown)
		}
	}
}
