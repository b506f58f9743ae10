package config

import (
	"path/filepath"
	"slices"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// key is a key of the file that is no setting of links, declared once for the reader, the documents and the schema.
type key struct {
	name, kind string
	// def is the default as a user would write it, or says what it is; example is a value that is taken.
	def, example string
	// words are all that a value can be, where these are few.
	words []string
	// doc are full sentences in Markdown.
	doc string
	// secret tells that a value must not be shown, and list that a list may stand there.
	secret, list bool
	// set takes the value; nil for those that are read in a way of their own.
	set func(c *Config, caller *Caller, value string) error
}

// The keys of the file that are read in a way of their own.
const (
	keyName      = "name"
	keyListen    = "listen"
	keyCallers   = "callers"
	keyRoutes    = "routes"
	keyToken     = "token"
	keyTokenFile = keyToken + fileSuffix
)

// topKeys are those above the routes.
var topKeys = []key{
	{
		name: keyName, kind: "name", def: "`" + defaultName + "`", example: "shop",
		doc: "Name of the bridge. The groups of its routes begin with it, so that it must stay the same.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Name, v, parseName) },
	},
	{
		name: keyListen, kind: "host:port", def: "none: nobody is served", example: "127.0.0.1:8088",
		doc: "Address on which callers publish over HTTP. With a port alone it is the loopback's.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.Address, v, settings.ListenAddress) },
	},
	{
		name: "listen_open", kind: "true or false", def: "`false`", example: "true", words: []string{"true", "false"},
		doc: "Lets a bridge without `callers` listen on an address that others reach: whoever does may publish by all routes.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.Open, v, settings.Bool) },
	},
	{
		name: "listen_hosts", kind: "list of host names", def: "none", example: "bridge.shop.svc", list: true,
		doc: "Names under which `listen` is asked, besides addresses, `localhost` and the name in it. Requests for others are refused, so that no page elsewhere can publish through a browser.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.Hosts, v, settings.HostNames) },
	},
	{
		name: "listen_tls_cert_file", kind: "path", def: "none: in clear", example: "/etc/bridge/tls.crt",
		doc: "Certificate of the server in PEM form, with intermediate ones after it. It is read again when it changes. Needs `listen_tls_key_file`.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.CertFile, v, c.path) },
	},
	{
		name: "listen_tls_key_file", kind: "path", def: "none", example: "/etc/bridge/tls.key",
		doc: "Private key of that certificate.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.KeyFile, v, c.path) },
	},
	{
		name: "listen_client_ca_file", kind: "path", def: "none", example: "/etc/bridge/clients.pem",
		doc: "Authorities of client certificates, by which callers may prove who they are (`certificates`).",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.ClientCAFile, v, c.path) },
	},
	{
		name: "listen_max_body", kind: "size in bytes, 1KiB to 256MiB", def: "`16MiB`", example: "1MiB",
		doc: "Largest body of a request.",
		set: func(c *Config, _ *Caller, v string) error {
			return into(&c.Listen.MaxBody, v, func(v string) (int64, error) { return settings.Size(v, 1<<10, 256<<20) })
		},
	},
	{
		name: "listen_max_connections", kind: "number of connections, 1 to 100000", def: "`512`", example: "64",
		doc: "Most connections of callers that are open at once.",
		set: func(c *Config, _ *Caller, v string) error { return into(&c.Listen.MaxConnections, v, upTo(100_000)) },
	},
	{name: keyCallers, kind: "mapping of names", def: "none: whoever reaches `listen` publishes by all routes", doc: "Who may publish."},
	{name: keyRoutes, kind: "mapping of names", def: "none", doc: "The routes. One at least."},
}

// callerKeys are those of a caller.
var callerKeys = []key{
	{
		name: keyToken, kind: "text, or a list", def: "none", secret: true, list: true,
		doc: "Token that the caller shows as `Authorization: Bearer`, 16 characters at least. While one is exchanged there may be several.",
	},
	{
		name: keyTokenFile, kind: "path", def: "none", example: "/run/secrets/shop",
		doc: "File that has the token; several stand on lines of their own.",
	},
	{
		name: "certificates", kind: "list", def: "none", example: "cn:shop", list: true,
		doc: "Names in client certificates by which the caller is known: `cn:NAME`, `dns:NAME` or `uri:NAME`.",
		set: func(_ *Config, c *Caller, v string) error { return into(&c.Certificates, v, parseList) },
	},
	{
		name: keyRoutes, kind: "list of routes", def: "none", example: "orders", list: true,
		doc: "Routes by which the caller may publish. Where there are several, a request names one by the header `Messaging-Kafka-Route`.",
		set: func(_ *Config, c *Caller, v string) error { return into(&c.Routes, v, parseList) },
	},
	{
		name: "allowed_topics", kind: "list of topics with `*` and `?`", def: "all that the route allows", example: "orders.*", list: true,
		doc: "Topics that the caller may publish to, of those that the route allows.",
		set: func(_ *Config, c *Caller, v string) error { return into(&c.AllowedTopics, v, settings.TopicGlobs) },
	},
	{
		name: "max_in_flight", kind: "number of requests, 1 to 10000", def: "`256`", example: "32",
		doc: "Most requests of the caller that run at once.",
		set: func(_ *Config, c *Caller, v string) error { return into(&c.MaxInFlight, v, upTo(10_000)) },
	},
}

// names are those of keys.
func names(keys []key) []string {
	list := make([]string, len(keys))
	for i := range keys {
		list[i] = keys[i].name
	}
	return list
}

// find returns a key by its name, nil where there is none.
func find(keys []key, name string) *key {
	if i := slices.IndexFunc(keys, func(k key) bool { return k.name == name }); i >= 0 {
		return &keys[i]
	}
	return nil
}

// into puts a value that can be read into its place.
func into[T any](place *T, text string, parse func(string) (T, error)) error {
	v, err := parse(text)
	if err == nil {
		*place = v
	}
	return err
}

func parseName(text string) (string, error) {
	if !settings.IsName(text) {
		return "", errName
	}
	return text, nil
}

func parseList(text string) ([]string, error) { return settings.List(text), nil }

func upTo(most int64) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := settings.Number(text, 1, most)
		return int(n), err
	}
}

// path is a path of the file, which is relative to its folder.
func (c *Config) path(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.folder, path)
	}
	return path, nil
}
