// Package deploy holds manifests for wadm, and the test that they say what they are meant to.
package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// application is wadm's form of a manifest (oam.schema.json), as far as the demos use it. It is decoded strictly: wadm
// passes over names that it does not know in some places, and a misspelt one would do nothing.
type application struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Spec struct {
		Components []struct {
			Name       string `yaml:"name"`
			Type       string `yaml:"type"`
			Properties struct {
				Image string `yaml:"image"`
				ID    string `yaml:"id"`
			} `yaml:"properties"`
			Traits []struct {
				Type       string `yaml:"type"`
				Properties struct {
					Instances  int      `yaml:"instances"`
					Namespace  string   `yaml:"namespace"`
					Package    string   `yaml:"package"`
					Interfaces []string `yaml:"interfaces"`
					Source     side     `yaml:"source"`
					Target     side     `yaml:"target"`
				} `yaml:"properties"`
			} `yaml:"traits"`
		} `yaml:"components"`
	} `yaml:"spec"`
}

type side struct {
	Name   string `yaml:"name"`
	Config []struct {
		Name       string            `yaml:"name"`
		Properties map[string]string `yaml:"properties"`
	} `yaml:"config"`
}

func TestManifestsHaveWadmsForm(t *testing.T) {
	files, err := filepath.Glob("*.wadm.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("the manifests are %v (%v)", files, err)
	}
	configs := map[string]string{}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			var app application
			if err := yaml.UnmarshalWithOptions(read(t, file), &app, yaml.Strict()); err != nil {
				t.Fatal(err)
			}
			if app.APIVersion != "core.oam.dev/v1beta1" || app.Kind != "Application" ||
				app.Metadata.Annotations["version"] == "" ||
				app.Metadata.Name+".wadm.yaml" != file {
				t.Errorf("it is a %s of %s, named %s, version %q", app.Kind, app.APIVersion, app.Metadata.Name,
					app.Metadata.Annotations["version"])
			}
			for _, c := range app.Spec.Components {
				if c.Properties.ID != c.Name || c.Properties.Image == "" {
					t.Errorf("%s has the id %q and the image %q", c.Name, c.Properties.ID, c.Properties.Image)
				}
				if c.Type == "capability" && c.Properties.Image != "file://../dist/messaging-kafka.par.gz" {
					t.Errorf("%s is not what make par builds", c.Properties.Image)
				}
				for _, trait := range c.Traits {
					for _, config := range slices.Concat(trait.Properties.Source.Config, trait.Properties.Target.Config) {
						// wadm lets two applications fight over one name.
						if other := configs[config.Name]; other != "" {
							t.Errorf("the config %s is in %s too", config.Name, other)
						}
						configs[config.Name] = file
					}
				}
			}
		})
	}
}

func TestManifestsAskForWhatTheySay(t *testing.T) {
	for file, want := range map[string][]string{
		"messaging-kafka-demo.wadm.yaml":        {"target wasmcloud.echo"},
		"messaging-kafka-demo-source.wadm.yaml": {"source wasmcloud.echo", "target "},
	} {
		t.Run(file, func(t *testing.T) {
			links, err := check.ReadManifest(read(t, file), check.ManifestOptions{Lattice: "default"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, link := range links {
				parsed, warnings, err := settings.ParseLink(link.Input)
				if err != nil || len(warnings) > 0 {
					t.Errorf("link %s: %v, warnings %v, of %v", link.Name, err, warnings, slices.Collect(maps.Keys(link.Input.Config)))
				}
				end := "target"
				if link.Role == role.Messages {
					end = "source"
				}
				got = append(got, end+" "+strings.Join(parsed.Consumer.Topics, ","))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the provider's links are %q, want %q", got, want)
			}
		})
	}
}
