package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// served serves a status as a provider's admin address does.
func served(t *testing.T, p status.Provider) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.Time = time.Now()
		if err := json.NewEncoder(w).Encode(p); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func oneLink(state status.State, reason string) status.Provider {
	return status.Provider{
		ProviderKey: "kafka", Lattice: "default", HostID: "N", Version: "1", Started: time.Now(),
		Healthy: state == status.Healthy, Message: reason,
		Links: []status.Link{{Component: "echo", Name: "default", State: state, Reason: reason, Since: time.Now()}},
	}
}

func TestStatusTellsByItsExitCode(t *testing.T) {
	well, ill := served(t, oneLink(status.Healthy, "")), served(t, oneLink(status.Unhealthy, "no broker"))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	for name, test := range map[string]struct {
		args          []string
		code          int
		out, complain string
	}{
		"all is well":              {[]string{"--address", well}, 0, "healthy  echo/default", ""},
		"a link is not":            {[]string{"--address", ill}, 1, "no broker", "not healthy: link echo/default"},
		"one of two is not":        {[]string{"--address", well, "--address", ill}, 1, "1 link, all healthy", "link echo/default"},
		"nobody is there":          {[]string{"--address", nobody}, 2, "", "refused"},
		"one of two is not there":  {[]string{"--address", well, "--address", nobody}, 2, "healthy  echo/default", "no answer"},
		"no lattice is there":      {[]string{"--nats", "nats://" + nobody}, 2, "", "connecting to NATS"},
		"nothing says whom to ask": {nil, 2, "", "give --address"},
		"two ways to ask":          {[]string{"--address", well, "--nats", "nats://x"}, 2, "", "give one of them"},
		"a provider by address":    {[]string{"--address", well, "--provider", "x"}, 2, "", "--nats only"},
		"no address":               {[]string{"--address", "ftp://x"}, 2, "", "http://host:port"},
		"a page and a watch":       {[]string{"--address", well, "--page", "0", "--watch"}, 2, "", "leave --watch"},
		"a page that is taken":     {[]string{"--address", well, "--page", strings.TrimPrefix(well, "http://")}, 2, "", "listening on --page"},
		"a page of nobody":         {[]string{"--address", nobody, "--page", "0"}, 2, "", "refused"},
		"no time":                  {[]string{"--address", well, "--timeout", "0s"}, 2, "", "longer than 0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, "", nil, append([]string{"status"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.out, test.out) || !strings.Contains(got.err, test.complain) ||
				(test.out == "") != (got.out == "") {
				t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
			}
			if strings.Contains(got.out+got.err, "\x1b") {
				t.Error("colours where there is no terminal")
			}
		})
	}
}

func TestStatusPrintsJSON(t *testing.T) {
	got := run(t, "", nil, "status", "--json", "--address", served(t, oneLink(status.Unhealthy, "no broker")))
	var report struct {
		Status    string            `json:"status"`
		Providers []status.Provider `json:"providers"`
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("%v\n%s", err, got.out)
	}
	if got.code != 1 || report.Status != "unhealthy" || len(report.Providers) != 1 ||
		report.Providers[0].Links[0].Reason != "no broker" {
		t.Errorf("exit %d, %+v", got.code, report)
	}
}

func TestStatusAsksDevOverBothWays(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, "dev")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Each line") {
		fmt.Fprintln(&said, lines.Text())
	}
	address := regexp.MustCompile(`(?m)^page +(http://\S+)$`).FindStringSubmatch(said.String())
	lattice := regexp.MustCompile(`(?m)^NATS +(nats://[^,]+),`).FindStringSubmatch(said.String())
	if address == nil || lattice == nil {
		t.Fatalf("dev says\n%s", said.String())
	}
	for _, args := range [][]string{
		{"--address", address[1]}, {"--nats", lattice[1], "--lattice", "dev"}, {"--nats", lattice[1], "--lattice", "dev", "--provider", "messaging-kafka"},
	} {
		got := run(t, "", nil, append([]string{"status"}, args...)...)
		if got.code != 0 || !strings.Contains(got.out, "messaging-kafka  1 link, all healthy\nlattice dev, ") ||
			!regexp.MustCompile(`(?m)^healthy +echo/default `).MatchString(got.out) {
			t.Errorf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
		}
	}
	input.Close()
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

func TestStatusServesAPageOfAllCopies(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first, second := oneLink(status.Healthy, ""), oneLink(status.Unhealthy, "no broker")
	second.HostID = "M"
	second.Links[0].Problems = status.Problems{{Kind: status.ProblemKafka, Text: "no broker"}}
	command := exec.CommandContext(ctx, program, "status", "--every", "20ms", "--page", "0", "--address",
		served(t, first), "--address", served(t, second))
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	end := watching(t, command)
	line, err := bufio.NewReader(output).ReadString('\n')
	address := regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/`).FindString(line)
	if address == "" {
		t.Fatalf("it says %q, %v", line, err)
	}
	get := func(path string) string {
		t.Helper()
		response, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || (response.StatusCode != http.StatusOK) != (path == "metrics") {
			t.Errorf("%s: %s, %v", path, response.Status, err)
		}
		return string(body)
	}
	var got status.Provider
	if err := json.Unmarshal([]byte(get("links")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Copies) != 2 || len(got.Links) != 1 || got.Links[0].Copies != 2 || got.Links[0].State != status.Unhealthy ||
		got.Links[0].Reason != "no broker (M)" || got.Healthy {
		t.Errorf("it tells %+v", got)
	}
	if !strings.Contains(get(""), "<title>messaging-kafka</title>") || !strings.Contains(get("history"), "points") {
		t.Error("there is no page, or no history")
	}
	get("metrics") // those are of one copy
	// It asks again.
	asked := got.Time
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if err := json.Unmarshal([]byte(get("links")), &got); err != nil {
			return err
		}
		if !got.Time.After(asked) {
			return errors.New("it tells the same answer")
		}
		return nil
	})
	if err := end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// watching starts a watch and returns how to end it as a person does.
func watching(t *testing.T, command *exec.Cmd) (end func() error) {
	t.Helper()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return func() error {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		return command.Wait()
	}
}

func TestAWatchWritesLinesWhereThereIsNoTerminal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, "status", "--watch", "--every", "20ms", "--address",
		served(t, oneLink(status.Unhealthy, "no broker")))
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	end := watching(t, command)
	lines := bufio.NewScanner(output)
	for i := range 3 {
		if !lines.Scan() || !strings.HasSuffix(lines.Text(),
			`provider=kafka host=N link="echo/default" state=unhealthy in=0/s out=0/s in_flight=0 waiting=0 reason="no broker"`) {
			t.Fatalf("line %d is %q", i, lines.Text())
		}
	}
	if err := end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
