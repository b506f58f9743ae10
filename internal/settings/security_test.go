package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A key and its certificate, and a certificate of another key, made anew for each run.
var (
	testKey, testCert = newPair()
	_, otherCert      = newPair()
)

func newPair() (key, cert string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotAfter: time.Now().Add(time.Hour)}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		panic(err)
	}
	return toPEM("PRIVATE KEY", der), toPEM("CERTIFICATE", certDER)
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestSecurityThatIsAccepted(t *testing.T) {
	tls12 := uint16(0x303)
	for sentence, c := range map[string]struct {
		in   Input
		want Security
		warn string
	}{
		"a mechanism alone means SASL_SSL, with a warning": {
			Input{Config: config{"sasl_mechanism": "scram_sha_512", "sasl_username": "u"},
				Secrets: secrets("sasl_password", hidden)},
			Security{Protocol: SASLTLS, Mechanism: ScramSHA512, Username: "u", Password: NewSecret(hidden),
				TLSMinVersion: tls12},
			"security_protocol: is not given; since sasl_mechanism is, SASL_SSL is used"},
		"a CA alone means SSL, with a warning": {
			Input{Config: config{"tls_ca": testCert}}, Security{Protocol: TLS, TLSCA: testCert, TLSMinVersion: tls12},
			"security_protocol: is not given; since TLS settings are, SSL is used"},
		"false is no reason for TLS": {
			Input{Config: config{"tls_insecure_skip_verify": "false"}}, Security{Protocol: Plaintext, TLSMinVersion: tls12}, ""},
		"SSL with a client certificate in one line": {
			Input{Config: config{"security_protocol": "tls", "tls_cert": strings.ReplaceAll(testCert, "\n", `\n`),
				"tls_min_version": "TLSv1.3", "tls_server_name": "kafka"}, Secrets: secrets("tls_key", "\n"+testKey+"\n")},
			Security{Protocol: TLS, TLSCert: testCert, TLSKey: NewSecret(testKey), TLSMinVersion: 0x304,
				TLSServerName: "kafka"}, ""},
		"certificate files": {
			Input{Config: config{"security_protocol": "SSL", "tls_ca_file": "/ca", "tls_cert_file": "/c", "tls_key_file": "/k"}},
			Security{Protocol: TLS, TLSCAFile: "/ca", TLSCertFile: "/c", TLSKeyFile: "/k", TLSMinVersion: tls12}, ""},
		"text on the link beats files of the provider": {
			Input{Defaults: config{"security_protocol": "SSL", "tls_ca_file": "/ca", "tls_cert_file": "/c",
				"tls_key_file": "/k"}, Config: config{"tls_ca": testCert, "tls_cert": testCert},
				Secrets: secrets("tls_key", testKey)},
			Security{Protocol: TLS, TLSCA: testCert, TLSCert: testCert, TLSKey: NewSecret(testKey), TLSMinVersion: tls12}, ""},
		"files on the link beat text of the provider": {
			Input{Defaults: config{"security_protocol": "SSL", "tls_ca": testCert, "tls_cert": testCert},
				DefaultSecrets: secrets("tls_key", testKey), Config: config{"tls_ca_file": "/ca", "tls_cert_file": "/c",
					"tls_key_file": "/k"}},
			Security{Protocol: TLS, TLSCAFile: "/ca", TLSCertFile: "/c", TLSKeyFile: "/k", TLSMinVersion: tls12}, ""},
		"skipping verification is warned about": {
			Input{Config: config{"security_protocol": "SSL", "tls_insecure_skip_verify": "true"}},
			Security{Protocol: TLS, TLSInsecureSkipVerify: true, TLSMinVersion: tls12}, "tls_insecure_skip_verify: is on"},
		"TLS settings without TLS are warned about": {
			Input{Config: config{"security_protocol": "PLAINTEXT", "tls_ca": testCert, "tls_min_version": "1.3"}},
			Security{Protocol: Plaintext, TLSMinVersion: tls12}, "tls_ca: is not used: security_protocol is PLAINTEXT"},
		"PLAIN without TLS is warned about": {
			Input{Config: config{"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "plain", "sasl_username": "u"},
				Secrets: secrets("sasl_password", " x ")},
			Security{Protocol: SASLPlaintext, Mechanism: Plain, Username: "u", Password: NewSecret(" x "), TLSMinVersion: tls12},
			"crosses the network in clear text"},
		"SCRAM without TLS is quiet, and passwords are taken as they are": {
			Input{Config: config{"security_protocol": "sasl-plaintext", "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "u"},
				Secrets: secrets("sasl_password", `,=;"'\ ü€`)},
			Security{Protocol: SASLPlaintext, Mechanism: ScramSHA256, Username: "u", Password: NewSecret(`,=;"'\ ü€`),
				TLSMinVersion: tls12}, ""},
		"a password of spaces is a password": {
			Input{Config: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "u"},
				Secrets: secrets("sasl_password", "  ")},
			Security{Protocol: SASLTLS, Mechanism: ScramSHA256, Username: "u", Password: NewSecret("  "),
				TLSMinVersion: tls12}, ""},
		"OAUTHBEARER": {
			Input{Config: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER",
				"oauth_token_endpoint": "https://a/t", "oauth_client_id": "c", "oauth_scope": "a b", "oauth_extensions": "x=y"},
				Secrets: secrets("oauth_client_secret", hidden)},
			Security{Protocol: SASLTLS, Mechanism: OAuthBearer, OAuthTokenEndpoint: "https://a/t", OAuthClientID: "c",
				OAuthClientSecret: NewSecret(hidden), OAuthScope: []string{"a", "b"}, OAuthExtensions: map[string]string{"x": "y"},
				TLSMinVersion: tls12}, ""},
		"a token endpoint without TLS is warned about": {
			Input{Config: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER",
				"oauth_token_endpoint": "http://a/t", "oauth_client_id": "c"}, Secrets: secrets("oauth_client_secret", hidden)},
			Security{Protocol: SASLTLS, Mechanism: OAuthBearer, OAuthTokenEndpoint: "http://a/t", OAuthClientID: "c",
				OAuthClientSecret: NewSecret(hidden), TLSMinVersion: tls12}, "oauth_token_endpoint: is not https"},
		"AWS with the environment's keys": {
			Input{Config: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "aws_region": "r"}},
			Security{Protocol: SASLTLS, Mechanism: AWSMSKIAM, AWSRegion: "r", TLSMinVersion: tls12}, ""},
		"AWS with a role by a web identity": {
			Input{Defaults: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM",
				"aws_web_identity_token_file": "/t",
				"aws_role_arn":                "arn:aws:iam::123456789012:role/a"}},
			Security{Protocol: SASLTLS, Mechanism: AWSMSKIAM, AWSWebIdentityTokenFile: "/t",
				AWSRoleARN: "arn:aws:iam::123456789012:role/a", TLSMinVersion: tls12}, ""},
		"AWS with keys of the link and a file of the provider": {
			Input{Defaults: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM",
				"aws_credentials_file": "/c", "aws_profile": "p"},
				Config: config{"aws_access_key_id": "i"}, Secrets: secrets("aws_secret_access_key", "s")},
			Security{Protocol: SASLTLS, Mechanism: AWSMSKIAM, AWSAccessKeyID: "i", AWSSecretAccessKey: NewSecret("s"),
				TLSMinVersion: tls12}, ""},
		"AWS with keys": {
			Input{Config: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "aws-msk-iam", "aws_access_key_id": "i"},
				Secrets: secrets("aws_secret_access_key", "s", "aws_session_token", "t")},
			Security{Protocol: SASLTLS, Mechanism: AWSMSKIAM, AWSAccessKeyID: "i", AWSSecretAccessKey: NewSecret("s"),
				AWSSessionToken: NewSecret("t"), TLSMinVersion: tls12}, ""},
		"a link may leave the provider's SASL alone": {
			Input{Defaults: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u",
				"tls_ca": testCert}, DefaultSecrets: secrets("sasl_password", hidden),
				Config: config{"security_protocol": "PLAINTEXT"}},
			Security{Protocol: Plaintext, TLSMinVersion: tls12}, ""},
		"a link may use another mechanism than the provider": {
			Input{Defaults: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"},
				DefaultSecrets: secrets("sasl_password", hidden), Config: config{"sasl_mechanism": "AWS_MSK_IAM"}},
			Security{Protocol: SASLTLS, Mechanism: AWSMSKIAM, TLSMinVersion: tls12}, ""},
		"a link may change the password alone": {
			Input{Defaults: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"},
				DefaultSecrets: secrets("sasl_password", "old"), Secrets: secrets("sasl_password", "new")},
			Security{Protocol: SASLTLS, Mechanism: Plain, Username: "u", Password: NewSecret("new"), TLSMinVersion: tls12}, ""},
		"credentials of another mechanism are warned about": {
			Input{Config: config{"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM", "sasl_username": "u"}},
			Security{Protocol: SASLTLS, Mechanism: AWSMSKIAM, TLSMinVersion: tls12},
			"sasl_username: is not used: sasl_mechanism is AWS_MSK_IAM"},
		"credentials with a protocol without SASL are warned about": {
			Input{Config: config{"security_protocol": "SSL", "sasl_username": "u"}},
			Security{Protocol: TLS, TLSMinVersion: tls12}, "sasl_username: is not used: security_protocol is SSL"},
	} {
		t.Run(sentence, func(t *testing.T) {
			link, warnings, err := ParseLink(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := link.Cluster.Security; !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if got := lines(warnings); !strings.Contains(got, c.warn) || (c.warn == "" && got != "") {
				t.Errorf("warnings %q, want %q", got, c.warn)
			}
			mustNotShow(t, "a warning", lines(warnings))
		})
	}
}

