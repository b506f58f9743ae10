//go:build release

package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// release makes a release of a source tree for one kind of machine, with keys of its own.
func release(t *testing.T, sources, folder, keys string) string {
	t.Helper()
	said, err := run(t, sources, []string{
		"VERSION=" + version, "COMMIT=" + commit, "SOURCE_DATE_EPOCH=" + issued, "REVISION=7",
		"ISSUER_KEY=" + filepath.Join(keys, "issuer.nk"), "SUBJECT_KEY=" + filepath.Join(keys, "provider.nk"),
	}, "make", "--no-print-directory", "release", "RELEASE="+folder, "TARGETS=linux/amd64")
	if err != nil {
		t.Fatalf("making a release: %v\n%s", err, said)
	}
	return said
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// sbomTool is what the script makes SBOMs with. It is fetched, which takes the network once.
func sbomTool(t *testing.T) testkit.Need {
	t.Helper()
	pinned := regexp.MustCompile(`(?m)^cyclonedx=(\S+@v\S+)$`).FindStringSubmatch(string(read(t,
		filepath.Join(projectRoot(t), "scripts", "release.sh"))))
	if pinned == nil {
		t.Fatal("the script pins no tool for SBOMs")
	}
	return testkit.Need{Name: "the tool that makes SBOMs", How: "it is fetched by Go, which takes the network once",
		Check: func() error {
			if said, err := run(t, projectRoot(t), []string{"GOBIN=" + t.TempDir(), "GOFLAGS=-trimpath"}, "go", "install",
				pinned[1]); err != nil {
				return fmt.Errorf("%w: %s", err, said)
			}
			return nil
		}}
}

func TestAReleaseIsWholeSignedAndTheSameAgain(t *testing.T) {
	testkit.Require(t, sbomTool(t), testkit.Tool("cargo", "install Rust (https://rustup.rs) and its target wasm32-wasip2"))
	const name = "messaging-kafka-" + version
	sources, parent, keys := t.TempDir(), t.TempDir(), t.TempDir()
	copyContext(t, projectRoot(t), ".", sources, func(string) bool { return false })
	folder := filepath.Join(parent, "first")
	if said := release(t, sources, folder, keys); !strings.Contains(said, "made a new issuer key, keep it: "+keys) ||
		strings.Contains(said, "is no version of a release") {
		t.Errorf("it said:\n%s", said)
	}
	files := listing(t, folder)
	made := []string{name + "-linux-amd64", name + "-linux-amd64.cdx.json", name + "-share.tar.gz"}
	for _, shim := range []string{"config", "consumer", "handler", "messaging", "processor", "producer"} {
		made = append(made, name+"-shim-"+shim+".wasm")
	}
	made = append(made, name+".par-linux-amd64.cdx.json", name+".par.gz")
	want := slices.Concat([]string{"SHA256SUMS", "SHA256SUMS.sig", "issuer.pem"}, made, []string{"provenance.json"})
	if !slices.Equal(files, want) {
		t.Fatalf("it wrote %q, want %q", files, want)
	}
	if left := listing(t, parent); !slices.Equal(left, []string{"first"}) {
		t.Errorf("it left %q behind", left)
	}

	t.Run("the sums are those of the files", func(t *testing.T) {
		var summed []string
		for _, line := range fields(string(read(t, filepath.Join(folder, "SHA256SUMS")))) {
			if len(line) != 2 {
				t.Fatalf("a line of SHA256SUMS is %q", line)
			}
			sum := sha256.Sum256(read(t, filepath.Join(folder, line[1])))
			if hex.EncodeToString(sum[:]) != line[0] {
				t.Errorf("the sum of %s is not %s", line[1], line[0])
			}
			summed = append(summed, line[1])
		}
		if want := append(slices.Clone(made), "provenance.json"); !slices.Equal(summed, want) {
			t.Errorf("it sums up %q, want %q", summed, want)
		}
	})
	t.Run("the sums are signed by the issuer of the archive", func(t *testing.T) { checkSignature(t, folder, keys) })
	t.Run("the provenance names the files, the commit and the modules", func(t *testing.T) {
		checkProvenance(t, folder, made)
	})
	program := filepath.Join(folder, name+"-linux-amd64")
	t.Run("the program runs anywhere", func(t *testing.T) { isStatic(t, program, elf.EM_X86_64, "amd64") })
	// What dev brings along, and nothing else needs.
	brings := []string{"github.com/nats-io/nats-server/v2", "github.com/twmb/franz-go/pkg/kfake"}
	t.Run("the SBOM names what is in the program", func(t *testing.T) {
		inside := checkSBOM(t, program+".cdx.json", program)
		for _, module := range brings {
			if !inside[module] {
				t.Errorf("the program has no %s: does it have dev?", module)
			}
		}
	})
	t.Run("manual pages and completions are where a system looks for them", func(t *testing.T) {
		checkShare(t, filepath.Join(folder, name+"-share.tar.gz"))
	})
	t.Run("the archive is signed, and its SBOM names what is in it", func(t *testing.T) {
		archive := filepath.Join(folder, name+".par.gz")
		packed := checkArchive(t, archive, keys, program)
		isStatic(t, packed, elf.EM_X86_64, "amd64")
		inside := checkSBOM(t, filepath.Join(folder, name+".par-linux-amd64.cdx.json"), packed)
		for _, module := range brings {
			if inside[module] {
				t.Errorf("the archive has %s in it", module)
			}
		}
	})
	t.Run("the sizes are those of the documents", func(t *testing.T) { checkSizes(t, folder, name, keys) })
	t.Run("a folder that is there is left alone", func(t *testing.T) {
		said, err := run(t, projectRoot(t), nil, "scripts/release.sh", "-o", folder, "linux/amd64")
		if err == nil || !strings.Contains(said, folder+" is there already") {
			t.Errorf("%v, %s", err, said)
		}
	})
	t.Run("one of the same sources in another place has the same bytes", func(t *testing.T) {
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		if err := os.CopyFS(elsewhere, os.DirFS(sources)); err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(parent, "second")
		if said := release(t, elsewhere, again, keys); strings.Contains(said, "made a new") {
			t.Errorf("it made new keys:\n%s", said)
		}
		for _, file := range want {
			if !bytes.Equal(read(t, filepath.Join(folder, file)), read(t, filepath.Join(again, file))) {
				t.Errorf("%s differs", file)
			}
		}
	})
}

// checkSizes checks that docs/performance.md has the sizes of the program as it is in archives, of the one with dev,
// and of an archive with one program, and that an archive with two of them is as small as it is meant to be.
func checkSizes(t *testing.T, folder, name, keys string) {
	const most = 30e6
	program, archive := filepath.Join(folder, name+"-linux-amd64"), filepath.Join(folder, name+".par.gz")
	text := strings.Join(strings.Fields(string(read(t, filepath.Join(projectRoot(t), "docs/performance.md")))), " ")
	documented := regexp.MustCompile(`has ([0-9.]+) MB in archives and ([0-9.]+) MB with the command .dev.\. ` +
		`An archive, .*? has ([0-9.]+) MB, of which ([0-9.]+) MB are the program`).FindStringSubmatch(text)
	if documented == nil {
		t.Fatal("docs/performance.md does not tell the sizes")
	}
	packed := checkArchive(t, archive, keys, program)
	for i, data := range [][]byte{read(t, packed), read(t, program), nil, read(t, archive)} {
		said, err := strconv.ParseFloat(documented[i+1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if data == nil {
			if said*1e6 >= most {
				t.Errorf("an archive has %g MB, where less than %g MB are wanted", said, most/1e6)
			}
			continue
		}
		if is := float64(len(data)) / 1e6; is < said*0.97 || is > said*1.03 {
			t.Errorf("docs/performance.md says %g MB where it is %.1f MB", said, is)
		}
	}
	// Half of it is the other program, which is no larger.
	if size := len(read(t, archive)); size >= most/2 {
		t.Errorf("an archive with one of its two programs has %d bytes", size)
	}
}

func listing(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// checkShare unpacks what goes into /usr/local: pages and completions have what they are for, and bash takes its own.
func checkShare(t *testing.T, archive string) {
	t.Helper()
	prefix := t.TempDir()
	if said, err := run(t, prefix, nil, "tar", "-xzf", archive); err != nil {
		t.Fatalf("unpacking it: %v\n%s", err, said)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"share/man/man1/messaging-kafka.1":                      `"messaging-kafka ` + version + `"`,
		"share/man/man1/messaging-kafka-bridge-check.1":         ".SH OPTIONS",
		"share/man/man1/messaging-kafka-dead-letters-redrive.1": `\-\-dry\-run`,
		"share/bash-completion/completions/messaging-kafka":     "complete -o",
		"share/zsh/site-functions/_messaging-kafka":             "#compdef messaging-kafka",
		"share/fish/vendor_completions.d/messaging-kafka.fish":  "complete -c messaging-kafka",
	} {
		text := string(read(t, filepath.Join(prefix, filepath.FromSlash(path))))
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%.300s", path, want, text)
		}
		if plain := strings.ReplaceAll(text, `\-`, "-"); strings.Contains(plain, home+"/") || strings.Contains(plain, os.TempDir()+"/.release") {
			t.Errorf("%s names a path of the machine that made it", path)
		}
	}
	if said, err := run(t, prefix, nil, "bash", "-n", "share/bash-completion/completions/messaging-kafka"); err != nil {
		t.Errorf("bash does not take its completion: %v\n%s", err, said)
	}
}

// checkArchive verifies an archive with one binary and returns a copy of that.
func checkArchive(t *testing.T, path, keys, program string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	contents, err := par.Verify(t.Context(), file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	issuer, _, err := par.LoadKey(par.RoleAccount, filepath.Join(keys, "issuer.nk"))
	if err != nil {
		t.Fatal(err)
	}
	subject, _, err := par.LoadKey(par.RoleService, filepath.Join(keys, "provider.nk"))
	if err != nil {
		t.Fatal(err)
	}
	claims := contents.Claims
	if claims.Issuer != issuer.Public() || claims.Subject != subject.Public() || claims.IssuedAt != 1700000000 ||
		claims.Provider.Version != version || claims.Provider.Revision != 7 {
		t.Errorf("it claims %+v", claims)
	}
	if !slices.Equal(contents.Targets(), []string{"x86_64-linux"}) {
		t.Fatalf("it holds %+v", contents.Files)
	}
	said, err := run(t, projectRoot(t), nil, program, "par", "inspect", path)
	if err != nil || !strings.Contains(said, "signature and hashes verified") {
		t.Errorf("the program says of it: %v\n%s", err, said)
	}
	return unpack(t, path, contents.Files[0].Name)
}

// unpack copies one file out of a compressed archive.
func unpack(t *testing.T, path, name string) string {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if err != nil {
			t.Fatalf("looking for %s: %v", name, err)
		}
		if header.Name != name {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		unpacked := filepath.Join(t.TempDir(), "messaging-kafka")
		if err := os.WriteFile(unpacked, content, 0o755); err != nil {
			t.Fatal(err)
		}
		return unpacked
	}
}

// sbom is as much of a CycloneDX document as is looked at (https://cyclonedx.org/docs/1.6/json/).
type sbom struct {
	BOMFormat    string `json:"bomFormat"`
	SpecVersion  string `json:"specVersion"`
	SerialNumber string `json:"serialNumber"`
	Metadata     struct {
		Timestamp  string        `json:"timestamp"`
		Component  sbomComponent `json:"component"`
		Properties []struct{ Name, Value string }
	} `json:"metadata"`
	Components []sbomComponent `json:"components"`
}

type sbomComponent struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	PURL     string `json:"purl"`
	Evidence struct {
		Licenses []struct {
			License struct {
				ID string `json:"id"`
			} `json:"license"`
		} `json:"licenses"`
	} `json:"evidence"`
}

// checkSBOM compares an SBOM with its program and returns the modules in both.
func checkSBOM(t *testing.T, path, program string) map[string]bool {
	t.Helper()
	var doc sbom
	if err := json.Unmarshal(read(t, path), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.BOMFormat != "CycloneDX" || doc.SpecVersion == "" || doc.SerialNumber != "" || doc.Metadata.Timestamp != "" {
		t.Errorf("it is a %s %s with serial number %q and time %q", doc.BOMFormat, doc.SpecVersion, doc.SerialNumber,
			doc.Metadata.Timestamp)
	}
	if c := doc.Metadata.Component; !strings.HasSuffix(c.Name, "/messaging-kafka") || c.Version != version {
		t.Errorf("it is about %s %s", c.Name, c.Version)
	}
	sum := sha256.Sum256(read(t, program))
	var hash string
	for _, property := range doc.Metadata.Properties {
		if property.Name == "cdx:gomod:binary:hash:SHA-256" {
			hash = property.Value
		}
	}
	if hash != hex.EncodeToString(sum[:]) {
		t.Errorf("it is about a binary with the hash %q", hash)
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	inside := map[string]string{"std": info.GoVersion}
	for _, dependency := range info.Deps {
		inside[dependency.Path] = dependency.Version
	}
	licences := map[string]string{}
	for _, component := range doc.Components {
		if found, ok := inside[component.Name]; !ok || found != component.Version ||
			!strings.HasPrefix(component.PURL, "pkg:golang/") {
			t.Errorf("%s %s (%s) is not what is inside: %q", component.Name, component.Version, component.PURL, found)
		}
		delete(inside, component.Name)
		modules[component.Name] = true
		for _, l := range component.Evidence.Licenses {
			licences[component.Name] = l.License.ID
		}
	}
	if len(inside) > 0 {
		t.Errorf("it does not name %v", inside)
	}
	for name, want := range map[string]string{"github.com/twmb/franz-go": "BSD-3-Clause",
		"github.com/nats-io/nats.go": "Apache-2.0"} {
		if licences[name] != want {
			t.Errorf("the licence of %s is %q, want %s", name, licences[name], want)
		}
	}
	return modules
}

func TestAVersionThatIsNoneIsSaid(t *testing.T) {
	for name, test := range map[string]struct{ version, target, want string }{
		"a version that is no file's name": {"v1/2", "linux/amd64", "cannot be part of a file's name"},
		"a target of another form":         {version, "x86_64-linux", "is no target"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "out")
			said, err := run(t, projectRoot(t), []string{"VERSION=" + test.version, "COMMIT=" + commit, "SOURCE_DATE_EPOCH=1"},
				"scripts/release.sh", "-o", folder, test.target)
			if err == nil || !strings.Contains(said, test.want) {
				t.Errorf("%v, %s", err, said)
			}
			if _, err := os.Stat(folder); err == nil {
				t.Error("the folder is there")
			}
		})
	}
}
