package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// parse parses a file that refers to these variables.
func parse(content string, env map[string]string) (*Config, error) {
	return Parse([]byte(content), Options{Path: "bridge.yaml", Host: "host", Lookup: func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}})
}

const orders = `
routes:
  orders:
    topic: orders
    deliver: http-records
    url: http://127.0.0.1:8080/
`

const twoRoutes = `
routes:
  b: {topic: b, deliver: http-records, url: "http://h/"}
  a: {topic: a, deliver: http-records, url: "http://h/"}
`

func TestWhatStandsAboveAllRoutesIsTheirDefault(t *testing.T) {
	c, err := parse(`
name: shop
hosts: [kafka-0:9092, "kafka-1:9092"]
admin_address: 9464
provider_max_in_flight: 7
OTEL_SERVICE_NAME: shop
max_attempts: 3
security_protocol: SASL_PLAINTEXT
sasl_mechanism: SCRAM-SHA-512
sasl_username: ${KAFKA_USER}
sasl_password: ${KAFKA_PASSWORD}
routes:
  orders:
    topic:
      - orders
      - returns
    deliver: http-records
    url: https://${SHOP}/records
    max_attempts: 4
    http_bearer_token: ${TOKEN}
  bills: {topic: bills, deliver: http-messages, url: "http://localhost/", consumer_group: other, start: 2026-01-31T08:00:00Z}
`, map[string]string{"KAFKA_USER": "shop", "KAFKA_PASSWORD": "of Kafka", "SHOP": "shop.example.com", "TOKEN": "of the shop"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Routes) != 2 || c.Routes[0].Name != "bills" || c.Routes[1].Name != "orders" {
		t.Fatalf("the routes are %+v", c.Routes)
	}
	bills, orders := &c.Routes[0].Settings, &c.Routes[1].Settings
	for _, s := range []struct{ what, got, want string }{
		{"the hosts", strings.Join(orders.Cluster.Hosts, " "), "kafka-0:9092 kafka-1:9092"},
		{"the password", orders.Cluster.Security.Password.Reveal(), "of Kafka"},
		{"the topics", strings.Join(orders.Consumer.Topics, " "), "orders returns"},
		{"the group", orders.Consumer.Group, "shop.orders"},
		{"the group that is given", bills.Consumer.Group, "other"},
		{"the url", orders.HTTP.URL, "https://shop.example.com/records"},
		{"the token", orders.HTTP.BearerToken.Reveal(), "of the shop"},
		{"attempts of the route", fmt.Sprint(orders.Delivery.MaxAttempts), "4"},
		{"attempts from above", fmt.Sprint(bills.Delivery.MaxAttempts), "3"},
		{"the start", bills.Consumer.Start.Time.String(), "2026-01-31 08:00:00 +0000 UTC"},
		{"the telemetry", c.Own["OTEL_SERVICE_NAME"], "shop"},
	} {
		if s.got != s.want {
			t.Errorf("%s: %q, not %q", s.what, s.got, s.want)
		}
	}
	for _, secret := range []string{"of Kafka"} {
		if !slices.Contains(c.Hide, secret) {
			t.Errorf("%q may be told: %q", secret, c.Hide)
		}
	}
	if !slices.Contains(c.Routes[1].Hide, "of the shop") {
		t.Errorf("the token may be told: %q", c.Routes[1].Hide)
	}
	if slices.Contains(c.Routes[1].Hide, "shop.example.com") {
		t.Error("the name of a host that no secret stands for is hidden")
	}
}

func TestWhatCannotBeUsedIsNamed(t *testing.T) {
	const route = "topic: t, deliver: http-records, url: \"http://127.0.0.1/\""
	for name, c := range map[string]struct{ content, want string }{
		"nothing":                   {"", "bridge.yaml: is empty"},
		"no YAML":                   {"routes: [", "bridge.yaml:1: is not YAML"},
		"two documents":             {"a: 1\n---\nb: 2", "holds 2 YAML documents"},
		"no mapping":                {"- a", "is no mapping"},
		"no routes":                 {"hosts: a", "routes: is missing"},
		"an unknown key":            {"hostes: a\n" + orders, "bridge.yaml:1: hostes: is not known here; the nearest known key is hosts"},
		"an unknown key of a route": {orders + "    max_inflight: 3", "bridge.yaml:7: routes.orders.max_inflight: is not known here; the nearest known key is max_in_flight"},
		"Kafka's name of a setting": {orders + "    group_id: g", "nearest known key is consumer_group"},
		"a setting of routes above": {"topic: a\n" + orders, "topic: belongs on a route"},
		"one of the process below":  {orders + "    admin_address: 1", "routes.orders.admin_address: is about the process"},
		"one of the lattice":        {"provider_inbox_prefixes: a\n" + orders, "is about wasmCloud's lattice"},
		"another of the lattice":    {"provider_control_lattice: true\n" + orders, "is about wasmCloud's lattice"},
		"a key given twice":         {orders + "    topic: b", "bridge.yaml:7: routes.orders.topic: is given twice, first on line 4"},
		"a key given twice above":   {"hosts: a\nhosts: b" + orders, "bridge.yaml:2: hosts: is given twice, first on line 1"},
		"a route given twice":       {orders + "  orders: {}", "bridge.yaml:7: routes.orders: is given twice, first on line 3"},
		"routes given twice":        {orders + "routes: {}", "bridge.yaml:7: routes: is given twice, first on line 2"},
		"a caller's key given twice": {
			"listen: 1\ncallers:\n  a:\n    token: 0123456789abcdef\n    routes: orders\n    token: [fedcba9876543210]" + orders,
			"bridge.yaml:6: callers.a.token: is given twice, first on line 4",
		},
		"a value of no use above":  {"hosts: a:b:c\n" + twoRoutes, "bridge.yaml:1: hosts: \"a:b:c\" "},
		"one that no route takes":  {"hosts: b\nhandle_timeout: x" + orders + "    handle_timeout: 3s", "bridge.yaml:2: handle_timeout: \"x\" "},
		"a route's in place of it": {"name: a\nhandle_timeout: 3s" + orders + "    handle_timeout: x", "bridge.yaml:8: routes.orders.handle_timeout: \"x\" "},
		"a lock of no use":         {"name: a\nprovider_allowed_folders: x\n" + twoRoutes, "bridge.yaml:2: provider_allowed_folders: "},
		"a file above that is kept out": {
			"name: a\nsecurity_protocol: SSL\nprovider_allowed_folders: /a\ntls_ca_file: /b/ca.pem\n" + twoRoutes,
			"bridge.yaml:4: tls_ca_file: names a file that is in none of the folders that the operator allows: provider_allowed_folders above the routes has /a (for the routes a, b)",
		},
		"hosts of a route for credentials above": {
			"hosts: a\nsecurity_protocol: SASL_SSL\nsasl_mechanism: PLAIN\nsasl_username: u\nsasl_password: p" + orders + "    hosts: b",
			"bridge.yaml:11: routes.orders.hosts: is the route's own, and would decide where sasl_password above the routes goes",
		},
		"a secret given twice":       {orders + "    http_hmac_key: a\n    http_hmac_key_file: testdata/secret", "is given as well as http_hmac_key"},
		"a secret file that is gone": {orders + "    http_hmac_key_file: nowhere", "routes.orders.http_hmac_key_file: cannot be read"},
		"a folder for a secret":      {orders + "    http_hmac_key_file: .", "is not a regular file"},
		"a value of no use":          {orders + "    max_in_flight: many", "routes.orders.max_in_flight: \"many\" is not a whole number"},
		"an empty value":             {orders + "    order:", "routes.orders.order: is empty"},
		"a mapping for a value":      {orders + "    order: {a: b}", "routes.orders.order: is a mapping"},
		"a value for a mapping":      {"routes: 3", "routes: is no mapping"},
		"an anchor":                  {orders + "    order: &a key", "has an anchor or an alias"},
		"a merge key":                {"routes:\n  a:\n    <<: *x", "has an anchor or an alias"},
		"a name of no use":           {"routes: {\"a b\": {" + route + "}}", "is not a name"},
		"a name of the bridge":       {"name: a/b\n" + orders, "name: is not a name"},
		"a variable that is not set": {orders + "    order: ${ORDER}", "names the variable ORDER, which the environment does not have"},
		"half a variable":            {orders + "    order: ${ORDER", "${ without the name"},
		"no url":                     {"routes: {a: {topic: t, deliver: http-records}}", "routes.a.url: is missing"},
		"no topic":                   {"routes: {a: {url: \"http://h/\", deliver: http-records}}", "routes.a.topic: is missing"},
		"no deliver":                 {"routes: {a: {topic: t, url: \"http://h/\"}}", "routes.a.deliver: is missing"},
		"nothing to do":              {"routes: {a: {order: key}}", "routes.a: does nothing"},
		"credentials in a url":       {"routes: {a: {topic: t, deliver: http-records, url: \"http://hidden:hidden@h/\"}}", "routes.a.url: the value holds a user"},
		"a clash": {
			"routes:\n  a: {" + route + ", consumer_group: g}\n  b: {" + route + ", consumer_group: g}",
			"bridge.yaml:3: routes.b: route a reads t too, as a member of the same group (g)",
		},
		"callers without listen":             {"callers: {a: {token: 0123456789abcdef, routes: orders}}" + orders, "bridge.yaml:1: callers: says nothing without listen"},
		"listen without callers' proof":      {"listen: 1\ncallers: {a: {routes: orders}}" + orders, "callers.a.token: is missing"},
		"a caller's unknown key":             {"listen: 1\ncallers: {a: {token: 0123456789abcdef, rout: orders}}" + orders, "callers.a.rout: is not known here; the nearest known key is routes"},
		"a caller's unknown route":           {"listen: 1\ncallers: {a: {token: 0123456789abcdef, routes: orders2}}" + orders, "callers.a.routes: has orders2, which is no route"},
		"half of TLS":                        {"listen: 1\nlisten_tls_cert_file: a" + orders, "belong together"},
		"an address of no use":               {"listen: nowhere" + orders, "listen: the value is not an address"},
		"an address of no use to publish by": {"listen: nowhere\nroutes: {a: {allowed_topics: t}}", "bridge.yaml:1: listen: the value is not an address"},
		"a caller who would publish":         {"listen: 1\ncallers: {\"a b\": {}}\nroutes: {a: {allowed_topics: t}}", "bridge.yaml:2: callers"},
		"one port for two": {
			"listen: 0.0.0.0:28066\nlisten_open: true\nadmin_address: 28066\n" + strings.TrimSpace(orders),
			"bridge.yaml:1: listen: and admin_address have one port of one host",
		},
		"a comma in a list":                 {orders + "    allowed_topics: [\"a,b\"]", "a comma in one of its parts"},
		"a process's own setting of no use": {"name: a\nprovider_max_in_flight: hidden\n" + orders, "bridge.yaml:2: provider_max_in_flight"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(c.content, nil)
			if err == nil {
				t.Fatalf("it is taken: %+v", got)
			}
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("the error is a %T", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %q, without %q", err, c.want)
			}
			if strings.Contains(err.Error(), "provider's own config") {
				t.Errorf("a bridge has no provider: %v", err)
			}
			if len(all) > 1 {
				t.Errorf("there are %d errors: %v", len(all), err)
			}
		})
	}
}

