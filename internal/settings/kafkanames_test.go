package settings

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// javaFile is as the pages of cloud offers show it, with what programs add.
const javaFile = `# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=a.example.com:9093,\
    b.example.com:9093
security.protocol = SASL_SSL
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  username="orders-app" \
  password="p\\"w=;#1";
sasl.mechanism: PLAIN
! a note
client.dns.lookup=use_all_dns_ips
session.timeout.ms=45000
acks=all
auto.offset.reset=earliest
key.deserializer=org.apache.kafka.common.serialization.StringDeserializer
`

const librdkafkaFile = `bootstrap.servers=a:9093
security.protocol=sasl_ssl
sasl.mechanisms=SCRAM-SHA-512
sasl.username=orders-app
sasl.password=a\b c\
ssl.ca.location=/etc/ca.pem
ssl.certificate.location=/etc/c.pem
ssl.key.location=/etc/k.pem
ssl.key.password=opens
enable.ssl.certificate.verification=true
auto.offset.reset=smallest
topic.metadata.refresh.interval.ms=60000
`

func TestAFileOfKafkasClientsIsUnderstoodNameByName(t *testing.T) {
	java := func(l *Link) {
		l.Cluster.Hosts = []string{"a.example.com:9093", "b.example.com:9093"}
		l.Cluster.Security.Protocol, l.Cluster.Security.Mechanism = SASLTLS, Plain
		l.Cluster.Security.Username, l.Cluster.Security.Password = "orders-app", NewSecret(`p"w=;#1`)
		l.Consumer.SessionTimeout = 45 * time.Second
		l.Consumer.Start = Start{Kind: StartEarliest}
	}
	librdkafka := func(l *Link) {
		l.Cluster.Hosts = []string{"a:9093"}
		s := &l.Cluster.Security
		s.Protocol, s.Mechanism, s.Username, s.Password = SASLTLS, ScramSHA512, "orders-app", NewSecret(`a\b c\`)
		s.TLSCAFile, s.TLSCertFile, s.TLSKeyFile, s.TLSKeyPassword = "/etc/ca.pem", "/etc/c.pem", "/etc/k.pem",
			NewSecret("opens")
		l.Consumer.Start = Start{Kind: StartEarliest}
	}
	topic := config{"topic": "t"}
	with := func(more config) config {
		all := maps.Clone(topic)
		maps.Copy(all, more)
		return all
	}
	byName := func(text string) config {
		entries, err := parseProperties(text)
		if err != nil {
			t.Fatal(err)
		}
		c := config{}
		for _, e := range entries {
			c[e.key] = e.value
		}
		return c
	}
	for sentence, c := range map[string]struct {
		in     Input
		change func(*Link)
	}{
		"Java's file":          {Input{Config: topic, Secrets: secrets("kafka_properties", javaFile)}, java},
		"with Windows' breaks": {Input{Config: topic, Secrets: secrets("kafka_properties", strings.ReplaceAll(javaFile, "\n", "\r\n"))}, java},
		"librdkafka's file":    {Input{Config: topic, Secrets: secrets("kafka_properties", librdkafkaFile)}, librdkafka},
		"Java's names":         {Input{Config: with(byName(javaFile))}, java},
		"librdkafka's names":   {Input{Config: with(byName(librdkafkaFile))}, librdkafka},
		"of the provider":      {Input{Config: topic, DefaultSecrets: secrets("kafka_properties", javaFile)}, java},
		"what is given by itself beats it": {Input{Config: with(config{"hosts": "c:1"}), Secrets: secrets("kafka_properties", javaFile)},
			func(l *Link) { java(l); l.Cluster.Hosts = []string{"c:1"} }},
		"also by Kafka's name": {Input{Config: with(config{"bootstrap.servers": "c:1"}), Secrets: secrets("kafka_properties", javaFile)},
			func(l *Link) { java(l); l.Cluster.Hosts = []string{"c:1"} }},
	} {
		t.Run(sentence, func(t *testing.T) {
			want, _, err := ParseLink(Input{Config: topic})
			if err != nil {
				t.Fatal(err)
			}
			c.change(&want)
			got, warnings, err := ParseLink(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			for _, secret := range []string{`p"w`, `a\b`, "opens"} {
				if strings.Contains(lines(warnings), secret) {
					t.Errorf("a warning shows a secret: %s", lines(warnings))
				}
			}
		})
	}
}

