// Command report writes the figures of the last benchmarks, as they are in bench/results, into docs/performance.md and
// draws docs/performance.svg. It is run in the project's folder.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/bench"
	"github.com/messaging-kafka/messaging-kafka/bench/alone"
	"github.com/messaging-kafka/messaging-kafka/bench/chart"
)

func main() {
	write := flag.Bool("docs", false, "write; without it, say whether the documents are what the results say")
	flag.Parse()
	if err := run(".", *write); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// run makes the documents below root from the results there.
func run(root string, write bool) error {
	files, err := documents(root)
	if err != nil {
		return err
	}
	for path, text := range files {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case string(old) == text:
		case !write:
			return fmt.Errorf("%s is not what bench/results says: go run ./bench/report -docs", path)
		default:
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				return err
			}
			fmt.Println("written:", path)
		}
	}
	return nil
}

// documents returns the files as they are to be, by path.
func documents(root string) (map[string]string, error) {
	results, docs := filepath.Join(root, "bench", "results"), filepath.Join(root, "docs")
	path := filepath.Join(docs, "performance.md")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var provider alone.Report
	var scale alone.ScaleReport
	if err := errors.Join(
		bench.ReadJSON(filepath.Join(results, "provider.json"), &provider),
		bench.ReadJSON(filepath.Join(results, "scale.json"), &scale),
	); err != nil {
		return nil, err
	}
	micro, err := os.ReadFile(filepath.Join(results, "micro.txt"))
	if err != nil {
		return nil, err
	}
	benchmarks, err := parseMicro(string(micro))
	if err != nil {
		return nil, err
	}
	text := string(content)
	for _, section := range []struct{ name, text string }{
		{"provider", providerTables(&provider)},
		{"scale", scaleTables(&scale)},
		{"packages", microTable(benchmarks)},
	} {
		if text, err = replace(text, section.name, section.text); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var drawing strings.Builder
	if err := chart.Write(&drawing, providerChart(&provider)); err != nil {
		return nil, err
	}
	return map[string]string{path: text, filepath.Join(docs, "performance.svg"): drawing.String()}, nil
}

// replace puts text between the marks of a section.
func replace(content, name, text string) (string, error) {
	begin, end := "<!-- begin: "+name+" -->\n", "<!-- end: "+name+" -->\n"
	before, rest, found := strings.Cut(content, begin)
	if !found {
		return "", fmt.Errorf("there is no mark %q", strings.TrimSpace(begin))
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("there is no mark %q", strings.TrimSpace(end))
	}
	return before + begin + "\n" + strings.TrimSpace(text) + "\n\n" + end + after, nil
}
