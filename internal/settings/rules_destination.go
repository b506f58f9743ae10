package settings

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// credentials are the settings by which the provider proves who it is, with what tells whether a link uses them. Those
// of the provider's own config are the operator's, and a link does not choose where they go.
var credentials = []struct {
	name string
	used func(*Security) bool
}{
	{"sasl_password", func(s *Security) bool { return !s.Password.Empty() }},
	{"tls_key", func(s *Security) bool { return !s.TLSKey.Empty() }},
	{"tls_key_file", func(s *Security) bool { return s.TLSKeyFile != "" }},
	{"tls_key_password", func(s *Security) bool { return !s.TLSKeyPassword.Empty() }},
	{"oauth_client_secret", func(s *Security) bool { return !s.OAuthClientSecret.Empty() }},
	{"oauth_extensions", func(s *Security) bool { return len(s.OAuthExtensions) > 0 }},
	{"aws_secret_access_key", func(s *Security) bool { return !s.AWSSecretAccessKey.Empty() }},
	{"aws_session_token", func(s *Security) bool { return !s.AWSSessionToken.Empty() }},
	// A value that is given as a secret is meant to be one, whatever it is.
	{"sasl_username", func(s *Security) bool { return s.Username != "" }},
	{"oauth_client_id", func(s *Security) bool { return s.OAuthClientID != "" }},
	{"aws_access_key_id", func(s *Security) bool { return s.AWSAccessKeyID != "" }},
}

// destinationRules see that what the operator has given to prove who the provider is goes only where the operator says,
// protected as the operator says: where credentials come from the provider's own config, or are those of the machine, a
// link may not steer them. They also hold links to the operator's locks.
func (p *parse) destinationRules() {
	p.hostLock()
	p.folderLock()
	if p.anyFailed(append([]string{keyHosts, keyProtocol, keyMechanism}, oauthKeys...)...) {
		return
	}
	s := &p.link.Cluster.Security
	if s.Mechanism == AWSMSKIAM && s.AWSAccessKeyID == "" && s.AWSSecretAccessKey.Empty() {
		p.machineRole()
	}
	var theirs []string
	for _, c := range credentials {
		g, is := p.used[c.name]
		if is && g.level == levelProvider && c.used(s) &&
			(g.secret || c.name == "oauth_extensions" || c.name == "tls_key_file" || declared[c.name].sensitive) {
			theirs = append(theirs, c.name)
		}
	}
	if len(theirs) == 0 {
		return
	}
	for _, key := range p.steered() {
		p.fail(key, "is the %[1]s's own, and would decide where %[2]s %[3]s goes or how that is protected: give the %[1]s credentials of its own, or leave this out",
			p.kind(), strings.Join(theirs, " and "), p.ofOwn())
	}
}

// kind is what the settings are of.
func (p *parse) kind() string {
	if p.route {
		return "route"
	}
	return "link"
}

// ofOwn goes on after a setting that all links have in common.
func (p *parse) ofOwn() string {
	if p.route {
		return "above the routes"
	}
	return "of the provider's own config"
}

// steered are the settings of the link that send credentials elsewhere than the provider's own config does, or protect
// them less.
func (p *parse) steered() []string {
	base := p.baseline()
	ours, theirs := &p.link.Cluster, &base.link.Cluster
	s, b := &ours.Security, &theirs.Security
	var keys []string
	differs := func(key string, is bool) {
		if is {
			keys = append(keys, key)
		}
	}
	differs(keyHosts, slices.ContainsFunc(ours.Hosts,
		func(host string) bool { return !slices.Contains(theirs.Hosts, host) }))
	differs(keyProtocol, s.Protocol != b.Protocol)
	differs(keyMechanism, s.Mechanism != b.Mechanism)
	differs("tls_ca", s.TLSCA != b.TLSCA && p.byLink("tls_ca"))
	differs("tls_ca_file", s.TLSCAFile != b.TLSCAFile && p.byLink("tls_ca_file"))
	differs("tls_server_name", s.TLSServerName != b.TLSServerName)
	differs("tls_min_version", s.TLSMinVersion < b.TLSMinVersion)
	differs("tls_insecure_skip_verify", s.TLSInsecureSkipVerify && !b.TLSInsecureSkipVerify)
	differs("aws_credentials_file", s.AWSCredentialsFile != b.AWSCredentialsFile && p.byLink("aws_credentials_file"))
	differs("aws_web_identity_token_file",
		s.AWSWebIdentityTokenFile != b.AWSWebIdentityTokenFile && p.byLink("aws_web_identity_token_file"))
	differs("aws_role_arn", s.AWSRoleARN != b.AWSRoleARN)
	differs("oauth_token_endpoint", s.OAuthTokenEndpoint != b.OAuthTokenEndpoint)
	return keys
}

// baseline is what the provider's own config alone says of connections.
func (p *parse) baseline() *parse {
	base := &parse{sources: p.sources[1:], used: make(map[string]given), failed: make(map[string]bool)}
	inOrder(func(s *setting) {
		if s.scope == scopeBoth {
			base.apply(s)
		}
	})
	base.securityRules()
	return base
}

