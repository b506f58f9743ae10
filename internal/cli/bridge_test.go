package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestBridgeCheckTellsOfKafkaAndOfTheApplication(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	answer := http.StatusOK
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(answer) }))
	t.Cleanup(app.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	content := func(topic, url string) string {
		return "hosts: " + k.Brokers()[0] + "\nroutes:\n  orders:\n    topic: " + topic +
			"\n    deliver: http-records\n    url: " + url + "\n    http_bearer_token: ${THE_SECRET}\n"
	}
	// answering reads a request, answers something and closes the connection.
	answering := func(answer string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = conn.Write([]byte(answer)) // who has gone needs none
				}
				_ = conn.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
	const secret = "hunter2-must-not-show"
	env := []string{"THE_SECRET=" + secret}
	for _, test := range []struct {
		name, content string
		answer, code  int
		out, err      string
	}{
		{"all is well", content("orders", app.URL), 405, exitOK, "ok    url         the application at url answers", ""},
		{"no topic", content("missing", app.URL), 200, exitFailure, "FAIL  topic       topic missing", "not well: route orders"},
		{"nobody there", content("orders", gone.URL), 200, exitFailure, "FAIL  url         the application cannot be reached: dial tcp", "not well: route orders"},
		{"a redirect", content("orders", app.URL), 302, exitFailure, "FAIL  url         the application answers 302 Found: redirects are refused, so set url to where it leads; records would wait", "not well"},
		{"other credentials", content("orders", app.URL), 401, exitFailure, "FAIL  url         the application does not take the route's credentials", "not well"},
		{"a proxy", content("orders", app.URL), 407, exitFailure, "FAIL  url         a proxy between the bridge and the application answers 407", "not well"},
		{"no right", content("orders", app.URL), 403, exitOK, "warn  url         the application answers 403 Forbidden to HEAD: records that it answers so would be rejected", ""},
		{"too many", content("orders", app.URL), 429, exitOK, "warn  url         the application answers 429 Too Many Requests to HEAD: records that it answers so would be delivered again", ""},
		{"no workload", content("orders", app.URL), 404, exitOK, "warn  url         the application answers 404 Not Found to HEAD, which means that nobody is there: records would wait", ""},
		{"TLS", content("orders", answering("\x15\x03\x01\x00\x02\x02\x46")), 200, exitFailure, "the application cannot be reached: the other end speaks TLS: begin the url with https", "not well"},
		{"no answer", content("orders", answering("")), 200, exitFailure, "FAIL  url         the application gave no answer: EOF; records would be delivered again, and be given up after max_attempts", "not well"},
		{"what publishes alone", "listen: 127.0.0.1:0\nhosts: " + k.Brokers()[0] + "\nroutes:\n  orders:\n    order: key\n",
			200, exitOK, "skip  read        the route reads no topic", ""},
		{"a circle", content("orders", app.URL) + "    dead_letter_topic: orders\n", 200, exitUsage, "", "is one of the topics that the route reads"},
		{"open to others", "listen: 0.0.0.0:28066\n" + content("orders", app.URL), 200, exitUsage, "", "name callers with tokens or certificates, or say listen_open"},
		{"one port for two", "admin_address: 28066\nlisten: 127.0.0.1:28066\n" + content("orders", app.URL),
			200, exitUsage, "",
			"bridge.yaml:2: listen: and admin_address have one port"},
		{"no certificate", "listen: 28066\nlisten_tls_cert_file: none\nlisten_tls_key_file: none\n" + content("orders", app.URL),
			200, exitUsage, "", "bridge.yaml:2: listen_tls_cert_file: looking at the file: stat "},
		{"two faults of the file", content("orders", app.URL) + "    max_inflight: 3\n    url_: x\n", 200, exitUsage, "", "bridge.yaml:8: routes.orders.max_inflight: is not known here"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer = test.answer
			r := run(t, "", env, "bridge", "check", "--config", write(t, "bridge.yaml", test.content))
			if r.code != test.code || !strings.Contains(r.out, test.out) || !strings.Contains(r.err, test.err) {
				t.Errorf("%d, not %d\n%s%s", r.code, test.code, r.out, r.err)
			}
			if strings.Contains(r.out+r.err, secret) {
				t.Error("it tells the secret")
			}
			if found := ofLinks.FindString(r.out + r.err); found != "" {
				t.Errorf("it speaks of %q, of which a bridge has none:\n%s%s", found, r.out, r.err)
			}
		})
	}
	r := run(t, "", env, "bridge", "check", "--json", "--config", write(t, "bridge.yaml", content("orders", app.URL)))
	var report checkReport
	err := json.Unmarshal([]byte(r.out), &report)
	if err != nil || len(report.Links) != 1 || report.Links[0].Link != "orders" {
		t.Errorf("the report is %s (%v)", r.out, err)
	}
}

