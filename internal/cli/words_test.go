package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// saslSecret is a password that a broker repeats.
const saslSecret = "Zq7-canary/of.the+route=19"

// brokersWords are those of a broker that says more than it should: the password, orders for a terminal, a line that
// looks like one of the log, and ten kilobytes.
var brokersWords = "topics are named team.name, and not " + saslSecret +
	";\nlevel=ERROR msg=\x1b[31mforged\x1b[0m\u202e " + strings.Repeat("and so on ", 1000)

// brokersSaid is how they are told.
const brokersSaid = "; the broker says: topics are named team.name, and not " + redact.Mark + "; level=ERROR msg="

// theLog has at debug level what the client says as well, of which each text is cut by the log.
const theLog = "the log"

// wordsRig is a Kafka with a password that gives reasons of its own, and a bridge.
type wordsRig struct {
	*testkit.FakeKafka
	t      *testing.T
	env    []string
	file   string
	admin  string
	listen string
	log    testkit.Log
}

func newWordsRig(t *testing.T) *wordsRig {
	t.Helper()
	return &wordsRig{
		FakeKafka: testkit.Kfake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "app", saslSecret)),
		t:         t, env: []string{"PASSWORD=" + saslSecret},
	}
}

// refuseTopics has the broker create no topic, for a reason.
func (r *wordsRig) refuseTopics(code *kerr.Error) {
	r.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.KeepControl()
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, topic := range req.(*kmsg.CreateTopicsRequest).Topics {
			one := kmsg.NewCreateTopicsResponseTopic()
			one.Topic, one.ErrorCode, one.ErrorMessage = topic.Topic, code.Code, new(brokersWords)
			resp.Topics = append(resp.Topics, one)
		}
		return resp, nil, true
	})
}

// refusePasswords has the broker take no password, for a reason.
func (r *wordsRig) refusePasswords() {
	r.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, new(brokersWords)
		return resp, nil, true
	})
}

// kafka are the settings of Kafka as lines.
func (r *wordsRig) kafka() []string {
	return []string{
		"hosts: " + r.Brokers()[0], "security_protocol: SASL_PLAINTEXT", "sasl_mechanism: PLAIN", "sasl_username: app",
		"sasl_password: ${PASSWORD}", "create_topics: true",
	}
}

// flags are the same as flags of commands.
func (r *wordsRig) flags() []string {
	return []string{
		"--set", "hosts=" + r.Brokers()[0], "--set", "security_protocol=SASL_PLAINTEXT", "--set", "sasl_mechanism=PLAIN",
		"--set", "sasl_username=app", "--secret-env", "sasl_password=PASSWORD",
	}
}

// start runs a bridge with routes until the test ends.
func (r *wordsRig) start(routes ...string) {
	r.t.Helper()
	r.listen = freeAddress(r.t)
	above := append(r.kafka(), "name: shop", "admin_address: 127.0.0.1:0", "listen: "+r.listen,
		"provider_control_tokens: alice:${TOKEN}", "routes:")
	r.env = append(r.env, "TOKEN="+ctlToken)
	r.file = write(r.t, "bridge.yaml", strings.Join(append(above, routes...), "\n")+"\n")
	admin := make(chan net.Addr, 1)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- bridge.Run(ctx, bridge.Options{
			Path: r.file, Log: r.log.Logger(), OnAdmin: func(a net.Addr) { admin <- a },
			Lookup: func(name string) (string, bool) {
				i := slices.IndexFunc(r.env, func(s string) bool { return strings.HasPrefix(s, name+"=") })
				if i < 0 {
					return os.LookupEnv(name)
				}
				return strings.TrimPrefix(r.env[i], name+"="), true
			},
		})
	}()
	r.t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
		plainly(r.t, theLog, r.log.String())
		if r.t.Failed() {
			r.t.Log(r.log.String())
		}
	})
	select {
	case a := <-admin:
		r.admin = a.String()
	case err := <-ended:
		ended <- err
		r.t.Fatalf("the bridge does not begin: %v", err)
	}
}

// client is one of the test's own.
func (r *wordsRig) client() *testkit.Client {
	return testkit.NewClient(r.t, r.Brokers(), kgo.SASL(plain.Auth{User: "app", Pass: saslSecret}.AsMechanism()))
}

