package settings

import (
	"slices"
	"strings"
)

var (
	tlsKeys = []string{"tls_ca", "tls_ca_file", "tls_cert", "tls_cert_file", "tls_key", "tls_key_file",
		"tls_key_password", "tls_server_name", "tls_min_version"}
	plainKeys = []string{"sasl_username", "sasl_password"}
	oauthKeys = []string{"oauth_token_endpoint", "oauth_client_id", "oauth_client_secret", "oauth_scope",
		"oauth_extensions"}
	awsKeys = []string{"aws_region", "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
		"aws_credentials_file", "aws_profile", "aws_role_arn", "aws_role_session_name", "aws_web_identity_token_file"}
)

// connectionRules hold for every link.
func (p *parse) connectionRules() {
	c := &p.link.Cluster
	if c.DialTimeout > c.RequestTimeout && p.given("dial_timeout") && p.given("request_timeout") {
		p.warn("dial_timeout", "is longer than request_timeout (%s), within which a request must find its connection",
			c.RequestTimeout)
	}
}

// securityRules settle the protocol, which may be left to be inferred, and check that what it needs is there.
func (p *parse) securityRules() {
	if p.anyFailed(keyProtocol, keyMechanism) {
		return
	}
	p.settleProtocol()
	p.tlsRules()
	p.saslRules()
}

// settleProtocol infers the protocol where none is given, and settles a conflict between protocol and mechanism:
// the one that stands nearer to the link wins; on the same level the two contradict each other.
func (p *parse) settleProtocol() {
	s := &p.link.Cluster.Security
	if !p.given(keyProtocol) {
		switch {
		case p.given(keyMechanism):
			s.Protocol = SASLTLS
			p.warn(keyProtocol, "is not given; since sasl_mechanism is, SASL_SSL is used (set security_protocol=SASL_PLAINTEXT if the brokers do not speak TLS)")
		case slices.ContainsFunc(tlsKeys, p.given), s.TLSInsecureSkipVerify:
			s.Protocol = TLS
			p.warn(keyProtocol, "is not given; since TLS settings are, SSL is used")
		}
	}
	if !s.Protocol.UsesSASL() && p.given(keyMechanism) {
		if p.level(keyMechanism) >= p.level(keyProtocol) {
			p.fail(keyMechanism, "needs SASL, but security_protocol is %s: set security_protocol to SASL_SSL or SASL_PLAINTEXT, or leave sasl_mechanism out", s.Protocol)
		}
		s.Mechanism = ""
	}
}

func (p *parse) tlsRules() {
	s := &p.link.Cluster.Security
	if !s.Protocol.UsesTLS() {
		why := "security_protocol is " + string(s.Protocol)
		p.withdraw(why, tlsKeys...)
		if s.TLSInsecureSkipVerify { // false is what it comes to anyway
			p.withdraw(why, "tls_insecure_skip_verify")
		}
		return
	}
	// The setting nearer to the link beats the other form of the same thing further away.
	if text, file := p.strongest("tls_ca"), p.strongest("tls_ca_file"); text > file {
		s.TLSCAFile = ""
	} else if file > text {
		s.TLSCA = ""
	} else if text != levelDefault {
		p.fail("tls_ca_file", "is given as well as tls_ca; leave one")
	}
	if text, file := p.strongest("tls_cert", "tls_key"), p.strongest("tls_cert_file", "tls_key_file"); text > file {
		s.TLSCertFile, s.TLSKeyFile = "", ""
	} else if file > text {
		s.TLSCert, s.TLSKey = "", Secret{}
	} else if text != levelDefault {
		p.fail("tls_cert_file", "or tls_key_file is given as well as tls_cert or tls_key; leave one pair")
		return
	}
	if s.TLSInsecureSkipVerify {
		p.warn("tls_insecure_skip_verify", "is on: anybody on the way can pose as the broker")
	}
	if p.anyFailed("tls_cert", "tls_key", "tls_cert_file", "tls_key_file", "tls_key_password") {
		return
	}
	switch {
	case s.TLSCert != "" && s.TLSKey.Empty():
		p.fail("tls_key", "is missing: tls_cert needs the private key that belongs to it")
	case s.TLSCert == "" && !s.TLSKey.Empty():
		p.fail("tls_cert", "is missing: tls_key needs the certificate that belongs to it")
	case s.TLSCert != "":
		p.pairRules(pairNames{"tls_cert", "tls_key", "tls_key_password"}, &s.TLSCert, &s.TLSKey, &s.TLSKeyPassword)
	case s.TLSCertFile != "" && s.TLSKeyFile == "":
		p.fail("tls_key_file", "is missing: tls_cert_file needs the private key that belongs to it")
	case s.TLSCertFile == "" && s.TLSKeyFile != "":
		p.fail("tls_cert_file", "is missing: tls_key_file needs the certificate that belongs to it")
	case s.TLSKeyFile == "":
		p.withdraw("there is no tls_key and no tls_key_file", "tls_key_password")
	case p.level("tls_key_password") < p.level("tls_key_file"): // it was not meant for this key
		p.reset("tls_key_password")
	}
}

