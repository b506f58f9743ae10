package settings

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// natsRoute parses a route with settings, in pairs, besides those of any.
func natsRoute(more ...string) (Link, []Warning, error) {
	config := map[string]string{"hosts": "kafka:9092", "topic": "orders"}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
		if more[i+1] == "" {
			delete(config, more[i])
		}
	}
	return ParseLink(Input{Config: config, Route: true, Identity: Identity{Component: "bridge", LinkName: "orders"}})
}

func TestRoutesOverNATS(t *testing.T) {
	const at = "nats://nats:4222"
	l, warnings, err := natsRoute("deliver", "nats-reply", "nats_url", at+", nats://nats-1:4222")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("a route that is well: %v, %v", warnings, err)
	}
	n := l.NATS
	if n.Server.URLs != at+",nats://nats-1:4222" || n.Subject != "{topic}" ||
		n.AnswerTimeout != time.Minute || n.MaxWait != 5*time.Minute ||
		l.Delivery.HandleTimeout != 5*time.Minute || l.Delivery.Batch.MaxRecords != 1 || l.Delivery.MaxInFlight != 64 {
		t.Errorf("it is %+v with %+v", n, l.Delivery)
	}
	l, _, err = natsRoute("deliver", "nats-reply", "nats_url", at, "handle_timeout", "1h", "rebalance_timeout", "1h")
	if err != nil || l.NATS.MaxWait != time.Hour || l.NATS.AnswerTimeout != time.Hour {
		t.Errorf("with a long handle_timeout it is %+v, %v", l.NATS, err)
	}
	l, _, err = natsRoute("deliver", "jetstream", "nats_url", at, "nats_stream", "ORDERS")
	if err != nil || l.NATS.Stream != "ORDERS" || l.Delivery.HandleTimeout != time.Minute {
		t.Errorf("a route into a stream: %+v, %v", l.NATS, err)
	}
	l, warnings, err = natsRoute("deliver", "jetstream", "nats_url", at, "nats_stream", "ORDERS",
		"nats_advisory_stream", "GIVEN_UP", "dead_letter_topic", "dead")
	if err != nil || len(warnings) > 0 || l.NATS.AdvisoryStream != "GIVEN_UP" {
		t.Errorf("a route that hears of what is given up: %+v, %v, %v", l.NATS, warnings, err)
	}
	if _, warnings, err := natsRoute("deliver", "nats", "nats_url", at); err != nil || len(warnings) != 1 ||
		!strings.Contains(warnings[0].Text, "at most once") {
		t.Errorf("a route that loses records: %v, %v", warnings, err)
	}
}

