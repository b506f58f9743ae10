package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// ManifestOptions say which links of a manifest are meant, and add to them what a manifest does not have.
type ManifestOptions struct {
	// Provider, Component and LinkName pick links; empty ones match all. Provider and Component are names in the
	// manifest.
	Provider, Component, LinkName string
	// Lattice is where the manifest is deployed; it is part of the default consumer group.
	Lattice string
	// Config beats what the manifest has.
	Config map[string]string
	// Secrets are those that the manifest only refers to.
	Secrets map[string]settings.Secret
}

// The part of a wadm manifest (OAM, core.oam.dev/v1beta1) that says something about links.
type (
	manifest struct {
		Kind     string `yaml:"kind"`
		Metadata struct {
			Name string `yaml:"name"`
		} `yaml:"metadata"`
		Spec struct {
			Components []manifestComponent `yaml:"components"`
		} `yaml:"spec"`
	}
	manifestComponent struct {
		Name       string `yaml:"name"`
		Type       string `yaml:"type"`
		Properties struct {
			ID      string           `yaml:"id"`
			Image   string           `yaml:"image"`
			Config  []manifestConfig `yaml:"config"`
			Secrets []manifestSecret `yaml:"secrets"`
		} `yaml:"properties"`
		Traits []manifestTrait `yaml:"traits"`
	}
	manifestTrait struct {
		Type       string       `yaml:"type"`
		Properties manifestLink `yaml:"properties"`
	}
	manifestLink struct {
		Name       string      `yaml:"name"`
		Namespace  string      `yaml:"namespace"`
		Package    string      `yaml:"package"`
		Interfaces []string    `yaml:"interfaces"`
		Target     manifestEnd `yaml:"target"`
		Source     manifestEnd `yaml:"source"`
		// The form of wadm before 0.13.
		SourceConfig []manifestConfig `yaml:"source_config"`
		TargetConfig []manifestConfig `yaml:"target_config"`
	}
	manifestConfig struct {
		Name       string         `yaml:"name"`
		Properties map[string]any `yaml:"properties"`
	}
	manifestSecret struct {
		Name       string `yaml:"name"`
		Properties struct {
			Policy string `yaml:"policy"`
			Key    string `yaml:"key"`
		} `yaml:"properties"`
	}
)

// manifestEnd is one end of a link: a name, or a name with config and secrets.
type manifestEnd struct {
	Name    string           `yaml:"name"`
	Config  []manifestConfig `yaml:"config"`
	Secrets []manifestSecret `yaml:"secrets"`
}

// UnmarshalYAML takes both forms.
func (e *manifestEnd) UnmarshalYAML(unmarshal func(any) error) error {
	if err := unmarshal(&e.Name); err == nil {
		return nil
	}
	type plain manifestEnd
	return unmarshal((*plain)(e))
}

// ReadManifest finds the links between components and the Kafka provider in a wadm manifest. Links of other providers
// are not among them. A link that was found has its faults in its notes, such as a package that the provider does not
// serve; an error says that none was.
func ReadManifest(text []byte, opts ManifestOptions) ([]Link, error) {
	var m manifest
	if err := yaml.Unmarshal(text, &m); err != nil {
		// The library's text shows the lines around the error, in which a secret may stand.
		return nil, fmt.Errorf("it is not YAML of the form of a wadm manifest%s", yamlPlace(err))
	}
	if len(m.Spec.Components) == 0 {
		return nil, errors.New("it is no wadm manifest: it has no spec.components")
	}
	provider, err := m.provider(opts.Provider)
	if err != nil {
		return nil, err
	}
	var links []Link
	var others []string
	for i := range m.Spec.Components {
		owner := &m.Spec.Components[i]
		for j := range owner.Traits {
			trait := &owner.Traits[j]
			l := &trait.Properties
			if trait.Type != "link" {
				continue
			}
			source := owner.Name == provider.Name
			if !source && l.Target.Name != provider.Name {
				continue
			}
			component, name := owner.Name, cmp.Or(l.Name, "default")
			if source {
				component = l.Target.Name
			}
			if (opts.Component != "" && opts.Component != component) || (opts.LinkName != "" && opts.LinkName != name) {
				others = append(others, component+"/"+name)
				continue
			}
			links = append(links, m.link(provider, l, component, name, source, opts))
		}
	}
	if len(links) == 0 && len(others) > 0 {
		return nil, fmt.Errorf("it has no such link with %s; it has %s", provider.Name, strings.Join(others, ", "))
	}
	if len(links) == 0 {
		return nil, fmt.Errorf("it has no link with %s", provider.Name)
	}
	noteClashes(links)
	return links, nil
}

