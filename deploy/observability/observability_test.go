// Package observability holds a dashboard for Grafana and alert rules for Prometheus, and the test that they ask for
// what a running provider has.
package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/provider"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// query is an expression and where it stands.
type query struct{ where, expr string }

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ X, Y, W, H int }
	Targets []struct {
		Expr  string `json:"expr"`
		RefID string `json:"refId"`
	} `json:"targets"`
}

type dashboard struct {
	Title      string  `json:"title"`
	UID        string  `json:"uid"`
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// grafana puts what Grafana does in the place of its variables.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h", "$component", ".*", "$link", ".*")

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

func (d *dashboard) queries(t *testing.T) []query {
	t.Helper()
	var list []query
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			list = append(list, query{fmt.Sprintf("panel %q", p.Title), grafana.Replace(target.Expr)})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		var q struct{ Query string }
		if err := json.Unmarshal(v.Query, &q); err != nil {
			t.Fatal(err)
		}
		found := labelValues.FindStringSubmatch(q.Query)
		if found == nil {
			t.Errorf("variable %s asks for %q", v.Name, q.Query)
			continue
		}
		list = append(list, query{"variable " + v.Name, fmt.Sprintf("count by (%s) (%s)", found[2], grafana.Replace(found[1]))})
	}
	return list
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readRules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	var rules []rule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// metric is what is known of a metric: its type and its labels.
type metric struct {
	kind   string
	labels []string
}

// ofPrometheus are the labels that Prometheus adds to all that it scrapes.
var ofPrometheus = []string{"instance", "job"}

// known are the metrics that a provider has or may have: those that one serves, and those that are declared. What is
// served must be as it is declared.
func known(t *testing.T) map[string]metric {
	t.Helper()
	all := make(map[string]metric)
	add := func(name, kind string, labels []string) {
		all[name] = metric{kind, labels}
		if kind == "histogram" {
			delete(all, name)
			all[name+"_bucket"] = metric{"counter", append(slices.Clone(labels), "le")}
			all[name+"_sum"], all[name+"_count"] = metric{"counter", labels}, metric{"counter", labels}
		}
	}
	declared := make(map[string]telemetry.Declared)
	for _, d := range telemetry.Declarations() {
		declared[d.Name] = d
		add(d.Name, d.Type, d.Labels)
	}
	served := serve(t)
	for name, family := range served {
		kind := strings.ToLower(family.GetType().String())
		labels := labelsOf(family)
		d, ours := declared[name]
		switch {
		case !ours && strings.HasPrefix(name, "messaging_kafka_"):
			t.Errorf("%s is served and not declared", name)
		case !ours:
			add(name, kind, labels)
		case d.Type != kind || !slices.Equal(slices.Sorted(slices.Values(d.Labels)), labels):
			t.Errorf("%s is served as a %s with the labels %v, and declared as a %s with %v", name, kind, labels, d.Type, d.Labels)
		}
	}
	// What a link does not do, what has not happened yet, and what only a bridge has (http_).
	rare := map[string]bool{"batch_records": true, "transactions_total": true, "transaction_seconds": true, "requests_total": true, "request_seconds": true, "delayed_records_total": true}
	for name := range declared {
		if short := strings.TrimPrefix(name, "messaging_kafka_"); served[name] == nil && !rare[short] && !strings.HasPrefix(short, "otlp_") && !strings.HasPrefix(short, "http_") {
			t.Errorf("%s is declared, and a provider with a link that reads and publishes does not serve it", name)
		}
	}
	return all
}

func labelsOf(family *dto.MetricFamily) []string {
	names := make(map[string]bool)
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			names[l.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

var adminAddress = regexp.MustCompile(`serving metrics and health" address=(\S+)`)

// serve runs a provider with a link that reads and publishes, and returns what it serves as /metrics.
func serve(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("in.reply", 1)
	nats := testkit.NATS(t, testkit.NATSOptions{})
	host := testkit.NewFakeHost(t, nats, testkit.FakeHostOptions{ShutdownDelay: 5 * time.Second})
	testkit.NewComponent(t, nats, testkit.ComponentOptions{Lattice: host.Lattice(), Handler: testkit.Echo})
	host.PutLink(testkit.TargetLink("echo", "kafka", map[string]string{"hosts": strings.Join(k.Brokers(), ","), "topic": "in", "start": "earliest", "commit_interval": "50ms"}))
	log := &testkit.Log{}
	p := host.StartProvider(testkit.ProviderSpec{
		Config: map[string]string{"admin_address": "127.0.0.1:0"},
		Run: func(ctx context.Context, stdin io.Reader) error {
			data, err := hostdata.Read(ctx, stdin)
			if err != nil {
				return err
			}
			return provider.Run(ctx, data, provider.Options{Logger: log.Logger(), IgnoreParent: true})
		},
	})
	p.WaitHealthy()
	client := testkit.NewClient(t, k.Brokers())
	client.ProduceText("in", "one", "two", "three")
	client.Read("in.reply", 3)
	client.WaitDrained("wasmcloud."+host.Lattice()+".echo.default", "in")
	found := adminAddress.FindStringSubmatch(log.String())
	if found == nil {
		t.Fatalf("the provider has not said where its metrics are:\n%s", log)
	}
	resp, err := http.Get("http://" + found[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	format := expfmt.NewTextParser(model.UTF8Validation)
	families, err := format.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// check tells what is wrong with a query: names and labels that are not there, and rates of what is no counter.
func check(q query, all map[string]metric) []string {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			m, there := all[n.Name]
			if !there {
				say("there is no metric %q", n.Name)
				return nil
			}
			for _, matcher := range n.LabelMatchers {
				if matcher.Name != model.MetricNameLabel && !slices.Contains(append(m.labels, ofPrometheus...), matcher.Name) {
					say("%s has no label %q", n.Name, matcher.Name)
				}
			}
		case *parser.AggregateExpr:
			wrong = append(wrong, checkLabels(n.Grouping, n.Expr, all)...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				wrong = append(wrong, checkLabels(n.VectorMatching.MatchingLabels, n.LHS, all)...)
				wrong = append(wrong, checkLabels(n.VectorMatching.MatchingLabels, n.RHS, all)...)
			}
		case *parser.Call:
			if rates := []string{"rate", "increase", "irate"}; slices.Contains(rates, n.Func.Name) || n.Func.Name == "deriv" {
				for _, name := range selected(n.Args[0]) {
					if kind := all[name].kind; (kind == "counter") == (n.Func.Name == "deriv") && kind != "" {
						say("%s of %s, which is a %s", n.Func.Name, name, kind)
					}
				}
			}
		}
		return nil
	})
	return wrong
}

func checkLabels(labels []string, of parser.Expr, all map[string]metric) []string {
	var wrong []string
	for _, name := range selected(of) {
		for _, label := range labels {
			if m, there := all[name]; there && !slices.Contains(append(m.labels, ofPrometheus...), label) {
				wrong = append(wrong, fmt.Sprintf("%s has no label %q", name, label))
			}
		}
	}
	return wrong
}

// selected are the names of the metrics in an expression.
func selected(expr parser.Expr) []string {
	var names []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names
}

func TestQueriesAskForWhatARunningProviderHas(t *testing.T) {
	all := known(t)
	d := readDashboard(t)
	queries := d.queries(t)
	for _, r := range readRules(t) {
		queries = append(queries, query{"alert " + r.Alert, r.Expr})
	}
	asked := make(map[string]bool)
	for _, q := range queries {
		for _, wrong := range check(q, all) {
			t.Errorf("%s: %s\n\t%s", q.where, wrong, q.expr)
		}
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
		if err == nil {
			for _, name := range selected(expr) {
				asked[name] = true
			}
		}
	}
	if len(queries) < 50 {
		t.Errorf("there are only %d queries", len(queries))
	}
	t.Logf("%d queries of %d metrics", len(queries), len(asked))
	// Whoever adds a metric decides where it is seen.
	unseen := map[string]bool{"committed_offset": true}
	for _, m := range telemetry.Declarations() {
		short := strings.TrimPrefix(m.Name, "messaging_kafka_")
		seen := asked[m.Name] || asked[m.Name+"_bucket"] || asked[m.Name+"_count"]
		if !seen && !unseen[short] && !strings.HasPrefix(short, "otlp_") {
			t.Errorf("%s is neither in the dashboard nor in an alert", m.Name)
		}
	}
}

func TestWhatIsWrongWithAQueryIsFound(t *testing.T) {
	all := map[string]metric{
		"c_total": {"counter", []string{"component"}}, "g": {"gauge", []string{"component"}},
		"h_bucket": {"counter", []string{"component", "le"}},
	}
	for expr, want := range map[string]string{
		"sum by (component) (rate(c_total[5m]))":                              "",
		"histogram_quantile(.9, sum by (component, le) (rate(h_bucket[5m])))": "",
		"g == 0 unless on (instance) g > 1":                                   "",
		"sum(rate(d_total[5m]))":                                              `no metric "d_total"`,
		`g{link="x"}`:                                                         `g has no label "link"`,
		"sum by (topic) (g)":                                                  `g has no label "topic"`,
		"rate(g[5m])":                                                         "which is a gauge",
		"deriv(c_total[5m])":                                                  "which is a counter",
		"g and on (topic) c_total":                                            `no label "topic"`,
		"sum by (component (g)":                                               "parse error",
		"histogram_quantile(.9, sum by (component, le) (rate(h_buckets[5m])))": `no metric "h_buckets"`,
	} {
		if got := strings.Join(check(query{expr: expr}, all), "; "); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}

func TestTheDashboardIsWellFormed(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" {
		t.Error("it has no title or no uid")
	}
	ids := make(map[int]bool)
	for i, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d (%q) has no id or title of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q does not fit", p.Title)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, o := range d.Panels[:i] {
			a, b := p.GridPos, o.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("panels %q and %q lie upon each other", p.Title, o.Title)
			}
		}
	}
}

// notAnchor is what GitHub leaves out of the address of a heading.
var notAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

func TestAlertsSayWhatToDo(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	anchors := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			anchors[strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-")] = true
		}
	}
	taken := make(map[string]bool)
	rules := readRules(t)
	if len(rules) < 15 {
		t.Errorf("there are only %d rules", len(rules))
	}
	for _, r := range rules {
		if !strings.HasPrefix(r.Alert, "MessagingKafka") || taken[r.Alert] {
			t.Errorf("%q is no name, or taken", r.Alert)
		}
		taken[r.Alert] = true
		if r.For != "" {
			if _, err := model.ParseDuration(r.For); err != nil {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is", r.Alert)
		}
		file, anchor, _ := strings.Cut(r.Annotations["runbook"], "#")
		if file != "docs/operations.md" || !anchors[anchor] {
			t.Errorf("%s has the runbook %q, which is no section of docs/operations.md", r.Alert, r.Annotations["runbook"])
		}
	}
}