func TestRoutesOverNATSThatCannotWork(t *testing.T) {
	const at = "nats://nats:4222"
	for name, test := range map[string]struct {
		settings []string
		key, why string
	}{
		"no server":               {[]string{"deliver", "jetstream"}, "nats_url", "deliver=jetstream needs it"},
		"no topic":                {[]string{"deliver", "jetstream", "nats_url", at, "topic", ""}, "topic", "hands over"},
		"no use for it":           {[]string{"deliver", "http-records", "url", "http://a/", "nats_url", at}, "nats_url", "nothing what for"},
		"HTTP as well":            {[]string{"deliver", "nats-reply", "nats_url", at, "url", "http://a/"}, "url", "leave it out"},
		"a user in the URL":       {[]string{"deliver", "nats-reply", "nats_url", "nats://me:secret@nats:4222"}, "nats_url", "holds a user"},
		"another scheme":          {[]string{"deliver", "nats-reply", "nats_url", "http://nats:4222"}, "nats_url", "nats://host:4222"},
		"a port of no use":        {[]string{"deliver", "nats-reply", "nats_url", "nats://nats:99999"}, "nats_url", "has a port"},
		"a space in the URL":      {[]string{"deliver", "nats-reply", "nats_url", "nats://na ts:4222"}, "nats_url", "nats://host:4222"},
		"a path":                  {[]string{"deliver", "nats-reply", "nats_url", at + "/a"}, "nats_url", "behind the host"},
		"a wildcard":              {[]string{"deliver", "nats-reply", "nats_url", at, "nats_subject", "kafka.>"}, "nats_subject", "wildcard"},
		"an empty token":          {[]string{"deliver", "nats-reply", "nats_url", at, "nats_subject", "kafka..a"}, "nats_subject", "not a subject"},
		"an unknown word":         {[]string{"deliver", "nats-reply", "nats_url", at, "nats_subject", "k.{value}"}, "nats_subject", "brace"},
		"two who come":            {[]string{"deliver", "nats-reply", "nats_url", at, "nats_token", "t", "nats_user", "u", "nats_password", "p"}, "nats_user", "leave one"},
		"no password":             {[]string{"deliver", "nats-reply", "nats_url", at, "nats_user", "u"}, "nats_password", "missing"},
		"no user":                 {[]string{"deliver", "nats-reply", "nats_url", at, "nats_password", "p"}, "nats_user", "missing"},
		"no key":                  {[]string{"deliver", "nats-reply", "nats_url", at, "nats_tls_cert_file", "/c"}, "nats_tls_key_file", "missing"},
		"a wrong seed":            {[]string{"deliver", "nats-reply", "nats_url", at, "nats_nkey", "secret"}, "nats_nkey", "begin with SU"},
		"wrong credentials":       {[]string{"deliver", "nats-reply", "nats_url", at, "nats_creds", "secret"}, "nats_creds", ".creds"},
		"too little time":         {[]string{"deliver", "nats-reply", "nats_url", at, "nats_max_wait", "1s"}, "nats_max_wait", "handle_timeout"},
		"transactions":            {[]string{"deliver", "jetstream", "nats_url", at, "transactions", "true"}, "transactions", "no outputs"},
		"a stream with a dot":     {[]string{"deliver", "jetstream", "nats_url", at, "nats_stream", "a.b"}, "nats_stream", "dot"},
		"advisories of no stream": {[]string{"deliver", "jetstream", "nats_url", at, "nats_advisory_stream", "B", "dead_letter_topic", "d"}, "nats_stream", "missing"},
		"advisories for nobody":   {[]string{"deliver", "jetstream", "nats_url", at, "nats_stream", "A", "nats_advisory_stream", "B"}, "dead_letter_topic", "missing"},
		"advisories of itself":    {[]string{"deliver", "jetstream", "nats_url", at, "nats_stream", "A", "nats_advisory_stream", "A", "dead_letter_topic", "d"}, "nats_advisory_stream", "of their own"},
		"subjects of NATS":        {[]string{"nats_publish_subject", "$JS.>", "nats_url", at, "topic", ""}, "nats_publish_subject", "of NATS itself"},
		"subjects that overlap":   {[]string{"nats_publish_subject", "kafka.>,kafka.orders.*", "nats_url", at, "topic", ""}, "nats_publish_subject", "published twice"},
		"round and round": {[]string{"deliver", "nats-reply", "nats_subject", "kafka.{topic}.{key}", "nats_publish_subject", "kafka.orders.>", "nats_url", at},
			"nats_publish_subject", "without end"},
		"all subjects": {[]string{"nats_publish_subject", ">", "nats_url", at, "topic", ""}, "nats_publish_subject", "of NATS itself"},
	} {
		_, _, err := natsRoute(test.settings...)
		var all Errors
		if !errors.As(err, &all) || all[0].Key != test.key || !strings.Contains(all[0].Problem, test.why) {
			t.Errorf("%s: %v, want %s … %s", name, err, test.key, test.why)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret: %v", name, err)
		}
	}
}

func TestRoutesThatTakeMessagesOfNATS(t *testing.T) {
	const at = "nats://nats:4222"
	l, warnings, err := natsRoute("topic", "", "nats_url", at, "nats_publish_subject", "kafka.*, bills",
		"allowed_topics", "a*")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("a route that is well: %v, %v", warnings, err)
	}
	if n := l.NATS; len(n.PublishSubjects) != 2 || n.Queue != "bridge.orders" || n.PublishTopic != "" {
		t.Errorf("it is %+v", n)
	}
	_, warnings, err = natsRoute("topic", "", "nats_url", "nats://nats:4222", "nats_publish_subject", "kafka.*")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Text, "allowed_topics") {
		t.Errorf("a route that publishes to any topic: %v, %v", warnings, err)
	}
	_, _, err = natsRoute("nats_url", at, "deliver", "nats-reply", "nats_publish_subject", "kafka.>",
		"allowed_topics", "a")
	if err != nil {
		t.Errorf("both ways: %v", err)
	}
}

func TestALinkRefusesSettingsAboutNATSByName(t *testing.T) {
	_, _, err := ParseLink(Input{Config: map[string]string{"hosts": "kafka:9092", "nats_url": "nats://nats:4222"}})
	var all Errors
	if !errors.As(err, &all) || all[0].Key != "nats_url" || !strings.Contains(all[0].Problem, "messaging-kafka bridge") {
		t.Errorf("it is %v", err)
	}
}

func TestSecretsOfACredentialsFileAreItsLines(t *testing.T) {
	const jwt, seed = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOi", "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4"
	creds := "-----BEGIN NATS USER JWT-----\n" + jwt + "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + seed + "\n------END USER NKEY SEED------\n"
	values := strings.Join(SecretValues(nil, map[string]Secret{"nats_creds": NewSecret(creds)}), "|") + "|"
	for _, want := range []string{"|" + jwt + "|", "|" + seed + "|"} {
		if !strings.Contains(values, want) {
			t.Errorf("%s is not among them", want)
		}
	}
	if strings.Contains(values, "|-----BEGIN NATS USER JWT-----|") {
		t.Error("what everybody knows is among them")
	}
}
