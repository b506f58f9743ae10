//go:build release

package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// checkSignature verifies the sums in the two ways that docs/upgrading.md gives.
func checkSignature(t *testing.T, folder, keys string) {
	t.Helper()
	testkit.Require(t, testkit.OpenSSL)
	if said, err := run(t, folder, nil, "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "issuer.pem", "-rawin", "-in",
		"SHA256SUMS", "-sigfile", "SHA256SUMS.sig"); err != nil {
		t.Errorf("openssl: %v\n%s", err, said)
	}
	issuer, _, err := par.LoadKey(par.RoleAccount, filepath.Join(keys, "issuer.nk"))
	if err != nil {
		t.Fatal(err)
	}
	sums := read(t, filepath.Join(folder, "SHA256SUMS"))
	signature := read(t, filepath.Join(folder, "SHA256SUMS.sig"))
	if err := par.VerifyDetached(issuer.Public(), bytes.NewReader(sums), signature); err != nil {
		t.Error(err)
	}
}

func checkProvenance(t *testing.T, folder string, made []string) {
	t.Helper()
	type resource struct {
		Name, URI string
		Digest    map[string]string
	}
	var said struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []resource
		Predicate     struct {
			BuildDefinition struct {
				ExternalParameters   struct{ Version, SourceDateEpoch string }
				ResolvedDependencies []resource
			}
			RunDetails struct {
				Builder struct{ Version map[string]string }
			}
		}
	}
	if err := json.Unmarshal(read(t, filepath.Join(folder, "provenance.json")), &said); err != nil {
		t.Fatal(err)
	}
	if said.Type != "https://in-toto.io/Statement/v1" || said.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("it is %s with %s", said.Type, said.PredicateType)
	}
	var about []string
	for _, s := range said.Subject {
		about = append(about, s.Name)
		if sum := sha256.Sum256(read(t, filepath.Join(folder, s.Name))); s.Digest["sha256"] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s has another sum than %v", s.Name, s.Digest)
		}
	}
	if !slices.Equal(about, made) {
		t.Errorf("it is about %q, want %q", about, made)
	}
	built := said.Predicate.BuildDefinition
	if built.ExternalParameters.Version != version || built.ExternalParameters.SourceDateEpoch != issued {
		t.Errorf("it was built with %+v", built.ExternalParameters)
	}
	by := said.Predicate.RunDetails.Builder.Version
	if !strings.HasPrefix(by["go"], "go1.") || !strings.HasPrefix(by["rust"], "rustc 1.") {
		t.Errorf("it was built by %v", by)
	}
	commits, client, crates := 0, 0, 0
	for _, d := range built.ResolvedDependencies {
		if d.Digest["gitCommit"] == commit {
			commits++
		}
		if strings.HasPrefix(d.URI, "pkg:golang/github.com/twmb/franz-go@v") &&
			strings.HasPrefix(d.Digest["dirHash"], "h1:") {
			client++
		}
		if strings.HasPrefix(d.URI, "pkg:cargo/wasip2@") && len(d.Digest["sha256"]) == 64 {
			crates++
		}
	}
	if commits != 1 || client != 1 || crates != 1 {
		t.Errorf("it names the commit %d times, the Kafka client %d times and the crate of the shims %d times, in %d dependencies",
			commits, client, crates, len(built.ResolvedDependencies))
	}
}