// oldKey is testKey, encrypted by the password "opens".
var oldKey = func() string {
	block, _ := pem.Decode([]byte(testKey))
	const oldType = "EC PRIVATE KEY"
	cipher, password := x509.PEMCipherAES256, []byte("opens")
	//lint:ignore SA1019 the way of old is what the standard library can write
	der, err := x509.EncryptPEMBlock(rand.Reader, oldType, block.Bytes, password, cipher) //nolint:staticcheck // so
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(der))
}()

func TestAnEncryptedKeyIsOpenedByThePasswordOfWhoGaveIt(t *testing.T) {
	open := Security{Protocol: TLS, TLSCert: testCert, TLSMinVersion: 0x303}
	pair := config{"security_protocol": "SSL", "tls_cert": testCert}
	files := config{"security_protocol": "SSL", "tls_cert_file": "/c", "tls_key_file": "/k"}
	for sentence, c := range map[string]struct {
		in             Input
		key, kept      bool
		warning, error string
	}{
		"a key of the link's": {Input{Config: pair, Secrets: secrets("tls_key", oldKey, "tls_key_password", "opens\n")},
			true, false,
			"tls_key_password: ended with a line break", ""},
		"a key of the provider's": {Input{Defaults: pair, DefaultSecrets: secrets("tls_key", oldKey, "tls_key_password", "opens")},
			true, false, "", ""},
		"the provider's password for a key of the link's": {Input{Config: pair, Secrets: secrets("tls_key", oldKey),
			DefaultSecrets: secrets("tls_key_password", "opens")}, false, false, "",
			"tls_key: is an encrypted key: its password"},
		"a key that needs none": {Input{Config: pair, Secrets: secrets("tls_key", testKey, "tls_key_password", "opens")},
			true, false,
			"tls_key_password: is not used: the key in tls_key is not encrypted", ""},
		"no key": {Input{Config: config{"security_protocol": "SSL"}, Secrets: secrets("tls_key_password", "opens")}, false,
			false,
			"tls_key_password: is not used: there is no tls_key", ""},
		"a file":                    {Input{Config: files, Secrets: secrets("tls_key_password", "opens")}, false, true, "", ""},
		"a file with another's":     {Input{Config: files, DefaultSecrets: secrets("tls_key_password", "opens")}, false, false, "", ""},
		"Kafka's name for password": {Input{Config: files, Secrets: secrets("ssl.key.password", "opens")}, false, true, "", ""},
	} {
		link, warnings, err := ParseLink(c.in)
		if c.error != "" {
			if err == nil || !strings.Contains(err.Error(), c.error) {
				t.Errorf("%s: error %v, want %q", sentence, err, c.error)
			}
			continue
		}
		got := link.Cluster.Security
		switch {
		case err != nil:
			t.Errorf("%s: %v", sentence, err)
		case c.key:
			want := open
			if want.TLSKey = got.TLSKey; !reflect.DeepEqual(got, want) || !strings.HasPrefix(got.TLSKey.Reveal(),
				"-----BEGIN") ||
				strings.Contains(got.TLSKey.Reveal(), "ENCRYPTED") {
				t.Errorf("%s: got %+v", sentence, got)
			}
		case c.kept != (got.TLSKeyPassword == NewSecret("opens")):
			t.Errorf("%s: password %v", sentence, got.TLSKeyPassword.Reveal())
		}
		if text := lines(warnings); !strings.Contains(text, c.warning) || c.warning == "" && text != "" {
			t.Errorf("%s: warnings %q, want %q", sentence, text, c.warning)
		}
	}
}

