package charts

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
)

// workloadDeployment is the operator's resource of wasmCloud 2.x (runtime.wasmcloud.dev/v1alpha1), as far as it is used
// here: the names and which are required are those of its definition.
type workloadDeployment struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Replicas int32 `json:"replicas"`
		Template struct {
			Spec struct {
				Kubernetes struct {
					Service struct {
						Name string `json:"name"`
					} `json:"service"`
				} `json:"kubernetes"`
				Components []struct {
					Name     string `json:"name"`
					Image    string `json:"image"`
					PoolSize int32  `json:"poolSize"`
				} `json:"components"`
				HostInterfaces []struct {
					Namespace  string            `json:"namespace"`
					Package    string            `json:"package"`
					Version    string            `json:"version"`
					Interfaces []string          `json:"interfaces"`
					Config     map[string]string `json:"config"`
				} `json:"hostInterfaces"`
			} `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

func documents(t *testing.T, file string, into ...any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n---\n")
	if len(parts) != len(into) {
		t.Fatalf("%s has %d documents, want %d", file, len(parts), len(into))
	}
	for i, part := range parts {
		if err := yaml.UnmarshalStrict([]byte(part), into[i]); err != nil {
			t.Fatalf("%s, document %d: %v", file, i+1, err)
		}
	}
}

func TestTheWorkloadOfWasmCloud2IsWhatTheBridgeCalls(t *testing.T) {
	var service core.Service
	var workload workloadDeployment
	var scaled keda.ScaledObject
	documents(t, "../wasmcloud2/workload.yaml", &service, &workload)
	documents(t, "../wasmcloud2/scaledobject.yaml", &scaled)
	values, err := os.ReadFile("../wasmcloud2/bridge-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := render(t, string(values))

	spec := workload.Spec.Template.Spec
	if workload.APIVersion != "runtime.wasmcloud.dev/v1alpha1" || workload.Kind != "WorkloadDeployment" || spec.Kubernetes.Service.Name != service.Name {
		t.Errorf("%s %s has the service %q", workload.APIVersion, workload.Kind, spec.Kubernetes.Service.Name)
	}
	if len(spec.Components) != 2 || len(spec.HostInterfaces) != 1 || !slices.Equal(spec.HostInterfaces[0].Interfaces, []string{"incoming-handler"}) {
		t.Fatalf("the workload is %+v", spec)
	}
	if len(r.config.Routes) != 1 {
		t.Fatalf("the bridge has %d routes", len(r.config.Routes))
	}
	route := r.config.Routes[0]
	if host := spec.HostInterfaces[0].Config["host"]; route.Settings.HTTP.URL != "http://"+host+"/" ||
		host != service.Name+"."+service.Namespace+".svc" {
		t.Errorf("the bridge posts to %s, the workload answers for %s, of the service %s", route.Settings.HTTP.URL, host, service.Name)
	}
	if ref := scaled.Spec.ScaleTargetRef; ref.Kind != workload.Kind || ref.APIVersion != workload.APIVersion || ref.Name != workload.Name {
		t.Errorf("KEDA scales %+v", ref)
	}
	trigger := scaled.Spec.Triggers[0].Metadata
	if trigger["consumerGroup"] != route.Settings.Consumer.Group || trigger["topic"] != route.Settings.Consumer.Topics[0] {
		t.Errorf("KEDA looks at %v, the bridge reads %v by %s", trigger, route.Settings.Consumer.Topics, route.Settings.Consumer.Group)
	}
}

func TestTheFilesForHostsOnOneMachine(t *testing.T) {
	for file, address := range map[string]string{
		"../spin/bridge.yaml":     "127.0.0.1:3000", // what "spin up" listens at
		"../wasmtime/bridge.yaml": addressOf(t, "../wasmtime/word-count.service"),
	} {
		c, err := config.Read(config.Options{Path: file, Lookup: os.LookupEnv, Host: "machine"})
		if err != nil || len(c.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %+v", file, err, c)
			continue
		}
		if len(c.Routes) != 1 || c.Routes[0].Settings.HTTP.URL != "http://"+address+"/" {
			t.Errorf("%s: the routes are %+v, want one to %s", file, c.Routes, address)
		}
	}
}

// addressOf is where a unit has its host listen.
func addressOf(t *testing.T, unit string) string {
	t.Helper()
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`--addr (\S+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no --addr", unit)
	}
	return string(found[1])
}

func TestSpinServesWhatIsComposed(t *testing.T) {
	var manifest struct {
		Version     int `toml:"spin_manifest_version"`
		Application struct{ Name, Version string }
		Trigger     struct {
			HTTP []struct{ Route, Component string }
		}
		Component map[string]struct {
			Source  string
			Allowed []string `toml:"allowed_outbound_hosts"`
		}
	}
	found, err := toml.DecodeFile("../spin/spin.toml", &manifest)
	if err != nil || len(found.Undecoded()) > 0 {
		t.Fatalf("%v; not known: %v", err, found.Undecoded())
	}
	readme, err := os.ReadFile("../spin/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Version != 2 || len(manifest.Trigger.HTTP) != 1 || manifest.Trigger.HTTP[0].Route != "/..." {
		t.Errorf("the manifest is %+v", manifest)
	}
	served, ok := manifest.Component[manifest.Trigger.HTTP[0].Component]
	if !ok || !strings.Contains(string(readme), "-o deploy/spin/"+served.Source) || len(served.Allowed) != 0 {
		t.Errorf("it serves %+v", served)
	}
}

func TestEveryFileForAHostIsLookedAt(t *testing.T) {
	var got []string
	for _, folder := range []string{"wasmcloud2", "spin", "wasmtime"} {
		files, err := filepath.Glob("../" + folder + "/*.*")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			got = append(got, strings.TrimPrefix(file, "../"))
		}
	}
	want := []string{
		"wasmcloud2/README.md", "wasmcloud2/bridge-values.yaml", "wasmcloud2/scaledobject.yaml", "wasmcloud2/workload.yaml",
		"spin/README.md", "spin/bridge.yaml", "spin/spin.toml",
		"wasmtime/README.md", "wasmtime/bridge.yaml", "wasmtime/messaging-kafka-bridge.service", "wasmtime/word-count.service",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the files are\n%q, want\n%q", got, want)
	}
}