// plainly sees that a text has no secret, and nothing that a terminal obeys or that begins a line of somebody else's.
func plainly(t *testing.T, place, text string) {
	t.Helper()
	if strings.Contains(text, saslSecret) || strings.Contains(text, saslSecret[:8]) {
		t.Errorf("%s has the secret: %s", place, text)
	}
	if i := strings.IndexFunc(text, func(c rune) bool {
		return c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c))
	}); i >= 0 {
		t.Errorf("%s has the character %q: %.300s", place, text[i:i+1], text[max(0, i-150):])
	}
	if regexp.MustCompile(`(?m)^\s*level=ERROR`).MatchString(text) {
		t.Errorf("%s has a line that the broker has written: %s", place, text)
	}
}

// told sees that a text says ours and then the broker's words.
func told(t *testing.T, place, text, ours string) {
	t.Helper()
	plainly(t, place, text)
	// A table breaks its lines.
	flat := strings.Join(strings.Fields(text), " ")
	_, said, found := strings.Cut(flat, ours)
	if !found || !strings.Contains(said, brokersSaid) {
		t.Errorf("%s does not say %q and then what the broker does: %.3000s", place, ours, text)
	}
	for one := range strings.SplitSeq(flat, brokersSaid) {
		if n := strings.Count(one, "and so on"); n > 60 && place != theLog {
			t.Errorf("%s repeats %d words of the broker", place, n)
		}
	}
}

// get reads what is at a path of the admin address, once a busy bridge tells it.
func (r *wordsRig) get(path string) string {
	r.t.Helper()
	var body []byte
	testkit.Eventually(r.t, testkit.DefaultTimeout, func() error {
		resp, err := http.Get("http://" + r.admin + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err == nil && strings.Contains(string(body), "does not tell its status") {
			err = fmt.Errorf("%s says %s", path, body)
		}
		return err
	})
	return string(body)
}

// problems are those of each route, by its name, as the page has them.
func (r *wordsRig) problems() map[string]string {
	r.t.Helper()
	var links struct {
		Links []struct{ Name, Reason string }
	}
	body := r.get("/links")
	plainly(r.t, "/links", body)
	if err := json.Unmarshal([]byte(body), &links); err != nil {
		r.t.Fatalf("%v: %s", err, body)
	}
	found := make(map[string]string)
	for _, l := range links.Links {
		found[l.Name] = strings.TrimPrefix(found[l.Name]+"; "+l.Reason, "; ")
	}
	return found
}

// await waits until the problem of a route has a text, and returns it.
func (r *wordsRig) await(route, text string) string {
	r.t.Helper()
	var said string
	testkit.Eventually(r.t, testkit.DefaultTimeout, func() error {
		if said = r.problems()[route]; !strings.Contains(said, text) {
			return fmt.Errorf("route %s says %q", route, said)
		}
		return nil
	})
	return said
}

// publish publishes over HTTP, and returns the error that the caller gets.
func (r *wordsRig) publish(topic string) string {
	r.t.Helper()
	to := "http://" + r.listen + "/topics/" + topic
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, to, strings.NewReader("tea"))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Messaging-Kafka-Route", "publishes")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// TestWordsOfTheBrokerAreToldAtEachPlace where a topic is not created: behind ours, without secrets, cut and printable.
func TestWordsOfTheBrokerAreToldAtEachPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code *kerr.Error
		ours string
	}{
		{kerr.PolicyViolation, "a policy of the cluster (create.topic.policy.class.name) forbids"},
		{kerr.InvalidReplicationFactor, "the cluster has not as many brokers as a new topic is to have replicas"},
		{kerr.InvalidConfig, "answered INVALID_CONFIG"},
	} {
		t.Run(test.code.Message, func(t *testing.T) {
			r := newWordsRig(t)
			r.refuseTopics(test.code)
			r.Topic("orders", 1)
			r.Topic("bills", 1)
			r.Topic("made", 1)
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				switch q.URL.Path {
				case "/makes": // an event for a topic that is not there
					w.Header().Set("Content-Type", "application/cloudevents+json")
					_, _ = io.WriteString(w, `{"specversion":"1.0","id":"1","source":"/a","type":"b","data":"c"}`)
				case "/fails":
					w.WriteHeader(http.StatusInternalServerError)
				default:
					w.WriteHeader(http.StatusUnprocessableEntity)
				}
			}))
			t.Cleanup(app.Close)
			route := func(name, topic, path string, more ...string) string {
				lines := append([]string{
					"topic: " + topic, "start: earliest", "deliver: http-cloudevents", "url: " + app.URL + path,
				}, more...)
				return "  " + name + ":\n    " + strings.Join(lines, "\n    ")
			}
			r.start(
				route("reads", "missing", "/"),
				route("letters", "orders", "/", "dead_letter_topic: orders.dead"),
				route("retries", "bills", "/fails", "retry_topics: 1s", "dead_letter_topic: none"),
				route("outputs", "made", "/makes", "reply_topic: absent"),
				route("together", "made", "/makes", "reply_topic: absent", "transactions: true"),
				"  publishes:\n    allowed_topics: absent",
			)
			client := r.client()
			for _, topic := range []string{"orders", "bills", "made"} {
				client.ProduceText(topic, "one")
			}
			for route, text := range map[string]string{
				"reads": "missing", "letters": "dead letters cannot be written to orders.dead",
				"retries": "records that failed cannot be written to their retry topics", "outputs": "outputs cannot be produced",
				"together": "an output for topic absent is refused: the topic does not exist, and creating it failed",
			} {
				said := r.await(route, text)
				told(t, "health of "+route, said, text)
				told(t, "health of "+route, said, test.ours)
			}
			told(t, "/readyz", r.get("/readyz"), test.ours)
			told(t, "the page's JSON", r.get("/links"), test.ours)
			plainly(r.t, "metrics", r.get("/metrics"))
			told(t, "the caller's error", r.publish("absent"), test.ours)
			told(t, "status", run(t, "", r.env, "status", "--address", r.admin).out, test.ours)
			told(t, "status --json", run(t, "", r.env, "status", "--json", "--address", r.admin).out, test.ours)
			checked := run(t, "", r.env, "bridge", "check", "--config", r.file)
			told(t, "bridge check", checked.out, test.ours)
			if n := strings.Count(checked.out, brokersSaid); n < 3 {
				t.Errorf("bridge check says it %d times:\n%s", n, checked.out)
			}
			checked = run(t, "", r.env, "bridge", "check", "--json", "--config", r.file)
			told(t, "bridge check --json", checked.out, test.ours)
			settings := []string{"check", "create_topics=true", "topic=missing", "dead_letter_topic=missing.dead"}
			args := append(settings, r.flags()...)
			told(t, "check", run(t, "", r.env, args...).out, test.ours)
			told(t, theLog, r.log.String(), test.ours)
		})
	}
}

