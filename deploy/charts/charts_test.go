package charts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	keda "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
)

const folder = "messaging-kafka-bridge"

func TestHelmFindsNothingWrong(t *testing.T) {
	result := lint.AllWithKubeVersion(folder, nil, "shop", nil)
	for _, m := range result.Messages {
		// An icon is for catalogues.
		if !strings.Contains(m.Error(), "icon is recommended") {
			t.Errorf("helm lint: %v", m)
		}
	}
}

// release is what a release of the chart makes.
type release struct {
	config     *config.Config
	deployment apps.Deployment
	services   []core.Service
	budgets    []policy.PodDisruptionBudget
	policies   []networking.NetworkPolicy
	scaled     []keda.ScaledObject
	configMaps []core.ConfigMap
}

// render renders the chart with values over its own, and reads each document by the type of its kind, strictly: a
// misspelt name would do nothing in a cluster.
func render(t *testing.T, values string) *release {
	t.Helper()
	loaded, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	var given map[string]any
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	return parse(t, loaded, given)
}

func parse(t *testing.T, loaded *chart.Chart, given map[string]any) *release {
	t.Helper()
	all, err := chartutil.ToRenderValues(loaded, given, chartutil.ReleaseOptions{Name: "orders", Namespace: "shop"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		t.Fatal(err)
	}
	r := &release{}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			if strings.TrimSpace(strings.TrimPrefix(document, "---")) != "" {
				r.add(t, name, []byte(document))
			}
		}
	}
	if r.config == nil || r.deployment.Name == "" {
		t.Fatal("there is no ConfigMap or no Deployment")
	}
	return r
}

func (r *release) add(t *testing.T, file string, document []byte) {
	t.Helper()
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, document)
	}
	read := func(into any) {
		if err := yaml.UnmarshalStrict(document, into); err != nil {
			t.Fatalf("%s: %v\n%s", file, err, document)
		}
	}
	switch head.APIVersion + "/" + head.Kind {
	case "apps/v1/Deployment":
		read(&r.deployment)
	case "v1/Service":
		r.services = append(r.services, core.Service{})
		read(&r.services[len(r.services)-1])
	case "v1/ConfigMap":
		r.configMaps = append(r.configMaps, core.ConfigMap{})
		read(&r.configMaps[len(r.configMaps)-1])
		r.readConfig(t)
	case "policy/v1/PodDisruptionBudget":
		r.budgets = append(r.budgets, policy.PodDisruptionBudget{})
		read(&r.budgets[len(r.budgets)-1])
	case "networking.k8s.io/v1/NetworkPolicy":
		r.policies = append(r.policies, networking.NetworkPolicy{})
		read(&r.policies[len(r.policies)-1])
	case "keda.sh/v1alpha1/ScaledObject":
		r.scaled = append(r.scaled, keda.ScaledObject{})
		read(&r.scaled[len(r.scaled)-1])
	default:
		t.Fatalf("%s has a %s of %s, which nothing here looks at", file, head.Kind, head.APIVersion)
	}
}

// readConfig reads the file of the bridge as the bridge does.
func (r *release) readConfig(t *testing.T) {
	t.Helper()
	// The Secret's files are where the test may write.
	folder := t.TempDir()
	text := strings.ReplaceAll(r.configMaps[0].Data["bridge.yaml"], "/run/secrets/messaging-kafka/", folder+"/")
	path := filepath.Join(folder, "bridge.yaml")
	for file, content := range map[string]string{path: text, filepath.Join(folder, "password"): "a password"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	r.config, err = config.Read(config.Options{Path: path, Host: "pod", Lookup: func(name string) (string, bool) {
		return "from the environment", name == "KAFKA_PASSWORD"
	}})
	if err != nil {
		t.Fatalf("the bridge refuses its file: %v\n%s", err, r.configMaps[0].Data["bridge.yaml"])
	}
	for _, w := range r.config.Warnings {
		t.Errorf("the bridge warns of its file: %+v", w)
	}
}

func TestTheChartAsItComes(t *testing.T) {
	r := render(t, "")
	pod := r.deployment.Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("there are %d containers", len(pod.Containers))
	}
	c := pod.Containers[0]
	if *r.deployment.Spec.Replicas != 2 || len(r.budgets) != 1 || len(r.services) != 1 || len(r.policies)+len(r.scaled) != 0 {
		t.Errorf("%d copies, %d budgets, %d services, %d policies, %d scaled", *r.deployment.Spec.Replicas, len(r.budgets),
			len(r.services), len(r.policies), len(r.scaled))
	}
	if !slices.Contains(c.Args, "--config=/etc/messaging-kafka/bridge.yaml") || c.Args[0] != "bridge" {
		t.Errorf("it is started with %q", c.Args)
	}
	if s := c.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) ||
		!*pod.SecurityContext.RunAsNonRoot || *pod.AutomountServiceAccountToken {
		t.Errorf("it may do more than it needs: %+v, %+v", s, pod.SecurityContext)
	}
	for _, m := range c.VolumeMounts {
		if m.SubPath != "" {
			t.Errorf("%s is mounted by subPath, which does not follow changes", m.Name)
		}
	}
	stop := r.config.Own["provider_shutdown_timeout"]
	if stop != "" || *pod.TerminationGracePeriodSeconds <= 10 {
		t.Errorf("a pod has %d s to end, the bridge takes %q (10 s where it does not say)", *pod.TerminationGracePeriodSeconds, stop)
	}
	if port := c.Ports[0].ContainerPort; port != 9464 || r.services[0].Spec.Ports[0].Port != port {
		t.Errorf("the admin port is %d, the service's %d", port, r.services[0].Spec.Ports[0].Port)
	}
	if len(r.config.Routes) != 1 || r.config.Routes[0].Settings.HTTP.URL == "" {
		t.Errorf("the routes are %+v", r.config.Routes)
	}
}