// noteClashes warns of links that cannot both read as they ask. A link whose settings cannot be used says so itself.
func noteClashes(links []Link) {
	parsed := make([]*settings.Link, len(links))
	for i := range links {
		l := &links[i]
		in := l.Input
		in.Batches, in.Records = l.Role.Batches(), l.Role.Records()
		if p, _, err := settings.ParseLink(in); err == nil {
			parsed[i] = &p
		}
	}
	for i := range links {
		for j := range i {
			if parsed[i] == nil || parsed[j] == nil {
				continue
			}
			same := links[i].Name == links[j].Name
			if same && links[i].Role.Delivery() == links[j].Role.Delivery() && parsed[i].Reading() == parsed[j].Reading() {
				continue // one reading for both
			}
			if text, _ := parsed[i].Clash(parsed[j], same); text != "" {
				links[i].note("consumer_group", Warn, "another link, %s with the interface %s, %s", links[j].Name,
					links[j].Role, text)
			}
			if text, _ := parsed[j].Clash(parsed[i], same); text != "" {
				links[j].note("consumer_group", Warn, "another link, %s with the interface %s, %s", links[i].Name,
					links[i].Role, text)
			}
		}
	}
}

// yamlPlace is where a YAML error is, as far as the library tells.
func yamlPlace(err error) string {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		p := at.GetToken().Position
		return fmt.Sprintf(" (line %d, column %d)", p.Line, p.Column)
	}
	return ""
}

// pkg is the WIT package of the link.
func (l *manifestLink) pkg() string {
	if l.Namespace == "" && l.Package == "messaging" {
		return role.MessagingPackage
	}
	return l.Namespace + ":" + l.Package
}

// isServed tells whether the link is of a package that the provider serves.
func (l *manifestLink) isServed() bool {
	return l.pkg() == role.MessagingPackage || l.pkg() == role.RecordsPackage
}

// eitherPackage is for people.
const eitherPackage = role.MessagingPackage + " or " + role.RecordsPackage

// provider is the capability that links of the packages served go to or come from. Of several, it is the one whose
// image or name tells of Kafka.
func (m *manifest) provider(name string) (*manifestComponent, error) {
	var candidates, kafkas []*manifestComponent
	for i := range m.Spec.Components {
		c := &m.Spec.Components[i]
		if c.Type != "capability" || (name != "" && c.Name != name) || !m.isLinked(c.Name) {
			continue
		}
		candidates = append(candidates, c)
		if strings.Contains(strings.ToLower(c.Properties.Image+" "+c.Name), "kafka") {
			kafkas = append(kafkas, c)
		}
	}
	switch {
	case len(candidates) == 1:
		return candidates[0], nil
	case len(kafkas) == 1:
		return kafkas[0], nil
	case len(candidates) == 0 && name != "":
		return nil, fmt.Errorf("it has no provider (type capability) %s with a link of %s", name, eitherPackage)
	case len(candidates) == 0:
		return nil, fmt.Errorf("it has no provider (type capability) with a link of %s", eitherPackage)
	}
	var names []string
	for _, c := range candidates {
		names = append(names, c.Name)
	}
	return nil, fmt.Errorf("it has several providers with links of %s: say with --provider which is meant (%s)",
		eitherPackage, strings.Join(names, ", "))
}

