package settings

import (
	"net/url"
	"strings"
)

// SecretValues returns the texts that must not be shown to anybody, of a link or of the provider: all that was given as
// a secret, in whole and in the parts that errors are made of; what is sensitive and stands in plain config
// nevertheless; and what URLs carry to prove who asks. Words and numbers of settings that know only some are none: a
// secret max_in_flight must not take every 8 out of every text.
func SecretValues(config map[string]string, secrets map[string]Secret) []string {
	var values []string
	add := func(texts ...string) {
		for _, t := range texts {
			if t = strings.Trim(t, "\r\n"); t != "" {
				values = append(values, t)
			}
		}
	}
	for key, secret := range secrets {
		text, decl := secret.Reveal(), declared[canonical(key)]
		switch {
		case decl != nil && !decl.sensitive && !decl.value.free():
		case decl != nil && !decl.sensitive:
			add(text)
			for _, part := range list(text) {
				add(part)
				if host, _, found := strings.Cut(part, ":"); found && !strings.Contains(part, "/") {
					add(host)
				}
			}
			add(urlSecrets(text, true)...)
		default:
			add(text, strings.TrimSpace(text))
			add(credsSecrets(key, text)...)
			add(headerSecrets(key, text)...)
			add(foreignSecrets(key, text)...)
			add(controlSecrets(key, text)...)
			add(urlSecrets(text, true)...)
		}
	}
	for key, text := range config {
		if decl := declared[canonical(key)]; decl != nil && decl.sensitive {
			add(text, strings.TrimSpace(text))
		}
		add(credsSecrets(key, text)...)
		add(headerSecrets(key, text)...)
		add(foreignSecrets(key, text)...)
		add(controlSecrets(key, text)...)
		add(urlSecrets(text, false)...)
	}
	return values
}

// free tells whether a value may be any text, and is not one of some words or a number.
func (v value) free() bool {
	for _, kind := range []string{"number", "size", "duration"} {
		if strings.HasPrefix(v.kind, kind) {
			return false
		}
	}
	return len(v.words) == 0
}

// credsSecrets are the lines of a credentials file of NATS between those that say what they are: the JWT and the seed.
func credsSecrets(key, text string) []string {
	if canonical(key) != keyNATSCreds {
		return nil
	}
	var values []string
	for line := range strings.Lines(text) {
		const shortest = 32 // explanations among them are no secrets
		if line = strings.TrimSpace(line); len(line) >= shortest && !strings.Contains(line, " ") {
			values = append(values, line)
		}
	}
	return values
}

// headerSecrets are the values of headers in a variable of OpenTelemetry: "authorization=Basic abc,x=y".
func headerSecrets(key, text string) []string {
	if name := canonical(key); !isTelemetry(name) || !strings.HasSuffix(name, "_headers") {
		return nil
	}
	var values []string
	for _, part := range list(text) {
		_, v, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(v); err == nil && plain != v {
			values = append(values, plain, lastWord(plain))
		}
		values = append(values, v, lastWord(v))
	}
	return values
}

func lastWord(s string) string { return s[strings.LastIndexByte(s, ' ')+1:] }

// urlSecrets are what the URLs in a text carry: passwords, users that are tokens, and values of the query; all of those
// where the URL itself was given as a secret, else those by whose name or length it is to be seen.
func urlSecrets(text string, all bool) []string {
	var values []string
	for _, part := range list(text) {
		u, err := url.Parse(part)
		if err != nil || u.Host == "" {
			continue
		}
		if password, has := u.User.Password(); has {
			values = append(values, password)
		} else if name := u.User.Username(); name != "" {
			values = append(values, name)
		}
		if all {
			values = append(values, u.Host, u.Hostname())
		}
		for name, texts := range u.Query() {
			for _, v := range texts {
				if all || len(v) >= 16 || ProvesWho(name) {
					values = append(values, v)
				}
			}
		}
	}
	return values
}

// ProvesWho tells whether what goes by a name is likely to prove who somebody is: a password, a token, a key.
func ProvesWho(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"key", "token", "secret", "pass", "pwd", "sig", "auth", "cred", "code", "jwt"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