func TestTheChartWithEverythingOn(t *testing.T) {
	r := render(t, `
image: { tag: "sha256:0123" }
secret: kafka-credentials
env: [{ name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://collector.monitoring.svc:4318" }]
envFrom: [{ secretRef: { name: kafka } }]
volumes: [{ name: state, emptyDir: { sizeLimit: 1Mi } }]
volumeMounts: [{ name: state, mountPath: /var/lib/messaging-kafka }]
networkPolicy:
  enabled: true
  egress: [{ to: [{ ipBlock: { cidr: 10.0.0.0/8 } }], ports: [{ protocol: TCP, port: 443 }] }]
autoscaling: { enabled: true, authentication: kafka }
config:
  name: shop
  routes:
    orders: { topic: [orders, bills], start: earliest }
    audit: { topic: "/audit\\..*/", consumer_group: audit, reply_topic: none, deliver: http-records, url: "http://audit.shop.svc:8080/" }
`)
	if got := r.deployment.Spec.Template.Spec.Containers[0].Image; got != "registry.example.com/messaging-kafka-cli@sha256:0123" {
		t.Errorf("the image is %s", got)
	}
	pod := r.deployment.Spec.Template.Spec
	if at := slices.IndexFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == "state" && v.EmptyDir != nil }); at < 0 {
		t.Errorf("the volumes are %+v", pod.Volumes)
	}
	if mounts := pod.Containers[0].VolumeMounts; len(mounts) != 3 || mounts[2].MountPath != "/var/lib/messaging-kafka" {
		t.Errorf("the mounts are %+v", mounts)
	}
	if r.deployment.Spec.Replicas != nil {
		t.Error("the Deployment has a number of copies as well as KEDA")
	}
	if len(r.policies) != 1 || len(r.policies[0].Spec.Egress) != 4 || len(r.policies[0].Spec.Ingress) != 1 {
		t.Fatalf("the policies are %+v", r.policies)
	}
	if len(r.scaled) != 1 || r.scaled[0].Spec.ScaleTargetRef.Name != r.deployment.Name {
		t.Fatalf("scaled: %+v", r.scaled)
	}
	var got []string
	for _, trigger := range r.scaled[0].Spec.Triggers {
		got = append(got, trigger.Metadata["consumerGroup"]+" "+trigger.Metadata["topic"]+" "+trigger.Metadata["offsetResetPolicy"])
		if trigger.AuthenticationRef == nil || trigger.AuthenticationRef.Name != "kafka" {
			t.Errorf("a trigger is without credentials: %+v", trigger)
		}
	}
	if want := []string{"shop.orders orders earliest", "shop.orders bills earliest"}; !slices.Equal(got, want) {
		t.Errorf("the triggers are %q, want %q", got, want)
	}
	for _, route := range r.config.Routes {
		if route.Name == "orders" && route.Settings.Consumer.Group != "shop.orders" {
			t.Errorf("the bridge reads %s by the group %s", route.Name, route.Settings.Consumer.Group)
		}
	}
}

// TestTheImageIsTheOneThatTheDocumentationPushes, and not the archive for hosts of wasmCloud, which is no image.
func TestTheImageIsTheOneThatTheDocumentationPushes(t *testing.T) {
	image := render(t, "").deployment.Spec.Template.Spec.Containers[0].Image
	for _, file := range []string{"../../Containerfile", "../../docs/wasmcloud.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "-t "+image+" --push .") || strings.Contains(string(text), "wash push "+image+" ") {
			t.Errorf("%s does not make the image %s of the chart", file, image)
		}
	}
}

