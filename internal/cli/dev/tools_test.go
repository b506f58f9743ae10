package dev

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// awaitLog waits until a run has said something.
func awaitLog(t *testing.T, log *testkit.Log, text string) {
	t.Helper()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !strings.Contains(log.String(), text) {
			return fmt.Errorf("no %q in\n%s", text, log.String())
		}
		return nil
	})
}

// TestKafkasOwnToolsWork: what a person has at hand to look at a Kafka must not fail at this one.
func TestKafkasOwnToolsWork(t *testing.T) {
	in, write := io.Pipe()
	log, end := begin(t, t.Context(), in, Options{})
	awaitLog(t, log, "Each line of the input")
	address := regexp.MustCompile(`Kafka +(127\.0\.0\.1:\d+)`).FindStringSubmatch(log.String())[1]
	if _, err := write.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) string {
		return testkit.KafkaTool(t, args[0], address, args[1:]...)
	}
	tool("topics", "--create", "--topic", "mine", "--partitions", "2", "--config", "retention.ms=60000")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"topics", "--list"}, `(?m)^mine$`},
		{[]string{"topics", "--describe", "--topic", "mine"}, `PartitionCount: 2.*retention\.ms=60000`},
		{[]string{"get-offsets", "--topic", Topic}, `wasmcloud\.echo:0:2`},
		{[]string{"consumer-groups", "--list"}, `(?m)^wasmcloud\.dev\.echo\.default$`},
		{[]string{"consumer-groups", "--describe", "--group", "wasmcloud.dev.echo.default"}, `wasmcloud\.echo +0 +\d+ +2 `},
		{[]string{"consumer-groups", "--describe", "--state", "--group", "wasmcloud.dev.echo.default"}, `Stable`},
		{[]string{"consumer-groups", "--describe", "--members", "--group", "wasmcloud.dev.echo.default"}, `messaging-kafka`},
		{[]string{"configs", "--describe", "--topic", "mine"}, `retention\.ms=60000`},
		{[]string{"api-versions"}, `Produce\(0\)`},
	} {
		if out := tool(c.args...); !regexp.MustCompile(c.want).MatchString(out) {
			t.Errorf("%s: no %s in\n%s", strings.Join(c.args, " "), c.want, out)
		}
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	end().check(t, 0, "one", "two")
}
