//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"messaging-kafka/internal/testkit"
)

const (
	natsRole    = "nats"
	natsTimeout = 30 * time.Second
)

// startNATS starts a nats-server with JetStream in a process of its own, whose CPU time is then its own, and returns it
// with its process id.
func startNATS(t *testing.T) (*testkit.NATSServer, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], t.TempDir())
	cmd.Env = append(os.Environ(), roleVariable+"="+natsRole)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("starting a nats-server: %v", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("starting a nats-server: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a nats-server: %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // which is what ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("the nats-server ended: %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("starting a nats-server: %v", err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("starting a nats-server: %v", err)
	}
	return testkit.NATSAt(t, "127.0.0.1", port), cmd.Process.Pid
}

// runNATS is the nats-server's process: it writes the port that it listens on and runs until in ends.
func runNATS(store string, in io.Reader, out io.Writer) error {
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: store,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		return err
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(natsTimeout) {
		return fmt.Errorf("no connections are taken after %s", natsTimeout)
	}
	if _, err := fmt.Fprintln(out, srv.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}
