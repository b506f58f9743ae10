package settings

import (
	"crypto/tls"
	"regexp"
	"strings"
)

// Names of settings that the rules about security speak of.
const (
	keyProtocol  = "security_protocol"
	keyMechanism = "sasl_mechanism"
)

func securitySection() section {
	return section{
		title: "Security",
		intro: "Certificates and keys are PEM text. Line breaks that were lost or are written as `\\n`, base64 of the whole, and the order of a chain are mended; what is cut off or damaged is refused by number. JKS and PKCS#12 stores are refused with the command that makes PEM of them. The settings ending in `_file` name regular files of up to 1 MiB that are read again when they change. Credentials of the provider's own config go only where that config says: a link that steers them elsewhere, or protects them less, is refused ([security.md](security.md#whose-credentials-go-where)).",
		settings: []setting{
			{
				name: keyProtocol, kafka: "security.protocol", hints: []string{"protocol", "tls", "ssl", "use_tls", "tls_enabled"},
				def:     "PLAINTEXT",
				defDoc:  "`PLAINTEXT`; with `sasl_mechanism` given `SASL_SSL`, with any `tls_` setting given `SSL`",
				example: "SASL_SSL",
				doc:     "Whether connections are encrypted (`SSL`, `SASL_SSL`) and whether they authenticate by SASL (`SASL_PLAINTEXT`, `SASL_SSL`). A default that is not `PLAINTEXT` comes with a warning that says so.",
				value: word(func(d *draft) *Protocol { return &d.link.Cluster.Security.Protocol },
					map[string]Protocol{"TLS": TLS, "SASL_TLS": SASLTLS}, Plaintext, TLS, SASLPlaintext, SASLTLS),
			},
			{
				name: keyMechanism, kafka: "sasl.mechanism", hints: []string{"mechanism", "sasl_mechanisms",
					"auth_mechanism", "sasl"},
				example: "SCRAM-SHA-512",
				doc:     "How connections authenticate. Kerberos (`GSSAPI`) is not supported.",
				value:   mechanism(),
			},
			{
				name: "sasl_username", hints: []string{"username", "user", "sasl_user"},
				example: "orders-app",
				doc:     "User for `PLAIN` and `SCRAM`.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.Username }),
			},
			{
				name: "sasl_password", hints: []string{"password", "sasl_jaas_config"}, sensitive: true,
				doc:   "Password for `PLAIN` and `SCRAM`. Spaces belong to it; a line break at the end does not.",
				value: secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.Password }),
			},
			{
				name: "tls_ca", kafka: "ssl.truststore.certificates", hints: []string{"ca", "ca_cert", "tls_ca_cert", "ssl_ca"},
				defDoc: "the system's", example: "-----BEGIN CERTIFICATE-----…",
				doc:   "Certificates of the authorities that may have signed the brokers' certificates.",
				value: authorities("tls_ca", func(d *draft) *string { return &d.link.Cluster.Security.TLSCA }),
			},
			{
				name: "tls_ca_file", hints: []string{"ca_file", "ssl_ca_location", "ssl_truststore_location"},
				example: "/etc/kafka/ca.pem",
				doc:     "The same from a file.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.TLSCAFile }),
			},
			{
				name: "tls_cert", kafka: "ssl.keystore.certificate.chain", hints: []string{"cert", "client_cert",
					"tls_client_cert"},
				example: "-----BEGIN CERTIFICATE-----…",
				doc:     "Client certificate, with intermediate ones after it. Needs `tls_key`.",
				value:   into(kindPEM, parseCertificates, func(d *draft) *string { return &d.link.Cluster.Security.TLSCert }),
			},
			{
				name: "tls_cert_file", hints: []string{"cert_file", "ssl_certificate_location", "ssl_keystore_location"},
				example: "/etc/kafka/client.pem",
				doc:     "The same from a file. Needs `tls_key_file`.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.TLSCertFile }),
			},
			{
				name: "tls_key", kafka: "ssl.keystore.key", hints: []string{"client_key", "tls_client_key"}, sensitive: true,
				doc:   "Private key of the client certificate. One that is encrypted needs `tls_key_password`.",
				value: into(kindPEM, parsePrivateKey, func(d *draft) *Secret { return &d.link.Cluster.Security.TLSKey }),
			},
			{
				name: "tls_key_file", hints: []string{"key_file", "ssl_key_location"},
				example: "/etc/kafka/client.key",
				doc:     "The same from a file.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.TLSKeyFile }),
			},
			{
				name: "tls_key_password", kafka: "ssl.key.password", hints: []string{"key_password", "tls_key_passphrase"},
				sensitive: true,
				doc:       "Password of an encrypted `tls_key` or `tls_key_file`: PKCS#8 with AES or 3DES by PBKDF2, as OpenSSL writes it, and the form of old with `Proc-Type`.",
				value:     secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.TLSKeyPassword }),
			},
			{
				name: "tls_server_name", hints: []string{"server_name", "sni"},
				defDoc: "the broker's host", example: "kafka.example.com",
				doc:   "Name that the brokers' certificates must hold, where it is not the one connected to.",
				value: text(func(d *draft) *string { return &d.link.Cluster.Security.TLSServerName }),
			},
			{
				name: "tls_min_version", hints: []string{"tls_version", "ssl_enabled_protocols"},
				def: "1.2", example: "1.3",
				doc:   "Oldest version of TLS to accept.",
				value: tlsVersion(),
			},
			{
				name: "tls_insecure_skip_verify", hints: []string{"ssl_endpoint_identification_algorithm", "insecure",
					"skip_verify", "insecure_skip_verify"},
				def: "false", example: "true",
				doc:   "Takes any certificate, so that anybody on the way can pose as the broker. For experiments only; a warning says so.",
				value: boolean(func(d *draft) *bool { return &d.link.Cluster.Security.TLSInsecureSkipVerify }),
			},
			{
				name: "oauth_token_endpoint", kafka: "sasl.oauthbearer.token.endpoint.url", hints: []string{"token_endpoint",
					"token_url", "oauth_token_url"},
				example: "https://login.example.com/oauth2/token",
				doc:     "Where `OAUTHBEARER` fetches tokens by the client credentials flow.",
				value:   into("URL", parseEndpoint, func(d *draft) *string { return &d.link.Cluster.Security.OAuthTokenEndpoint }),
			},
			{
				name: "oauth_client_id", kafka: "sasl.oauthbearer.client.credentials.client.id",
				example: "orders-app",
				doc:     "Client id at the token endpoint.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.OAuthClientID }),
			},
			{
				name: "oauth_client_secret", kafka: "sasl.oauthbearer.client.credentials.client.secret", sensitive: true,
				doc:   "Client secret at the token endpoint.",
				value: secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.OAuthClientSecret }),
			},
			{
				name: "oauth_scope", kafka: "sasl.oauthbearer.scope", hints: []string{"oauth_scopes"},
				example: "kafka.read,kafka.write",
				doc:     "Scopes to ask for.",
				value:   into("list", parseScopes, func(d *draft) *[]string { return &d.link.Cluster.Security.OAuthScope }),
			},
			{
				name:    "oauth_extensions",
				example: "logicalCluster=lkc-1,identityPoolId=pool-2",
				doc:     "SASL extensions to send with each token (RFC 7628).",
				value: into("list of name=value", parseExtensions,
					func(d *draft) *map[string]string { return &d.link.Cluster.Security.OAuthExtensions }),
			},
			{
				name: "aws_region", hints: []string{"region"},
				defDoc: "from the broker's name, then the environment", example: "eu-central-1",
				doc:   "Region for `AWS_MSK_IAM`.",
				value: text(func(d *draft) *string { return &d.link.Cluster.Security.AWSRegion }),
			},
			{
				name:   "aws_access_key_id",
				defDoc: "from the environment", example: "AKIAIOSFODNN7EXAMPLE",
				doc:   "Access key for `AWS_MSK_IAM`. Without one and without `aws_credentials_file`, the usual places are asked: environment variables, shared files, the roles of the container or the machine. A wasmCloud host clears the environment of its providers, so that of these only the role of the machine is found. Their keys are the operator's: the hosts must stand in the provider's own config then, as `hosts` or in `provider_allowed_hosts`.",
				value: text(func(d *draft) *string { return &d.link.Cluster.Security.AWSAccessKeyID }),
			},
			{
				name: "aws_secret_access_key", sensitive: true,
				doc:   "Secret of `aws_access_key_id`.",
				value: secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.AWSSecretAccessKey }),
			},
			{
				name: "aws_session_token", sensitive: true,
				doc:   "Session token, where `aws_access_key_id` is a temporary one.",
				value: secretText(func(d *draft) *Secret { return &d.link.Cluster.Security.AWSSessionToken }),
			},
			{
				name: "aws_credentials_file", hints: []string{"aws_shared_credentials_file"},
				example: "/etc/aws/credentials",
				doc:     "File with `aws_access_key_id`, `aws_secret_access_key` and, for temporary ones, `aws_session_token`, in the form of `~/.aws/credentials`. It is read for each connection; nothing else in it is used.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.AWSCredentialsFile }),
			},
			{
				name:   "aws_profile",
				defDoc: "`default`", example: "kafka",
				doc:   "Profile in `aws_credentials_file`.",
				value: text(func(d *draft) *string { return &d.link.Cluster.Security.AWSProfile }),
			},
			{
				name: "aws_role_arn", hints: []string{"role_arn", "aws_role"},
				example: "arn:aws:iam::123456789012:role/kafka",
				doc:     "Role to take on, by the token in `aws_web_identity_token_file` or else by the keys that there are. Its credentials are renewed before they end.",
				value:   into("ARN", parseRoleARN, func(d *draft) *string { return &d.link.Cluster.Security.AWSRoleARN }),
			},
			{
				name:   "aws_role_session_name",
				defDoc: "`messaging-kafka`", example: "orders",
				doc: "Name of the session of `aws_role_arn`, as AWS's logs show it.",
				value: into("text", parseSessionName,
					func(d *draft) *string { return &d.link.Cluster.Security.AWSRoleSessionName }),
			},
			{
				name: "aws_web_identity_token_file", hints: []string{"web_identity_token_file"},
				example: "/var/run/secrets/eks.amazonaws.com/serviceaccount/token",
				doc:     "File with the token by which `aws_role_arn` is taken on, as Kubernetes mounts it for a service account with a role. It is read whenever it is needed.",
				value:   text(func(d *draft) *string { return &d.link.Cluster.Security.AWSWebIdentityTokenFile }),
			},
		},
	}
}

