package check

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
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
	var names, titles []string
	if links[0].Kind != KindProvider || len(links[0].Notes) != 1 || links[0].Notes[0].Status != OK {
		t.Fatalf("first comes %+v", links[0])
	}
	links = links[1:] // without the provider
	for _, l := range links {
		names = append(names, l.Name)
		titles = append(titles, l.Title())
		if len(l.Notes) != 0 {
			t.Errorf("%s has the notes %v", l.Name, l.Notes)
		}
		if l.Input.Defaults["sasl_username"] != "shop" || l.Input.Config["start"] != "earliest" ||
			(l.Input.Secrets["sasl_password"] == secret) != (len(titles) == 1) { // the first alone names it
			t.Errorf("%s has the input %+v", l.Name, l.Input)
		}
	}
	if want := []string{"mailer/default", "auditor/old-form", "mailer/default"}; !slices.Equal(names, want) {
		t.Fatalf("links %v, want %v", names, want)
	}
	if want := []string{
		"link mailer/default, mailer → kafka, wasmcloud:messaging/consumer",
		"link auditor/old-form, auditor → kafka, wasmcloud:messaging/consumer",
		"link mailer/default, kafka → mailer, wasmcloud:messaging/handler",
	}; !slices.Equal(titles, want) {
		t.Errorf("titles %q", titles)
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

// linksOf are the links of a manifest, without what is said of the provider and of the manifest.
func linksOf(t *testing.T, text string, opts ManifestOptions) []Link {
	t.Helper()
	found, err := ReadManifest([]byte(text), opts)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(found, func(l Link) bool { return l.Kind != KindLink })
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
			var names []string
			for _, l := range linksOf(t, shop, test.opts) {
				names = append(names, l.Name)
			}
			if !slices.Equal(names, test.want) {
				t.Errorf("got %v", names)
			}
		})
	}
}

