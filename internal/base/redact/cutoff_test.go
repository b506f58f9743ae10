package redact

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// TestATextThatBreaksOffEndsBeforeASecret, in whatever form that stands there and wherever it is cut.
func TestATextThatBreaksOffEndsBeforeASecret(t *testing.T) {
	t.Parallel()
	const secret, before = "Zq7-canary/of.the+route=19", "this is wrong: "
	var r Redactor
	r.Add(secret)
	var codes strings.Builder
	for _, c := range secret {
		fmt.Fprintf(&codes, `\u%04x`, c)
	}
	for name, form := range map[string]string{
		"as it is": secret, "in a URL": url.QueryEscape(secret),
		"in base64":      base64.StdEncoding.EncodeToString([]byte(secret)),
		"in hexadecimal": hex.EncodeToString([]byte(secret)), "in codes": codes.String(),
		"twice in a URL":     url.QueryEscape(url.QueryEscape(secret)),
		"a letter in a code": strings.Replace(secret, "-", `\u002d`, 1), "in HTML": strings.ReplaceAll(secret, "/", "&#x2f;"),
		"in capitals": strings.ToUpper(secret),
	} {
		for n := range len(form) {
			got := r.Secrets(r.CutOff(before + form[:n]))
			rest, ok := strings.CutSuffix(got, "…")
			if !ok || !strings.HasPrefix(rest, strings.TrimSpace(before)) {
				t.Errorf("%s, %d bytes: %q", name, n, got)
			}
			// Of what is escaped or coded, eight bytes are not four of the secret.
			most := minLength
			if form != secret {
				most = 24
			}
			if left := len(rest) - len(before); left >= most {
				t.Errorf("%s, %d bytes: %q is left", name, n, rest[len(before):])
			}
		}
	}
	for said, want := range map[string]string{
		"": "…", "no such order": "no such order…", "Bearer abc": "…", "see eyJhbGciOiJub25lIn0.eyJzdWI": "see …",
		"whole: " + secret + " and": "whole: " + Mark + " and…",
	} {
		if got := r.Secrets(r.CutOff(said)); got != want {
			t.Errorf("%q becomes %q, want %q", said, got, want)
		}
	}
	if got := (*Redactor)(nil).CutOff("a text"); got != "a text…" {
		t.Errorf("without secrets: %q", got)
	}
}

// TestSecretsAcrossACutAreTakenOut: whatever is cut, at any of the bytes of the secret.
func TestSecretsAcrossACutAreTakenOut(t *testing.T) {
	t.Parallel()
	const secret = "Zq7-canary/of.the+route=19"
	var r Redactor
	r.Add(secret)
	var log strings.Builder
	logger := r.Logger(slog.New(slog.NewTextHandler(&log, nil)))
	for n := range len(secret) + 4 {
		const limit = 200
		said := strings.Repeat("z", limit-n) + secret + " and more"
		for name, got := range map[string]string{
			"Clip": r.Clip(said, limit), "twice": r.Clip(said+said, limit),
			"Text":                  r.Text(strings.Repeat("z", maxText-limit) + said),
			"all that is looked at": r.Secrets(strings.Repeat("z", MaxLooked-limit) + said),
			"much that is shorter without secrets": r.Secrets(
				strings.Repeat("bearer "+strings.Repeat("t", 1<<10)+" ", MaxLooked>>10) + said),
		} {
			if strings.Contains(got, secret[:minLength]) {
				t.Errorf("%s, %d bytes: it ends with %q", name, n, got[max(0, len(got)-60):])
			}
		}
		logger.Info("a line", "name", Short{said, limit}, "n", strconv.Itoa(n))
	}
	if strings.Contains(log.String(), secret[:minLength]) || !strings.Contains(log.String(), "zzz…") {
		t.Errorf("the log has it: %s", log.String())
	}
}