// isLinked tells whether a link of a package served goes to or comes from the named provider.
func (m *manifest) isLinked(name string) bool {
	return slices.ContainsFunc(m.Spec.Components, func(c manifestComponent) bool {
		return slices.ContainsFunc(c.Traits, func(t manifestTrait) bool {
			return t.Type == "link" && t.Properties.isServed() && (c.Name == name || t.Properties.Target.Name == name)
		})
	})
}

// link makes the link that wadm makes of a trait.
func (m *manifest) link(provider *manifestComponent, l *manifestLink, component, name string, source bool,
	opts ManifestOptions) Link {
	end, config := l.Target, l.TargetConfig
	if source {
		end, config = l.Source, l.SourceConfig
	}
	link := Link{Name: component + "/" + name}
	var err error
	if link.Role, err = role.Of(source, l.pkg(), l.Interfaces); err != nil {
		link.note("interfaces", Fail, "the provider refuses the link: %v", err)
	}
	link.Input = settings.Input{
		Config:   link.config(append(slices.Clone(config), end.Config...)),
		Defaults: link.config(provider.Properties.Config),
		Identity: settings.Identity{
			Lattice: cmp.Or(opts.Lattice, "default"), Component: m.id(component), LinkName: name,
			ProviderKey: m.id(provider.Name),
		},
	}
	maps.Copy(link.Input.Config, opts.Config)
	used := make(map[string]bool)
	link.Input.Secrets = link.secrets(end.Secrets, opts.Secrets, used)
	link.Input.DefaultSecrets = link.secrets(provider.Properties.Secrets, opts.Secrets, used)
	// A secret that the manifest does not refer to was given for the link all the same.
	for key, secret := range opts.Secrets {
		if !used[key] {
			link.Input.Secrets[key] = secret
		}
	}
	return link
}

// id is the identity that wadm gives a component.
func (m *manifest) id(name string) string {
	for i := range m.Spec.Components {
		if c := &m.Spec.Components[i]; c.Name == name && c.Properties.ID != "" {
			return c.Properties.ID
		}
	}
	sanitised := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, strings.ToLower(text))
	}
	return sanitised(m.Metadata.Name) + "-" + sanitised(name)
}

// config merges named configs in their order, as hosts do: later ones win.
func (l *Link) config(configs []manifestConfig) map[string]string {
	merged := make(map[string]string)
	for _, c := range configs {
		if c.Properties == nil {
			l.note(c.Name, Warn, "this config has no properties in the manifest, so it is one that the lattice has already (wash config get %s); give its settings with --set or --file", c.Name)
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(c.Properties)) {
			text, ok := c.Properties[key].(string)
			if !ok {
				l.note(key, Fail, "is no text in config %s of the manifest, and wadm takes texts only: write the value in quotes",
					c.Name)
				continue
			}
			merged[key] = text
		}
	}
	return merged
}

// secrets puts given secrets in the places where the manifest refers to them.
func (l *Link) secrets(refs []manifestSecret, given map[string]settings.Secret,
	used map[string]bool) map[string]settings.Secret {
	secrets := make(map[string]settings.Secret)
	for _, ref := range refs {
		secret, ok := given[ref.Name]
		if !ok {
			l.note(ref.Name, Fail, "is a secret, which the manifest only refers to (key %s of policy %s): give it with --secret-file %s=PATH, --secret-env %s=VARIABLE or --secret %s=VALUE",
				ref.Properties.Key, ref.Properties.Policy, ref.Name, ref.Name, ref.Name)
			continue
		}
		used[ref.Name] = true
		secrets[ref.Name] = secret
	}
	return secrets
}

func (l *Link) note(target string, status Status, format string, args ...any) {
	l.Notes = append(l.Notes, Finding{StepSettings, target, status, "", fmt.Sprintf(format, args...)})
}