func TestAChainThatIsNotInOrderIsUsedInOrderWithAWarning(t *testing.T) {
	link, warnings, err := ParseLink(Input{Config: config{"security_protocol": "SSL", "tls_cert": otherCert + testCert},
		Secrets: secrets("tls_key", testKey)})
	if err != nil || link.Cluster.Security.TLSCert != testCert+otherCert || !strings.Contains(lines(warnings),
		"tls_cert: is not in order") {
		t.Errorf("%v, %s", err, lines(warnings))
	}
}

func TestAnAuthorityThatCannotBeReadIsLeftOutWithAWarning(t *testing.T) {
	in := config{"tls_ca": testCert + toPEM("CERTIFICATE", []byte{0x30, 3, 2, 1, 0}), "security_protocol": "SSL"}
	const want = "tls_ca: has a certificate that cannot be read and is left out (number 2)"
	link, warnings, err := ParseLink(Input{Config: in})
	if err != nil || link.Cluster.Security.TLSCA != testCert || lines(warnings) != want {
		t.Errorf("%v, %q", err, lines(warnings))
	}
	if _, warnings, err := ParseLink(Input{Defaults: in}); err != nil || len(warnings) > 0 {
		t.Errorf("of the provider's own config a link is told: %v, %s", err, lines(warnings))
	}
	if _, warnings, err := ParseProvider(in, nil); err != nil || lines(warnings) != want {
		t.Errorf("of its own config the provider is told: %v, %s", err, lines(warnings))
	}
}