// TestWordsOfTheBrokerAboutAPasswordAreToldAtEachPlace: of what runs, and of each command.
func TestWordsOfTheBrokerAboutAPasswordAreToldAtEachPlace(t *testing.T) {
	t.Parallel()
	r := newWordsRig(t)
	r.refusePasswords()
	r.start(
		"  reads:\n    topic: orders\n    deliver: http-records\n    url: http://127.0.0.1:1\n    dead_letter_topic: orders.dead",
		"  publishes:\n    allowed_topics: absent\n    publish_timeout: 3s",
	)
	const ours = "refused the credentials of the user"
	for _, route := range []string{"reads", "publishes"} {
		told(t, "health of "+route, r.await(route, brokersSaid), ours)
	}
	for place, text := range map[string]func() string{
		"/readyz":            func() string { return r.get("/readyz") },
		"/links":             func() string { return r.get("/links") },
		"the caller's error": func() string { return r.publish("absent") },
		theLog:               r.log.String,
	} {
		told(t, place, text(), ours)
	}
	flags := r.flags()
	letters := append([]string{"--set", "topic=orders", "--set", "dead_letter_topic=orders.dead"}, flags...)
	for _, args := range [][]string{
		{"status", "--address", r.admin},
		{"status", "--json", "--address", r.admin},
		{"bridge", "check", "--config", r.file},
		{"bridge", "check", "--json", "--config", r.file},
		append([]string{"check", "topic=orders"}, flags...),
		append([]string{"tail", "orders"}, flags...),
		append([]string{"dead-letters", "list"}, letters...),
		append([]string{"dead-letters", "show", "0/0"}, letters...),
		append([]string{"dead-letters", "redrive"}, letters...),
		append([]string{"dead-letters", "redrive", "--at-least-once"}, letters...),
		{"ctl", "seek", "reads", "--to", "start", "--dry-run", "--address", r.admin},
		{"ctl", "seek", "reads", "--to", "start", "--dry-run", "--json", "--address", r.admin},
		{"ctl", "seek", "reads", "--to", "start", "--address", r.admin},
	} {
		t.Run(strings.Join(args[:min(2, len(args))], " "), func(t *testing.T) {
			t.Parallel()
			got := run(t, "", append([]string{tokenVariable + "=" + ctlToken}, r.env...), args...)
			if got.code == exitOK {
				t.Errorf("it goes well")
			}
			told(t, strings.Join(args, " "), got.out+got.err, ours)
		})
	}
}
