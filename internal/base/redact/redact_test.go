package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// echoes are how a hostile server may give back what it was sent.
func echoes(secret string) map[string]string {
	b := []byte(secret)
	asJSON, err := json.Marshal(map[string]string{"error_description": "bad " + secret + " there"})
	if err != nil {
		panic(err)
	}
	return map[string]string{
		"raw":                         "bad " + secret + " there",
		"in quotes":                   strconv.Quote("bad " + secret),
		"in JSON":                     string(asJSON),
		"in base64":                   base64.StdEncoding.EncodeToString(b),
		"in base64 for URLs":          base64.URLEncoding.EncodeToString(b),
		"in base64 without padding":   base64.RawStdEncoding.EncodeToString(b),
		"in a URL without padding":    base64.RawURLEncoding.EncodeToString(b),
		"with a user, in base64":      "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret)),
		"with a user's, in base64":    "Basic " + base64.StdEncoding.EncodeToString([]byte("users:"+secret+"x")),
		"with two users', in base64":  "Basic " + base64.URLEncoding.EncodeToString([]byte("users2:"+secret+"yz")),
		"in a query":                  "https://h/?key=" + url.QueryEscape(secret) + "&x=1",
		"in a path":                   "https://h/" + url.PathEscape(secret) + "/x",
		"in a query with small hex":   "?key=" + lowerEscapes(url.QueryEscape(secret)),
		"in hexadecimal":              hex.EncodeToString(b),
		"in large hexadecimal":        strings.ToUpper(hex.EncodeToString(b)),
		"with bytes before and after": "\x00n,," + secret + "\x01",
		"twice":                       secret + secret,
	}
}

func TestSecretsAreTakenOutInEveryForm(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"correct-horse-battery", `p"a\ss<wo>rd&/+=é`, "a b c d e f", "MTIzNDU2Nzg5",
		"%41%42%43%44", "12345678", "läßt-grüßen"} {
		var r Redactor
		r.Add(secret)
		for how, said := range echoes(secret) {
			got := r.Text(said)
			if !strings.Contains(got, Mark) {
				t.Errorf("%q %s: %q is let through", secret, how, got)
			}
			if strings.Contains(got, secret) {
				t.Errorf("%q %s: still there in %q", secret, how, got)
			}
		}
	}
}

func TestShortSecretsLeaveTextsAlone(t *testing.T) {
	t.Parallel()
	var r Redactor
	r.Add("a", "ab", "abc", "", "orders", "test")
	const said = "a broker of cabs says abc: tested reorders, contest"
	if got := r.Text(said); got != said {
		t.Errorf("%q", got)
	}
	if got := r.Text("topic orders, test=test, orders."); got != "topic [redacted], [redacted]=[redacted], [redacted]." {
		t.Errorf("%q", got)
	}
	for _, whole := range []string{"a", "ab", "abc", "orders"} {
		if got := r.Value(whole); got != Mark {
			t.Errorf("%q as a value is %q", whole, got)
		}
	}
	if got := r.Value("") + r.Value("b"); got != "b" {
		t.Errorf("%q", got)
	}
}

func TestSecretsGoWithWhoAddedThem(t *testing.T) {
	t.Parallel()
	var r Redactor
	const secret = "correct-horse"
	one, two := r.Add(secret, "x"), r.Add(secret)
	one()
	one() // once counts
	if got := r.Text(secret); got != Mark {
		t.Errorf("one who has it is left, and it is shown: %q", got)
	}
	if got := r.Value("x"); got != "x" {
		t.Errorf("%q", got)
	}
	two()
	if got := r.Text(secret); got != secret || len(r.forms)+len(r.plain)+len(r.digits) != 0 || len(r.values) != 0 {
		t.Errorf("nobody has it any more: %q, %d forms, %d values", got, len(r.forms), len(r.values))
	}
}

func TestKeysAreTakenOutByTheLine(t *testing.T) {
	t.Parallel()
	var r Redactor
	line := strings.Repeat("Ab1/", 16)
	key := "-----BEGIN PRIVATE KEY-----\n" + line + "\n" + line[4:] + "Zz==\n-----END PRIVATE KEY-----\n"
	r.Add(key)
	asJSON, _ := json.Marshal(key)
	for _, said := range []string{key, line, string(asJSON), "bad key " + strings.ReplaceAll(key, "\n", " ")} {
		if got := r.Text(said); strings.Contains(got, line[4:]) {
			t.Errorf("%q", got)
		}
	}
	r.Add(strings.Repeat("long", maxLength)) // a secret without lines
	if got := r.Text("-----BEGIN PRIVATE KEY----- is missing"); got != "-----BEGIN PRIVATE KEY----- is missing" {
		t.Errorf("%q", got)
	}
}

func TestTokensAreTakenOutUnknown(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	for said, want := range map[string]string{
		"token " + jwt + " is bad":                     "token [redacted] is bad",
		"Authorization: Bearer abcdef0123456789==, x":  "Authorization: [redacted], x",
		"the bearer of bad news":                       "the bearer of bad news",
		"authorization: bearer 0123456789abcdef":       "authorization: [redacted]",
		"SASL OAUTHBEARER is not among the mechanisms": "SASL OAUTHBEARER is not among the mechanisms",
	} {
		if got := (*Redactor)(nil).Text(said); got != want {
			t.Errorf("%q became %q", said, got)
		}
	}
}

