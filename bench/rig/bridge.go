package rig

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// Bridge starts the program as a bridge with these routes, waits until they are healthy and returns its process id. It
// ends with the test.
func Bridge(t testing.TB, program string, routes map[string]map[string]string) (pid int) {
	t.Helper()
	port, err := testkit.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	content, err := json.Marshal(map[string]any{"admin_address": address, "routes": routes}) // which is YAML, too
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var output testkit.Log
	cmd := exec.Command(program, "bridge", "--config", path)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a bridge: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // its error says that it has ended already, which the next one tells
		if err := cmd.Wait(); err != nil {
			t.Errorf("the bridge ended: %v", err)
		}
		if t.Failed() {
			t.Logf("output of the bridge:\n%s", output.String())
		}
	})
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		resp, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the bridge is not healthy: %s", resp.Status)
		}
		return nil
	})
	return cmd.Process.Pid
}