// machineRole sees that credentials of the machine (a role, the environment), which are the operator's as well, go to
// hosts that the operator has named, as hosts or as provider_allowed_hosts, and over verified TLS.
func (p *parse) machineRole() {
	why := fmt.Sprintf("and AWS_MSK_IAM would use the credentials of the machine: give the %s aws_access_key_id and aws_secret_access_key of its own, or ", p.kind())
	s := &p.link.Cluster.Security
	if p.byLink(keyHosts) && !p.given(keyAllowedHosts) && slices.Contains(p.steered(), keyHosts) {
		p.fail(keyHosts, "is the %s's own, %shave the operator name the hosts by hosts or provider_allowed_hosts %s", p.kind(), why, p.ofOwn())
	}
	if p.byLink(keyProtocol) && !s.Protocol.UsesTLS() {
		p.fail(keyProtocol, "is without TLS, %sset SASL_SSL", why)
	}
	for _, key := range []string{"tls_ca", "tls_ca_file", "tls_server_name", "tls_insecure_skip_verify", "aws_role_arn",
		"aws_credentials_file", "aws_web_identity_token_file"} {
		if p.byLink(key) && slices.Contains(p.steered(), key) {
			p.fail(key, "is the %s's own, %sleave this out", p.kind(), why)
		}
	}
}

// hostLock holds a link to provider_allowed_hosts.
func (p *parse) hostLock() {
	p.lock(keyAllowedHosts)
	if p.anyFailed(keyAllowedHosts) || !p.given(keyAllowedHosts) {
		return
	}
	allowed := p.provider.AllowedHosts
	if !p.anyFailed(keyHosts) {
		for _, host := range p.link.Cluster.Hosts {
			if !allowsHost(allowed, host) {
				p.fail(keyHosts, "has %s, which the operator does not allow: provider_allowed_hosts %s has %s", p.shown(keyHosts, host), p.ofOwn(), strings.Join(allowed, ", "))
			}
		}
	}
	if endpoint := p.link.Cluster.Security.OAuthTokenEndpoint; endpoint != "" && !p.anyFailed("oauth_token_endpoint") &&
		!allowsHost(allowed, endpointHost(endpoint)) {
		p.fail("oauth_token_endpoint",
			"is at a host that the operator does not allow: provider_allowed_hosts %s has %s",
			p.ofOwn(), strings.Join(allowed, ", "))
	}
}

// folderLock holds a link to provider_allowed_folders.
func (p *parse) folderLock() {
	p.lock(keyAllowedFolders)
	s := &p.link.Cluster.Security
	if p.anyFailed(keyAllowedFolders) || !p.given(keyAllowedFolders) {
		return
	}
	s.AllowedFolders = p.provider.AllowedFolders
	for key, path := range map[string]string{"tls_ca_file": s.TLSCAFile, "tls_cert_file": s.TLSCertFile,
		"tls_key_file": s.TLSKeyFile, "aws_credentials_file": s.AWSCredentialsFile,
		"aws_web_identity_token_file": s.AWSWebIdentityTokenFile} {
		if _, _, ok := s.AllowedFile(path); path != "" && !ok {
			p.fail(key, "names a file that is in none of the folders that the operator allows: provider_allowed_folders %s has %s", p.ofOwn(), strings.Join(s.AllowedFolders, ", "))
		}
	}
}

// lock takes up a lock of the provider's own config for a link. One that cannot be read lets no link through.
func (p *parse) lock(name string) {
	for _, from := range p.sources {
		g, is := from.values[name]
		if !is || from.level != levelProvider {
			continue
		}
		if problem := p.try(declared[name], g); problem != nil {
			if !p.route {
				problem.Problem += " (from the provider's own config)"
			}
			p.errors = append(p.errors, problem)
			p.failed[name] = true
			return
		}
		p.used[name] = g
	}
}

// shown is a part of a setting's value as an error may show it.
func (p *parse) shown(name, part string) string {
	if p.used[name].secret {
		return "one"
	}
	return shorten(part)
}

// AllowedFile returns the allowed folder that a file is in, and its path below that. Without allowed folders, any file
// is allowed and the folder is "".
func (s *Security) AllowedFile(path string) (folder, rest string, ok bool) {
	if len(s.AllowedFolders) == 0 {
		return "", path, true
	}
	for _, folder := range s.AllowedFolders {
		if rest, err := filepath.Rel(folder, path); err == nil && filepath.IsAbs(path) &&
			filepath.IsLocal(rest) && rest != "." {
			return folder, rest, true
		}
	}
	return "", "", false
}

// parseFolders reads a list of absolute paths.
func parseFolders(text string) ([]string, error) {
	folders := list(text)
	if len(folders) == 0 {
		return nil, refuse(text, "names no folder")
	}
	for i, folder := range folders {
		if !filepath.IsAbs(folder) {
			return nil, refuse(folder, "is not an absolute path")
		}
		folders[i] = filepath.Clean(folder)
	}
	return folders, nil
}

// parseHostPatterns reads a list of hosts, with * and ? in them and with or without a port.
func parseHostPatterns(text string) ([]string, error) {
	patterns := list(text)
	if len(patterns) == 0 {
		return nil, refuse(text, "names no host")
	}
	for i, pattern := range patterns {
		// A port of * is any port, as none is.
		plain := strings.TrimSuffix(pattern, ":*")
		if _, err := parseHost(strings.NewReplacer("*", "x", "?", "x").Replace(plain)); err != nil {
			return nil, refuse(pattern, "is not a host or host:port, in which * stands for any characters and ? for one")
		}
		patterns[i] = strings.ToLower(plain)
	}
	return patterns, nil
}

// allowsHost tells whether a "host:port" is one that patterns have.
func allowsHost(patterns []string, hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if name, port, err := net.SplitHostPort(pattern); err == nil {
			return MatchTopic(name, strings.ToLower(host)) && strings.HasSuffix(hostPort, ":"+port)
		}
		return MatchTopic(strings.Trim(pattern, "[]"), strings.ToLower(host))
	})
}

// endpointHost is the "host:port" of a URL that [parseEndpoint] takes.
func endpointHost(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
