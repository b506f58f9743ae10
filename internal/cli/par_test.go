package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
)

func TestParPacksThisProgramAndInspectVerifiesIt(t *testing.T) {
	folder := t.TempDir()
	archive, keys := filepath.Join(folder, "x.par.gz"), filepath.Join(folder, "config")
	built := run(t, "", []string{"XDG_CONFIG_HOME=" + keys}, "par", "--out", archive)
	if built.code != 0 || built.err != "" {
		t.Fatalf("par: exit %d, %s", built.code, built.err)
	}
	for _, name := range []string{"issuer.nk", "provider.nk"} {
		path := filepath.Join(keys, "messaging-kafka", name)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v), want mode 600", path, info, err)
		}
		if !strings.Contains(built.out, path) {
			t.Errorf("nothing says where %s is:\n%s", name, built.out)
		}
		seed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(built.out, strings.TrimSpace(string(seed))) {
			t.Error("a seed is shown")
		}
	}

	inspected := run(t, "", nil, "par", "inspect", "--json", archive)
	var contents par.Contents
	if err := json.Unmarshal([]byte(inspected.out), &contents); err != nil || inspected.code != 0 {
		t.Fatalf("inspect: exit %d, %v, %s", inspected.code, err, inspected.err)
	}
	target, err := par.ThisTarget()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(contents.Files) != 1 || contents.Files[0].Target != target || contents.Files[0].Size != info.Size() ||
		!contents.Compressed {
		t.Errorf("contents %+v, want this program of %d bytes for %s", contents, info.Size(), target)
	}
	if got := contents.Claims.Provider; got.Version != "9.8.7" || got.Name != "messaging-kafka" {
		t.Errorf("claims about %+v", got)
	}
	text := run(t, "", nil, "par", "inspect", archive)
	if text.code != 0 || !strings.Contains(text.out, contents.Claims.Subject) ||
		!strings.Contains(text.out, contents.Files[0].Hash) {
		t.Errorf("exit %d,\n%s", text.code, text.out)
	}

	again := run(t, "", []string{"XDG_CONFIG_HOME=" + keys}, "par", "--out", archive+"2", "--compress")
	if again.code != 0 || strings.Contains(again.out, "new") {
		t.Errorf("the second time: exit %d, %s%s", again.code, again.out, again.err)
	}
	first, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(archive + "2")
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same command made another archive (%v)", err)
	}

	if first[len(first)/2]++; os.WriteFile(archive, first, 0o600) != nil {
		t.Fatal("cannot damage the archive")
	}
	damaged := run(t, "", nil, "par", "inspect", archive)
	if damaged.code != exitFailure || damaged.out != "" || strings.Contains(damaged.err, "--help") {
		t.Errorf("a damaged archive: exit %d, %s%s", damaged.code, damaged.out, damaged.err)
	}
}

func TestParPacksGivenBinariesWithGivenKeys(t *testing.T) {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	for _, name := range []string{"intel", "arm"} {
		if err := os.WriteFile(path(name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	issuer, _, err := par.LoadKey(par.RoleAccount, path("issuer"))
	if err != nil {
		t.Fatal(err)
	}
	subject, _, err := par.LoadKey(par.RoleService, path("subject"))
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, "", []string{"SOURCE_DATE_EPOCH=1700000000"}, "par", "--binary", "linux/amd64="+path("intel"),
		"--binary", "aarch64-linux="+path("arm"),
		"--issuer-key", path("issuer"), "--subject-key", path("subject"), "--out", path("x.par"),
		"--name", "A name", "--vendor", "A vendor", "--version", "1.0.0", "--revision", "4")
	if got.code != 0 {
		t.Fatalf("exit %d, %s", got.code, got.err)
	}
	file, err := os.Open(path("x.par"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	contents, err := par.Verify(t.Context(), file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	claims := contents.Claims
	if contents.Compressed || strings.Join(contents.Targets(), " ") != "aarch64-linux x86_64-linux" {
		t.Errorf("compressed %t, targets %q", contents.Compressed, contents.Targets())
	}
	if claims.Issuer != issuer.Public() || claims.Subject != subject.Public() || claims.IssuedAt != 1_700_000_000 {
		t.Errorf("claims %+v", claims)
	}
	if p := claims.Provider; p.Name != "A name" || p.Vendor != "A vendor" || p.Version != "1.0.0" || p.Revision != 4 {
		t.Errorf("claims about %+v", p)
	}

	exchanged := run(t, "", nil, "par", "--binary", "linux/amd64="+path("intel"), "--out", path("y.par"), "--issuer-key",
		path("subject"), "--subject-key", path("issuer"))
	if exchanged.code != exitFailure || !strings.Contains(exchanged.err, `"SA" is needed`) ||
		strings.Contains(exchanged.err, subject.Seed()[4:]) {
		t.Errorf("keys exchanged: exit %d, %s", exchanged.code, exchanged.err)
	}
	homeless := run(t, "", []string{"HOME=", "XDG_CONFIG_HOME="}, "par", "--out", path("z.par"))
	if homeless.code != exitFailure || !strings.Contains(homeless.err, "--issuer-key") {
		t.Errorf("without a home: exit %d, %s", homeless.code, homeless.err)
	}
}

func TestTheIssueTimeIsThatOfTheStrongestWord(t *testing.T) {
	for name, test := range map[string]struct {
		flag, epoch string
		want        int64
		fails       string
	}{
		"the flag as a time":          {"2025-03-04T05:06:07+01:00", "5", 1741061167, ""},
		"the flag as seconds":         {"17", "5", 17, ""},
		"the environment":             {"", "5", 5, ""},
		"a bad flag":                  {"soon", "5", 0, "--issued-at"},
		"a flag of the far future":    {"99999999999", "5", 0, "--issued-at"},
		"a bad environment":           {"", "1.5", 0, "SOURCE_DATE_EPOCH"},
		"an environment out of range": {"", "-1", 0, "SOURCE_DATE_EPOCH"},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := issueTime(test.flag, test.epoch, nil)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("got %v, want an error about %s", err, test.fails)
				}
				return
			}
			if err != nil || at.Unix() != test.want {
				t.Errorf("got %d (%v), want %d", at.Unix(), err, test.want)
			}
		})
	}
	if at, err := issueTime("", "", nil); err != nil || !at.IsZero() {
		t.Errorf("where nothing is known: %s (%v)", at, err)
	}
}

// binaries makes files of different sizes and returns the flags that pack them.
func binaries(t *testing.T) (flags []string) {
	t.Helper()
	for target, size := range map[string]int{"x86_64-linux": 3_000_000, "aarch64-linux": 2_000_000} {
		path := filepath.Join(t.TempDir(), target)
		if err := os.WriteFile(path, []byte(strings.Repeat("binary ", size/7+1)[:size]), 0o755); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--binary", target+"="+path)
	}
	return flags
}

func TestEachPackedBinaryIsALine(t *testing.T) {
	folder := t.TempDir()
	args := append([]string{"par", "--out", filepath.Join(folder, "x.par.gz")}, binaries(t)...)
	got := run(t, "", []string{"XDG_CONFIG_HOME=" + folder}, args...)
	if want := "packed aarch64-linux, 2.0 MB\npacked x86_64-linux, 3.0 MB\n"; got.code != 0 || got.err != want {
		t.Errorf("exit %d, standard error %q, want %q", got.code, got.err, want)
	}
}
