package par

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var issuedAt = time.Unix(1_760_000_000, 0)

// testOptions has binaries of different and odd sizes, given in another order than they are packed in.
func testOptions(t testing.TB) Options {
	t.Helper()
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return Options{
		Name: "Kafka messaging", Vendor: "a vendor", Version: "1.2.3", Revision: 7,
		Binaries: []Binary{
			{"x86_64-linux", write("intel", "a binary for Intel")},
			{"aarch64-linux", write("arm", strings.Repeat("a binary for ARM ", 1000))},
		},
		Issuer: testKey(t, RoleAccount, 1), Subject: testKey(t, RoleService, 2), IssuedAt: issuedAt,
	}
}

func build(t testing.TB, options Options) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := Build(t.Context(), &archive, options); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

type entry struct {
	header  tar.Header
	content []byte
}

func readTar(t testing.TB, archive []byte) []entry {
	t.Helper()
	var entries []entry
	for from := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{*header, content})
	}
}

func writeEntries(t testing.TB, entries []entry) []byte {
	t.Helper()
	var archive bytes.Buffer
	to := tar.NewWriter(&archive)
	for _, e := range entries {
		e.header.Size = int64(len(e.content))
		if err := to.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestArchiveHasTheLayoutThatHostsLoad(t *testing.T) {
	options := testOptions(t)
	entries := readTar(t, build(t, options))
	var names []string
	for _, e := range entries {
		names = append(names, e.header.Name)
		if e.header.Typeflag != tar.TypeReg || e.header.Uid != 0 || e.header.Gid != 0 || e.header.Uname != "" ||
			!e.header.ModTime.Equal(issuedAt) {
			t.Errorf("%s has the header %+v", e.header.Name, e.header)
		}
	}
	if want := []string{"claims.jwt", "aarch64-linux.bin", "x86_64-linux.bin"}; !slices.Equal(names, want) {
		t.Fatalf("entries %q, want %q", names, want)
	}

	parts := strings.Split(string(entries[0].content), ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	plain := make([]map[string]any, 2)
	for i := range plain {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &plain[i]); err != nil {
			t.Fatal(err)
		}
	}
	if plain[0]["typ"] != "jwt" || plain[0]["alg"] != "Ed25519" || len(plain[0]) != 2 {
		t.Errorf("header %v", plain[0])
	}
	sum := func(i int) string {
		sum := sha256.Sum256(entries[i].content)
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	id, _ := plain[1]["jti"].(string)
	want, err := json.Marshal(map[string]any{
		"jti": id, "iat": issuedAt.Unix(), "iss": options.Issuer.Public(), "sub": options.Subject.Public(),
		"wascap_revision": 3,
		"wascap": map[string]any{
			"name": "Kafka messaging", "vendor": "a vendor", "rev": 7, "ver": "1.2.3",
			"target_hashes": map[string]any{"aarch64-linux": sum(1), "x86_64-linux": sum(2)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(plain[1])
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) || len(id) != 22 {
		t.Errorf("claims\n%s\nwant, with an id of 22 letters,\n%s", got, want)
	}
}

func TestBuiltArchivesVerify(t *testing.T) {
	for name, compress := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(t)
			options.Compress = compress
			archive := build(t, options)
			contents, err := Verify(t.Context(), bytes.NewReader(archive), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if contents.Compressed != compress || !slices.Equal(contents.Targets(), []string{"aarch64-linux", "x86_64-linux"}) {
				t.Errorf("compressed %t, targets %q", contents.Compressed, contents.Targets())
			}
			if got := contents.Files[1].Size; got != int64(len("a binary for Intel")) {
				t.Errorf("the second binary has %d bytes", got)
			}
			if got := contents.Claims; got.Issuer != options.Issuer.Public() || got.Subject != options.Subject.Public() ||
				got.Provider.Name != options.Name {
				t.Errorf("claims %+v", got)
			}
		})
	}
}

func TestEqualInputsMakeEqualArchives(t *testing.T) {
	options := testOptions(t)
	options.Compress = true
	first := build(t, options)

	moved := options
	moved.Binaries = slices.Clone(options.Binaries)
	slices.Reverse(moved.Binaries)
	for i, binary := range moved.Binaries {
		content, err := os.ReadFile(binary.Path)
		if err != nil {
			t.Fatal(err)
		}
		moved.Binaries[i].Path = filepath.Join(t.TempDir(), "elsewhere")
		if err := os.WriteFile(moved.Binaries[i].Path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(moved.Binaries[i].Path, time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first, build(t, moved)) {
		t.Error("order, place, mode or time of the binaries changed the archive")
	}

	tokens := map[string]bool{}
	for _, change := range []func(*Options){
		func(*Options) {},
		func(o *Options) { o.Revision++ },
		func(o *Options) { o.IssuedAt = o.IssuedAt.Add(time.Second) },
		func(o *Options) { o.Subject = testKey(t, RoleService, 9) },
		func(o *Options) { o.Binaries = o.Binaries[:1] },
	} {
		changed := options
		change(&changed)
		contents, err := Verify(t.Context(), bytes.NewReader(build(t, changed)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if tokens[contents.Claims.ID] {
			t.Errorf("another content has the same token id %s", contents.Claims.ID)
		}
		tokens[contents.Claims.ID] = true
	}
}

func TestTamperedArchivesAreRefused(t *testing.T) {
	options := testOptions(t)
	resign := func(t *testing.T, entries []entry, change func(*Claims)) {
		claims, err := parseClaims(string(entries[0].content))
		if err != nil {
			t.Fatal(err)
		}
		change(&claims)
		token, err := signClaims(claims, options.Issuer, options.Subject)
		if err != nil {
			t.Fatal(err)
		}
		entries[0].content = []byte(token)
	}
	tests := map[string]struct {
		change func(t *testing.T, entries []entry) []entry
		is     error
		want   string
	}{
		"a changed binary": {func(t *testing.T, entries []entry) []entry {
			entries[2].content[0] ^= 1
			return entries
		}, ErrHash, "x86_64-linux.bin"},
		"exchanged binaries": {func(t *testing.T, entries []entry) []entry {
			entries[1].content, entries[2].content = entries[2].content, entries[1].content
			return entries
		}, ErrHash, "aarch64-linux.bin"},
		"changed claims under the old signature": {func(t *testing.T, entries []entry) []entry {
			parts := strings.Split(string(entries[0].content), ".")
			raw, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil {
				t.Fatal(err)
			}
			parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(raw, []byte("a vendor"), []byte("b vendor"), 1))
			entries[0].content = []byte(strings.Join(parts, "."))
			return entries
		}, ErrSignature, options.Issuer.Public()},
		"signed by somebody else": {func(t *testing.T, entries []entry) []entry {
			parts := strings.Split(string(entries[0].content), ".")
			forged := testKey(t, RoleAccount, 66).sign([]byte(parts[0] + "." + parts[1]))
			parts[2] = base64.RawURLEncoding.EncodeToString(forged)
			entries[0].content = []byte(strings.Join(parts, "."))
			return entries
		}, ErrSignature, ""},
		"an algorithm of the token's choice": {func(t *testing.T, entries []entry) []entry {
			parts := strings.Split(string(entries[0].content), ".")
			parts[0], parts[2] = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"jwt","alg":"none"}`)), ""
			entries[0].content = []byte(strings.Join(parts, "."))
			return entries
		}, nil, `algorithm "none"`},
		"a token of two parts": {func(t *testing.T, entries []entry) []entry {
			entries[0].content = []byte("a.b")
			return entries
		}, nil, "3 parts"},
		"expired claims": {func(t *testing.T, entries []entry) []entry {
			resign(t, entries, func(c *Claims) { c.Expires = issuedAt.Unix() })
			return entries
		}, nil, "expired"},
		"claims of the future": {func(t *testing.T, entries []entry) []entry {
			resign(t, entries, func(c *Claims) { c.NotBefore = issuedAt.AddDate(100, 0, 0).Unix() })
			return entries
		}, nil, "not valid before"},
		"a hash without its binary": {func(t *testing.T, entries []entry) []entry { return entries[:2] }, nil, `"x86_64-linux"`},
		"a binary without a hash": {func(t *testing.T, entries []entry) []entry {
			return append(entries, entry{tar.Header{Name: "x86_64-macos.bin"}, []byte("x")})
		}, nil, "no hash"},
		"the same target twice": {func(t *testing.T, entries []entry) []entry {
			return append(entries, entry{tar.Header{Name: "x86_64-linux.exe"}, []byte("x")})
		}, nil, "twice"},
		"a folder": {func(t *testing.T, entries []entry) []entry {
			return append(entries, entry{tar.Header{Name: "./", Typeflag: tar.TypeDir}, nil})
		}, nil, "not a regular file"},
		"no claims":   {func(t *testing.T, entries []entry) []entry { return entries[1:] }, nil, "no claims.jwt"},
		"no binaries": {func(t *testing.T, entries []entry) []entry { return entries[:1] }, nil, "no binary"},
		"endless claims": {func(t *testing.T, entries []entry) []entry {
			entries[0].content = make([]byte, maxClaims+1)
			return entries
		}, nil, "bytes"},
		"endless entries": {func(t *testing.T, entries []entry) []entry {
			for i := range maxEntries {
				entries = append(entries, entry{tar.Header{Name: strings.Repeat("x", i+1)}, nil})
			}
			return entries
		}, nil, "more than"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			archive := writeEntries(t, test.change(t, readTar(t, build(t, options))))
			_, err := Verify(t.Context(), bytes.NewReader(archive), time.Now())
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %v, want %v and %q", err, test.is, test.want)
			}
		})
	}
}

func TestArchivesOfOthersVerify(t *testing.T) {
	options := testOptions(t)
	entries := readTar(t, build(t, options))
	world := []byte("an interface definition")
	sum := sha256.Sum256(world)
	claims, err := parseClaims(string(entries[0].content))
	if err != nil {
		t.Fatal(err)
	}
	claims.Provider.Hashes["world.wasm"] = hexUpper(sum[:])
	token, err := signClaims(claims, options.Issuer, options.Subject)
	if err != nil {
		t.Fatal(err)
	}
	entries[0].content = []byte(token)
	for i := range entries { // as tar writes them when it packs "."
		entries[i].header.Name = "./" + entries[i].header.Name
	}
	entries = append(entries, entry{tar.Header{Name: "world.wasm"}, world})
	slices.Reverse(entries) // the order is free
	contents, err := Verify(t.Context(), bytes.NewReader(writeEntries(t, entries)), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(contents.Files) != 3 || len(contents.Targets()) != 2 {
		t.Errorf("contents %+v", contents)
	}
}

func TestDamagedBytesAreRefused(t *testing.T) {
	options := testOptions(t)
	plain := build(t, options)
	options.Compress = true
	compressed := build(t, options)
	badSum := slices.Clone(compressed)
	badSum[len(badSum)-8] ^= 1
	for name, archive := range map[string][]byte{
		"nothing":               nil,
		"a plain binary":        []byte("\x7fELF" + strings.Repeat("x", 600)),
		"a cut tar":             plain[:len(plain)/2],
		"a cut gzip":            compressed[:len(compressed)/2],
		"a wrong checksum":      badSum,
		"only the magic number": {0x1f, 0x8b},
	} {
		t.Run(name, func(t *testing.T) {
			if contents, err := Verify(t.Context(), bytes.NewReader(archive), time.Now()); err == nil {
				t.Errorf("verified as %+v", contents)
			}
		})
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, o *Options)
		want   string
	}{
		"no binary":             {func(t *testing.T, o *Options) { o.Binaries = nil }, "no binary"},
		"no name":               {func(t *testing.T, o *Options) { o.Name = "" }, "name"},
		"a revision below zero": {func(t *testing.T, o *Options) { o.Revision = -1 }, "revision"},
		"no issuer":             {func(t *testing.T, o *Options) { o.Issuer = Key{} }, "account key"},
		"keys exchanged":        {func(t *testing.T, o *Options) { o.Issuer, o.Subject = o.Subject, o.Issuer }, "account key"},
		"a target twice":        {func(t *testing.T, o *Options) { o.Binaries = append(o.Binaries, o.Binaries[0]) }, "two binaries"},
		"an unknown target":     {func(t *testing.T, o *Options) { o.Binaries[0].Target = "sparc-solaris" }, "unknown target"},
		"a missing binary":      {func(t *testing.T, o *Options) { o.Binaries[0].Path += "-gone" }, "x86_64-linux"},
		"a folder as a binary":  {func(t *testing.T, o *Options) { o.Binaries[0].Path = t.TempDir() }, "not a regular file"},
		"an empty binary": {func(t *testing.T, o *Options) {
			if err := os.Truncate(o.Binaries[0].Path, 0); err != nil {
				t.Fatal(err)
			}
		}, "is empty"},
		"a time before 1970": {func(t *testing.T, o *Options) { o.IssuedAt = time.Unix(-1, 0) }, "out of range"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			options := testOptions(t)
			test.change(t, &options)
			if err := Build(t.Context(), io.Discard, options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// onWrite calls do before the first write goes on.
type onWrite struct {
	do func()
	io.Writer
}

func (w *onWrite) Write(p []byte) (int, error) {
	if w.do != nil {
		w.do()
		w.do = nil
	}
	return w.Writer.Write(p)
}

func TestABinaryThatChangesWhileItIsPackedIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"other content": "a binary for INTEL",
		"longer":        "a binary for Intel and more",
		"shorter":       "a binary",
	} {
		t.Run(name, func(t *testing.T) {
			options := testOptions(t)
			options.Binaries = options.Binaries[:1]
			// The claims are written first, after the hashes were made: that is the moment to change it.
			to := &onWrite{func() {
				if err := os.WriteFile(options.Binaries[0].Path, []byte(content), 0o755); err != nil {
					t.Error(err)
				}
			}, io.Discard}
			if err := Build(t.Context(), to, options); err == nil ||
				!strings.Contains(err.Error(), "changed while it was read") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAFailedBuildLeavesTheOldFile(t *testing.T) {
	options := testOptions(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "x.par")
	if err := BuildFile(t.Context(), path, options); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := BuildFile(ctx, path, options); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the old archive is not what it was (%v)", err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v (%v)", left, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v (%v), want 644", info.Mode(), err)
	}
}

func TestTargetsAreReadByBothNames(t *testing.T) {
	for text, want := range map[string]string{
		"x86_64-linux": "x86_64-linux", "linux/amd64": "x86_64-linux", "linux/arm64": "aarch64-linux",
		"darwin/arm64": "aarch64-macos",
	} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%s is read as %s (%v)", text, got, err)
		}
	}
	for _, text := range []string{"", "x86_64-unknown-linux-gnu", "LINUX/amd64", "plan9/386"} {
		if _, err := ParseTarget(text); !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), "aarch64-linux") {
			t.Errorf("%q: %v, want ErrTarget and the known names", text, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	options := testOptions(f)
	f.Add(build(f, options))
	options.Compress = true
	f.Add(build(f, options))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, archive []byte) {
		contents, err := Verify(t.Context(), bytes.NewReader(archive), issuedAt)
		if err != nil {
			return
		}
		// The issuer's key has signed one set of claims only. (A fuzzer could make a key of its own, but not by chance.)
		if contents.Claims.Issuer != options.Issuer.Public() || len(contents.Targets()) != 2 {
			t.Errorf("verified %+v", contents)
		}
	})
}

func TestCompressedHasNoNameAndNoTime(t *testing.T) {
	options := testOptions(t)
	options.Compress = true
	from, err := gzip.NewReader(bytes.NewReader(build(t, options)))
	if err != nil {
		t.Fatal(err)
	}
	if from.Name != "" || !from.ModTime.IsZero() {
		t.Errorf("header %+v", from.Header)
	}
}

func TestEachPackedBinaryIsToldOf(t *testing.T) {
	options := testOptions(t)
	var seen []string
	options.Packed = func(target string, size int64) { seen = append(seen, fmt.Sprintf("%s %d", target, size)) }
	told := build(t, options)
	if want := []string{"aarch64-linux 17000", "x86_64-linux 18"}; !slices.Equal(seen, want) {
		t.Errorf("told of %q, want %q", seen, want)
	}
	options.Packed = nil
	if !bytes.Equal(told, build(t, options)) {
		t.Error("to tell of it changes the archive")
	}
}