func TestWhatAManifestLacksIsSaid(t *testing.T) {
	text := strings.Replace(shop, `{topic: orders, hosts: "a:1"}`, `{topic: orders, max_in_flight: 8}`, 1)
	text = strings.Replace(text, "properties: {hosts: \"b:2\"}", "", 1)
	links := linksOf(t, text, ManifestOptions{Component: "mailer"})
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
		"a secret that nothing names": {shop, ManifestOptions{Secrets: map[string]settings.Secret{
			"sasl_pasword": settings.NewSecret("hidden")}}, "the secret sasl_pasword is given, and nothing of the manifest names it (secrets: [{name: …}]); it names sasl_password"},
		"a bridge's file": {"routes: {orders: {topic: orders}}", ManifestOptions{}, "messaging-kafka bridge check"},
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
			links := linksOf(t, strings.Replace(records, "INTERFACES", interfaces, 1), ManifestOptions{})
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
			links := linksOf(t, strings.Replace(shop, c.from, c.to, 1), ManifestOptions{
				Component: "mailer", Config: map[string]string{"hosts": "a:1", "sasl_password": "x"},
				Secrets: map[string]settings.Secret{"sasl_password": settings.NewSecret("x")},
			})
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

// notesOf are the notes of a manifest, by what they are about: the title of a link and the target.
func notesOf(t *testing.T, text string, opts ManifestOptions) map[string]Finding {
	t.Helper()
	found, err := ReadManifest([]byte(text), opts)
	if err != nil {
		t.Fatal(err)
	}
	notes := make(map[string]Finding)
	for _, l := range found {
		for _, note := range l.Notes {
			notes[string(l.Kind)+" "+l.Name+": "+note.Target] = note
		}
	}
	return notes
}

func TestKeysOfAManifestThatMeanNothingAreTold(t *testing.T) {
	given := ManifestOptions{Secrets: map[string]settings.Secret{}}
	for name, test := range map[string]struct {
		from, to string
		about    string
		status   Status
		want     string
	}{
		"secret for secrets":             {"secrets:\n                - name: sasl_password", "secret:\n                - name: sasl_password", "link mailer/default: properties.target.secret", Fail, "the key is secrets"},
		"trait for traits":               {"traits:\n        - type: spreadscaler", "trait:\n        - type: spreadscaler", "manifest My Shop: mailer.trait", Fail, "the key is traits"},
		"config one level higher":        {"target: kafka\n            target_config:", "target: kafka\n            config:", "link auditor/old-form: properties.config", Fail, "one level deeper, below target or source"},
		"namespace one level off":        {"target: {name: mailer}\n            source:", "target: {name: mailer, namespace: wasmcloud}\n            source:", "link mailer/default: properties.target.namespace", Fail, "one level higher"},
		"settings beside their name":     {"properties: {topic: bills}", "topic: bills", "link mailer/default: properties.source.config.four.topic", Fail, "one level deeper, below properties"},
		"settings of the old form":       {"name: old-form", "name: old-form\n            values: {topic: x}", "link auditor/old-form: properties.values", Fail, "before wasmCloud 1.0"},
		"a key of nobody":                {"name: old-form", "name: old-form\n            colour: red", "link auditor/old-form: properties.colour", Warn, "is not known here, and is not looked at"},
		"an image beside its properties": {"type: capability\n      properties:\n        image: ghcr.io/example/messaging-kafka:1\n        config:", "type: capability\n      image: ghcr.io/example/messaging-kafka:1\n      properties:\n        config:", "manifest My Shop: kafka.image", Fail, "one level deeper, below properties"},
		"a secret without a policy":      {"properties: {policy: vault, key: kafka/password}", "policy: vault", "link mailer/default: properties.target.secrets.sasl_password.policy", Fail, "one level deeper, below properties"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(shop, test.from) {
				t.Fatal("the manifest of this test has changed")
			}
			notes := notesOf(t, strings.Replace(shop, test.from, test.to, 1), given)
			got, ok := notes[test.about]
			if !ok || got.Status != test.status || !strings.Contains(got.Text, test.want) {
				t.Errorf("the notes are %v", notes)
			}
		})
	}
	for about := range notesOf(t, shop, given) {
		if !strings.HasPrefix(about, "provider ") && !strings.HasSuffix(about, ": sasl_password") {
			t.Errorf("a manifest without faults has a note on %s", about)
		}
	}
}

func TestTheProvidersOwnConfigIsChecked(t *testing.T) {
	for name, test := range map[string]struct {
		config, target string
		status         Status
		want           string
	}{
		"well":                  {`{admin_address: "127.0.0.1:1", sasl_username: shop}`, "", OK, "admin_address, sasl_username"},
		"a key that is unknown": {`{admin_adress: "127.0.0.1:1"}`, "admin_adress", Warn, "the nearest known one is admin_address"},
		"a value that is wrong": {`{provider_max_memory: much}`, "provider_max_memory", Fail, "the default is used instead"},
		"a link's setting":      {`{topic: orders}`, "topic", Warn, "belongs on a link"},
		"no text":               {`{provider_max_in_flight: 8}`, "provider_max_in_flight", Fail, "write the value in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(shop, "{sasl_mechanism: PLAIN, sasl_username: shop}", test.config, 1)
			notes := notesOf(t, text, ManifestOptions{})
			got, ok := notes["provider kafka: "+test.target]
			if !ok || got.Status != test.status || !strings.Contains(got.Text, test.want) {
				t.Errorf("the notes are %v", notes)
			}
		})
	}
}

// shared is an application whose provider others use, and using one that does.
const (
	shared = `
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: infra
  annotations: {experimental.wasmcloud.dev/shared: "true"}
spec:
  components:
    - name: broker
      type: capability
      properties:
        image: ghcr.io/example/messaging-kafka:1
        config: [{name: cluster, properties: {hosts: "k:1", sasl_username: shop}}]
`
	using = `
kind: Application
metadata: {name: shop}
spec:
  components:
    - name: mailer
      type: component
      traits:
        - type: link
          properties:
            namespace: wasmcloud
            package: messaging
            interfaces: [consumer]
            target: {name: kafka, config: [{name: c, properties: {topic: orders}}]}
    - name: kafka
      type: capability
      properties: {application: {name: infra, component: broker}}
`
)

