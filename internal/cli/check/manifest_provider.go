package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// ambiguousError says that several providers may be meant.
type ambiguousError struct{ names []string }

func (e *ambiguousError) Error() string {
	return fmt.Sprintf("it has several providers with links of %s: say with --provider which is meant (%s)", eitherPackage,
		strings.Join(e.names, ", "))
}

// provider is the capability that links of the packages served go to or come from. Of several, it is the one whose
// image or name tells of Kafka.
func (m *manifest) provider(name string) (*manifestComponent, error) {
	var candidates, kafkas []*manifestComponent
	for i := range m.Spec.Components {
		c := &m.Spec.Components[i]
		if c.Type != "capability" || (name != "" && c.Name != name) || !m.isLinked(c) {
			continue
		}
		candidates = append(candidates, c)
		if c.isKafka() {
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
	ambiguous := &ambiguousError{}
	for _, c := range candidates {
		ambiguous.names = append(ambiguous.names, c.Name)
	}
	return nil, ambiguous
}

// isKafka tells whether the image or a name of a provider tells of Kafka.
func (c *manifestComponent) isKafka() bool {
	names := c.Properties.Image + " " + c.Name
	if shared := c.Properties.Application; shared != nil {
		names += " " + shared.Name + " " + shared.Component
	}
	return strings.Contains(strings.ToLower(names), "kafka")
}

// isLinked tells whether a link of a package served goes to or comes from a provider.
func (m *manifest) isLinked(provider *manifestComponent) bool {
	return slices.ContainsFunc(m.Spec.Components, func(c manifestComponent) bool {
		return slices.ContainsFunc(c.Traits, func(t manifestTrait) bool {
			switch t.Type {
			case linkTrait:
				return t.Properties.isServed() && (c.Name == provider.Name || t.Properties.Target.Name == provider.Name)
			case oldTrait: // it tells of no package
				return t.Properties.Target.Name == provider.Name &&
					(provider.isKafka() || strings.HasSuffix(provider.Properties.Contract, ":messaging"))
			default:
				return false
			}
		})
	})
}

// wholeProvider is a provider with what another manifest has of it.
type wholeProvider struct {
	name, id string
	config   map[string]string
	secrets  []manifestSecret
	notes    []Finding
}

// whole finds what belongs to a provider, which another application may share.
func (f *finder) whole(m *manifest, provider *manifestComponent) *wholeProvider {
	w := &wholeProvider{name: provider.Name}
	var notes Link
	owner, of := m, provider
	if shared := provider.Properties.Application; shared != nil {
		owner, of = f.shared(&notes, shared.Name, shared.Component)
		w.id = idOf(shared.Name, shared.Component)
	}
	if of != nil {
		w.id, w.secrets = owner.id(of.Name), of.Properties.Secrets
		w.config = notes.config(of.Properties.Config)
	}
	f.name(w.secrets)
	w.notes = notes.Notes
	return w
}

// sharedAnnotation marks applications whose components others may use.
const sharedAnnotation = "experimental.wasmcloud.dev/shared"

// shared finds a component of another application in the file, nil where it does not have it.
func (f *finder) shared(notes *Link, application, component string) (*manifest, *manifestComponent) {
	const target = "application"
	for _, m := range f.manifests {
		if m.Metadata.Name != application {
			continue
		}
		if fmt.Sprint(m.Metadata.Annotations[sharedAnnotation]) != "true" {
			notes.note(target, Fail, "%s is not shared: give its metadata the annotation %s: \"true\"", application, sharedAnnotation)
		}
		for i := range m.Spec.Components {
			if c := &m.Spec.Components[i]; c.Name == component {
				return m, c
			}
		}
		notes.note(target, Fail, "%s has no component %s", application, component)
		return nil, nil
	}
	notes.note(target, Warn, "this is %s of the application %s, whose manifest is not in this file: its own config and secrets are not looked at; put that manifest into the file, too (behind a line ---), or give its settings with --set or --file",
		component, application)
	return nil, nil
}

// ownConfig adds what is to be said of a provider's own config.
func (f *finder) ownConfig(provider *wholeProvider) {
	own := Link{Kind: KindProvider, Name: provider.name, Notes: provider.notes}
	secrets := make(map[string]settings.Secret)
	for _, ref := range provider.secrets {
		if secret, given := f.opts.Secrets[ref.Name]; given {
			secrets[ref.Name] = secret
		}
	}
	own.Input = settings.Input{Defaults: provider.config, DefaultSecrets: secrets}
	_, warnings, err := settings.ParseProvider(provider.config, secrets)
	for _, w := range warnings {
		own.note(w.Key, Warn, "%s", w.Text)
	}
	if err != nil {
		for _, finding := range settingsErrors(err) {
			finding.Text += "; the default is used instead"
			own.Notes = append(own.Notes, finding)
		}
	}
	if n := len(provider.config); n > 0 && len(own.Notes) == 0 {
		own.note("", OK, "its own config can be used: %s", strings.Join(slices.Sorted(maps.Keys(provider.config)), ", "))
	}
	if len(own.Notes) > 0 {
		f.own = append(f.own, own)
	}
}