// ofLinks are words of a provider.
var ofLinks = regexp.MustCompile(`\b(links?|components?)\b`)

// TestBridgeCheckTriesToListen as a start would, and does not take the bridge itself for somebody else.
func TestBridgeCheckTriesToListen(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	content := func(above string) string {
		return "name: shop\n" + above + "\nhosts: " + k.Brokers()[0] + "\nroutes:\n  orders:\n    allowed_topics: orders\n"
	}
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken, mine, admin := other.Addr().String(), free(), free()
	running := write(t, "bridge.yaml", content("admin_address: "+admin+"\nlisten: "+mine))
	listening := make(chan net.Addr, 1)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- bridge.Run(ctx, bridge.Options{
			Path: running, Lookup: os.LookupEnv, OnAdmin: func(a net.Addr) { listening <- a },
		})
	}()
	defer func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	<-listening
	for _, test := range []struct {
		name, above string
		code        int
		out         []string
	}{
		{"all is free", "listen: 127.0.0.1:0", exitOK, []string{"ok    listen      listen: 127.0.0.1:0 can be listened on"}},
		{"taken by who knows whom", "listen: " + taken, exitFailure, []string{"FAIL  listen      listen: " + taken + " (line 2) cannot be listened on, and the bridge would not start here: listen tcp " + taken + ": bind: address already in use"}},
		{"no address of this machine", "listen: 192.0.2.1:80\nlisten_open: true", exitFailure, []string{"FAIL  listen      listen: 192.0.2.1:80 (line 2) cannot be listened on", "cannot assign requested address"}},
		{"no host", "listen: no.such.host.invalid:80\nlisten_open: true", exitFailure, []string{"FAIL  listen      listen: no.such.host.invalid:80 (line 2) cannot be listened on"}},
		{"an admin address that is taken", "admin_address: " + taken + "\nlisten: 127.0.0.1:0", exitFailure, []string{"FAIL  listen      admin_address: " + taken + " (line 2) cannot be listened on, and the bridge would start here without it and be unhealthy"}},
		{"it runs here", "admin_address: " + admin + "\nlisten: " + mine, exitOK, []string{"skip  listen      admin_address: " + admin + " (line 2) is not tried: the bridge shop runs here already", mine + " (line 3) is not tried"}},
		{"a bridge runs here", "listen: " + mine, exitOK, []string{"warn  listen      listen: " + mine + " (line 2) is taken by a bridge that runs already"}},
		{"another bridge runs here", "admin_address: " + admin + "\nname: bakery\nlisten: 127.0.0.1:0", exitFailure, []string{"FAIL  listen      admin_address: " + admin + " (line 1) is taken by another bridge"}},
		{"another bridge listens there", "admin_address: " + free() + "\nlisten: " + mine, exitFailure, []string{"FAIL  listen      listen: " + mine + " (line 3) is taken by another bridge"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := content(test.above)
			if strings.Contains(test.above, "name: ") {
				file = strings.TrimPrefix(file, "name: shop\n")
			}
			r := run(t, "", nil, "bridge", "check", "--config", write(t, "bridge.yaml", file))
			if r.code != test.code {
				t.Errorf("%d, not %d\n%s%s", r.code, test.code, r.out, r.err)
			}
			for _, out := range test.out {
				if !strings.Contains(r.out, out) {
					t.Errorf("it does not say %q\n%s%s", out, r.out, r.err)
				}
			}
		})
	}
}

func TestBridgeSchemaIsOne(t *testing.T) {
	r := run(t, "", nil, "bridge", "schema")
	var schema struct{ Required []string }
	if err := json.Unmarshal([]byte(r.out), &schema); err != nil || len(schema.Required) != 1 || r.code != exitOK {
		t.Errorf("it is %d %s (%v)", r.code, r.out, err)
	}
}

func TestBridgeSaysWhatIsWrongWithItsCommandLine(t *testing.T) {
	file := write(t, "bridge.yaml", "routes: {}")
	for _, args := range [][]string{
		{}, {"--config", file, "--log-level", "loud"}, {"--config", file, "--log-format", "xml"}, {"--config", file, "--patience", "0s"},
		{"check"}, {"check", "--config", file, "--timeout", "0s"}, {"check", "--config", filepath.Join(t.TempDir(), "nowhere")},
	} {
		if r := run(t, "", nil, append([]string{"bridge"}, args...)...); r.code != exitUsage || r.err == "" {
			t.Errorf("%q: %d %s", args, r.code, r.err)
		}
	}
	if r := run(t, "", nil, "bridge", "--config", file); r.code != exitFailure || !strings.Contains(r.err, "routes: is missing") {
		t.Errorf("a file of no use: %d %s", r.code, r.err)
	}
}

