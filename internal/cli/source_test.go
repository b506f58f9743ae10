package cli

import (
	"io"
	"strings"
	"testing"
)

// A manifest tells of its provider, too, which is no link whose topic could be meant.
func TestASourceIsALinkOfAManifest(t *testing.T) {
	manifest := write(t, "wadm.yaml", `
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
      properties: {image: messaging-kafka, config: [{name: own, properties: {hosts: "k:1", provider_max_memory: much}}]}
`)
	f := sourceFlags{link: checkFlags{manifest: manifest, timeout: 1}}
	sources, err := f.read(strings.NewReader(""), io.Discard)
	if err != nil || len(sources) != 1 || sources[0].name != "mailer/default" ||
		sources[0].settings.Cluster.Hosts[0] != "k:1" {
		t.Errorf("got %+v, %v", sources, err)
	}
}
