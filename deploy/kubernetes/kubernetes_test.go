// Package kubernetes holds manifests for Kubernetes, and the test that they say what they are meant to.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

type metadata struct {
	Name      string            `yaml:"name"`
	Namespace string            `yaml:"namespace"`
	Labels    map[string]string `yaml:"labels"`
}

// hostConfig is the operator's WasmCloudHostConfig (k8s.wasmcloud.dev/v1alpha1), as far as it is used here. It is
// decoded strictly: the API server drops what a resource's definition does not know.
type hostConfig struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       struct {
		Lattice                 string            `yaml:"lattice"`
		Version                 string            `yaml:"version"`
		HostReplicas            uint32            `yaml:"hostReplicas"`
		HostLabels              map[string]string `yaml:"hostLabels"`
		NATSAddress             string            `yaml:"natsAddress"`
		SecretsTopicPrefix      string            `yaml:"secretsTopicPrefix"`
		EnableStructuredLogging bool              `yaml:"enableStructuredLogging"`
		LogLevel                string            `yaml:"logLevel"`
		SchedulingOptions       struct {
			Resources struct {
				WasmCloud struct {
					Requests map[string]string `yaml:"requests"`
					Limits   map[string]string `yaml:"limits"`
				} `yaml:"wasmcloud"`
			} `yaml:"resources"`
			ContainerTemplateAdditions struct {
				WasmCloud struct {
					Env []struct{ Name, Value string } `yaml:"env"`
				} `yaml:"wasmcloud"`
			} `yaml:"containerTemplateAdditions"`
		} `yaml:"schedulingOptions"`
	} `yaml:"spec"`
}

type service struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       struct {
		ClusterIP string            `yaml:"clusterIP"`
		Selector  map[string]string `yaml:"selector"`
		Ports     []struct {
			Name       string `yaml:"name"`
			Port       int    `yaml:"port"`
			TargetPort int    `yaml:"targetPort"`
		} `yaml:"ports"`
	} `yaml:"spec"`
}

type peer struct {
	NamespaceSelector *selector `yaml:"namespaceSelector"`
	PodSelector       *selector `yaml:"podSelector"`
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type rule struct {
	From  []peer `yaml:"from"`
	To    []peer `yaml:"to"`
	Ports []struct {
		Protocol string `yaml:"protocol"`
		Port     int    `yaml:"port"`
	} `yaml:"ports"`
}

type networkPolicy struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Spec       struct {
		PodSelector selector `yaml:"podSelector"`
		PolicyTypes []string `yaml:"policyTypes"`
		Ingress     []rule   `yaml:"ingress"`
		Egress      []rule   `yaml:"egress"`
	} `yaml:"spec"`
}

type secret struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   metadata          `yaml:"metadata"`
	Type       string            `yaml:"type"`
	StringData map[string]string `yaml:"stringData"`
}

type role struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	Rules      []struct {
		APIGroups     []string `yaml:"apiGroups"`
		Resources     []string `yaml:"resources"`
		ResourceNames []string `yaml:"resourceNames"`
		Verbs         []string `yaml:"verbs"`
	} `yaml:"rules"`
}

type roleBinding struct {
	APIVersion string   `yaml:"apiVersion"`
	Kind       string   `yaml:"kind"`
	Metadata   metadata `yaml:"metadata"`
	RoleRef    struct {
		APIGroup string `yaml:"apiGroup"`
		Kind     string `yaml:"kind"`
		Name     string `yaml:"name"`
	} `yaml:"roleRef"`
	Subjects []struct {
		Kind      string `yaml:"kind"`
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	} `yaml:"subjects"`
}

// decode reads the documents of a file, each into one of into, and nothing but what these know.
func decode(t *testing.T, file string, into ...any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, file)), yaml.Strict())
	for i, document := range into {
		if err := decoder.Decode(document); err != nil {
			t.Fatalf("%s, document %d: %v", file, i+1, err)
		}
	}
	var more any
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		t.Fatalf("%s has more than %d documents (%v, %v)", file, len(into), more, err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEachManifestIsLookedAtHere(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"application.wadm.yaml", "hosts.yaml", "networkpolicy.yaml",
		"secret.yaml"}; !slices.Equal(files, want) {
		t.Errorf("the manifests are %q, want %q", files, want)
	}
}

// application reads the provider's link, as check and the provider do, and the provider's own settings.
func application(t *testing.T) (link settings.Link, own settings.Provider) {
	t.Helper()
	links, err := check.ReadManifest(read(t, "application.wadm.yaml"), check.ManifestOptions{
		Lattice: "default", Secrets: map[string]settings.Secret{"sasl_password": settings.NewSecret("a password")},
	})
	if err != nil {
		t.Fatal(err)
	}
	// The provider itself stands there, too.
	links = slices.DeleteFunc(links, func(l check.Link) bool {
		for _, note := range l.Notes {
			if l.Kind == check.KindProvider && note.Status != check.OK {
				t.Errorf("it is said of the provider: %+v", note)
			}
		}
		return l.Kind == check.KindProvider
	})
	if len(links) != 1 {
		t.Fatalf("its links are %v", links)
	}
	for _, note := range links[0].Notes {
		t.Errorf("it is said of the link: %+v", note)
	}
	link, warnings, err := settings.ParseLink(links[0].Input)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("its settings: %v, %v", err, warnings)
	}
	own, warnings, err = settings.ParseProvider(links[0].Input.Defaults, links[0].Input.DefaultSecrets)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the provider's settings: %v, %v", err, warnings)
	}
	return link, own
}