func TestWhatAFileOfKafkasClientsHasInVainIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"key.serializer=x":                "key.serializer: is not used: it says how a Java program is put together",
		"enable.auto.commit=false":        "enable.auto.commit: is not used: offsets are committed when records are done",
		"partition.assignment.strategy=x": "group_protocol says how",
		"ssl.keystore.password=canary":    "ssl.keystore.password: is not used: PEM has no password",
		"zzzz=1":                          "zzzz: is not a setting and is not used",
		"sasl.jaas.config=a.PlainLoginModule required username=u password=canary serviceName=kafka;": `has the option "serviceName", which is not used`,
	} {
		_, warnings, _ := ParseLink(Input{Secrets: secrets("kafka_properties", text)})
		if got := lines(warnings); !strings.Contains(got, want) || strings.Contains(got, "canary") {
			t.Errorf("%s: warnings %q, want %q", text, got, want)
		}
	}
}

// A value that was broken into lines is read as names, and may be a secret: the last line of a key is too short to be
// found as a part of it.
func TestALineThatIsNoNameIsNotRepeated(t *testing.T) {
	const hint = "kafka_properties: has lines without the name of a setting, which are not used"
	for text, want := range map[string]string{
		"ssl.keystore.key=-----BEGIN PRIVATE KEY-----\nMIICanary+canary/CANARY\nynCanary7n0==\n-----END PRIVATE KEY-----": hint + " (3, the first is line 2)",
		"ssl.keystore.key=\\\n  a\ncanary": hint + " (1, the first is line 3)",
		"canary canary":                    hint,
		"canary2=1":                        hint,
		"Canary: canary":                   hint,
		"metadata.broker.list=a:1\nca=nary\ncAnary==":   hint + " (1, the first is line 3)",
		"c\x00a\x00n\x00=\x00a\x00":                     hint,
		strings.Repeat("canary", 20) + "=1":             hint,
		"sasl.pasword=canary\nno.such-name_of.ours = 1": "no.such-name_of.ours: is not a setting and is not used",
	} {
		_, warnings, _ := ParseLink(Input{Secrets: secrets("kafka_properties", text)})
		if got := lines(warnings); !strings.Contains(got, want) || strings.Contains(strings.ToLower(got), "canary") {
			t.Errorf("%q: warnings %q, want %q", text, got, want)
		}
	}
	_, _, err := ParseLink(Input{Secrets: secrets("kafka_properties", `canary \ x`)})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a backslash behind it: %v", err)
	}
}

