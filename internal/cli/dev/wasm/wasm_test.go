package wasm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func section(id byte, content ...byte) []byte {
	return append([]byte{id, byte(len(content))}, content...)
}

func entry(name string, rest ...byte) []byte {
	return append(append([]byte{0, byte(len(name))}, name...), rest...)
}

func component(sections ...[]byte) []byte {
	return append([]byte(magic+layerComponent), slices.Concat(sections...)...)
}

func TestInterfacesAreFound(t *testing.T) {
	imports := slices.Concat([]byte{4},
		entry("wasi:http/types@0.2.0", 0x05, 7),
		entry("f", 0x01, 3),
		entry("r", 0x03, 0x01),
		entry("m", 0x00, 0x11, 2))
	exports := slices.Concat([]byte{2},
		entry("messaging-kafka:records/processor@0.1.0", 0x05, 9, 0),
		entry("run", 0x01, 200, 1, 1, 0x01, 3))
	got, err := Parse(component(
		section(0, 1, 'x'), section(sectionImport, imports...), section(sectionExport, exports...)))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"wasi:http/types@0.2.0", "f", "r", "m"}; !slices.Equal(got.Imports, want) {
		t.Errorf("imports are %q, want %q", got.Imports, want)
	}
	if want := []string{"messaging-kafka:records/processor@0.1.0", "run"}; !slices.Equal(got.Exports, want) {
		t.Errorf("exports are %q, want %q", got.Exports, want)
	}
}

func TestWhatIsNoComponentIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    error
	}{
		"empty":           {"", ErrNotWasm},
		"text":            {"(component)", ErrNotWasm},
		"a core module":   {magic + layerModule, ErrModule},
		"a cut section":   {magic + layerComponent + "\x0a\x20\x01", errTruncated},
		"a cut name":      {magic + layerComponent + "\x0a\x03\x01\x00\x09", errTruncated},
		"a count of more": {magic + layerComponent + "\x0a\x01\x05", errTruncated},
	} {
		path := filepath.Join(t.TempDir(), "x.wasm")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(component(section(sectionImport, slices.Concat([]byte{1}, entry("a:b/c", 0x05, 7))...)))
	f.Add([]byte(magic + layerModule))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := Parse(b)
		total := 0
		for _, name := range slices.Concat(found.Imports, found.Exports) {
			total += len(name)
		}
		if err == nil && total > len(b) {
			t.Errorf("%d bytes of names in a file of %d", total, len(b))
		}
	})
}
