//go:build release

package release

import (
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Containerfile.
type instruction struct{ word, rest string }

// stage is what stands from one FROM to the next.
type stage struct {
	from, name string
	then       []instruction
}

// parse reads a Containerfile as far as this one goes: comments, lines that go on, no here-documents.
func parse(t *testing.T, text string) (stages []stage) {
	t.Helper()
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch {
		case word == "":
		case word == "FROM":
			base, name, _ := strings.Cut(rest, " AS ")
			stages = append(stages, stage{from: base, name: name})
		case len(stages) == 0 || word != strings.ToUpper(word):
			t.Fatalf("what is %q?", line)
		default:
			last := &stages[len(stages)-1]
			last.then = append(last.then, instruction{word, rest})
		}
	}
	return stages
}

func (s stage) all(word string) (rests []string) {
	for _, i := range s.then {
		if i.word == word {
			rests = append(rests, i.rest)
		}
	}
	return rests
}

func containerfile(t *testing.T) (build, final stage) {
	t.Helper()
	stages := parse(t, string(read(t, filepath.Join(projectRoot(t), "Containerfile"))))
	if len(stages) != 2 || stages[0].name != "build" {
		t.Fatalf("its stages are %+v", stages)
	}
	return stages[0], stages[1]
}

// image is the name of a base image without its digest, which each must have.
func image(t *testing.T, from string) string {
	t.Helper()
	name, digest, _ := strings.Cut(from, "@")
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		t.Errorf("%s is not named by digest", from)
	}
	return name
}

func TestTheImageIsWhatItSays(t *testing.T) {
	build, final := containerfile(t)
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(read(t,
		filepath.Join(projectRoot(t), "go.mod"))))
	if want := "--platform=$BUILDPLATFORM docker.io/library/golang:" + version[1]; image(t, build.from) != want {
		t.Errorf("it is built by %s, want the Go of go.mod: %s", build.from, want)
	}
	if image(t, final.from) != "gcr.io/distroless/static-debian12:nonroot" || len(final.all("RUN")) > 0 {
		t.Errorf("the image is made of %s, with %q run in it, where there is no shell", final.from, final.all("RUN"))
	}
	for word, want := range map[string][]string{
		"USER": {"65532:65532"}, "ENTRYPOINT": {`["/messaging-kafka"]`}, "CMD": {`["--help"]`},
		"COPY": {"--from=build /out/messaging-kafka /messaging-kafka", "LICENSE /LICENSE"},
	} {
		if got := final.all(word); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
	labels := strings.Join(final.all("LABEL"), " ")
	for _, name := range []string{"title", "description", "licenses", "version", "revision"} {
		if !strings.Contains(labels, "org.opencontainers.image."+name+`="`) {
			t.Errorf("no label for the %s", name)
		}
	}
}

// TestTheBuildStageBuilds does what an engine does with the build stage, in folders of its own and with the Go of this
// machine, for a machine of another kind.
func TestTheBuildStageBuilds(t *testing.T) {
	build, _ := containerfile(t)
	root, image := projectRoot(t), t.TempDir()
	ignored := ignoredBy(t, root)
	env := []string{"TARGETOS=linux", "TARGETARCH=arm64"}
	given := map[string]string{"VERSION": version, "COMMIT": commit}
	workdir := ""
	for _, i := range build.then {
		switch i.word {
		case "ARG":
			name, _, hasDefault := strings.Cut(i.rest, "=")
			if value, ok := given[name]; ok {
				env = append(env, name+"="+value)
				delete(given, name)
			} else if hasDefault || !strings.HasPrefix(name, "TARGET") {
				t.Errorf("nobody gives the argument %s", name)
			}
		case "WORKDIR":
			workdir = filepath.Join(image, i.rest)
			if err := os.MkdirAll(workdir, 0o755); err != nil {
				t.Fatal(err)
			}
		case "COPY":
			paths := strings.Fields(i.rest)
			for _, path := range paths[:len(paths)-1] {
				copyContext(t, root, path, workdir, ignored)
			}
		case "RUN":
			command := strings.ReplaceAll(i.rest, "/out", filepath.Join(image, "out"))
			if said, err := run(t, workdir, env, "sh", "-ec", command); err != nil {
				t.Fatalf("%s: %v\n%s", i.rest, err, said)
			}
		default:
			t.Fatalf("this test cannot do %s", i.word)
		}
	}
	if len(given) > 0 {
		t.Errorf("the build does not take %v", given)
	}
	isStatic(t, filepath.Join(image, "out", "messaging-kafka"), elf.EM_AARCH64, "arm64")
}

// copyContext copies what is in the checkout below a path and not ignored, as an engine is given it.
func copyContext(t *testing.T, root, path, to string, ignored func(string) bool) {
	t.Helper()
	listed, err := run(t, root, nil, "git", "ls-files", "--cached", "--others", "--exclude-standard", "--", path)
	if err != nil {
		t.Fatalf("listing the files: %v\n%s", err, listed)
	}
	copied := 0
	for file := range strings.Lines(listed) {
		file = strings.TrimSuffix(file, "\n")
		info, err := os.Stat(filepath.Join(root, file))
		if os.IsNotExist(err) || ignored(file) {
			continue // deleted, and not committed yet; or left out
		}
		if err != nil {
			t.Fatal(err)
		}
		content := read(t, filepath.Join(root, file))
		target := filepath.Join(to, file)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
		copied++
	}
	if copied == 0 {
		t.Fatalf("COPY %s copies nothing", path)
	}
}

// ignoredBy reads .dockerignore as far as this one goes: whole folders of the root, and names below **/.
func ignoredBy(t *testing.T, root string) func(string) bool {
	t.Helper()
	var patterns []string
	for line := range strings.Lines(string(read(t, filepath.Join(root, ".dockerignore")))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return func(file string) bool {
		parts := strings.Split(file, "/")
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			name, anywhere := strings.CutPrefix(pattern, "**/")
			if !anywhere {
				return parts[0] == pattern
			}
			return slices.ContainsFunc(parts, func(part string) bool {
				matched, err := filepath.Match(name, part)
				if err != nil {
					t.Fatal(err)
				}
				return matched
			})
		})
	}
}
