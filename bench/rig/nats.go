package rig

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const natsTimeout = 30 * time.Second

// NATS starts a nats-server with JetStream and returns it with its process id.
func NATS(t testing.TB) (*testkit.NATSServer, int) {
	t.Helper()
	pid, line := start(t, "nats", t.TempDir())
	port, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("starting a nats-server: %v", err)
	}
	return testkit.NATSAt(t, "127.0.0.1", port), pid
}

// serveNATS is the nats-server's process: it writes the port that it listens on.
func serveNATS(args []string, in io.Reader, out io.Writer) error {
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: args[0],
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
	return untilEnd(in, out, srv.Addr().(*net.TCPAddr).Port)
}
