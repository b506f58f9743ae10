// Command provenance says of a release what it was made of and how: an in-toto statement (v1) whose predicate is SLSA
// provenance (v1). It reads the sums of the files from standard input, as sha256sum prints them. Nothing in it
// differs between two builds of one commit by the same Go and Rust: whoever builds a release again can compare it
// byte for byte.
//
// See https://slsa.dev/spec/v1.0/provenance and https://github.com/in-toto/attestation.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// buildType names how a release is built; docs/upgrading.md says what its parameters mean.
const buildType = "urn:messaging-kafka:scripts/release.sh:1"

type digest map[string]string

type resource struct {
	Name   string `json:"name,omitempty"`
	URI    string `json:"uri,omitempty"`
	Digest digest `json:"digest,omitempty"`
}

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type predicate struct {
	BuildDefinition struct {
		BuildType            string     `json:"buildType"`
		ExternalParameters   parameters `json:"externalParameters"`
		ResolvedDependencies []resource `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version"`
		} `json:"builder"`
	} `json:"runDetails"`
}

type parameters struct {
	Version         string   `json:"version"`
	SourceDateEpoch string   `json:"sourceDateEpoch"`
	Targets         []string `json:"targets"`
}

func main() {
	var p parameters
	commit := flag.String("commit", "", "the `COMMIT` that was built")
	flag.StringVar(&p.Version, "version", "", "the `VERSION` that was built")
	flag.StringVar(&p.SourceDateEpoch, "epoch", "", "its time, in `SECONDS` since 1970")
	targets := flag.String("targets", "", "what it was built for: `OS/ARCH ...`")
	rust := flag.String("rust", "", "the `VERSION` of Rust that built the shims")
	flag.Parse()
	p.Targets = strings.Fields(*targets)
	if err := write(os.Stdout, os.Stdin, p, *commit, *rust); err != nil {
		fmt.Fprintln(os.Stderr, "provenance:", err)
		os.Exit(1)
	}
}

func write(to io.Writer, sums io.Reader, p parameters, commit, rust string) error {
	subjects, err := readSums(sums)
	if err != nil {
		return err
	}
	modules, err := moduleSums("go.sum")
	if err != nil {
		return err
	}
	crates, err := crateSums("shims/Cargo.lock")
	if err != nil {
		return err
	}
	s := statement{Type: "https://in-toto.io/Statement/v1", Subject: subjects,
		PredicateType: "https://slsa.dev/provenance/v1"}
	s.Predicate.BuildDefinition.BuildType = buildType
	s.Predicate.BuildDefinition.ExternalParameters = p
	s.Predicate.BuildDefinition.ResolvedDependencies = slices.Concat([]resource{{Name: "source",
		Digest: digest{"gitCommit": commit}}}, modules, crates)
	s.Predicate.RunDetails.Builder.ID = buildType
	s.Predicate.RunDetails.Builder.Version = map[string]string{"go": runtime.Version(), "rust": rust}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

func readSums(from io.Reader) ([]resource, error) {
	var list []resource
	for lines := bufio.NewScanner(from); ; {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return nil, fmt.Errorf("reading the sums: %w", err)
			}
			break
		}
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 64 || name != filepath.Base(name) {
			return nil, fmt.Errorf("reading the sums: %q is no line of sha256sum", lines.Text())
		}
		list = append(list, resource{Name: name, Digest: digest{"sha256": sum}})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("reading the sums: there are none")
	}
	return list, nil
}

// moduleSums are the modules that a build can have used, with the dirhash of go.sum. Which of them are in a program
// its SBOM says.
func moduleSums(path string) ([]resource, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the sums of modules: %w", err)
	}
	var list []resource
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasSuffix(f[1], "/go.mod") {
			continue
		}
		list = append(list, resource{URI: "pkg:golang/" + f[0] + "@" + f[1], Digest: digest{"dirHash": f[2]}})
	}
	return list, nil
}

// crateSums are the crates that the shims can have been made of, with the checksums of Cargo.lock.
func crateSums(path string) ([]resource, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the sums of crates: %w", err)
	}
	var list []resource
	for crate := range strings.SplitSeq(string(text), "[[package]]\n") {
		said := make(map[string]string)
		for line := range strings.Lines(crate) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
				said[key] = strings.Trim(value, `"`)
			}
		}
		if said["checksum"] == "" {
			continue // the shims themselves, or the head of the file
		}
		list = append(list, resource{
			URI: "pkg:cargo/" + said["name"] + "@" + said["version"], Digest: digest{"sha256": said["checksum"]},
		})
	}
	return list, nil
}