func TestASharedProviderIsThatOfItsApplication(t *testing.T) {
	for name, text := range map[string]string{"before": shared + "---" + using, "behind": using + "---" + shared} {
		t.Run(name, func(t *testing.T) {
			links := linksOf(t, text, ManifestOptions{})
			if len(links) != 1 || links[0].Input.Defaults["hosts"] != "k:1" || len(links[0].Notes) > 0 ||
				links[0].Input.Identity.ProviderKey != "infra-broker" || links[0].Input.Identity.Component != "shop-mailer" {
				t.Errorf("the links are %+v", links)
			}
		})
	}
	for name, test := range map[string]struct {
		text   string
		status Status
		want   string
	}{
		"not in the file":   {using, Warn, "whose manifest is not in this file"},
		"not shared":        {using + "---" + strings.Replace(shared, `"true"`, `"false"`, 1), Fail, `the annotation experimental.wasmcloud.dev/shared: "true"`},
		"another component": {using + "---" + strings.Replace(shared, "broker", "brokers", 1), Fail, "has no component broker"},
	} {
		t.Run(name, func(t *testing.T) {
			notes := notesOf(t, test.text, ManifestOptions{})
			if got := notes["provider kafka: application"]; got.Status != test.status || !strings.Contains(got.Text, test.want) {
				t.Errorf("the notes are %v", notes)
			}
		})
	}
}

func TestAllManifestsOfAFileAreRead(t *testing.T) {
	other := strings.ReplaceAll(strings.ReplaceAll(shop, "My Shop", "Other"), "mailer", "sender")
	const secret = "kind: Secret\ndata: {a: b}\n"
	var names []string
	for _, l := range linksOf(t, "---\n"+shop+"\n---\n"+secret+"---\n"+other, ManifestOptions{LinkName: "default"}) {
		names = append(names, l.Name+" "+l.Input.Identity.Component)
	}
	if want := []string{"mailer/default my_shop-mailer", "mailer/default my_shop-mailer", "sender/default other-sender",
		"sender/default other-sender"}; !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}

func TestALinkAsOfBeforeWasmCloudOneIsTold(t *testing.T) {
	const old = `
metadata: {name: old}
spec:
  components:
    - name: echo
      type: actor
      traits:
        - type: linkdef
          properties: {target: kafka, values: {topic: orders}}
    - name: kafka
      type: capability
      properties: {image: "ghcr.io/example/kafka:1", contract: "wasmcloud:messaging"}
`
	notes := notesOf(t, old, ManifestOptions{})
	if got := notes["link echo/default: linkdef"]; got.Status != Fail || !strings.Contains(got.Text, "a trait of the type link") {
		t.Errorf("the notes are %v", notes)
	}
}

func TestALinkThatHandsOverNeedsATopic(t *testing.T) {
	k := testkit.Kfake(t)
	text := strings.Replace(shop, "properties: {topic: bills}", "properties: {start: latest}", 1)
	links := linksOf(t, text, ManifestOptions{
		Config:  map[string]string{"hosts": k.Brokers()[0], "security_protocol": "PLAINTEXT"},
		Secrets: map[string]settings.Secret{"sasl_password": settings.NewSecret("x")},
	})
	r := Run(t.Context(), links[2], Options{})
	if f := find(r, StepSettings); r.Status != Fail || !slices.ContainsFunc(f, func(f Finding) bool {
		return f.Target == "topic" && f.Status == Fail && strings.Contains(f.Text, "hands over none without a topic")
	}) {
		t.Errorf("got %s", dump(r))
	}
}