func TestTriggersAreWhatTheBridgeReads(t *testing.T) {
	r := render(t, `
autoscaling: { enabled: true }
config:
  hosts: [kafka-0:9092, kafka-1:9092]
  start: earliest
  routes:
    orders: { topic: "orders, bills,, ", hosts: "kafka-2:9092" }
    audit: { topic: "/audit.{1,3}/", start: latest, deliver: http-records, url: "http://audit.shop.svc:8080/" }
    audits: { topic: audits, start: latest, deliver: http-records, url: "http://audit.shop.svc:8080/" }
    queue: { topic: queue, group_protocol: share, deliver: http-records, url: "http://queue.shop.svc:8080/" }
`)
	var got []string
	for _, trigger := range r.scaled[0].Spec.Triggers {
		m := trigger.Metadata
		got = append(got, strings.Join([]string{m["bootstrapServers"], m["consumerGroup"], m["topic"], m["offsetResetPolicy"]}, " "))
	}
	want := []string{
		"kafka-0:9092,kafka-1:9092 bridge.audits audits latest",
		"kafka-2:9092 bridge.orders orders earliest", "kafka-2:9092 bridge.orders bills earliest",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the triggers are %q, want %q", got, want)
	}
	for _, route := range r.config.Routes {
		if hosts := strings.Join(route.Settings.Cluster.Hosts, ","); route.Name == "audits" && hosts != "kafka-0:9092,kafka-1:9092" {
			t.Errorf("the bridge reads %s at %s", route.Name, hosts)
		}
	}
}

// TestTheChartRefusesWhatCannotWork in a cluster, and would do nothing there without a word.
func TestTheChartRefusesWhatCannotWork(t *testing.T) {
	loaded, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	const loopback = "is the loopback of the pod, which nobody else reaches"
	for values, want := range map[string]string{
		`config: { admin_address: null }`:                                                                         "config.admin_address is missing",
		`config: { admin_address: 9464 }`:                                                                         "config.admin_address: 9464 " + loopback,
		`config: { admin_address: ":9464" }`:                                                                      "config.admin_address: :9464 " + loopback,
		`config: { admin_address: "127.0.0.1:9464" }`:                                                             "config.admin_address: 127.0.0.1:9464 " + loopback,
		`config: { admin_address: "[::1]:9464" }`:                                                                 "config.admin_address: [::1]:9464 " + loopback,
		`config: { admin_address: "localhost:9464" }`:                                                             "config.admin_address: localhost:9464 " + loopback,
		`config: { admin_address: "${ADDRESS}" }`:                                                                 "config.admin_address: ${ADDRESS} does not end with a port",
		`{ service: { port: 80 } }`:                                                                               "service.port needs config.listen",
		`{ service: { port: 80 }, config: { listen: 8088 } }`:                                                     "config.listen: 8088 " + loopback,
		`{ autoscaling: { enabled: true }, config: { hosts: "${KAFKA}" } }`:                                       "autoscaling: KEDA does not know the variables in ${KAFKA}",
		`{ autoscaling: { enabled: true }, config: { hosts: ["${KAFKA}:1"] } }`:                                   "autoscaling: KEDA does not know the variables in ${KAFKA}:1",
		`{ autoscaling: { enabled: true }, config: { name: "${NAME}" } }`:                                         "autoscaling: KEDA does not know the variables in ${NAME}.orders",
		`{ autoscaling: { enabled: true }, config: { routes: { orders: { topic: "${TOPIC}" } } } }`:               "autoscaling: KEDA does not know the variables in ${TOPIC}",
		`{ autoscaling: { enabled: true }, config: { routes: { orders: { topic: "/o.*/" } } } }`:                  "autoscaling.enabled: no route reads a topic of which KEDA can tell the lag",
		`{ autoscaling: { enabled: true }, config: { routes: { orders: { group_protocol: share } } } }`:           "autoscaling.enabled: no route reads a topic of which KEDA can tell the lag",
		`{ autoscaling: { enabled: true }, config: { routes: { orders: null, till: { allowed_topics: "a" } } } }`: "autoscaling.enabled: no route reads a topic of which KEDA can tell the lag",
	} {
		var given map[string]any
		if err := yaml.Unmarshal([]byte(values), &given); err != nil {
			t.Fatal(err)
		}
		all, err := chartutil.ToRenderValues(loaded, given, chartutil.ReleaseOptions{Name: "a"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Render(loaded, all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is rendered with %v, want %s", values, err, want)
		}
	}
}
