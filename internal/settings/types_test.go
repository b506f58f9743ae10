package settings

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// accepted and refused are tables of one parser: text to result, and text to a part of the reason.
func accepted[T any](t *testing.T, parse func(string) (T, error), cases map[string]T) {
	t.Helper()
	for text, want := range cases {
		got, err := parse(text)
		if err != nil {
			t.Errorf("%q is refused: %v", text, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read as %v, want %v", text, got, want)
		}
	}
}

func refused[T any](t *testing.T, parse func(string) (T, error), cases map[string]string) {
	t.Helper()
	for text, want := range cases {
		got, err := parse(text)
		if err == nil {
			t.Errorf("%q is read as %v", text, got)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is refused with %q, want %q", text, err, want)
		}
	}
}

func TestDurations(t *testing.T) {
	accepted(t, parseDuration, map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "0": 0, "0s": 0,
		"7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1D": 24 * time.Hour, "1.5s": 1500 * time.Millisecond,
		"10MS": 10 * time.Millisecond,
	})
	refused(t, parseDuration, map[string]string{
		"45000": "no unit", "1.5": "no unit", "-5": "no unit", "-5s": "not a duration", "soon": "not a duration",
		"d":    "not a duration",
		"1h2d": "not a duration", "1 week": "not a duration", "1d-2h": "not a duration",
		"106752d": "too long", "106751d24h": "too long", "99999999999h": "not a duration",
	})
}

func TestSizes(t *testing.T) {
	accepted(t, parseSize, map[string]int64{
		"0": 0, "1048576": 1 << 20, "512k": 512 << 10, "512K": 512 << 10, "1MiB": 1 << 20, "1 MiB": 1 << 20, "1mb": 1 << 20,
		"2G": 2 << 30, "10b": 10, "3Ki": 3 << 10,
	})
	refused(t, parseSize, map[string]string{
		"": "not a size", "k": "not a size", "1.5MiB": "not a size", "-1": "not a size", "+1": "not a size",
		"1TiB": "not a size", "1k k": "not a size",
		"99999999999999999999": "too large", "9000000000G": "too large",
	})
}

func TestNumbersAndTruths(t *testing.T) {
	parse := func(text string) (int64, error) { return parseNumber(text, -1, 10) }
	accepted(t, parse, map[string]int64{"0": 0, "-1": -1, "10": 10, "+3": 3})
	refused(t, parse, map[string]string{
		"11": "from -1 to 10", "-2": "from -1 to 10", "99999999999999999999": "from -1 to 10", "": "not a whole number",
		"1.0":  "not a whole number",
		"many": "not a whole number", "0x1": "not a whole number",
	})
	accepted(t, parseBool, map[string]bool{"true": true, "Yes": true, "ON": true, "1": true, "false": false, "no": false,
		"off": false, "0": false})
	refused(t, parseBool, map[string]string{"": "neither", "maybe": "neither", "2": "neither"})
}

func TestHosts(t *testing.T) {
	accepted(t, parseHosts, map[string][]string{
		"kafka":                                {"kafka:9092"},
		"a:1, b:2 ,,c,":                        {"a:1", "b:2", "c:9092"},
		"127.0.0.1:9093":                       {"127.0.0.1:9093"},
		"[::1]:9094,::1,[2001:db8::1],fe80::1": {"[::1]:9094", "[::1]:9092", "[2001:db8::1]:9092", "[fe80::1]:9092"},
		"fe80::1%eth0":                         {"[fe80::1%eth0]:9092"},
		"A:9092,a,a:09092":                     {"a:9092"},
		"my_broker.internal.:65535":            {"my_broker.internal.:65535"},
	})
	refused(t, parseHosts, map[string]string{
		"":                       "names no host",
		" , ,":                   "names no host",
		"http://kafka:9092":      "is a URL",
		"kafka:9092,tcp://b":     "is a URL",
		"PLAINTEXT://kafka:1":    "security_protocol=PLAINTEXT",
		"sasl_ssl://kafka:1":     "security_protocol=SASL_SSL",
		"user:pass@kafka:9092":   "sasl_username",
		"https://u:p@kafka":      "sasl_username",
		"kafka:":                 "no port",
		"kafka:0":                "no port",
		"kafka:65536":            "no port",
		"kafka:+1":               "no port",
		"kafka:http":             "no port",
		"kafka:9092/path":        "no port",
		":9092":                  "not an address",
		"a b":                    "not an address",
		"kafka/topic":            "not an address",
		"a:1:2":                  "IPv6 address in brackets",
		"[::1":                   "not an address",
		"[::1]9092":              "not an address",
		"[kafka]:9092":           "no IPv6 address",
		"[127.0.0.1]:9092":       "no IPv6 address",
		"[::1]:":                 "no port",
		strings.Repeat("a", 300): "not an address",
	})
}

func TestListenAddresses(t *testing.T) {
	accepted(t, parseListenAddress, map[string]string{":9464": ":9464", "9464": ":9464", "127.0.0.1:0": "127.0.0.1:0",
		"[::1]:80": "[::1]:80"})
	refused(t, parseListenAddress, map[string]string{"localhost": "listen", "a:b": "no port", ":70000": "no port",
		"70000": "listen", "http://a:1": "listen"})
}

