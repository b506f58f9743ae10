package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
)

func TestEveryCommandExplainsItself(t *testing.T) {
	var visit func(command *cobra.Command, path []string)
	visit = func(command *cobra.Command, path []string) {
		t.Run(strings.Join(append([]string{"messaging-kafka"}, path...), " "), func(t *testing.T) {
			got := run(t, "", nil, append(path, "--help")...)
			if got.code != 0 || got.err != "" {
				t.Errorf("exit %d, standard error %q", got.code, got.err)
			}
			for _, want := range []string{command.Short, "Examples:\n", "Usage:\n"} {
				if command.Long != "" && want == command.Short {
					want = strings.SplitN(command.Long, "\n", 2)[0]
				}
				if !strings.Contains(got.out, want) {
					t.Errorf("no %q in\n%s", want, got.out)
				}
			}
			if command.Example == "" || command.Short == "" {
				t.Error("it has no example or no short text")
			}
		})
		for _, child := range command.Commands() {
			visit(child, append(slices.Clip(path), child.Name()))
		}
	}
	root, _ := newRoot()
	visit(root, nil)
}

func TestVersionNamesTheBuild(t *testing.T) {
	got := run(t, "", nil, "version", "--json")
	var info version.Info
	if err := json.Unmarshal([]byte(got.out), &info); err != nil || got.code != 0 {
		t.Fatalf("exit %d, %v in %q", got.code, err, got.out)
	}
	if info.Version != "9.8.7" || info.Commit != "0123456789abcdef" || info.Go != runtime.Version() ||
		info.Target != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("got %+v", info)
	}
	text := run(t, "", nil, "version")
	for _, want := range []string{"messaging-kafka 9.8.7\n", "0123456789abcdef", runtime.Version()} {
		if !strings.Contains(text.out, want) {
			t.Errorf("no %q in\n%s", want, text.out)
		}
	}
}

func TestWrongCommandLinesEndWithTwo(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":    {[]string{"prr"}, `unknown command "prr"`},
		"an unknown flag":       {[]string{"--hots", "x"}, "unknown flag: --hots"},
		"an unknown subcommand": {[]string{"par", "show"}, `unknown command "show"`},
		"a bad number":          {[]string{"par", "--revision", "many"}, "--revision"},
		"a number below zero":   {[]string{"par", "--revision", "-1"}, "--revision"},
		"a binary alone":        {[]string{"par", "--binary", "./x"}, "TARGET=PATH"},
		"an unknown target":     {[]string{"par", "--binary", "mips-linux=./x"}, "aarch64-linux"},
		"a target twice":        {[]string{"par", "--binary", "x86_64-linux=a", "--binary", "linux/amd64=b"}, "twice"},
		"a bad time":            {[]string{"par", "--issued-at", "yesterday"}, "RFC 3339"},
		"no file to inspect":    {[]string{"par", "inspect"}, "needs one file"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "", nil, test.args...)
			if got.code != exitUsage || !strings.Contains(got.err, test.want) ||
				!strings.Contains(got.err, "--help") || got.out != "" {
				t.Errorf("exit %d, %q on standard error, %q on standard output", got.code, got.err, got.out)
			}
			if strings.Contains(got.err, "Usage:") || strings.Count(got.err, test.want) != 1 {
				t.Errorf("not one short message:\n%s", got.err)
			}
		})
	}
}

func TestBadHostDataEndsTheProviderWithItsCause(t *testing.T) {
	const secret = "SUAOHNOTHISMUSTNOTBESHOWN"
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) + "\r\n" }
	for name, test := range map[string]struct{ input, want string }{
		"nothing":              {"", "no host data"},
		"only a line end":      {"\r\n", "no host data"},
		"no base64":            {`{"secrets":{"password":"` + secret + `"}}` + "\r\n", "base64"},
		"no JSON":              {encode("password=" + secret), "JSON"},
		"JSON of another kind": {encode(`["` + secret + `"]`), "host data"},
		"a field of a wrong type": {encode(`{"host_id":"NHOST","lattice_rpc_prefix":"l","provider_key":"kafka","lattice_rpc_user_seed":"` + secret +
			`","config":"` + secret + `"}`), "config"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, test.input, nil)
			if got.code != exitFailure || !strings.Contains(got.err, "messaging-kafka: reading host data: ") ||
				!strings.Contains(got.err, test.want) {
				t.Errorf("exit %d, standard error %q, want %q in it", got.code, got.err, test.want)
			}
			if strings.Contains(got.err+got.out, secret) {
				t.Errorf("the secret is shown: %s%s", got.err, got.out)
			}
			if got.out != "" {
				t.Errorf("standard output has %q", got.out)
			}
		})
	}
}

func TestATerminalGetsAnIntroduction(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this machine gives no terminal: %v", err)
	}
	defer terminal.Close()
	if !isTerminal(terminal) {
		t.Fatal("/dev/ptmx is not taken for a terminal")
	}
	got := runOn(t, terminal, nil)
	if got.code != exitUsage || !strings.Contains(got.err, "messaging-kafka dev") ||
		!strings.Contains(got.err, "wasmCloud host starts it") {
		t.Errorf("exit %d, standard error\n%s", got.code, got.err)
	}
}