func TestBridgeCheckTellsOfNATS(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) { o.Authorization = "right" }})
	file := write(t, "bridge.yaml", "hosts: "+k.Brokers()[0]+"\nroutes:\n  orders:\n    topic: orders\n    deliver: nats-reply\n    nats_url: "+
		ns.URL()+"\n    nats_token: ${TOKEN}\n")
	check := func(token string, code int, text string) {
		t.Helper()
		r := run(t, "", []string{"TOKEN=" + token}, "bridge", "check", "--config", file)
		if r.code != code || !strings.Contains(r.out, text) {
			t.Errorf("exit status %d, not %d\n%s%s", r.code, code, r.out, r.err)
		}
	}
	check("right", exitOK, "ok    nats        the server at nats_url answers, and takes the credentials")
	check("wrong", exitFailure, "FAIL  nats        the server at nats_url cannot be used: the server does not take the credentials (nats_token): nats: Authorization Violation")
	check("right", exitOK, "skip  nats        not checked, since trying it has effects: whether the user may publish on {topic}")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	testkit.NewAuthority(t).WriteBeside(ca, []byte{0x30, 3, 2, 1, 0})
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	file = write(t, "secured.yaml", string(before)+"    nats_tls_ca_file: "+ca+"\n")
	check("right", exitFailure, "warn  nats        nats_tls_ca_file: has certificates that cannot be read and are left out (numbers [2])")
	ns.Stop()
	check("right", exitFailure, "FAIL  nats        the server at nats_url cannot be used")
}

// TestBridgeCheckAsksOfStreams that a route needs, and says what it has no right to ask.
func TestBridgeCheckAsksOfStreams(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("dead", 1)
	user := func(name string, publish ...string) *server.User {
		u := &server.User{Username: name, Password: "of-the-app"}
		if len(publish) > 0 {
			u.Permissions = &server.Permissions{Publish: &server.SubjectPermission{Allow: publish}}
		}
		return u
	}
	users := []*server.User{
		user("all"), user("few", "kafka.orders"),
		user("deaf"), user("no-names", "$JS.API.STREAM.INFO.>"),
	}
	users[2].Permissions = &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"_INBOX.>"}}}
	ns := testkit.NATS(t, testkit.NATSOptions{JetStream: true, Configure: func(o *server.Options) { o.Users = users }})
	without := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) { o.Users = users }})
	js, err := jetstream.New(ns.Connect(nats.UserInfo("all", "of-the-app")))
	if err != nil {
		t.Fatal(err)
	}
	for name, subjects := range map[string][]string{
		"ORDERS": {"kafka.orders", "kafka.*.0.>"}, "BILLS": {"bills"}, "QUIET": {"quiet"},
		"GIVEN_UP": {"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.ORDERS.*", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.ORDERS.*"},
	} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects}); err != nil {
			t.Fatal(err)
		}
	}
	const fail, skip, effects = "FAIL  nats        ", "skip  nats        ", "skip  nats        not checked, since trying it has effects: whether the user may "
	for name, test := range map[string]struct {
		ns          *testkit.NATSServer
		user, route string
		want        []string
	}{
		"all is well": {ns, "all", "nats_subject: kafka.orders\nnats_stream: ORDERS\nnats_advisory_stream: GIVEN_UP", []string{
			effects + "publish on kafka.orders, read GIVEN_UP by a consumer",
		}},
		"whichever stream": {ns, "all", "nats_subject: kafka.orders", []string{effects + "publish on kafka.orders"}},
		"placeholders":     {ns, "all", "nats_subject: 'kafka.{topic}.{partition}.{key}'\nnats_stream: ORDERS", []string{effects + "publish on"}},
		"a pattern": {ns, "all", "topic: /ord.*/\nnats_subject: '{topic}'\nnats_stream: ORDERS", []string{
			skip + "not checked: whether a stream has the subjects of the topics that will match", effects + "publish on",
		}},
		"no stream": {ns, "all", "nats_subject: kafka.orders\nnats_stream: NONE", []string{
			fail + "reading the stream NONE: stream not found", effects + "publish on",
		}},
		"another stream": {ns, "all", "nats_subject: kafka.orders\nnats_stream: BILLS", []string{
			fail + "the stream BILLS does not have the subject kafka.orders: add it, or mend nats_subject or nats_stream", effects + "publish on",
		}},
		"no stream at all": {ns, "all", "nats_subject: 'nobody.{topic}'", []string{
			fail + "no stream of JetStream has the subject nobody.orders: make one", effects + "publish on",
		}},
		"no advisories": {ns, "all", "nats_subject: kafka.orders\nnats_stream: ORDERS\nnats_advisory_stream: QUIET", []string{
			fail + "the stream QUIET does not keep what NATS tells of it: add the subject $JS.EVENT.", effects + "publish on",
		}},
		"no JetStream": {without, "all", "nats_subject: kafka.orders\nnats_stream: ORDERS\nnats_advisory_stream: GIVEN_UP", []string{
			fail + "the server has no JetStream, or not for this account", effects + "publish on",
		}},
		"no right to ask": {ns, "few", "nats_subject: kafka.orders\nnats_stream: ORDERS", []string{
			skip + "not checked: whether there is the stream ORDERS, and it has the subjects of the route (the user of nats_url may not publish on $JS.API.STREAM.INFO.ORDERS)",
			effects + "publish on",
		}},
		"no right to ask which stream": {ns, "no-names", "nats_subject: kafka.orders", []string{
			skip + "not checked: whether a stream has the subject kafka.orders (the user of nats_url may not publish on $JS.API.STREAM.NAMES)",
			effects + "publish on",
		}},
		"no right that is needed": {ns, "few", "nats_subject: kafka.orders\nnats_stream: ORDERS\nnats_advisory_stream: GIVEN_UP", []string{
			fail + "the user of nats_url may not publish on $JS.API.STREAM.INFO.GIVEN_UP: allow it",
			skip + "not checked: whether there is the stream ORDERS", effects + "publish on",
		}},
		"no right to hear": {ns, "deaf", "nats_subject: kafka.orders\nnats_stream: ORDERS\nnats_advisory_stream: GIVEN_UP", []string{
			fail + "the user may not subscribe to _INBOX.>: allow it",
			skip + "not checked: whether there is the stream ORDERS", effects + "publish on",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.HasPrefix(test.route, "topic: ") {
				test.route = "topic: orders\n" + test.route
			}
			file := write(t, "bridge.yaml", fmt.Sprintf("hosts: %s\nroutes:\n  orders:\n    deliver: jetstream\n    nats_url: %s\n"+
				"    nats_user: %s\n    nats_password: ${PASSWORD}\n    dead_letter_topic: dead\n    start: earliest\n    %s\n",
				k.Brokers()[0], test.ns.URL(), test.user, strings.ReplaceAll(test.route, "\n", "\n    ")))
			r := run(t, "", []string{"PASSWORD=of-the-app"}, "bridge", "check", "--config", file)
			var got []string
			for line := range strings.Lines(r.out) {
				if strings.Contains(line, "  nats  ") && !strings.Contains(line, "the server at nats_url answers") {
					got = append(got, line)
				}
			}
			begins := func(line, want string) bool { return strings.HasPrefix(line, want) }
			if !slices.EqualFunc(got, test.want, begins) || (r.code == exitOK) != !strings.Contains(r.out, "FAIL") {
				t.Errorf("exit status %d, want %q\n%s%s", r.code, test.want, r.out, r.err)
			}
		})
	}
}

