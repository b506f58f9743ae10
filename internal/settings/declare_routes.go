package settings

// Names of settings that the rules about routes speak of.
const (
	keyDeliver         = "deliver"
	keyURL             = "url"
	keyHTTPHost        = "http_host"
	keyHTTPConnections = "http_connections"
	keyHTTPProtocol    = "http_protocol"
	keyHTTPFormat      = "http_format"
	keyHTTPMode        = "http_mode"
	keyHTTPMaxAnswer   = "http_max_answer"
	keyHTTPCA          = "http_tls_ca"
	keyHTTPCert        = "http_tls_cert"
	keyHTTPKey         = "http_tls_key"
	keyHTTPKeyPassword = "http_tls_key_password"
	keyBearerToken     = "http_bearer_token"
	keyHMACKey         = "http_hmac_key"
)

// kindPEM is the kind of settings that are certificates or keys.
const kindPEM = "PEM text"

func routeSection() section {
	return section{
		title: "Routes of a bridge: delivery by HTTP",
		intro: "These settings stand on routes of `messaging-kafka bridge` only ([bridge.md](bridge.md)). A link of wasmCloud that has one is refused.",
		settings: []setting{
			{
				name: keyDeliver, hints: []string{"delivery", "deliver_as", "sink"}, scope: scopeRoute,
				defDoc: "none: the route only publishes", example: "http-records",
				doc: "How the records of `topic` are handed over: `http-records` posts batches of whole records and takes a verdict, or the records that were made of it, for each; `http-messages` posts messages for components of `wasmcloud:messaging`, one at a time unless `batch_max_records` is given; `http-cloudevents` posts events of CloudEvents 1.0, whose answers become records of `reply_topic` where that is given. `nats-reply`, `jetstream` and `nats` hand each record over by NATS ([nats.md](nats.md)): as a request whose reply is the verdict, into a stream, and at most once to whoever subscribes.",
				value: word(func(d *draft) *Deliver { return &d.link.HTTP.Deliver }, nil,
					DeliverRecords, DeliverMessages, DeliverCloudEvents, DeliverNATSReply, DeliverJetStream, DeliverNATS),
			},
			{
				name: keyURL, hints: []string{"endpoint", "uri", "address"}, scope: scopeRoute,
				example: "https://shop.example.com/records",
				doc:     "Where the records are posted. Redirects are not followed, and what stands before an `@` is refused: credentials go to `http_bearer_token`.",
				value:   into("URL", parseURL, func(d *draft) *string { return &d.link.HTTP.URL }),
			},
			{
				name: keyHTTPHost, hints: []string{"host_header", "http_host_header"}, scope: scopeRoute,
				defDoc: "the host of `url`", example: "shop.example.com",
				doc:   "Host header of the requests, for hosts that choose the application by it.",
				value: into("host, or host:port", parseHTTPHost, func(d *draft) *string { return &d.link.HTTP.Host }),
			},
			{
				name: keyHTTPConnections, hints: []string{"connections", "max_connections",
					"http_max_connections"}, scope: scopeRoute,
				defDoc: "what `max_in_flight` is; with `http_protocol=h2` one for each 32 of them, and 4 at least", example: "8",
				doc:   "Most connections that are open to `url` at once. Kubernetes and most balancers choose by connection, so that the load is even only over several. With `http_protocol=h2` requests share connections and take them in turn; each takes as many requests at once as the server allows, often 100 or more.",
				value: number(1, 10_000, "connections", func(d *draft) *int { return &d.link.HTTP.Connections }),
			},
			{
				name: keyHTTPProtocol, hints: []string{"http_version", "http2"}, scope: scopeRoute,
				def: "http1", example: "h2",
				doc: "`http1` is HTTP/1.1 with connections that are kept; `h2` is HTTP/2, over `http://` in clear without an upgrade (h2c).",
				value: word(func(d *draft) *HTTPProtocol { return &d.link.HTTP.Protocol },
					map[string]HTTPProtocol{"http/1.1": HTTP1, "http/2": HTTP2, "http2": HTTP2, "h2c": HTTP2}, HTTP1, HTTP2),
			},
			{
				name: keyHTTPFormat, hints: []string{"body_format", "http_body"}, scope: scopeRoute,
				def: "value", example: "json",
				doc:   "How bodies are written with `deliver=http-records` and `http-messages`: `value` is the component model's value encoding, which is small and fast, `json` is JSON of the same shape.",
				value: word(func(d *draft) *HTTPFormat { return &d.link.HTTP.Format }, nil, FormatValue, FormatJSON),
			},
			{
				name: keyHTTPMode, hints: []string{"cloudevents_mode", "content_mode", "event_mode"}, scope: scopeRoute,
				def: "binary", example: "batched",
				doc:   "How events stand in requests with `deliver=http-cloudevents`: `binary` has the value as the body and the rest in headers, `structured` the whole event as JSON, `batched` a list of such events, with one verdict for all of them.",
				value: word(func(d *draft) *HTTPMode { return &d.link.HTTP.Mode }, nil, ModeBinary, ModeStructured, ModeBatched),
			},
			{
				name: keyHTTPMaxAnswer, hints: []string{"max_answer", "max_response_bytes", "http_max_response"},
				scope: scopeRoute,
				def:   "8MiB", example: "64MiB",
				doc:   "Largest answer that is read. A larger one fails its request.",
				value: size("1KiB", "256MiB", func(d *draft) *int64 { return &d.link.HTTP.MaxAnswer }),
			},
			{
				name: keyHTTPCA, hints: []string{"http_ca", "http_ca_file", "http_ca_cert"}, scope: scopeRoute,
				defDoc: "the system's", example: "-----BEGIN CERTIFICATE-----…",
				doc:   "Certificates of the authorities that may have signed the certificate of `url`. `http_tls_ca_file` names a file with them.",
				value: authorities(keyHTTPCA, func(d *draft) *string { return &d.link.HTTP.TLSCA }),
			},
			{
				name: keyHTTPCert, hints: []string{"http_cert", "http_cert_file", "http_client_cert"}, scope: scopeRoute,
				example: "-----BEGIN CERTIFICATE-----…",
				doc:     "Client certificate, with intermediate ones after it. Needs `http_tls_key`. `http_tls_cert_file` names a file with it.",
				value:   into(kindPEM, parseCertificates, func(d *draft) *string { return &d.link.HTTP.TLSCert }),
			},
			{
				name: keyHTTPKey, hints: []string{"http_key", "http_key_file", "http_client_key"}, scope: scopeRoute,
				sensitive: true,
				doc:       "Private key of the client certificate. One that is encrypted needs `http_tls_key_password`. `http_tls_key_file` names a file with it.",
				value:     into(kindPEM, parsePrivateKey, func(d *draft) *Secret { return &d.link.HTTP.TLSKey }),
			},
			{
				name: keyHTTPKeyPassword, hints: []string{"http_key_password"}, scope: scopeRoute,
				sensitive: true,
				doc:       "Password of an encrypted `http_tls_key`. `http_tls_key_password_file` names a file with it.",
				value:     secretText(func(d *draft) *Secret { return &d.link.HTTP.TLSKeyPassword }),
			},
			{
				name: keyBearerToken, hints: []string{"bearer_token", "http_token", "http_authorization"}, scope: scopeRoute,
				sensitive: true,
				doc:       "Token that each request carries as `Authorization: Bearer`. It goes to the `url` of its own route only.",
				value:     into("text", parseHeaderSecret, func(d *draft) *Secret { return &d.link.HTTP.BearerToken }),
			},
			{
				name: keyHMACKey, hints: []string{"hmac_key", "http_signing_key", "http_hmac_secret"}, scope: scopeRoute,
				sensitive: true,
				doc:       "Key that each request is signed with: `Messaging-Kafka-Signature: t=<unix seconds>,v1=<HMAC-SHA-256 of \"<t>.<body>\" in hexadecimal>`.",
				value:     secretText(func(d *draft) *Secret { return &d.link.HTTP.HMACKey }),
			},
		},
	}
}