var (
	roleARN     = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`)
	sessionName = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{2,64}$`)
)

func parseRoleARN(text string) (string, error) {
	if !roleARN.MatchString(text) {
		return "", refuse(text, "is no ARN of a role: write arn:aws:iam::123456789012:role/NAME")
	}
	return text, nil
}

func parseSessionName(text string) (string, error) {
	if !sessionName.MatchString(text) {
		return "", refuse(text, "is no name of a session: 2 to 64 letters, digits and +=,.@_-")
	}
	return text, nil
}

func mechanism() value {
	v := word(func(d *draft) *Mechanism { return &d.link.Cluster.Security.Mechanism },
		nil, Plain, ScramSHA256, ScramSHA512, OAuthBearer, AWSMSKIAM)
	set := v.set
	v.set = func(d *draft, text string) error {
		if strings.EqualFold(text, "GSSAPI") || strings.EqualFold(text, "Kerberos") {
			return refuse(text, "is Kerberos, which is not supported: use one of %s", strings.Join(v.words, ", "))
		}
		return set(d, text)
	}
	return v
}

func tlsVersion() value {
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13, "TLSv1.2": tls.VersionTLS12,
		"TLSv1.3": tls.VersionTLS13}
	v := into("word", func(text string) (uint16, error) {
		version, ok := versions[text]
		if !ok {
			return 0, refuse(text, "is neither 1.2 nor 1.3")
		}
		return version, nil
	}, func(d *draft) *uint16 { return &d.link.Cluster.Security.TLSMinVersion })
	v.words = []string{"1.2", "1.3"}
	return v
}
