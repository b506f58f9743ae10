package settings

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// NATS says which NATS servers a route of a bridge has to do with, and what with them. Links of wasmCloud have the
// zero value, and so have routes without NATS.
type NATS struct {
	Server NATSServer
	// Subject is where records go: a subject with [NATSPlaceholders] in it.
	Subject string
	// Stream is the stream that has to take the records, "" for whichever has the subject.
	Stream string
	// AdvisoryStream is the stream that keeps the advisories about messages which consumers of Stream have given up; ""
	// where nobody asks for these.
	AdvisoryStream string
	// MaxWait bounds a request whose receiver asks for more time again and again.
	MaxWait time.Duration
	// AnswerTimeout is how long a request may be without a sign of life.
	AnswerTimeout time.Duration

	// PublishSubjects are subscribed to, PublishTopic is where their messages go: "" for what each subject says.
	PublishSubjects []string
	PublishTopic    string
	// Queue is the group in which they are subscribed to.
	Queue string
}

// NATSServer says how to reach NATS servers, and as whom. It is comparable: what is equal is one connection.
type NATSServer struct {
	// URLs are addresses of one cluster, with commas between them.
	URLs string
	// Creds is the content of a credentials file, Seed that of an nkey.
	Creds, Seed, Token Secret
	User               string
	Password           Secret
	// The files are read again for each connection.
	TLSCAFile, TLSCertFile, TLSKeyFile string
}

// Given tells whether there is a server to connect to.
func (s *NATSServer) Given() bool { return s.URLs != "" }

// What may stand in nats_subject for something of the record.
const (
	NATSTopic     = "{topic}"
	NATSPartition = "{partition}"
	NATSOffset    = "{offset}"
	NATSKey       = "{key}"
)

// NATSPlaceholders are all of them.
var NATSPlaceholders = []string{NATSTopic, NATSPartition, NATSOffset, NATSKey}

// IsNATSSubject tells whether a text can be published to: no wildcards, no spaces, no empty tokens.
func IsNATSSubject(text string) bool { return isSubject(text) && !hasWildcard(text) }

// isSubject tells whether a text can be subscribed to.
func isSubject(text string) bool {
	if len(text) > maxSubject {
		return false
	}
	tokens := strings.Split(text, ".")
	for i, token := range tokens {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return false
		}
		if token == ">" && i < len(tokens)-1 {
			return false
		}
		if len(token) > 1 && strings.ContainsAny(token, "*>") {
			return false
		}
	}
	return utf8.ValidString(text)
}

// maxSubject bounds subjects. A server takes no line of more than 4096 bytes, with a reply subject in it.
const maxSubject = 1024

func hasWildcard(subject string) bool {
	tokens := strings.Split(subject, ".")
	return slices.Contains(tokens, "*") || slices.Contains(tokens, ">")
}

// parseNATSURLs reads a list of addresses of servers.
func parseNATSURLs(text string) (string, error) {
	urls := list(text)
	if len(urls) == 0 {
		return "", refuse(text, "names no server")
	}
	for _, one := range urls {
		u, err := url.Parse(one)
		switch {
		case err != nil || (u.Scheme != "nats" && u.Scheme != "tls") || u.Hostname() == "":
			// The text may hold a password, so it is not shown.
			return "", refuse("", "is not the URL of a NATS server: write nats://host:4222, or tls://host:4222 for TLS from the first byte on")
		case !canBePort(u.Port()):
			return "", refuse("", "has a port that is none from 1 to 65535")
		case u.User != nil:
			return "", refuse("", "holds a user: write nats://host:port, and the credentials as nats_user and nats_password, nats_token, nats_nkey or nats_creds")
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
			return "", refuse("", "holds something behind the host and the port, which NATS does not use")
		}
	}
	return strings.Join(urls, ","), nil
}

// parseNATSSubject reads a subject with placeholders.
func parseNATSSubject(text string) (string, error) {
	plain := text
	for _, p := range NATSPlaceholders {
		plain = strings.ReplaceAll(plain, p, "x")
	}
	switch {
	case strings.ContainsAny(plain, "{}"):
		return "", refuse(text, "has a brace that is none of %s", strings.Join(NATSPlaceholders, ", "))
	case !isSubject(plain):
		return "", refuse(text, "is not a subject of NATS: tokens with dots between them, without spaces, of at most %d bytes", maxSubject)
	case hasWildcard(plain):
		return "", refuse(text, "has a wildcard, and a message goes to one subject: leave out * and >")
	}
	return text, nil
}

// parseNATSSubjects reads subjects to subscribe to.
func parseNATSSubjects(text string) ([]string, error) {
	subjects := list(text)
	if len(subjects) == 0 {
		return nil, refuse(text, "names no subject")
	}
	for i, s := range subjects {
		for _, other := range subjects[:i] {
			if overlap(s, other) {
				return nil, refuse(s, "and another of the subjects match the same messages, which would be published twice")
			}
		}
		if !isSubject(s) {
			return nil, refuse(s, "is not a subject of NATS: tokens with dots between them, in which * stands for one token and > at the end for all that follow")
		}
		if s == ">" || strings.HasPrefix(s, "$") || strings.HasPrefix(s, "_INBOX.") {
			return nil, refuse(s, "has subjects of NATS itself: begin with a token of your own, as kafka.>")
		}
	}
	return subjects, nil
}

// overlap tells whether a subject can match two patterns.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		if x[i] == ">" || y[i] == ">" {
			return true
		}
		if x[i] != y[i] && x[i] != "*" && y[i] != "*" {
			return false
		}
	}
	return len(x) == len(y)
}

// parseNATSName reads the name of a stream or a queue group.
func parseNATSName(text string) (string, error) {
	if len(text) > 255 || text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) ||
		strings.ContainsAny(text, "*>/\\") {
		return "", refuse(text, "is not a name that NATS takes: up to 255 characters without spaces and without * > / \\")
	}
	return text, nil
}

// parseStreamName reads the name of a stream, which has no dots.
func parseStreamName(text string) (string, error) {
	if strings.Contains(text, ".") {
		return "", refuse(text, "has a dot, which no stream has in its name")
	}
	return parseNATSName(text)
}

// seed is an nkey seed of a user in its text form.
var seed = regexp.MustCompile(`^SU[A-Z2-7]{56}$`)

func parseNATSSeed(text string) (Secret, error) {
	if !seed.MatchString(strings.TrimSpace(text)) {
		return Secret{}, refuse("", "is no seed of a user's nkey: 58 characters that begin with SU")
	}
	return NewSecret(strings.TrimSpace(text)), nil
}

func parseNATSCreds(text string) (Secret, error) {
	if !strings.Contains(text, "BEGIN NATS USER JWT") || !strings.Contains(text, "BEGIN USER NKEY SEED") {
		return Secret{}, refuse("", "is no content of a .creds file: that has a user's JWT and the seed of its nkey, each between lines that say so")
	}
	return NewSecret(text), nil
}
