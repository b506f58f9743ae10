package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Listen says where callers are served, and how.
type Listen struct {
	// Address is "" where nobody is served.
	Address string
	// Open lets others than this machine reach it although nobody shows a token.
	Open                            bool
	Hosts                           []string
	CertFile, KeyFile, ClientCAFile string
	// MaxBody and MaxConnections are 0 for the server's own default.
	MaxBody        int64
	MaxConnections int
}

// Caller is somebody who publishes by routes of the bridge.
type Caller struct {
	Name string
	// Tokens and Certificates are by what it proves who it is, any of them.
	Tokens       []settings.Secret
	Certificates []string
	// Routes are the names of those that it may use.
	Routes        []string
	AllowedTopics []string
	// MaxInFlight is 0 for the server's own default.
	MaxInFlight int

	line int
}

// readCallers reads who may publish.
func (r *reader) readCallers(e entry) {
	if !r.isMapping(e.key, e) {
		return
	}
	for _, inner := range e.inner {
		key := keyCallers + "." + shown(inner.key)
		if !settings.IsName(inner.key) {
			r.fail(inner.line, key, "%v", errName)
			continue
		}
		if r.isMapping(key, inner) {
			r.readCaller(key, inner)
		}
	}
	slices.SortFunc(r.config.Callers, func(a, b Caller) int { return cmp.Compare(a.Name, b.Name) })
}

func (r *reader) readCaller(above string, e entry) {
	caller, before := Caller{Name: e.key, line: e.line}, len(r.errors)
	for _, inner := range e.inner {
		at := above + "." + shown(inner.key)
		k := find(callerKeys, inner.key)
		switch {
		case k == nil:
			r.unknown(inner.line, at,
				nearest(inner.key, func(settings.Description) bool { return false }, names(callerKeys)))
		case k.name == keyToken:
			r.readTokens(at, inner, &caller)
		case k.name == keyTokenFile:
			if secret, ok := r.fromFile(at, inner); ok {
				for line := range strings.Lines(secret.Reveal()) {
					caller.addToken(strings.TrimRight(line, "\r\n"))
				}
			}
		default:
			r.set(at, inner, k, &caller)
		}
	}
	for _, token := range caller.Tokens {
		r.config.Hide = append(r.config.Hide, token.Reveal())
	}
	if len(r.errors) == before {
		switch {
		case len(caller.Tokens) == 0 && len(caller.Certificates) == 0:
			r.fail(e.line, above+"."+keyToken, "is missing: a caller proves who it is by token, token_file or certificates")
		case len(caller.Routes) == 0:
			r.fail(e.line, above+"."+keyRoutes, "is missing: name the routes that the caller may use")
		}
	}
	r.config.Callers = append(r.config.Callers, caller)
}

// readTokens reads a token or a list of them. Commas may be part of one.
func (r *reader) readTokens(at string, e entry, caller *Caller) {
	parts := e.parts
	if parts == nil {
		parts = []string{e.value}
	}
	for _, part := range parts {
		one := e
		one.value, one.parts = part, nil
		t, ok := r.text(at, one)
		if !ok {
			return
		}
		if !t.hidden {
			r.warn(e.line, at, "stands in the file itself, for everyone who can read that; write ${VARIABLE}, or token_file with the path of a file")
		}
		caller.addToken(t.value)
	}
}

func (c *Caller) addToken(token string) {
	if token = strings.TrimSpace(token); token != "" {
		c.Tokens = append(c.Tokens, settings.NewSecret(token))
	}
}

// keyAdmin is the setting of the process that has it listen on a further address.
const keyAdmin = "admin_address"

// listens settles who may publish by which routes.
func (r *reader) listens() {
	c := r.config
	named := make(map[string]bool)
	for _, caller := range c.Callers {
		for _, name := range caller.Routes {
			named[name] = true
			if !slices.ContainsFunc(r.routes, func(e entry) bool { return e.key == name }) {
				r.fail(caller.line, keyCallers+"."+caller.Name+"."+keyRoutes, "has %s, which is no route of the file", shown(name))
			}
		}
	}
	for _, route := range c.Routes {
		route.Publishes = c.Listen.Address != "" && (named[route.Name] || len(c.Callers) == 0)
	}
	if _, given := r.lines[keyListen]; !given {
		for name, line := range r.lines {
			if name == keyCallers || strings.HasPrefix(name, keyListen) {
				r.fail(line, name, "says nothing without %s, the address at which callers are served", keyListen)
			}
		}
		return
	}
	if admin, given := c.says(keyAdmin); given && listen.Clash(c.Listen.Address, admin) {
		r.fail(r.lines[keyListen], keyListen, "and %s have one port of one host: give them two", keyAdmin)
	}
	if (c.Listen.CertFile == "") != (c.Listen.KeyFile == "") {
		r.fail(r.lines[keyListen], "listen_tls_cert_file", "and listen_tls_key_file belong together: give both, or neither")
	}
	if c.Listen.ClientCAFile != "" && c.Listen.CertFile == "" {
		r.fail(r.lines["listen_client_ca_file"], "listen_client_ca_file", "needs TLS: give listen_tls_cert_file and listen_tls_key_file")
	}
}