// TestSecretsStayUntold: whatever is wrong, no error and no warning has what came from the environment or a file, or
// the value of a sensitive setting.
func TestSecretsStayUntold(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "key")
	if err := os.WriteFile(file, []byte("hidden in a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SECRET": "hidden in the environment"}
	for _, content := range []string{
		orders + "    max_in_flight: ${SECRET}",
		orders + "    url: ftp://${SECRET}",
		orders + "    order: x${SECRET}",
		orders + "    sasl_password: hidden here",
		orders + "    http_bearer_token: hidden here\n    max_in_flight: many",
		orders + "    http_hmac_key_file: " + file + "\n    http_hmac_key: hidden here",
		orders + "    tls_key: hidden here\n    tls_cert: ${SECRET}\n    security_protocol: SSL",
		"provider_max_memory: ${SECRET}\n" + orders,
		"hosts: [hidden here:x:y: [\n" + orders,
	} {
		c, err := parse(content, env)
		told := fmt.Sprint(err)
		if err == nil {
			told = fmt.Sprint(c.Warnings)
		}
		if strings.Contains(told, "hidden") {
			t.Errorf("it tells %s", told)
		}
	}
}

// What came from a variable and is no secret is a setting as any other, once the file can be used: it is shown, and it
// tells copies of the bridge apart.
func TestAValueOfAVariableIsNoSecret(t *testing.T) {
	env := map[string]string{"HOSTS": "k:1", "ADMIN": "127.0.0.1:9464", "PASSWORD": "hidden", "GROUP": "g"}
	const content = "admin_address: ${ADMIN}\nsasl_password: ${PASSWORD}\nsasl_username: u\nsasl_mechanism: PLAIN\nsecurity_protocol: SASL_SSL\n" +
		"hosts: ${HOSTS}\nroutes: {orders: {topic: orders, consumer_group: \"${GROUP}\", deliver: http-records, url: \"http://127.0.0.1:1/\"}}\n"
	c, err := parse(content, env)
	if err != nil {
		t.Fatal(err)
	}
	if c.Own["hosts"] != "k:1" || c.Own["admin_address"] != "127.0.0.1:9464" ||
		c.Routes[0].Config["consumer_group"] != "g" {
		t.Errorf("above the routes there are %v, in the route %v", c.Own, c.Routes[0].Config)
	}
	if len(c.OwnSecrets) != 1 || c.OwnSecrets["sasl_password"].Reveal() != "hidden" || len(c.Routes[0].Secrets) > 0 ||
		!slices.Contains(c.Hide, "hidden") {
		t.Errorf("secrets are %v and %v, and %d texts are hidden", c.OwnSecrets, c.Routes[0].Secrets, len(c.Hide))
	}
	_, err = parse("listen: ${ADMIN}\ncallers: {a: {token: 0123456789abcdef, routes: orders}}\n"+content, env)
	if err == nil || !strings.Contains(err.Error(), "have one port of one host") {
		t.Errorf("two addresses that are one: %v", err)
	}
}

