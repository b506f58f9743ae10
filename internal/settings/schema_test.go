package settings

import (
	"strings"
	"testing"
)

func TestSchemaRules(t *testing.T) {
	at := func(more ...string) config {
		c := config{"schema_registry": "https://a.example.com/x/,http://127.0.0.1:8081"}
		for i := 0; i < len(more); i += 2 {
			c[more[i]] = more[i+1]
		}
		return c
	}
	for name, c := range map[string]struct {
		in   Input
		want string // of the error, "" for none
		warn string
	}{
		"a registry":                      {Input{Config: at()}, "", ""},
		"no URL":                          {Input{Config: config{"schema_registry": "a.example.com"}}, "schema_registry: the value is not a URL", ""},
		"a password in the URL":           {Input{Config: config{"schema_registry": "https://u:pw@a"}}, "schema_registry: the value holds a user", ""},
		"a query":                         {Input{Config: config{"schema_registry": "https://a/?x=" + hidden}}, "schema_registry: the value holds a ?", ""},
		"a password":                      {Input{Config: config{"schema_registry": "https://a", "schema_registry_username": "u"}, Secrets: secrets("schema_registry_password", hidden)}, "", ""},
		"a password in clear":             {Input{Config: config{"schema_registry": "http://a", "schema_registry_username": "u"}, Secrets: secrets("schema_registry_password", hidden)}, "", "schema_registry: is not https"},
		"a password without one":          {Input{Config: at(), Secrets: secrets("schema_registry_password", hidden)}, "schema_registry_username: is missing", ""},
		"a user alone":                    {Input{Config: at("schema_registry_username", "u")}, "schema_registry_password: is missing", ""},
		"two ways":                        {Input{Config: at("schema_registry_username", "u"), Secrets: secrets("schema_registry_password", hidden, "schema_registry_token", hidden)}, "schema_registry_token: is given as well", ""},
		"none in place of the provider's": {Input{Config: config{"schema_registry": "none"}, Defaults: at()}, "", ""},
		"nothing to ask":                  {Input{Config: config{"schema_subject": "x"}}, "", "schema_subject: is not used: schema_registry is not set"},
		"one subject for both":            {Input{Config: at("schema_parts", "both", "schema_subject", "x")}, "schema_subject: has no {part}", ""},
		"a brace":                         {Input{Config: at("schema_subject", "{x}")}, "has a brace", ""},
		"a host that is locked out": {Input{Config: at(), Defaults: config{"provider_allowed_hosts": "*.example.com,127.0.0.1:9092"}},
			"schema_registry: is at a host that the operator does not allow", ""},
		"a folder that is locked out": {Input{Config: at("schema_registry_ca_file", "/etc/passwd"), Defaults: config{"provider_allowed_folders": "/run"}},
			"schema_registry_ca_file: names a file that is in none of the folders", ""},
		"the operator's token to the operator's registry": {Input{Config: at(), Defaults: at(), DefaultSecrets: secrets("schema_registry_token", hidden)}, "", ""},
		"the operator's token elsewhere": {Input{Config: config{"schema_registry": "https://evil.example.org"}, Defaults: at(), DefaultSecrets: secrets("schema_registry_token", hidden)},
			"schema_registry: is the link's own, and would decide where schema_registry_token", ""},
		"the operator's token by another authority": {Input{Config: config{"schema_registry_ca_file": "/x"}, Defaults: at(), DefaultSecrets: secrets("schema_registry_token", hidden)},
			"schema_registry_ca_file: is the link's own", ""},
		"a token of its own elsewhere": {Input{Config: config{"schema_registry": "https://mine.example.org"}, Secrets: secrets("schema_registry_token", hidden), Defaults: at(), DefaultSecrets: secrets("schema_registry_token", hidden)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			link, warnings, err := ParseLink(c.in)
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("refused by %v, want %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), hidden):
				t.Errorf("the error has the secret: %v", err)
			case c.in.Config["schema_registry"] == "none" && link.Schema.Enabled():
				t.Error("the provider's registry is not taken back")
			case err == nil && link.Schema.Enabled() && link.Schema.Subject == "":
				t.Errorf("there are no defaults: %+v", link.Schema)
			}
			var said []string
			for _, w := range warnings {
				said = append(said, w.Key+": "+w.Text)
			}
			if all := strings.Join(said, "\n"); c.warn != "" && !strings.Contains(all, c.warn) || strings.Contains(all, hidden) {
				t.Errorf("warned of %q, want %q", all, c.warn)
			}
		})
	}
}