func (p *parse) saslRules() {
	s := &p.link.Cluster.Security
	if !s.Protocol.UsesSASL() {
		p.credentialsInVain("security_protocol is "+string(s.Protocol), s.Protocol)
		return
	}
	needed := func(name string, missing bool) {
		if missing && !p.anyFailed(name) {
			p.fail(name, "is missing: sasl_mechanism=%s needs it", s.Mechanism)
		}
	}
	reason := "sasl_mechanism is " + string(s.Mechanism)
	switch s.Mechanism {
	case Plain, ScramSHA256, ScramSHA512:
		needed("sasl_username", s.Username == "")
		needed("sasl_password", s.Password.Empty())
		p.withdraw(reason, slices.Concat(oauthKeys, awsKeys)...)
		if s.Mechanism == Plain && !s.Protocol.UsesTLS() {
			p.warn(keyProtocol, "is SASL_PLAINTEXT: with PLAIN, the password crosses the network in clear text")
		}
	case OAuthBearer:
		needed("oauth_token_endpoint", s.OAuthTokenEndpoint == "")
		needed("oauth_client_id", s.OAuthClientID == "")
		needed("oauth_client_secret", s.OAuthClientSecret.Empty())
		p.withdraw(reason, slices.Concat(plainKeys, awsKeys)...)
		if !s.Protocol.UsesTLS() {
			p.warn(keyProtocol, "is SASL_PLAINTEXT: with OAUTHBEARER, the token crosses the network in clear text")
		}
		if crossesInClear(s.OAuthTokenEndpoint) {
			p.warn("oauth_token_endpoint", "is not https: the client secret crosses the network in clear text")
		}
	case AWSMSKIAM:
		if s.AWSAccessKeyID != "" || !s.AWSSecretAccessKey.Empty() || !s.AWSSessionToken.Empty() {
			const why = "is missing: aws_access_key_id, aws_secret_access_key and aws_session_token belong together (without all three, the environment is asked)"
			if s.AWSAccessKeyID == "" && !p.anyFailed("aws_access_key_id") {
				p.fail("aws_access_key_id", why)
			}
			if s.AWSSecretAccessKey.Empty() && !p.anyFailed("aws_secret_access_key") {
				p.fail("aws_secret_access_key", why)
			}
		}
		p.awsRules()
		p.withdraw(reason, slices.Concat(plainKeys, oauthKeys)...)
	default:
		p.fail(keyMechanism, "is missing: security_protocol=%s needs it (%s)", s.Protocol,
			strings.Join(declared[keyMechanism].value.words, ", "))
	}
}

// awsRules settle which of the ways to credentials of AWS is gone: the one that is given nearer to the link.
func (p *parse) awsRules() {
	s := &p.link.Cluster.Security
	keys, file, web := p.strongest("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
		p.strongest("aws_credentials_file"), p.strongest("aws_web_identity_token_file")
	for _, one := range []struct {
		name         string
		level, other level
		clear        func()
	}{
		{"aws_credentials_file", file, max(keys, web), func() { s.AWSCredentialsFile, s.AWSProfile = "", "" }},
		{"aws_web_identity_token_file", web, max(keys, file), func() { s.AWSWebIdentityTokenFile = "" }},
		{"aws_access_key_id", keys, max(file, web), func() {
			s.AWSAccessKeyID, s.AWSSecretAccessKey, s.AWSSessionToken = "", Secret{}, Secret{}
		}},
	} {
		switch {
		case one.level == levelDefault || one.other == levelDefault || one.level > one.other:
		case one.level < one.other:
			one.clear()
		case !p.failed[one.name]:
			p.fail(one.name, "is one of several ways to credentials: leave one of aws_access_key_id, aws_credentials_file and aws_web_identity_token_file")
			return
		}
	}
	if s.AWSProfile != "" && s.AWSCredentialsFile == "" {
		p.withdraw("there is no aws_credentials_file", "aws_profile")
	}
	switch {
	case s.AWSWebIdentityTokenFile != "" && s.AWSRoleARN == "" && !p.anyFailed("aws_role_arn"):
		p.fail("aws_role_arn", "is missing: aws_web_identity_token_file needs the role that it is for")
	case s.AWSRoleARN == "":
		p.withdraw("there is no aws_role_arn", "aws_role_session_name")
	}
}

// credentialsInVain complains about credentials on a link that does not use SASL. Where the protocol was not chosen
// by anyone, the author of the credentials surely meant to use them.
func (p *parse) credentialsInVain(reason string, protocol Protocol) {
	names := slices.Concat(plainKeys, oauthKeys, awsKeys)
	if p.given(keyProtocol) || p.given(keyMechanism) {
		p.withdraw(reason, names...)
		return
	}
	for _, name := range names {
		if name != "aws_region" && p.given(name) {
			p.fail(keyMechanism, "is missing: %s is given, but connections are %s and do not authenticate; set sasl_mechanism (%s)",
				name, protocol, strings.Join(declared[keyMechanism].value.words, ", "))
			return
		}
	}
	p.reset(names...)
}