func TestASecretInTheFileItselfIsWarnedAbout(t *testing.T) {
	c, err := parse(orders+"    http_bearer_token: here", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 1 || c.Warnings[0].Key != "routes.orders.http_bearer_token" || c.Warnings[0].Line != 7 ||
		!strings.Contains(c.Warnings[0].Text, "${VARIABLE}, or http_bearer_token_file") {
		t.Errorf("the warnings are %+v", c.Warnings)
	}
}

func TestASecretComesFromAFile(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "token"), []byte(" of the shop \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "bridge.yaml")
	if err := os.WriteFile(path, []byte(orders+"    http_bearer_token_file: token"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(Options{Path: path, Lookup: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Routes[0].Settings.HTTP.BearerToken; got != settings.NewSecret(" of the shop ") {
		t.Errorf("the token is %q", got.Reveal())
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %+v", c.Warnings)
	}
}

func TestADollarAndAVariableInAValue(t *testing.T) {
	lookup := func(name string) (string, bool) { return "[" + name + "]", true }
	for in, want := range map[string]string{
		"a": "a", "$a": "$a", "a$": "a$", "${A}": "[A]", "x${A}y${B_1}": "x[A]y[B_1]", "$${A}": "${A}", "$$": "$$", "{A}": "{A}",
	} {
		got, err := expand(in, lookup)
		if err != nil || got.value != want {
			t.Errorf("%s is %q, %v", in, got.value, err)
		}
		if got.hidden != strings.Contains(want, "[") {
			t.Errorf("%s: hidden is %t", in, got.hidden)
		}
	}
	for _, in := range []string{"${", "${}", "${A", "${A B}", "${1}"} {
		if got, err := expand(in, lookup); err == nil {
			t.Errorf("%s is taken as %q", in, got.value)
		}
	}
}

// FuzzParse: whatever a file holds, it is taken or refused.
func FuzzParse(f *testing.F) {
	for _, s := range []string{orders, "a: [b, {c: d}]", "? x\n: y", "a: |\n  b", "a: !!binary x", "<<: *a", "routes: {a: {url: ${X}}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		c, err := parse(content, nil)
		if (c == nil) == (err == nil) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// TestBoundsOfTheServer are those that the table of keys tells, both ends included.
func TestBoundsOfTheServer(t *testing.T) {
	const orders = "\nhosts: k:9092\nroutes: {orders: {allowed_topics: t}}\n"
	for key, c := range map[string]struct {
		content string // with the number
		most    int
	}{
		"listen_max_connections": {"listen: 1\nlisten_max_connections: %d\ncallers: {a: {token: 0123456789abcdef, routes: orders}}" + orders, 100_000},
		"max_in_flight":          {"listen: 1\ncallers: {a: {token: 0123456789abcdef, routes: orders, max_in_flight: %d}}" + orders, 10_000},
	} {
		for n, good := range map[int]bool{0: false, 1: true, c.most: true, c.most + 1: false} {
			got, err := parse(fmt.Sprintf(c.content, n), nil)
			switch {
			case good && err != nil:
				t.Errorf("%s: %d: %v", key, n, err)
			case !good && (err == nil || !strings.Contains(err.Error(), key)):
				t.Errorf("%s: %d is taken: %v", key, n, err)
			case good && got.Listen.MaxConnections != n && got.Callers[0].MaxInFlight != n:
				t.Errorf("%s: %d became %+v", key, n, got)
			}
		}
	}
}
