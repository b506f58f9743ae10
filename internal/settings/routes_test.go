package settings

import (
	"errors"
	"strings"
	"testing"
)

// parseRoute parses the settings of a bridge's route.
func parseRoute(config map[string]string, defaults map[string]string) (Link, []Warning, error) {
	return ParseLink(Input{
		Config: config, Defaults: defaults, Route: true, Identity: Identity{Component: "shop", LinkName: "orders"},
	})
}

func route(more ...string) map[string]string {
	config := map[string]string{"topic": "orders", "deliver": "http-records", "url": "https://shop.example.com/"}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
	}
	return config
}

func TestLinksRefuseSettingsOfRoutesByName(t *testing.T) {
	for _, d := range Describe() {
		if d.Place != OnRoutes {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			value := "a secret"
			if len(d.Examples) > 0 {
				value = d.Examples[0]
			}
			_, _, err := ParseLink(Input{Config: map[string]string{"topic": "orders", d.Name: value}})
			one, ok := errors.AsType[*Error](err)
			if !ok || one.Key != d.Name || !strings.Contains(one.Problem, "messaging-kafka bridge") ||
				d.Sensitive && strings.Contains(err.Error(), value) {
				t.Errorf("a link with it: %v", err)
			}
			_, warnings, err := ParseProvider(map[string]string{d.Name: value}, nil)
			if err != nil || !strings.Contains(Warning.String(warnings[len(warnings)-1]), "messaging-kafka bridge") {
				t.Errorf("the provider's own config with it: %v, %v", warnings, err)
			}
			link, _, err := ParseLink(Input{Defaults: map[string]string{d.Name: value}})
			if err != nil || link.HTTP != (HTTP{}) {
				t.Errorf("a default for links: %+v, %v", link.HTTP, err)
			}
		})
	}
}

func TestWhatARouteIsFollowsFromHowItDelivers(t *testing.T) {
	for name, c := range map[string]struct {
		config                       map[string]string
		batch, inFlight, connections int
		reply                        string
	}{
		"records":                      {route(), 500, 4, 4, "{topic}.reply"},
		"messages":                     {route("deliver", "http-messages"), 1, 64, 64, "{topic}.reply"},
		"messages in batches":          {route("deliver", "http-messages", "batch_max_records", "10"), 10, 4, 4, "{topic}.reply"},
		"events":                       {route("deliver", "http-cloudevents"), 1, 64, 64, ""},
		"events in batches":            {route("deliver", "http-cloudevents", "http_mode", "batched"), 500, 4, 4, ""},
		"events with a topic of reply": {route("deliver", "http-cloudevents", "reply_topic", "answers"), 1, 64, 64, "answers"},
		"events in transactions": {
			route("deliver", "http-cloudevents", "transactions", "true", "reply_topic", "answers"), 1, 64, 64, "answers",
		},
		"messages by HTTP/2": {route("deliver", "http-messages", "http_protocol", "h2"), 1, 64, 4, "{topic}.reply"},
		"many at once by HTTP/2": {
			route("deliver", "http-messages", "http_protocol", "h2", "max_in_flight", "640"), 1, 640, 20, "{topic}.reply",
		},
		"few at once by HTTP/2":     {route("http_protocol", "h2", "max_in_flight", "2"), 500, 2, 2, "{topic}.reply"},
		"connections that are said": {route("http_connections", "9"), 500, 4, 9, "{topic}.reply"},
		"batches that are said":     {route("max_in_flight", "7"), 500, 7, 7, "{topic}.reply"},
	} {
		t.Run(name, func(t *testing.T) {
			l, warnings, err := parseRoute(c.config, nil)
			if err != nil || len(warnings) > 0 {
				t.Fatal(warnings, err)
			}
			d := l.Delivery
			if d.Batch.MaxRecords != c.batch || d.MaxInFlight != c.inFlight || l.HTTP.Connections != c.connections ||
				d.ReplyTopic != c.reply {
				t.Errorf("batches of %d, %d at once, %d connections, replies to %q",
					d.Batch.MaxRecords, d.MaxInFlight, l.HTTP.Connections, d.ReplyTopic)
			}
			if l.Consumer.Group != "shop.orders" || l.Delivery.DrainTimeout != routeDrain {
				t.Errorf("the group is %s, the drain takes %s", l.Consumer.Group, l.Delivery.DrainTimeout)
			}
		})
	}
}

func TestWhatARouteCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]string
		key    string
	}{
		"transactions without outputs": {route("deliver", "http-messages", "transactions", "true"), "transactions"},
		"transactions of event lists": {
			route("deliver", "http-cloudevents", "http_mode", "batched", "transactions", "true"), "transactions",
		},
		"a url with a user":           {route("url", "https://a:b@shop.example.com/"), keyURL},
		"a url of another kind":       {route("url", "ftp://shop.example.com/"), keyURL},
		"a path for a host":           {route("http_host", "shop/x"), keyHTTPHost},
		"a certificate without a key": {route("http_tls_cert", testCert), keyHTTPKey},
		"no certificate":              {route("http_tls_ca", "a"), keyHTTPCA},
		"a token with a line break":   {route("http_bearer_token", "a\nb"), keyBearerToken},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := parseRoute(c.config, nil)
			if one, ok := errors.AsType[*Error](err); !ok || one.Key != c.key {
				t.Errorf("the error is %v, not about %s", err, c.key)
			}
		})
	}
}

func TestWhatARouteHasInVainIsWarnedAbout(t *testing.T) {
	for name, c := range map[string]struct {
		config map[string]string
		key    string
	}{
		"a mode without events":      {route("http_mode", "batched"), keyHTTPMode},
		"a form of events":           {route("deliver", "http-cloudevents", "http_format", "json"), keyHTTPFormat},
		"batches without a list":     {route("deliver", "http-cloudevents", "batch_max_records", "3"), "batch_max_records"},
		"authorities in clear":       {route("url", "http://localhost/", "http_tls_ca", testCert), keyHTTPCA},
		"a token in clear":           {route("url", "http://shop.example.com/", "http_bearer_token", "abc"), keyBearerToken},
		"a token where nothing goes": {map[string]string{"http_bearer_token": "abc"}, keyBearerToken},
		"messages' own":              {route("payload", "envelope"), keyPayload},
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := parseRoute(c.config, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				if w.Key == c.key && !strings.Contains(w.Text, "plain config") {
					return
				}
			}
			t.Errorf("the warnings are %v, none about %s", warnings, c.key)
		})
	}
}
