package settings

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The provider's own configs of these tests, with secrets, for each kind of credentials.
var operators = map[string]struct {
	config  config
	secrets map[string]Secret
}{
	"PLAIN": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN",
			"sasl_username": "u", "tls_ca": testCert, "tls_server_name": "kafka", "tls_min_version": "1.3"},
		secrets("sasl_password", hidden)},
	"SCRAM": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
			"sasl_username": "u"},
		secrets("sasl_password", hidden)},
	"OAUTHBEARER": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER",
			"oauth_token_endpoint": "https://login.example.com/token", "oauth_client_id": "c"},
		secrets("oauth_client_secret", hidden)},
	"AWS keys": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM",
			"aws_access_key_id": "AKID"},
		secrets("aws_secret_access_key", hidden)},
	"the machine's role": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}, nil},
	"a client key": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SSL", "tls_cert": testCert},
		secrets("tls_key", testKey)},
	"a client key in a file": {
		config{"hosts": "kafka.example.com:9093", "security_protocol": "SSL", "tls_cert_file": "/etc/kafka/cert",
			"tls_key_file": "/etc/kafka/key"}, nil},
}

// failedKeys are the settings that an error is about.
func failedKeys(err error) []string {
	var all Errors
	errors.As(err, &all)
	var keys []string
	for _, e := range all {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestALinkDoesNotChooseWhereTheOperatorsCredentialsGo(t *testing.T) {
	t.Parallel()
	all := slices.Collect(maps.Keys(operators))
	for name, c := range map[string]struct {
		link    config
		secrets map[string]Secret
		of      []string // the operators whose credentials it would misuse
		key     string   // the setting that is refused
	}{
		"its own hosts":            {link: config{"hosts": "evil.example.org:9092"}, of: all, key: "hosts"},
		"its own hosts as well":    {link: config{"hosts": "kafka.example.com:9093,evil.example.org:9092"}, of: all, key: "hosts"},
		"another port":             {link: config{"hosts": "kafka.example.com:9092"}, of: all, key: "hosts"},
		"its own hosts, hidden":    {secrets: secrets("hosts", "evil.example.org:9092"), of: all, key: "hosts"},
		"no TLS":                   {link: config{"security_protocol": "SASL_PLAINTEXT"}, of: []string{"PLAIN", "SCRAM", "OAUTHBEARER", "AWS keys", "the machine's role"}, key: "security_protocol"},
		"a weaker mechanism":       {link: config{"sasl_mechanism": "PLAIN"}, of: []string{"SCRAM"}, key: "sasl_mechanism"},
		"no verification":          {link: config{"tls_insecure_skip_verify": "true"}, of: all, key: "tls_insecure_skip_verify"},
		"another server name":      {link: config{"tls_server_name": "evil.example.org"}, of: all, key: "tls_server_name"},
		"an authority of its own":  {link: config{"tls_ca": otherCert}, of: all, key: "tls_ca"},
		"an authority in a file":   {link: config{"tls_ca_file": "/tmp/ca.pem"}, of: all, key: "tls_ca_file"},
		"an older TLS":             {link: config{"tls_min_version": "1.2"}, of: []string{"PLAIN"}, key: "tls_min_version"},
		"another endpoint":         {link: config{"oauth_token_endpoint": "http://evil.example.org/token"}, of: []string{"OAUTHBEARER"}, key: "oauth_token_endpoint"},
		"all of it, as in a theft": {link: config{"hosts": "evil.example.org:9092", "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}, of: []string{"PLAIN", "SCRAM"}, key: "hosts"},
	} {
		for _, operator := range c.of {
			o := operators[operator]
			_, _, err := ParseLink(Input{Defaults: o.config, DefaultSecrets: o.secrets, Config: c.link, Secrets: c.secrets})
			if !slices.Contains(failedKeys(err), c.key) {
				t.Errorf("%s, %s: %v, want %s to be refused", operator, name, err, c.key)
				continue
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("%s, %s: the secret is shown: %v", operator, name, err)
			}
		}
	}
}

func TestALinkUsesTheOperatorsCredentialsAsTheOperatorSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		operator string
		link     config
		secrets  map[string]Secret
	}{
		"a topic alone":                    {"PLAIN", config{"topic": "orders"}, nil},
		"the same hosts":                   {"PLAIN", config{"hosts": "KAFKA.example.com:9093"}, nil},
		"the same once more":               {"PLAIN", config{"security_protocol": "sasl_ssl", "sasl_mechanism": "plain", "tls_server_name": "kafka", "tls_ca": testCert}, nil},
		"more protection":                  {"SCRAM", config{"tls_min_version": "1.3", "tls_insecure_skip_verify": "false"}, nil},
		"hosts without credentials":        {"SCRAM", config{"hosts": "mine:9092", "security_protocol": "PLAINTEXT"}, nil},
		"hosts and credentials of its own": {"SCRAM", config{"hosts": "mine:9092", "sasl_username": "me"}, secrets("sasl_password", "mine")},
		"keys of its own": {"the machine's role", config{"hosts": "mine:9098", "aws_access_key_id": "MINE"},
			secrets("aws_secret_access_key", "mine")},
		"another user's mechanism": {"a client key", config{"topic": "orders"}, nil},
		"the machine's role":       {"the machine's role", config{"topic": "orders"}, nil},
		"the endpoint's scope":     {"OAUTHBEARER", config{"oauth_scope": "kafka"}, nil},
	} {
		o := operators[c.operator]
		if _, _, err := ParseLink(Input{Defaults: o.config, DefaultSecrets: o.secrets, Config: c.link,
			Secrets: c.secrets}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheMachinesRoleNeedsAnOperatorWhoNamesItsHosts(t *testing.T) {
	t.Parallel()
	link := config{"hosts": "b-1.kafka.eu-west-1.amazonaws.com:9098", "sasl_mechanism": "AWS_MSK_IAM",
		"security_protocol": "SASL_SSL"}
	for name, c := range map[string]struct {
		defaults config
		more     config
		key      string // that is refused, "" where it works
	}{
		"nobody names them":          {nil, nil, "hosts"},
		"the operator allows them":   {config{"provider_allowed_hosts": "*.amazonaws.com"}, nil, ""},
		"the operator gives them":    {config{"hosts": "b-1.kafka.eu-west-1.amazonaws.com:9098"}, nil, ""},
		"in clear":                   {config{"provider_allowed_hosts": "*.amazonaws.com"}, config{"security_protocol": "SASL_PLAINTEXT"}, "security_protocol"},
		"without a verification":     {config{"provider_allowed_hosts": "*.amazonaws.com"}, config{"tls_insecure_skip_verify": "true"}, "tls_insecure_skip_verify"},
		"with an authority":          {config{"provider_allowed_hosts": "*.amazonaws.com"}, config{"tls_ca": testCert}, "tls_ca"},
		"the operator allows others": {config{"provider_allowed_hosts": "*.example.com"}, nil, "hosts"},
		"with a role of its own":     {config{"provider_allowed_hosts": "*.amazonaws.com"}, config{"aws_role_arn": "arn:aws:iam::123456789012:role/a"}, "aws_role_arn"},
		"with a file of its own":     {config{"provider_allowed_hosts": "*.amazonaws.com"}, config{"aws_credentials_file": "/c"}, "aws_credentials_file"},
		"with a token of its own": {config{"provider_allowed_hosts": "*.amazonaws.com", "aws_role_arn": "arn:aws:iam::123456789012:role/a"},
			config{"aws_web_identity_token_file": "/t"}, "aws_web_identity_token_file"},
		"with the operator's role": {config{"provider_allowed_hosts": "*.amazonaws.com", "aws_web_identity_token_file": "/t",
			"aws_role_arn": "arn:aws:iam::123456789012:role/a"}, nil, ""},
		"by another role with the operator's keys": {config{"hosts": "b-1.kafka.eu-west-1.amazonaws.com:9098",
			"sasl_mechanism":    "AWS_MSK_IAM",
			"security_protocol": "SASL_SSL", "aws_access_key_id": "a", "aws_secret_access_key": "b"},
			config{"aws_role_arn": "arn:aws:iam::123456789012:role/a"}, "aws_role_arn"},
	} {
		all := maps.Clone(link)
		maps.Copy(all, c.more)
		_, _, err := ParseLink(Input{Defaults: c.defaults, Config: all})
		if c.key == "" && err != nil || c.key != "" && !slices.Contains(failedKeys(err), c.key) {
			t.Errorf("%s: %v, want %q to be refused", name, err, c.key)
		}
	}
}

func TestLocksOfTheOperatorHoldLinks(t *testing.T) {
	t.Parallel()
	oauth := config{"hosts": "a.example.com", "security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER",
		"oauth_client_id": "c"}
	with := func(more config) config {
		all := maps.Clone(oauth)
		maps.Copy(all, more)
		return all
	}
	for name, c := range map[string]struct {
		lock config
		link config
		key  string // that is refused, "" where it works
	}{
		"a host":                         {config{"provider_allowed_hosts": "a.example.com"}, config{"hosts": "A.example.com:1234"}, ""},
		"a pattern":                      {config{"provider_allowed_hosts": "b,*.example.com:9092"}, config{"hosts": "a.example.com,b:1"}, ""},
		"any port":                       {config{"provider_allowed_hosts": "a:*"}, config{"hosts": "a:1,a:2"}, ""},
		"an IPv6 address":                {config{"provider_allowed_hosts": "[2001:db8::1]:9092,[::1]"}, config{"hosts": "[2001:db8::1]:9092,[::1]:5"}, ""},
		"another host":                   {config{"provider_allowed_hosts": "a.example.com"}, config{"hosts": "a.example.com,b.example.com"}, "hosts"},
		"another port":                   {config{"provider_allowed_hosts": "a:9092"}, config{"hosts": "a:19092"}, "hosts"},
		"a host that begins alike":       {config{"provider_allowed_hosts": "a.example.com"}, config{"hosts": "a.example.com.evil.org"}, "hosts"},
		"the default host":               {config{"provider_allowed_hosts": "a"}, config{"topic": "t"}, "hosts"},
		"an endpoint":                    {config{"provider_allowed_hosts": "*.example.com"}, with(config{"oauth_token_endpoint": "https://login.example.com/token"}), ""},
		"an endpoint elsewhere":          {config{"provider_allowed_hosts": "*.example.com"}, with(config{"oauth_token_endpoint": "http://169.254.169.254/latest"}), "oauth_token_endpoint"},
		"an endpoint at another port":    {config{"provider_allowed_hosts": "a.example.com,*.example.com:443"}, with(config{"oauth_token_endpoint": "https://login.example.com:8443/token"}), "oauth_token_endpoint"},
		"a lock that cannot be read":     {config{"provider_allowed_hosts": "http://a"}, config{"hosts": "a"}, "provider_allowed_hosts"},
		"a lock on the link itself":      {config{"provider_allowed_hosts": "a"}, config{"hosts": "b", "provider_allowed_hosts": "b"}, "hosts"},
		"a file":                         {config{"provider_allowed_folders": "/etc/kafka/,/run/x"}, config{"tls_ca_file": "/etc/kafka/tls/ca.pem"}, ""},
		"a file elsewhere":               {config{"provider_allowed_folders": "/etc/kafka"}, config{"tls_ca_file": "/etc/passwd"}, "tls_ca_file"},
		"a file above":                   {config{"provider_allowed_folders": "/etc/kafka"}, config{"tls_ca_file": "/etc/kafka/../passwd"}, "tls_ca_file"},
		"a file in a folder alike":       {config{"provider_allowed_folders": "/etc/kafka"}, config{"tls_ca_file": "/etc/kafka2/ca.pem"}, "tls_ca_file"},
		"a file by a relative path":      {config{"provider_allowed_folders": "/etc/kafka"}, config{"tls_ca_file": "etc/kafka/ca.pem"}, "tls_ca_file"},
		"a key elsewhere":                {config{"provider_allowed_folders": "/etc/kafka"}, config{"tls_cert_file": "/etc/kafka/a", "tls_key_file": "/root/key"}, "tls_key_file"},
		"folders that cannot be read":    {config{"provider_allowed_folders": "etc"}, config{"topic": "t"}, "provider_allowed_folders"},
		"a file, and no lock on folders": {nil, config{"tls_ca_file": "/anywhere"}, ""},
	} {
		secret := map[string]Secret{}
		if c.link["sasl_mechanism"] != "" {
			secret = secrets("oauth_client_secret", "mine")
		}
		link, _, err := ParseLink(Input{Defaults: c.lock, Config: c.link, Secrets: secret})
		if c.key == "" && err != nil || c.key != "" && !slices.Contains(failedKeys(err), c.key) {
			t.Errorf("%s: %v, want %q to be refused", name, err, c.key)
		}
		if c.key == "" && c.lock["provider_allowed_folders"] != "" && len(link.Cluster.Security.AllowedFolders) == 0 {
			t.Errorf("%s: the folders are not passed on to who reads files", name)
		}
	}
}

func TestAHostThatIsASecretIsNotShownByTheLock(t *testing.T) {
	t.Parallel()
	_, _, err := ParseLink(Input{Defaults: config{"provider_allowed_hosts": "a"},
		Secrets: secrets("hosts", "hidden.example.com")})
	if err == nil || strings.Contains(err.Error(), "hidden.example.com") {
		t.Errorf("got %v", err)
	}
}