func TestTheHostsWaitLongerThanTheProviderTakesToStop(t *testing.T) {
	var hosts hostConfig
	var metrics service
	decode(t, "hosts.yaml", &hosts, &metrics)
	if hosts.APIVersion != "k8s.wasmcloud.dev/v1alpha1" || hosts.Kind != "WasmCloudHostConfig" ||
		hosts.Spec.Lattice == "" || hosts.Spec.Version == "" {
		t.Errorf("the hosts are %+v", hosts)
	}
	link, own := application(t)
	env := hosts.Spec.SchedulingOptions.ContainerTemplateAdditions.WasmCloud.Env
	if len(env) != 1 || env[0].Name != "WASMCLOUD_PROV_SHUTDOWN_DELAY_MS" {
		t.Fatalf("the hosts' environment is %v", env)
	}
	ms, err := strconv.Atoi(env[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if patience := time.Duration(ms) * time.Millisecond; own.ShutdownTimeout >= patience ||
		link.Delivery.DrainTimeout >= own.ShutdownTimeout {
		t.Errorf("calls may take %s, the stop %s, and hosts wait %s", link.Delivery.DrainTimeout,
			own.ShutdownTimeout, patience)
	}

	name := map[string]string{"app.kubernetes.io/name": hosts.Metadata.Name} // which the operator gives the pods
	if metrics.APIVersion != "v1" || metrics.Kind != "Service" || metrics.Spec.ClusterIP != "None" ||
		!equal(metrics.Spec.Selector, name) ||
		metrics.Metadata.Namespace != hosts.Metadata.Namespace || len(metrics.Spec.Ports) != 1 {
		t.Errorf("the service is %+v", metrics)
	}
	if _, port, _ := strings.Cut(own.AdminAddress, ":"); port != strconv.Itoa(metrics.Spec.Ports[0].TargetPort) {
		t.Errorf("the service leads to port %d, and metrics are at %s", metrics.Spec.Ports[0].TargetPort, own.AdminAddress)
	}

	var policy networkPolicy
	decode(t, "networkpolicy.yaml", &policy)
	if policy.APIVersion != "networking.k8s.io/v1" || policy.Kind != "NetworkPolicy" ||
		!equal(policy.Spec.PodSelector.MatchLabels, name) ||
		policy.Metadata.Namespace != hosts.Metadata.Namespace ||
		!slices.Equal(policy.Spec.PolicyTypes, []string{"Ingress", "Egress"}) {
		t.Errorf("the policy is %+v", policy)
	}
	if in := policy.Spec.Ingress; len(in) != 1 || len(in[0].From) != 1 ||
		in[0].Ports[0].Port != metrics.Spec.Ports[0].TargetPort {
		t.Errorf("it lets in %+v", in)
	}
	open := map[int]bool{}
	for _, out := range policy.Spec.Egress {
		for _, p := range out.Ports {
			open[p.Port] = true
		}
	}
	for _, port := range []int{53, 4222, 7422, 443, kafkaPort(t, &link)} {
		if !open[port] {
			t.Errorf("it keeps port %d shut", port)
		}
	}
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if b[key] != value {
			return false
		}
	}
	return true
}

func kafkaPort(t *testing.T, link *settings.Link) int {
	t.Helper()
	_, port, _ := strings.Cut(link.Cluster.Hosts[0], ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func TestTheSecretIsTheOneThatTheApplicationAsksFor(t *testing.T) {
	var password secret
	var reader role
	var binding roleBinding
	decode(t, "secret.yaml", &password, &reader, &binding)
	var app struct {
		Spec struct {
			Policies []struct {
				Name       string            `yaml:"name"`
				Type       string            `yaml:"type"`
				Properties map[string]string `yaml:"properties"`
			} `yaml:"policies"`
			Components []struct {
				Name       string `yaml:"name"`
				Properties struct {
					Secrets []struct {
						Name       string            `yaml:"name"`
						Properties map[string]string `yaml:"properties"`
					} `yaml:"secrets"`
				} `yaml:"properties"`
				Traits []struct {
					Type       string `yaml:"type"`
					Properties struct {
						Spread []struct {
							Requirements map[string]string `yaml:"requirements"`
						} `yaml:"spread"`
					} `yaml:"properties"`
				} `yaml:"traits"`
			} `yaml:"components"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(read(t, "application.wadm.yaml"), &app); err != nil {
		t.Fatal(err)
	}
	policy, provider := app.Spec.Policies[0], app.Spec.Components[1]
	if policy.Type != "policy.secret.wasmcloud.dev/v1alpha1" ||
		policy.Properties["namespace"] != password.Metadata.Namespace {
		t.Errorf("the policy is %+v", policy)
	}
	asked := provider.Properties.Secrets[0]
	if asked.Name != "sasl_password" || asked.Properties["policy"] != policy.Name ||
		asked.Properties["key"] != password.Metadata.Name ||
		password.StringData[asked.Properties["field"]] == "" {
		t.Errorf("it asks for %+v and there is %v", asked, password.Metadata)
	}
	if !slices.Equal(reader.Rules[0].ResourceNames, []string{password.Metadata.Name}) ||
		!slices.Equal(reader.Rules[0].Verbs, []string{"get"}) ||
		binding.RoleRef.Name != reader.Metadata.Name || reader.Metadata.Namespace != password.Metadata.Namespace ||
		len(binding.Subjects) != 1 {
		t.Errorf("it is read by %+v, as %+v", binding, reader)
	}

	var hosts hostConfig
	decode(t, "hosts.yaml", &hosts, &service{})
	if spread := provider.Traits[0].Properties.Spread; provider.Traits[0].Type != "daemonscaler" ||
		!equal(spread[0].Requirements, hosts.Spec.HostLabels) {
		t.Errorf("the provider is put where %+v, and hosts are %v", spread, hosts.Spec.HostLabels)
	}
}
