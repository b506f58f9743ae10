package check

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

const shop = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: My Shop
spec:
  policies:
    - name: vault
      type: policy.secret.wasmcloud.dev/v1alpha1
      properties: {backend: vault}
  components:
    - name: mailer
      type: component
      properties: {image: ghcr.io/example/mailer:1}
      traits:
        - type: spreadscaler
          properties: {instances: 1}
        - type: link
          properties:
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
            target:
              name: kafka
              config:
                - name: one
                  properties: {topic: orders, hosts: "a:1"}
                - name: two
                  properties: {hosts: "b:2"}
              secrets:
                - name: sasl_password
                  properties: {policy: vault, key: kafka/password}
        - type: link
          properties: {namespace: wasi, package: keyvalue, interfaces: [store], target: {name: redis}}
    - name: auditor
      type: component
      properties: {image: ghcr.io/example/auditor:1, id: AUDIT}
      traits:
        - type: link
          properties:
            name: old-form
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
            target: kafka
            target_config:
              - name: three
                properties: {topic: audit}
    - name: kafka
      type: capability
      properties:
        image: ghcr.io/example/messaging-kafka:1
        config:
          - name: cluster
            properties: {sasl_mechanism: PLAIN, sasl_username: shop}
      traits:
        - type: link
          properties:
            namespace: wasmcloud
            package: messaging
            interfaces: [handler]
            target: {name: mailer}
            source:
              config:
                - name: four
                  properties: {topic: bills}
    - name: nats
      type: capability
      properties: {image: ghcr.io/example/messaging-nats:1}
      traits:
        - type: link
          properties: {namespace: wasmcloud, package: messaging, interfaces: [handler], target: {name: mailer}}
`

func TestLinksOfAManifest(t *testing.T) {
	secret := settings.NewSecret("hidden")
	links, err := ReadManifest([]byte(shop), ManifestOptions{
		Config: map[string]string{"start": "earliest"}, Secrets: map[string]settings.Secret{"sasl_password": secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
		if len(l.Notes) != 0 {
			t.Errorf("%s has the notes %v", l.Name, l.Notes)
		}
		if l.Input.Defaults["sasl_username"] != "shop" || l.Input.Config["start"] != "earliest" ||
			l.Input.Secrets["sasl_password"] != secret {
			t.Errorf("%s has the input %+v", l.Name, l.Input)
		}
	}
	if want := []string{"mailer/default", "auditor/old-form", "mailer/default"}; !slices.Equal(names, want) {
		t.Fatalf("links %v, want %v", names, want)
	}
	if got, want := links[0].Input.Config, map[string]string{"topic": "orders", "hosts": "b:2",
		"start": "earliest"}; !maps.Equal(got, want) {
		t.Errorf("config %v, want %v", got, want)
	}
	if got, want := links[0].Input.Identity,
		(settings.Identity{Lattice: "default", Component: "my_shop-mailer", LinkName: "default",
			ProviderKey: "my_shop-kafka"}); got != want {
		t.Errorf("identity %+v", got)
	}
	if links[1].Input.Identity.Component != "AUDIT" || links[1].Input.Config["topic"] != "audit" {
		t.Errorf("the old form is read as %+v", links[1].Input)
	}
	if links[2].Role != role.Messages || links[2].Input.Config["topic"] != "bills" || links[0].Role != role.Messaging {
		t.Errorf("the source link is read as %+v", links[2])
	}
}

func TestLinksArePickedByName(t *testing.T) {
	for name, test := range map[string]struct {
		opts ManifestOptions
		want []string
	}{
		"by component":          {ManifestOptions{Component: "auditor"}, []string{"auditor/old-form"}},
		"by link":               {ManifestOptions{LinkName: "default"}, []string{"mailer/default", "mailer/default"}},
		"by component and link": {ManifestOptions{Component: "mailer", LinkName: "default"}, []string{"mailer/default", "mailer/default"}},
		"by provider":           {ManifestOptions{Provider: "nats"}, []string{"mailer/default"}},
	} {
		t.Run(name, func(t *testing.T) {
			links, err := ReadManifest([]byte(shop), test.opts)
			var names []string
			for _, l := range links {
				names = append(names, l.Name)
			}
			if err != nil || !slices.Equal(names, test.want) {
				t.Errorf("got %v, %v", names, err)
			}
		})
	}
}

func TestWhatAManifestLacksIsSaid(t *testing.T) {
	text := strings.Replace(shop, `{topic: orders, hosts: "a:1"}`, `{topic: orders, max_in_flight: 8}`, 1)
	text = strings.Replace(text, "properties: {hosts: \"b:2\"}", "", 1)
	links, err := ReadManifest([]byte(text), ManifestOptions{Component: "mailer"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		status Status
		text   string
	}{
		"max_in_flight": {Fail, "write the value in quotes"},
		"two":           {Warn, "wash config get two"},
		"sasl_password": {Fail, "--secret-file sasl_password=PATH"},
	}
	for _, note := range links[0].Notes {
		w, ok := want[note.Target]
		if !ok || note.Status != w.status || !strings.Contains(note.Text, w.text) {
			t.Errorf("note %+v, want %+v", note, w)
		}
		delete(want, note.Target)
	}
	if len(want) != 0 {
		t.Errorf("nothing is said of %v", want)
	}
	result := Run(t.Context(), links[0], Options{})
	if result.Status != Fail || result.Count(OK) != 0 {
		t.Errorf("a link without its secret is checked: %+v", result)
	}
}

func TestManifestsThatHaveNoSuchLink(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		opts ManifestOptions
		want string
	}{
		"no YAML":             {"a: [hidden", ManifestOptions{}, "not YAML"},
		"another form":        {"spec: {components: hidden}", ManifestOptions{}, "not YAML of the form"},
		"something else":      {"kind: Deployment", ManifestOptions{}, "no wadm manifest"},
		"no provider":         {"spec: {components: [{name: a, type: component}]}", ManifestOptions{}, "no provider"},
		"another provider":    {shop, ManifestOptions{Provider: "rabbit"}, "no provider (type capability) rabbit"},
		"no such link":        {shop, ManifestOptions{LinkName: "other"}, "it has mailer/default, auditor/old-form"},
		"providers ambiguous": {strings.ReplaceAll(shop, "nats", "kafka-too"), ManifestOptions{}, "--provider"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadManifest([]byte(test.text), test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// records is a manifest with links of both packages, and of one that is not served.
const records = `
metadata: {name: words}
spec:
  components:
    - name: count
      type: component
      traits:
        - type: link
          properties:
            namespace: messaging-kafka
            package: records
            interfaces: [producer, requester]
            target: {name: kafka, config: [{name: out, properties: {request_reply_topic: answers}}]}
        - type: link
          properties: {namespace: wasi, package: keyvalue, interfaces: [store], target: {name: kafka}}
    - name: kafka
      type: capability
      traits:
        - type: link
          properties:
            namespace: messaging-kafka
            package: records
            interfaces: [INTERFACES]
            target: {name: count}
            source: {config: [{name: in, properties: {topic: texts, transactions: "true", batch_max_records: "10"}}]}
    - name: redis
      type: capability
      traits:
        - type: link
          properties: {namespace: wasi, package: keyvalue, interfaces: [watcher], target: {name: count}}