func TestForeignTextsAreOneLineOfBoundedLength(t *testing.T) {
	t.Parallel()
	var r Redactor
	if got := r.Text("a\nb\tc\x1b[31md\u202ee\u2028f\x00\u0085g\xff"); got != "a b c�[31md�e f� g�" {
		t.Errorf("%q", got)
	}
	if got := r.Text(strings.Repeat("é", maxText)); len(got) > maxText || !utf8.ValidString(got) {
		t.Errorf("%d bytes", len(got))
	}
	err := fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)
	if r.Err(err) != err || r.Err(nil) != nil {
		t.Error("an error that is fit was changed")
	}
	r.Add("unexpected EOF")
	if got := r.Err(err); got.Error() != "reading: [redacted]" || !errors.Is(got, io.ErrUnexpectedEOF) {
		t.Errorf("%v", got)
	}
}

type loud struct{ text string }

func (l loud) LogValue() slog.Value { return slog.GroupValue(slog.String("inner", l.text)) }

func TestTheLogIsWithoutSecrets(t *testing.T) {
	t.Parallel()
	var r Redactor
	const secret = "correct-horse-battery"
	r.Add(secret, "t1")
	for name, makeHandler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	} {
		var b bytes.Buffer
		log := r.Logger(slog.New(makeHandler(&b)))
		log.With("kept", secret).WithGroup("g").Warn("said "+secret, "error", fmt.Errorf("no: %s", secret), "text", secret,
			"any", []string{secret},
			"bytes", []byte(secret), "deep", loud{secret}, slog.Group("grouped", "x", secret), "topic", "t1", "long",
			strings.Repeat("x", 100_000), "n", 7)
		got := b.String()
		if strings.Contains(got, secret) || strings.Contains(got, "t1") || strings.Contains(got, "99 111 114") ||
			len(got) > 2*maxAttr {
			t.Errorf("%s: %d bytes: %.700s", name, len(got), got)
		}
		if strings.Count(got, Mark) < 8 || !strings.Contains(got, "7") {
			t.Errorf("%s: %.700s", name, got)
		}
	}
}

// Whoever reads the log as JSON finds lists and maps in it, not their texts.
func TestWhatHasNoSecretKeepsItsFormInTheLog(t *testing.T) {
	r := &Redactor{}
	r.Add("s3cret-word")
	var out strings.Builder
	log := r.Logger(slog.New(slog.NewJSONHandler(&out, nil)))
	log.Info("x", "partitions", map[string][]int32{"orders": {1, 2}}, "hosts", []string{"a:1", "s3cret-word"}, "long",
		make([]int, maxAttr))
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(line["partitions"]); got != "map[orders:[1 2]]" || line["partitions"] == got {
		t.Errorf("partitions are %T %v", line["partitions"], line["partitions"])
	}
	if hosts, isText := line["hosts"].(string); !isText || strings.Contains(hosts, "s3cret-word") ||
		!strings.Contains(hosts, "a:1") {
		t.Errorf("hosts are %v", line["hosts"])
	}
	if long, isText := line["long"].(string); !isText || len(long) > maxAttr+100 {
		t.Errorf("a long list has %d bytes", len(long))
	}
}

func TestManySecretsCostATextNoMore(t *testing.T) {
	t.Parallel()
	var r Redactor
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 1000 {
				secret := fmt.Sprintf("%08x-secret-%d", i*7919, worker)
				remove := r.Add(secret)
				if got := r.Text("echo " + secret); got != "echo "+Mark {
					t.Errorf("%q", got)
				}
				if i%2 == 0 {
					remove()
				}
			}
		})
	}
	all.Wait()
	if len(r.values) != 2000 {
		t.Errorf("%d secrets are left", len(r.values))
	}
}

// FuzzText: no text and no secret breaks anything, and what is long enough to be looked for is gone.
func FuzzText(f *testing.F) {
	f.Add("said correct-horse-battery", "correct-horse-battery")
	f.Add("aaaaaaaaaaaa", "aaaa")
	f.Add("\xff\xfe", "\xff\xfe\xff\xfe\xff\xfe\xff\xfe")
	f.Fuzz(func(t *testing.T, said, secret string) {
		var r Redactor
		remove := r.Add(secret)
		got := r.Secrets(said + " " + secret + " " + said)
		if len(secret) >= looseLength && !strings.ContainsAny(secret, "\r\n") && len(secret) <= maxLength &&
			!strings.Contains(Mark, secret) && strings.Contains(strings.ReplaceAll(got, Mark, "\x00\x01\x02"), secret) &&
			!strings.Contains(secret, "eyJ") && !strings.Contains(strings.ToLower(secret), "earer") {
			t.Errorf("%q is left in %q", secret, got)
		}
		if fit := r.Text(said); !utf8.ValidString(fit) || len(fit) > maxText || strings.ContainsAny(fit, "\r\n\x00\x1b") {
			t.Errorf("%q", fit)
		}
		remove()
		if len(r.forms)+len(r.plain)+len(r.digits) != 0 || len(r.values) != 0 {
			t.Error("something is left")
		}
	})
}
