package check

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
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
			Name        string         `yaml:"name"`
			Annotations map[string]any `yaml:"annotations"`
		} `yaml:"metadata"`
		Spec struct {
			Components []manifestComponent `yaml:"components"`
		} `yaml:"spec"`
		// Routes are what a bridge's file has.
		Routes any `yaml:"routes"`

		fields fields
	}
	manifestComponent struct {
		Name       string `yaml:"name"`
		Type       string `yaml:"type"`
		Properties struct {
			ID      string           `yaml:"id"`
			Image   string           `yaml:"image"`
			Config  []manifestConfig `yaml:"config"`
			Secrets []manifestSecret `yaml:"secrets"`
			// Application is where a component is from that another application has and shares.
			Application *struct {
				Name      string `yaml:"name"`
				Component string `yaml:"component"`
			} `yaml:"application"`
			// Contract is what a provider is for in the form before wasmCloud 1.0.
			Contract string `yaml:"contract"`
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
		// LinkName is the name in the form before wasmCloud 1.0.
		LinkName string `yaml:"link_name"`
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

// The types of traits that are links: linkdef is what it was before wasmCloud 1.0.
const (
	linkTrait = "link"
	oldTrait  = "linkdef"
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

// ReadManifest finds the links between components and the Kafka provider in the wadm manifests of a file. Links of
// other providers are not among them. Before the links comes what is to be said of the manifests as such, and of the
// provider's own config, where there is any. A link that was found has its faults in its notes, such as a package that
// the provider does not serve; an error says that none was.
func ReadManifest(content []byte, opts ManifestOptions) ([]Link, error) {
	manifests, err := readDocuments(content)
	if err != nil {
		return nil, err
	}
	f := finder{manifests: manifests, opts: opts, named: make(map[string]bool)}
	var none error
	for _, m := range manifests {
		if err := f.find(m); err != nil {
			if _, ambiguous := errors.AsType[*ambiguousError](err); ambiguous {
				return nil, err
			}
			none = cmp.Or(none, err)
		}
	}
	switch {
	case len(f.links) == 0 && len(f.others) > 0:
		return nil, fmt.Errorf("it has no such link with %s; it has %s", f.provider, strings.Join(f.others, ", "))
	case len(f.links) == 0 && f.provider != "":
		return nil, fmt.Errorf("it has no link with %s", f.provider)
	case len(f.links) == 0:
		return nil, none
	}
	if err := f.checkSecrets(); err != nil {
		return nil, err
	}
	noteClashes(f.links)
	return slices.Concat(f.about(), f.own, f.links), nil
}

// readDocuments reads the manifests of a file, which may have other documents beside them.
func readDocuments(content []byte) ([]*manifest, error) {
	var manifests []*manifest
	typed, whole := yaml.NewDecoder(bytes.NewReader(content)), yaml.NewDecoder(bytes.NewReader(content))
	for {
		m := &manifest{}
		err := typed.Decode(m)
		if errors.Is(err, io.EOF) {
			break
		}
		var document any
		if err == nil {
			err = whole.Decode(&document)
		}
		if err != nil {
			// The library's text shows the lines around the error, in which a secret may stand.
			return nil, fmt.Errorf("it is not YAML of the form of a wadm manifest%s", yamlPlace(err))
		}
		if len(m.Spec.Components) > 0 {
			m.fields = unknownFields(document)
			manifests = append(manifests, m)
		} else if m.Routes != nil {
			return nil, errors.New("it is no wadm manifest but the file of a bridge: check it by messaging-kafka bridge check --config FILE")
		}
	}
	if len(manifests) == 0 {
		return nil, errors.New("it is no wadm manifest: it has no spec.components")
	}
	return manifests, nil
}

// IsManifest tells whether a text is a wadm manifest.
func IsManifest(content []byte) bool {
	manifests, err := readDocuments(content)
	return err == nil && len(manifests) > 0
}

// finder gathers the links of manifests.
type finder struct {
	manifests []*manifest
	opts      ManifestOptions
	// links are those that are meant, and own the configs of their providers.
	links, own []Link
	// provider is the name of a provider with links, and others are links that are not meant.
	provider string
	others   []string
	// named are the secrets that links or providers name.
	named map[string]bool
}

// find gathers the links of one manifest.
func (f *finder) find(m *manifest) error {
	provider, err := m.provider(f.opts.Provider)
	if err != nil {
		return err
	}
	f.provider = provider.Name
	whole := f.whole(m, provider)
	meant := len(f.links)
	for i := range m.Spec.Components {
		owner := &m.Spec.Components[i]
		for j := range owner.Traits {
			trait := &owner.Traits[j]
			l := &trait.Properties
			if trait.Type != linkTrait && trait.Type != oldTrait {
				continue
			}
			source := owner.Name == provider.Name
			if !source && l.Target.Name != provider.Name {
				continue
			}
			component, name := owner.Name, cmp.Or(l.Name, l.LinkName, "default")
			if source {
				component = l.Target.Name
			}
			end := l.Target
			if source {
				end = l.Source
			}
			f.name(end.Secrets)
			if (f.opts.Component != "" && f.opts.Component != component) ||
				(f.opts.LinkName != "" && f.opts.LinkName != name) {
				f.others = append(f.others, component+"/"+name)
				continue
			}
			link := f.link(m, whole, l, component, name, source)
			link.Notes = append(link.Notes, m.fields.links[[2]int{i, j}]...)
			if trait.Type == oldTrait {
				link.note("linkdef", Fail, "is a link as of before wasmCloud 1.0, which wadm does not make any more: write a trait of the type link with namespace: wasmcloud, package: messaging, interfaces: [consumer], and target: {name: %s, config: [{name: NAME, properties: …}]}, where the properties are what values has here", l.Target.Name)
			}
			f.links = append(f.links, link)
		}
	}
	if len(f.links) > meant {
		f.ownConfig(whole)
	}
	return nil
}

// name notes secrets that the manifest refers to.
func (f *finder) name(refs []manifestSecret) {
	for _, ref := range refs {
		f.named[ref.Name] = true
	}
}

// checkSecrets refuses secrets that nothing in the manifests asks for: they would be given to nobody.
func (f *finder) checkSecrets() error {
	for _, key := range slices.Sorted(maps.Keys(f.opts.Secrets)) {
		if !f.named[key] {
			known := "its links name none"
			if len(f.named) > 0 {
				known = "it names " + strings.Join(slices.Sorted(maps.Keys(f.named)), ", ")
			}
			return fmt.Errorf("the secret %s is given, and nothing of the manifest names it (secrets: [{name: …}]); %s", text.Whole(key, maxShownName), known)
		}
	}
	return nil
}

// maxShownName bounds what is shown of names, in bytes.
const maxShownName = 256

// about is what is to be said of the manifests as such.
func (f *finder) about() []Link {
	var about []Link
	for _, m := range f.manifests {
		if len(m.fields.others) > 0 {
			name := cmp.Or(m.Metadata.Name, "without a name")
			about = append(about, Link{Kind: KindManifest, Name: name, Notes: m.fields.others})
		}
	}
	return about
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

// link makes the link that wadm makes of a trait.
func (f *finder) link(m *manifest, provider *wholeProvider, l *manifestLink, component, name string, source bool) Link {
	end, config := l.Target, l.TargetConfig
	link := Link{Kind: KindLink, Name: component + "/" + name, Direction: component + " → " + provider.name,
		Interface: l.pkg() + "/" + strings.Join(l.Interfaces, ", ")}
	if source {
		end, config = l.Source, l.SourceConfig
		link.Direction = provider.name + " → " + component
	}
	if l.Package == "" { // as in the form before wasmCloud 1.0
		link.Interface = role.Messaging.String()
	} else {
		var err error
		if link.Role, err = role.Of(source, l.pkg(), l.Interfaces); err != nil {
			link.note("interfaces", Fail, "the provider refuses the link: %v", err)
		}
	}
	link.Input = settings.Input{
		Config:   link.config(append(slices.Clone(config), end.Config...)),
		Defaults: provider.config,
		Identity: settings.Identity{
			Lattice: cmp.Or(f.opts.Lattice, "default"), Component: f.componentID(&link, m, component), LinkName: name,
			ProviderKey: provider.id,
		},
	}
	maps.Copy(link.Input.Config, f.opts.Config)
	link.Input.Secrets = link.secrets(end.Secrets, f.opts.Secrets)
	link.Input.DefaultSecrets = link.secrets(provider.secrets, f.opts.Secrets)
	return link
}

// componentID is the identity of a component, which another application may share.
func (f *finder) componentID(notes *Link, m *manifest, name string) string {
	for i := range m.Spec.Components {
		shared := m.Spec.Components[i].Properties.Application
		if m.Spec.Components[i].Name != name || shared == nil {
			continue
		}
		var found Link
		owner, of := f.shared(&found, shared.Name, shared.Component)
		for _, note := range found.Notes {
			if note.Status == Fail { // what is not in the file matters for providers alone
				notes.Notes = append(notes.Notes, note)
			}
		}
		if of != nil {
			return owner.id(of.Name)
		}
		return idOf(shared.Name, shared.Component)
	}
	return m.id(name)
}

// id is the identity that wadm gives a component.
func (m *manifest) id(name string) string {
	for i := range m.Spec.Components {
		if c := &m.Spec.Components[i]; c.Name == name && c.Properties.ID != "" {
			return c.Properties.ID
		}
	}
	return idOf(m.Metadata.Name, name)
}

// idOf is the identity that wadm makes of the names of an application and a component.
func idOf(application, component string) string {
	sanitised := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, strings.ToLower(text))
	}
	return sanitised(application) + "-" + sanitised(component)
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
func (l *Link) secrets(refs []manifestSecret, given map[string]settings.Secret) map[string]settings.Secret {
	secrets := make(map[string]settings.Secret)
	for _, ref := range refs {
		secret, ok := given[ref.Name]
		if !ok {
			l.note(ref.Name, Fail, "is a secret, which the manifest only refers to (key %s of policy %s): give it with --secret-file %s=PATH, --secret-env %s=VARIABLE or --secret %s=VALUE",
				ref.Properties.Key, ref.Properties.Policy, ref.Name, ref.Name, ref.Name)
			continue
		}
		secrets[ref.Name] = secret
	}
	return secrets
}

func (l *Link) note(target string, status Status, format string, args ...any) {
	l.Notes = append(l.Notes, Finding{StepSettings, target, status, "", fmt.Sprintf(format, args...)})
}