`

func TestLinksOfWholeRecordsAreReadAsTheProviderReadsThem(t *testing.T) {
	for interfaces, test := range map[string]struct {
		does role.Role
		note string // of the link that reads
	}{
		"processor":          {does: role.Process},
		"handler":            {does: role.Handle},
		"handler, processor": {note: "two links"},
		"producer":           {note: "as source cannot have the interface producer"},
		"transformer":        {note: "cannot have the interface transformer"},
		"":                   {note: "names no interface"},
	} {
		t.Run(interfaces, func(t *testing.T) {
			links, err := ReadManifest([]byte(strings.Replace(records, "INTERFACES", interfaces, 1)), ManifestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(links) != 3 {
				t.Fatalf("%d links were found, want 3", len(links))
			}
			if links[0].Role != role.Produce || len(links[0].Notes) > 0 {
				t.Errorf("the link that sends is read as %v with the notes %v", links[0].Role, links[0].Notes)
			}
			if got := links[1].Notes; len(got) != 1 || got[0].Status != Fail ||
				!strings.Contains(got[0].Text, "serves wasmcloud:messaging and messaging-kafka:records, not wasi:keyvalue") {
				t.Errorf("the link of another package has the notes %v", got)
			}
			reads := links[2]
			if test.note == "" {
				if reads.Role != test.does || len(reads.Notes) > 0 {
					t.Errorf("the link that reads is read as %v with the notes %v", reads.Role, reads.Notes)
				}
				return
			}
			if len(reads.Notes) != 1 || reads.Notes[0].Target != "interfaces" || reads.Notes[0].Status != Fail ||
				!strings.Contains(reads.Notes[0].Text, test.note) {
				t.Errorf("it has the notes %v, want %q", reads.Notes, test.note)
			}
			if result := Run(t.Context(), reads, Options{}); result.Status != Fail {
				t.Errorf("a link that the provider refuses is %s", result.Status)
			}
		})
	}
}

func TestLinksOfAManifestThatStandAgainstEachOtherAreTold(t *testing.T) {
	const both = `{topic: orders, hosts: "a:1"}`
	for name, c := range map[string]struct{ from, to, want string }{
		"the same settings, one reading":   {"topic: bills", "topic: orders, hosts: \"a:1\"", ""},
		"other topics":                     {"", "", ""},
		"another form for the same topics": {"topic: bills", "topic: orders, hosts: \"a:1\", payload: envelope", "reads orders too"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(shop, both) || !strings.Contains(shop, c.from) {
				t.Fatal("the manifest of this test has changed")
			}
			links, err := ReadManifest([]byte(strings.Replace(shop, c.from, c.to, 1)), ManifestOptions{
				Component: "mailer", Config: map[string]string{"hosts": "a:1"},
				Secrets: map[string]settings.Secret{"sasl_password": settings.NewSecret("x")},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range links {
				told := slices.ContainsFunc(l.Notes, func(n Finding) bool {
					return n.Status == Warn && n.Target == "consumer_group" && strings.Contains(n.Text, c.want)
				})
				if told != (c.want != "") {
					t.Errorf("%s (%s) has the notes %v", l.Name, l.Role, l.Notes)
				}
			}
		})
	}
}
