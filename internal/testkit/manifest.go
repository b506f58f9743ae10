package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// manifest is as much of a wadm manifest as this project's own have in them.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Spec struct {
		Components []manifestComponent `yaml:"components"`
	} `yaml:"spec"`
}

type manifestComponent struct {
	Name       string `yaml:"name"`
	Type       string `yaml:"type"`
	Properties struct {
		Image  string           `yaml:"image"`
		Config []manifestConfig `yaml:"config"`
	} `yaml:"properties"`
	Traits []struct {
		Type       string        `yaml:"type"`
		Properties manifestTrait `yaml:"properties"`
	} `yaml:"traits"`
}

// manifestTrait is a link or a spreadscaler.
type manifestTrait struct {
	Instances int `yaml:"instances"`

	Namespace  string       `yaml:"namespace"`
	Package    string       `yaml:"package"`
	Interfaces []string     `yaml:"interfaces"`
	Name       string       `yaml:"name"`
	Source     manifestPeer `yaml:"source"`
	Target     manifestPeer `yaml:"target"`
}

type manifestPeer struct {
	Name   string           `yaml:"name"`
	Config []manifestConfig `yaml:"config"`
}

type manifestConfig struct {
	Name       string         `yaml:"name"`
	Properties map[string]any `yaml:"properties"` // wadm takes texts only: what else is there must be seen
}

// ManifestOptions say in what a manifest is changed for a test.
type ManifestOptions struct {
	// Images are the files to run, by the names of the manifest's components. A component without one is not started.
	Images map[string]string
	// Set changes the values of these keys in each config that has them.
	Set map[string]string
}

// ApplyManifest does on the host what wadm would do with a manifest, given by its path in the project: it sets its
// configs, makes its links, and starts its components and providers. A key that the manifest should not have, or a link
// to nothing, fails the test.
func (h *Host) ApplyManifest(path string, opts ManifestOptions) {
	h.t.Helper()
	m, err := parseManifest(path)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range m.Spec.Components {
		for _, trait := range c.Traits {
			if trait.Type == "link" {
				h.putManifestLink(m, c.Name, trait.Properties, opts)
			}
		}
	}
	for _, c := range m.Spec.Components {
		configs := h.putManifestConfigs(m, c.Properties.Config, opts)
		image, start := opts.Images[c.Name]
		switch {
		case !start:
		case c.Type == "capability":
			h.StartProvider(c.Name, image, configs...)
		default:
			h.Scale(c.Name, image, c.instances(), configs...)
		}
	}
}

func (h *Host) putManifestLink(m manifest, source string, link manifestTrait, opts ManifestOptions) {
	h.t.Helper()
	if _, ok := m.component(link.Target.Name); !ok {
		h.t.Fatalf("the manifest %s links %s to %q, which is not in it", m.Metadata.Name, source, link.Target.Name)
	}
	h.PutLink(ControlLink{
		Source: source, Target: link.Target.Name, Name: link.Name,
		Package:      link.Namespace + ":" + link.Package,
		Interface:    strings.Join(link.Interfaces, ","),
		SourceConfig: h.putManifestConfigs(m, link.Source.Config, opts),
		TargetConfig: h.putManifestConfigs(m, link.Target.Config, opts),
	})
}

// putManifestConfigs sets configs, under names with the manifest's in front as wadm does, and returns these names.
func (h *Host) putManifestConfigs(m manifest, configs []manifestConfig, opts ManifestOptions) []string {
	h.t.Helper()
	var names []string
	for _, c := range configs {
		values := map[string]string{}
		for key, value := range c.Properties {
			text, ok := value.(string)
			if !ok {
				h.t.Fatalf("the manifest %s has %s: %v without quotes", m.Metadata.Name, key, value)
			}
			if changed, ok := opts.Set[key]; ok {
				text = changed
			}
			values[key] = text
		}
		name := m.Metadata.Name + "-" + c.Name
		h.PutConfig(name, values)
		names = append(names, name)
	}
	return names
}

func (m manifest) component(name string) (manifestComponent, bool) {
	for _, c := range m.Spec.Components {
		if c.Name == name {
			return c, true
		}
	}
	return manifestComponent{}, false
}

func (c manifestComponent) instances() int {
	for _, trait := range c.Traits {
		if trait.Type == "spreadscaler" {
			return trait.Properties.Instances
		}
	}
	return 1
}

func parseManifest(path string) (m manifest, err error) {
	root, err := ProjectRoot()
	if err != nil {
		return m, err
	}
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return m, fmt.Errorf("reading a manifest: %w", err)
	}
	if err := yaml.UnmarshalWithOptions(b, &m, yaml.Strict()); err != nil {
		return m, fmt.Errorf("reading the manifest %s: %w", path, err)
	}
	if m.APIVersion != "core.oam.dev/v1beta1" || m.Kind != "Application" {
		return m, fmt.Errorf("reading the manifest %s: it is %s %s, want core.oam.dev/v1beta1 Application", path,
			m.APIVersion, m.Kind)
	}
	return m, nil
}