func TestTopics(t *testing.T) {
	names := func(text string) ([]string, error) {
		topics, err := parseTopics(text)
		return topics.names, err
	}
	accepted(t, names, map[string][]string{
		"orders": {"orders"}, "a, b,,a": {"a", "b"}, "A.b_c-9": {"A.b_c-9"}, strings.Repeat("x", 249): {strings.Repeat("x", 249)},
	})
	refused(t, names, map[string]string{
		",": "names no topic", ".": "not a topic name", "a,..": "not a topic name", "a b": "not a topic name",
		"ü":                      "not a topic name",
		strings.Repeat("x", 250): "not a topic name", "orders.*": "between slashes", "a,/b/": "between slashes",
		"/": "no slash ends", "/a/,b": "no slash ends", "//": "empty pattern", "/a/,/b/": "joined by |",
		"/(/":    "missing closing )",
		"/a)(b/": "unexpected )", `/(?=a)/`: "RE2", "/" + strings.Repeat("a", 5000) + "/": "longer than 4096",
	})
}

func TestTopicPatternsMatchWholeNames(t *testing.T) {
	topics, err := parseTopics(`/orders\..*|bills/`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"orders.eu": true, "bills": true, "orders": false, "x.orders.eu": false,
		"bills2": false, "mybills": false} {
		if got := topics.pattern.MatchString(name); got != want {
			t.Errorf("%s matches: %v, want %v", name, got, want)
		}
	}
}

func TestTopicGlobsAndReplyTopics(t *testing.T) {
	accepted(t, parseTopicGlobs, map[string][]string{"orders.*, audit-?": {"orders.*", "audit-?"}, "*": {"*"}})
	refused(t, parseTopicGlobs,
		map[string]string{",": "names no topic", "a/b": "not a topic name", "[ab]": "not a topic name"})
	accepted(t, parseReplyTopic, map[string]string{"{topic}.reply": "{topic}.reply", "answers": "answers",
		"re.{topic}.{topic}": "re.{topic}.{topic}", "{topic}": "{topic}"})
	refused(t, parseReplyTopic, map[string]string{"{name}.reply": "not a topic name", "a b": "not a topic name",
		"{topic": "not a topic name"})
}

func TestPartitions(t *testing.T) {
	accepted(t, parsePartitions, map[string][]int32{
		"0": {0}, "4-7,2,0,": {0, 2, 4, 5, 6, 7}, "3,3,1-4": {1, 2, 3, 4}, "1 - 2": {1, 2}, "5-5": {5}, "0-2,1-3,0": {0, 1, 2, 3},
	})
	refused(t, parsePartitions, map[string]string{
		"-1": "negative", "0,-3": "negative", "a": "no partition", "1-": "no partition", "3-1": "backwards",
		"1-2-3": "no partition",
		",":     "names no partition", "100000": "out of bounds", "0-99999999999999": "out of bounds", "1.5": "no partition",
	})
	if all, err := parsePartitions("0-99999,0-99998,5-99999"); err != nil || len(all) != 100_000 {
		t.Errorf("%d partitions, %v", len(all), err)
	}
}

func TestStarts(t *testing.T) {
	accepted(t, parseStart, map[string]Start{
		"latest": {}, "EARLIEST": {Kind: StartEarliest},
		"24h": {Kind: StartBack, Back: 24 * time.Hour}, "7d": {Kind: StartBack, Back: 7 * 24 * time.Hour},
		"2026-01-31T08:00:00Z":      {Kind: StartTime, Time: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)},
		"2026-01-31T08:00:00+02:00": {Kind: StartTime, Time: time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)},
	})
	refused(t, parseStart, map[string]string{"": "no place", "beginning": "no place", "-24h": "no place", "0s": "no place",
		"42": "no place", "2026-01-31": "no place"})
}

func TestURLsOfRoutes(t *testing.T) {
	accepted(t, parseURL, map[string]string{
		"http://a/b%20c?d=e": "http://a/b%20c?d=e", "http://[::1]:65535": "http://[::1]:65535",
	})
	refused(t, parseURL, map[string]string{
		"http://a:99999/": "has a port", "http://a:0/": "has a port", "http://a/b c": "not a URL", "http://a b/": "not a URL",
		"http://a/?b=c d": "not a URL",
	})
}

func TestEndpointsScopesAndExtensions(t *testing.T) {
	accepted(t, parseEndpoint,
		map[string]string{"https://a.example/t": "https://a.example/t", "http://127.0.0.1:80": "http://127.0.0.1:80"})
	refused(t, parseEndpoint, map[string]string{
		"a.example/t": "not a URL", "ftp://a": "not a URL", "https://": "not a URL", "https://u:p@a": "holds a user",
		"https://a/#x": "holds a #", "https://a\x00b": "not a URL",
	})
	accepted(t, parseScopes, map[string][]string{"a b,c  a": {"a", "b", "c"}})
	refused(t, parseScopes, map[string]string{",": "no scope", `a"b`: "no OAuth scope", "ü": "no OAuth scope"})
	accepted(t, parseExtensions, map[string]map[string]string{"a=1, b = 2=3": {"a": "1", "b": "2=3"}})
	refused(t, parseExtensions, map[string]string{
		"": "no extension", "a": "name=value", "a=": "name=value", "=b": "name=value", "a1=b": "name=value",
		"a=\x01": "name=value", "auth=x": "token itself", "a=1,a=2": "twice",
	})
	for endpoint, want := range map[string]bool{"http://a.example": true, "http://10.0.0.1/": true,
		"http://localhost:1": false, "http://127.0.0.1": false, "http://[::1]:1": false, "https://a.example": false} {
		if crossesInClear(endpoint) != want {
			t.Errorf("%s crosses in clear text: %v", endpoint, !want)
		}
	}
}