// TestBridgeCheckTriesRightsOfNATS that can be tried without taking a message of anybody.
func TestBridgeCheckTriesRightsOfNATS(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	file := func(ns *testkit.NATSServer) string {
		return write(t, "bridge.yaml", "hosts: "+k.Brokers()[0]+"\nroutes:\n  orders:\n    allowed_topics: orders\n    nats_url: "+
			ns.URL()+"\n    nats_user: app\n    nats_password: ${PASSWORD}\n    nats_publish_subject: kafka.>,bills\n")
	}
	for _, test := range []struct {
		subscribe []string
		code      int
		refused   []string
	}{
		{[]string{"_INBOX.>", "kafka.>", "bills"}, exitOK, nil},
		{[]string{"_INBOX.>", "bills"}, exitFailure, []string{"kafka.>"}},
		{[]string{"kafka.>"}, exitFailure, []string{"_INBOX.>"}},
		{[]string{"others"}, exitFailure, []string{"_INBOX.>", "kafka.>"}},
	} {
		ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
			o.Users = []*server.User{{Username: "app", Password: "of-the-app", Permissions: &server.Permissions{
				Subscribe: &server.SubjectPermission{Allow: test.subscribe},
				Publish:   &server.SubjectPermission{Allow: []string{"none"}},
			}}}
		}})
		r := run(t, "", []string{"PASSWORD=of-the-app"}, "bridge", "check", "--config", file(ns))
		if n := strings.Count(r.out, "FAIL  nats"); r.code != test.code || n != len(test.refused) {
			t.Errorf("%v: exit status %d\n%s%s", test.subscribe, r.code, r.out, r.err)
		}
		for _, subject := range test.refused {
			if !strings.Contains(r.out, "FAIL  nats        the user may not subscribe to "+subject+": ") {
				t.Errorf("%v: it does not say that %s is refused\n%s", test.subscribe, subject, r.out)
			}
		}
		if !strings.Contains(r.out, "skip  nats        not checked, since trying it has effects: whether the user may subscribe to bills, publish answers on _INBOX.>") {
			t.Errorf("%v: it does not say what is not checked\n%s", test.subscribe, r.out)
		}
	}
}