func TestEscapesOfJavaBeyond16Bits(t *testing.T) {
	for text, want := range map[string]string{
		`a\u002d\u00e9`: "a-é", `\uD83D\uDE00!`: "😀!", `\ud83d`: "\ufffd", `\uD83D\u0041`: "\ufffdA",
		`\uDE00\uD83D`: "\ufffd\ufffd",
		`\u12`:         "u12", `\u12g4`: "u12g4", `\`: "", `\u`: "u", `\uD83Dx`: "\ufffdx",
	} {
		if got := unescapeJava(text); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

func TestWhatAFileOfKafkasClientsHasWrongRefusesTheLink(t *testing.T) {
	for text, want := range map[string]string{
		"sasl.jaas.config=canary;": "is no entry of JAAS",
		"sasl.jaas.config=;":       "is no entry of JAAS",
		"sasl.jaas.config=canary":  `sasl.jaas.config: the value is no entry of JAAS`,
		"sasl.jaas.config=a.PlainLoginModule required password=\"canary;":                          "is no entry of JAAS",
		"sasl.jaas.config=a.PlainLoginModule sometimes password=canary;":                           "is no entry of JAAS",
		"sasl.jaas.config=a.PlainLoginModule required canary;":                                     "is no entry of JAAS",
		"sasl.jaas.config=a.Krb5LoginModule required useKeyTab=true keyTab=\"canary\";":            "Kerberos (Krb5LoginModule), which is not supported",
		"sasl.jaas.config=canary.Own required;":                                                    "login module that is not known here",
		"sasl.jaas.config=a.ScramLoginModule required tokenauth=true username=canary;":             "delegation token",
		"sasl.jaas.config=a.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=canary;": "unsecured tokens",
		"sasl.jaas.config=a.PlainLoginModule required; b.PlainLoginModule required;":               "several login modules",
		"ssl.truststore.type=JKS":                           "ssl.truststore.type: the value is for a key store that is not PEM: keytool -list -rfc",
		"ssl.endpoint.identification.algorithm=none":        "switches the check of the brokers' names off",
		"ssl.enabled.protocols=TLSv1.1":                     "neither TLSv1.2 nor TLSv1.3",
		"request.timeout.ms=5":                              "request_timeout: the value is out of bounds",
		"just canary words\\":                               "kafka_properties: line 1 has a \\, which means one thing to Java",
		"a=1\nsasl.password\nsasl.username=x":               "kafka_properties: line 2 is not name=value",
		"sasl.mechanism=GSSAPI\nsecurity.protocol=SASL_SSL": "is Kerberos, which is not supported",
	} {
		_, _, err := ParseLink(Input{Secrets: secrets("kafka_properties", text)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	_, _, err := ParseLink(Input{DefaultSecrets: secrets("kafka_properties", "sasl.jaas.config=canary")})
	if err == nil || !strings.Contains(err.Error(), "(from the provider's own config)") {
		t.Errorf("of the provider's own: %v", err)
	}
	_, warnings, err := ParseProvider(nil, secrets("kafka_properties", "sasl.jaas.config=canary"))
	if err != nil || !strings.Contains(lines(warnings), "sasl.jaas.config: the value is no entry of JAAS") ||
		strings.Contains(lines(warnings), "canary") {
		t.Errorf("the provider is told %q, %v", lines(warnings), err)
	}
	if _, _, err := ParseAbove(nil, secrets("kafka_properties", "sasl.jaas.config=canary")); err == nil {
		t.Error("a bridge is told nothing")
	}
}

func TestASettingTwiceByTwoNamesIsRefused(t *testing.T) {
	for want, c := range map[string]config{
		"hosts: is given twice":         {"hosts": "a", "bootstrap.servers": "b"},
		"sasl_username: is given twice": {"sasl_username": "a", "sasl.jaas.config": "x.PlainLoginModule required username=b;"},
	} {
		if _, _, err := ParseLink(Input{Config: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSecretsInKafkasOwnSettingsAreSecrets(t *testing.T) {
	config := map[string]string{
		"sasl.jaas.config":      `a.PlainLoginModule required username="shown" password="one";`,
		"ssl.keystore.password": "two",
		"ssl.key.password":      "three",
		"sasl.oauthbearer.client.credentials.client.secret": "four",
		"kafka_properties": "sasl.username=shown\nsasl.password=five",
	}
	values := SecretValues(config, nil)
	for _, secret := range []string{"one", "two", "three", "four", "five"} {
		if !slices.Contains(values, secret) {
			t.Errorf("%s is not taken for a secret: %q", secret, values)
		}
	}
	if slices.Contains(values, "shown") {
		t.Errorf("the user is taken for a secret: %q", values)
	}
	_, warnings, _ := ParseLink(Input{Config: config})
	for _, key := range []string{"sasl.jaas.config", "ssl.keystore.password", "ssl.key.password", "kafka_properties"} {
		if !strings.Contains(lines(warnings), key+": is sensitive and stands in plain config") {
			t.Errorf("%s: no warning in %s", key, lines(warnings))
		}
	}
}

func TestTranslationsLeadToSettings(t *testing.T) {
	for name, how := range translations {
		if declared[name] != nil {
			t.Errorf("%s is a setting itself", name)
		}
		if canonical(name) != name {
			t.Errorf("%s will never be met", name)
		}
		for _, to := range how.to {
			if declared[to] == nil {
				t.Errorf("%s means %s, which is no setting", name, to)
			}
		}
	}
	for module, options := range jaasModules {
		for name, to := range options {
			if declared[to] == nil {
				t.Errorf("%s of %s means %s, which is no setting", name, module, to)
			}
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add(javaFile)
	f.Add(librdkafkaFile)
	f.Add("sasl.jaas.config=a.OAuthBearerLoginModule required clientId=a clientSecret='b' extension_x=y;")
	f.Add("a\\\n\\\n b\\u00zz\\")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parseProperties(text)
		if err != nil && entries != nil {
			t.Error("entries come with an error")
		}
		for _, e := range entries {
			if e.line < 1 {
				t.Errorf("line %d", e.line)
			}
		}
		SecretValues(nil, secrets("kafka_properties", text))
		if _, err := parseJAAS(text); err != nil && err.Error() != errJAAS.Error() && !strings.Contains(err.Error(),
			"several") {
			t.Errorf("an error of another kind: %v", err)
		}
		// What is wrong with it is an error or a warning, and no text of it in either.
		const canary = "canary-9f3"
		_, warnings, err := ParseLink(Input{Secrets: secrets("kafka_properties", "sasl.password="+canary+"\n"+text)})
		if strings.Contains(lines(warnings), canary) || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("shows a secret: %v %v", lines(warnings), err)
		}
	})
}
