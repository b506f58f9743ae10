package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckTellsByItsStatusHowItWent(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 3)
	hosts := k.Brokers()[0]
	const secret = "hunter2-must-not-show"
	file := write(t, "link.properties", "# a link\nhosts="+hosts+"\ntopic='orders'\nreply_topic=none\nconsumer_group=g\n")
	manifest := write(t, "wadm.yaml", `
metadata: {name: shop}
spec:
  components:
    - name: mailer
      type: component
      traits:
        - type: link
          properties:
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
            target:
              name: kafka
              config: [{name: c, properties: {hosts: "`+hosts+`", topic: orders, reply_topic: none}}]
              secrets: [{name: sasl_password, properties: {policy: vault, key: k}}]
    - {name: kafka, type: capability, properties: {image: messaging-kafka}}
`)
	for name, test := range map[string]struct {
		args     []string
		input    string
		code     int
		out, err string
	}{
		"all is well":                    {[]string{"--file", file}, "", exitOK, "ok    read        topic orders: ", ""},
		"settings on standard input":     {[]string{"--file", "-"}, "hosts=" + hosts, exitOK, "topic=none, publishes only", ""},
		"arguments":                      {[]string{"hosts=" + hosts, "topic=orders", "--set", "reply_topic=none", "--component", "c"}, "", exitOK, "ok    read        topic orders: ", ""},
		"an argument that is none":       {[]string{secret}, "", exitUsage, "", "an argument is of the form KEY=VALUE"},
		"a bridge's file":                {[]string{"--manifest", write(t, "bridge.yaml", "routes: {orders: {topic: orders}}\n")}, "", exitUsage, "", "messaging-kafka bridge check"},
		"a secret for nobody":            {[]string{"--manifest", manifest, "--secret", "sasl_pasword=" + secret}, "", exitUsage, "", "the secret sasl_pasword is given, and nothing of the manifest names it"},
		"a flag beats the file":          {[]string{"--file", file, "--set", "hosts=127.0.0.1:1"}, "", exitFailure, "FAIL  tcp         127.0.0.1:1: ", "not well"},
		"settings that contradict":       {[]string{"--file", file, "--set", "sasl_mechanism=PLAIN", "--set", "sasl_password=" + secret}, "", exitFailure, "FAIL  settings    sasl_username: is missing", "not well"},
		"a wrong password":               {[]string{"--file", file, "--set", "security_protocol=SASL_PLAINTEXT", "--set", "sasl_mechanism=PLAIN", "--set", "sasl_username=u", "--secret-env", "sasl_password=THE_SECRET"}, "", exitFailure, "FAIL  sasl ", "not well"},
		"a manifest without its secret":  {[]string{"--manifest", manifest}, "", exitFailure, "--secret-file sasl_password=PATH", "link mailer/default"},
		"a manifest":                     {[]string{"--manifest", manifest, "--secret-file", "sasl_password=" + write(t, "secret", secret+"\n"), "--set", "security_protocol=PLAINTEXT"}, "", exitOK, "link mailer/default, mailer → kafka, wasmcloud:messaging/consumer\n", ""},
		"nothing to check":               {nil, "", exitUsage, "", "--set, --file or --manifest"},
		"a setting without a value":      {[]string{"--set", secret}, "", exitUsage, "", "KEY=VALUE"},
		"a secret without a key":         {[]string{"--file", file, "--secret", secret}, "", exitUsage, "", "KEY=VALUE"},
		"a secret twice":                 {[]string{"--file", file, "--secret", "a=" + secret, "--secret-env", "a=THE_SECRET"}, "", exitUsage, "", "given twice"},
		"a variable that is not set":     {[]string{"--file", file, "--secret-env", "a=NOT_THERE"}, "", exitUsage, "", "no variable NOT_THERE"},
		"a file that is not there":       {[]string{"--file", "/nonexistent"}, "", exitUsage, "", "/nonexistent"},
		"a file of another form":         {[]string{"--file", write(t, "bad", secret)}, "", exitUsage, "", "line 1 is not key=value"},
		"a link that the manifest lacks": {[]string{"--manifest", manifest, "--link", "other"}, "", exitUsage, "", "mailer/default"},
		"a direction for a manifest":     {[]string{"--manifest", manifest, "--source"}, "", exitUsage, "", "--source"},
		"an interface for a manifest":    {[]string{"--manifest", manifest, "--interface", "messaging-kafka:records/handler"}, "", exitUsage, "", "--interface"},
		"two directions":                 {[]string{"--file", file, "--source", "--interface", "messaging-kafka:records/handler"}, "", exitUsage, "", "--source"},
		"no interface of ours":           {[]string{"--file", file, "--interface", "wasi:keyvalue/store"}, "", exitUsage, "", "wasi:keyvalue/store"},
		"no package":                     {[]string{"--file", file, "--interface", "processor"}, "", exitUsage, "", "PACKAGE/NAME"},
		"batches":                        {[]string{"--file", file, "--set", "transactions=true", "--interface", "messaging-kafka:records/processor@0.1.0"}, "", exitOK, "transactions=true", ""},
		"transactions of messages":       {[]string{"--file", file, "--set", "transactions=true", "--source"}, "", exitFailure, "FAIL  settings    transactions: only", "not well"},
		"no time at all":                 {[]string{"--file", file, "--timeout", "0s"}, "", exitUsage, "", "--timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, test.input, []string{"THE_SECRET=" + secret}, append([]string{"check"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || !strings.Contains(got.err, test.err) ||
				(test.err == "") != (got.err == "") {
				t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
			}
			if strings.Contains(got.out+got.err, secret) {
				t.Errorf("the secret is shown:\n%s%s", got.out, got.err)
			}
		})
	}
}

func TestCheckPrintsJSON(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 2)
	got := run(t, "", nil, "check", "--json", "--set", "hosts="+k.Brokers()[0], "--set", "topic=orders,absent", "--set",
		"reply_topic=none", "--component", "c")
	var report struct {
		Status string
		Links  []struct {
			Link, Status string
			Steps        []struct{ Step, Target, Status, Class, Text string }
			Lag          []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("%v in %s", err, got.out)
	}
	if got.code != exitFailure || report.Status != "fail" || len(report.Links) != 1 || report.Links[0].Link != "default" ||
		report.Links[0].Status != "fail" {
		t.Errorf("exit %d, %+v", got.code, report)
	}
	found := false
	for _, s := range report.Links[0].Steps {
		found = found || (s.Step == "topic" && s.Target == "topic absent" && s.Status == "fail" &&
			s.Class == "unknown_topic" && s.Text != "")
	}
	if !found || len(report.Links[0].Lag) != 2 {
		t.Errorf("got %s", got.out)
	}
	for _, field := range []string{"topic", "partition", "committed", "start", "end", "lag"} {
		if _, ok := report.Links[0].Lag[0][field]; !ok {
			t.Errorf("lag has no field %s", field)
		}
	}
}
