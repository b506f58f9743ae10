package cli

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var echo = regexp.MustCompile(`^wasmcloud\.echo\.reply partition 0 offset (\d+) \([0-9.]+[mµ]?s\): (.*)$`)

func TestDevEchoesItsInput(t *testing.T) {
	got := run(t, "a\n\nc\n", nil, "dev")
	if got.code != exitOK {
		t.Fatalf("exit %d, standard error\n%s", got.code, got.err)
	}
	lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("standard output is\n%s", got.out)
	}
	for i, value := range []string{"a", "", "c"} {
		if m := echo.FindStringSubmatch(lines[i]); m == nil || m[1] != string(rune('0'+i)) || m[2] != value {
			t.Errorf("echo %d is %q", i, lines[i])
		}
	}
	if !regexp.MustCompile(`(?m)^Kafka +127\.0\.0\.1:\d+, embedded`).MatchString(got.err) {
		t.Errorf("the address of the Kafka is not told:\n%s", got.err)
	}
}

func TestDevKeepsItsDataWhenItIsKilled(t *testing.T) {
	data := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, "dev", "--data", data)
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	command.Stderr = &errOut
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := input.Write([]byte("before\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || !strings.HasSuffix(line, "): before\n") {
		t.Fatalf("the first echo is %q (%v)\n%s", line, err, errOut.String())
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // it was killed, and says so

	// The line that was handled last may be delivered again: its offset was perhaps not committed yet.
	got := run(t, "after\n", nil, "dev", "--data", data)
	if got.code != exitOK || !regexp.MustCompile(`offset [12] \([0-9.]+[mµ]?s\): after\n`).MatchString(got.out) {
		t.Errorf("after the kill: exit %d\n%s%s", got.code, got.out, got.err)
	}
}

// TestDevEndsInOrderBySignal: of a key, and of a terminal that is closed.
func TestDevEndsInOrderBySignal(t *testing.T) {
	// What nohup has the tests ignore, their programs would ignore, too: what is caught here is theirs to decide.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			command := exec.CommandContext(ctx, program, "dev")
			if _, err := command.StdinPipe(); err != nil { // stays open: nothing is ever typed
				t.Fatal(err)
			}
			output, err := command.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(output)
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "Each line") {
			}
			if err := command.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
				t.Errorf("it says %q", lines.Text())
			}
			if err := command.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestDevExplainsWhatItCannotDo(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"data of a Kafka that is not ours": {[]string{"--hosts", "x", "--data", "y"}, exitUsage, "embedded Kafka"},
		"a lattice that is no name":        {[]string{"--lattice", "a b"}, exitUsage, `"a b"`},
		"an argument":                      {[]string{"hello"}, exitUsage, `"hello"`},
		"a Kafka that is not there":        {[]string{"--hosts", "127.0.0.1:1"}, exitFailure, "127.0.0.1:1"},
		"a lattice that is not there":      {[]string{"--nats", "nats://127.0.0.1:1"}, exitFailure, "nats://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "x\n", nil, append([]string{"dev"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.err, test.want) || got.out != "" {
				t.Errorf("exit %d, %q on standard error, %q on standard output", got.code, got.err, got.out)
			}
		})
	}
}

func TestDevRefusesStandInsThatMakeNoSense(t *testing.T) {
	for flags, want := range map[string]string{
		"--transactions":      "have it be a processor, too",
		"--dead-letters":      "fail, too",
		"--interface handler": "needs --component or --url",
		"--interface processor --url http://x/ --failing": "are for the stand-in",
		"--watch": "--watch needs --component or --url",
	} {
		if got := run(t, "", nil, append([]string{"dev"}, strings.Fields(flags)...)...); got.code != exitUsage ||
			!strings.Contains(got.err, want) {
			t.Errorf("%s: exit %d, %s", flags, got.code, got.err)
		}
	}
	got := run(t, "a\n", nil, "dev", "--interface", "processor", "--transactions", "--quiet")
	if got.code != exitOK || !strings.HasSuffix(got.out, "): a\n") || got.err != "" {
		t.Errorf("exit %d, %q\n%s", got.code, got.out, got.err)
	}
}