func TestSecurityThatIsRefused(t *testing.T) {
	legacyKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	legacy := toPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(legacyKey))
	for sentence, c := range map[string]struct {
		config  config
		secrets map[string]Secret
		want    string
	}{
		"SASL without a mechanism":        {config{"security_protocol": "SASL_SSL"}, nil, "sasl_mechanism: is missing: security_protocol=SASL_SSL needs it (PLAIN, SCRAM-SHA-256,"},
		"a mechanism without SASL":        {config{"security_protocol": "SSL", "sasl_mechanism": "PLAIN"}, nil, "sasl_mechanism: needs SASL, but security_protocol is SSL"},
		"a user without a mechanism":      {config{"sasl_username": "u"}, nil, "sasl_mechanism: is missing: sasl_username is given"},
		"a password without a mechanism":  {nil, secrets("sasl_password", hidden), "sasl_mechanism: is missing: sasl_password is given"},
		"a mechanism without a user":      {config{"sasl_mechanism": "PLAIN"}, nil, "sasl_username: is missing: sasl_mechanism=PLAIN needs it; sasl_password: is missing"},
		"OAUTHBEARER without an endpoint": {config{"sasl_mechanism": "OAUTHBEARER", "oauth_client_id": "c"}, secrets("oauth_client_secret", hidden), "oauth_token_endpoint: is missing"},
		"half a pair of AWS keys":         {config{"sasl_mechanism": "AWS_MSK_IAM", "aws_access_key_id": "i"}, nil, "aws_secret_access_key: is missing"},
		"two ways to AWS":                 {config{"sasl_mechanism": "AWS_MSK_IAM", "aws_credentials_file": "/c", "aws_web_identity_token_file": "/t", "aws_role_arn": "arn:aws:iam::123456789012:role/a"}, nil, "aws_credentials_file: is one of several ways to credentials"},
		"a web identity without a role":   {config{"sasl_mechanism": "AWS_MSK_IAM", "aws_web_identity_token_file": "/t"}, nil, "aws_role_arn: is missing"},
		"no role":                         {config{"sasl_mechanism": "AWS_MSK_IAM", "aws_role_arn": "kafka"}, nil, `aws_role_arn: "kafka" is no ARN of a role: write arn:aws:iam::123456789012:role/NAME`},
		"a lone AWS session token":        {config{"sasl_mechanism": "AWS_MSK_IAM"}, secrets("aws_session_token", hidden), "aws_access_key_id: is missing"},
		"a certificate without its key":   {config{"tls_cert": testCert}, nil, "tls_key: is missing"},
		"a key without its certificate":   {nil, secrets("tls_key", testKey), "tls_cert: is missing"},
		"a certificate of another key":    {config{"tls_cert": otherCert}, secrets("tls_key", testKey), "tls_key: does not belong to a certificate in tls_cert"},
		"a key of another kind":           {config{"tls_cert": testCert}, secrets("tls_key", legacy), "tls_key: does not belong to a certificate in tls_cert"},
		"a certificate file without key":  {config{"tls_cert_file": "/c"}, nil, "tls_key_file: is missing"},
		"a key file without certificate":  {config{"tls_key_file": "/c"}, nil, "tls_cert_file: is missing"},
		"text and file":                   {config{"tls_ca": testCert, "tls_ca_file": "/c"}, nil, "tls_ca_file: is given as well as tls_ca"},
		"two pairs":                       {config{"tls_cert": testCert, "tls_key_file": "/c"}, nil, "leave one pair"},
		"no certificate":                  {config{"tls_ca": "hello"}, nil, "tls_ca: the value holds no certificate"},
		"a damaged certificate":           {config{"tls_ca": testCert + toPEM("CERTIFICATE", []byte("x"))}, nil, "tls_ca: the value holds a certificate that is damaged at its beginning (number 2)"},
		"no key":                          {nil, secrets("tls_key", hidden), "tls_key: the value holds no private key"},
		"a damaged key":                   {nil, secrets("tls_key", toPEM("PRIVATE KEY", []byte(hidden))), "tls_key: the value holds a private key that is damaged at its beginning"},
		"an encrypted key":                {config{"tls_cert": testCert}, secrets("tls_key", oldKey), "tls_key: is an encrypted key: its password goes into tls_key_password"},
		"a password that does not open":   {config{"tls_cert": testCert}, secrets("tls_key", oldKey, "tls_key_password", hidden), "tls_key_password: does not open the key in tls_key"},
		"a certificate that is cut off":   {config{"tls_ca": testCert + testCert[:200]}, nil, "tls_ca: the value holds a certificate that is cut off or lacks a part: "},
		"a store of Java":                 {config{"tls_ca": "/u3+7QAAAAIAAAABAAAAAgAGY2Fyb290AAABjAAAAAAABVguNTA5AAADPDCC"}, nil, "tls_ca: the value is a key store of Java (JKS) and not PEM: keytool -list -rfc -keystore FILE > cert.pem"},
		"a key for a certificate":         {config{"tls_cert": testKey}, nil, "tls_cert: the value holds a private key and no certificate"},
		"a key and its certificate":       {config{"tls_cert": testCert + testKey}, nil, "tls_cert: the value holds a private key, which belongs in the setting for the key"},
		"an old version of TLS":           {config{"tls_min_version": "1.1"}, nil, `tls_min_version: "1.1" is neither 1.2 nor 1.3`},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, _, err := ParseLink(Input{Config: c.config, Secrets: c.secrets})
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
			mustNotShow(t, "an error", err.Error())
		})
	}
}
