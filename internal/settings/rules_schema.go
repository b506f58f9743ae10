package settings

import (
	"slices"
	"strings"
)

// registryKeys are the settings that say nothing without a registry.
var registryKeys = []string{
	"schema_registry_username", "schema_registry_password", "schema_registry_token", "schema_registry_ca",
	"schema_registry_ca_file", "schema_registry_timeout", "schema_topics", keySchemaParts, keySchemaSubject,
	"schema_message", "schema_unframed",
}

// schemaRules settle how a link proves who it is to its registry, and keep the operator's credentials where the
// operator sends them.
func (p *parse) schemaRules() {
	if p.anyFailed(keyRegistry) {
		return
	}
	s, auth := &p.link.Schema, &p.link.Cluster.Security.Registry
	if !s.Enabled() {
		p.unused("schema_registry is not set", registryKeys...)
		*s, *auth = Schema{}, RegistryAuth{} // so that links which do without compare equal
		return
	}
	p.registryCredentials(auth)
	if text, file := p.strongest("schema_registry_ca"), p.strongest("schema_registry_ca_file"); text > file {
		s.CAFile = ""
	} else if file > text {
		s.CA = ""
	} else if text != levelDefault {
		p.fail("schema_registry_ca_file", "is given as well as schema_registry_ca; leave one")
	}
	if s.Parts == SchemaBoth && !strings.Contains(s.Subject, partTemplate) &&
		!p.anyFailed(keySchemaParts, keySchemaSubject) {
		p.fail(keySchemaSubject, "has no {part}, but schema_parts is both: keys and values would be written by one schema")
	}
	p.registryDestination()
}

// registryCredentials settle whether a user or a token is shown: the one that is given nearer to the link.
func (p *parse) registryCredentials(auth *RegistryAuth) {
	user := p.strongest("schema_registry_username", "schema_registry_password")
	token := p.strongest("schema_registry_token")
	switch {
	case token > user:
		auth.Username, auth.Password = "", Secret{}
	case user > token:
		auth.Token = Secret{}
	case token != levelDefault:
		p.fail("schema_registry_token", "is given as well as schema_registry_username or schema_registry_password; leave one way")
		return
	}
	switch {
	case p.anyFailed("schema_registry_username", "schema_registry_password"):
	case auth.Username == "" && !auth.Password.Empty():
		p.fail("schema_registry_username", "is missing: schema_registry_password needs it")
	case auth.Username != "" && auth.Password.Empty():
		p.fail("schema_registry_password", "is missing: schema_registry_username needs it")
	}
	if (!auth.Token.Empty() || !auth.Password.Empty()) && slices.ContainsFunc(p.link.Schema.Registries, crossesInClear) {
		p.warn(keyRegistry, "is not https: the credentials cross the network in clear text")
	}
}

// registryDestination sees that credentials for a registry which come from the provider's own config go to the registry
// of that config only, and that a link holds to the operator's locks.
func (p *parse) registryDestination() {
	s, auth := &p.link.Schema, &p.link.Cluster.Security.Registry
	if p.given(keyAllowedHosts) && !p.anyFailed(keyAllowedHosts) {
		for _, at := range s.Registries {
			if !allowsHost(p.provider.AllowedHosts, endpointHost(at)) {
				p.fail(keyRegistry, "is at a host that the operator does not allow: provider_allowed_hosts %s has %s",
					p.ofOwn(), strings.Join(p.provider.AllowedHosts, ", "))
				break
			}
		}
	}
	if p.given(keyAllowedFolders) && !p.anyFailed(keyAllowedFolders) && s.CAFile != "" {
		if _, _, ok := p.link.Cluster.Security.AllowedFile(s.CAFile); !ok {
			p.fail("schema_registry_ca_file", "names a file that is in none of the folders that the operator allows: provider_allowed_folders %s has %s",
				p.ofOwn(), strings.Join(p.link.Cluster.Security.AllowedFolders, ", "))
		}
	}
	var theirs []string
	for _, c := range []struct {
		name string
		used bool
	}{
		{"schema_registry_password", !auth.Password.Empty()}, {"schema_registry_token", !auth.Token.Empty()},
		{"schema_registry_username", auth.Username != "" && p.used["schema_registry_username"].secret},
	} {
		if g, is := p.used[c.name]; is && c.used && g.level == levelProvider {
			theirs = append(theirs, c.name)
		}
	}
	if len(theirs) == 0 {
		return
	}
	for _, key := range []string{keyRegistry, "schema_registry_ca", "schema_registry_ca_file"} {
		if p.byLink(key) && p.differsFromOwn(key) {
			p.fail(key, "is the %[1]s's own, and would decide where %[2]s %[3]s goes or how that is protected: give the %[1]s credentials of its own, or leave this out",
				p.kind(), strings.Join(theirs, " and "), p.ofOwn())
		}
	}
}

// differsFromOwn tells whether a link says something else of its registry than the provider's own config.
func (p *parse) differsFromOwn(key string) bool {
	ours, theirs := &p.link.Schema, &p.baseline().link.Schema
	switch key {
	case keyRegistry:
		return slices.ContainsFunc(ours.Registries, func(at string) bool { return !slices.Contains(theirs.Registries, at) })
	case "schema_registry_ca":
		return ours.CA != theirs.CA
	default:
		return ours.CAFile != theirs.CAFile
	}
}
