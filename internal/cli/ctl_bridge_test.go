package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

const ctlBridgeGroup = "shop.orders"

// startBridges starts two copies of a bridge with the route orders, each with an admin address.
func startBridges(t *testing.T) *copies {
	t.Helper()
	kafka := testkit.Kfake(t)
	kafka.Topic("in", 4)
	c := &copies{t: t, kc: testkit.NewClient(t, kafka.Brokers())}
	var came atomic.Int64
	c.came = func() int { return int(came.Load()) }
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			t.Errorf("a body cannot be read: %v", err)
		}
		came.Add(int64(len(batch)))
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		verdicts := strings.Repeat(`{"ok":[]},`, len(batch))
		fmt.Fprintf(w, "[%s]", strings.TrimSuffix(verdicts, ","))
	}))
	t.Cleanup(app.Close)
	for range 2 {
		address, path, output := freeAddress(t), filepath.Join(t.TempDir(), "bridge.yaml"), new(testkit.Log)
		file := fmt.Sprintf(`name: shop
hosts: %s
admin_address: %s
provider_control_tokens: ${TOKENS}
routes:
  orders:
    topic: in
    deliver: http-records
    http_format: json
    url: %s
    start: earliest
    commit_interval: 20ms
    fetch_max_wait: 100ms
`, strings.Join(kafka.Brokers(), ","), address, app.URL)
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), program, "bridge", "--config", path)
		command.Env = []string{"TOKENS=alice:" + ctlToken}
		command.Stdout, command.Stderr = output, output
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Kill() // it may have ended
			_ = command.Wait()         // as one that was killed
			if t.Failed() {
				t.Logf("a copy says\n%s", output)
			}
		})
		c.addresses = append(c.addresses, address)
		c.outputs = append(c.outputs, output.String)
	}
	c.kc.WaitMembers(ctlBridgeGroup, 2)
	return c
}

// TestCtlActsOnAllCopiesOfABridge: they pause, resume, restart and go on from other offsets, and are called what they
// are.
func TestCtlActsOnAllCopiesOfABridge(t *testing.T) {
	c := startBridges(t)
	good := func(args ...string) result {
		t.Helper()
		got := c.byAddress(args...)
		if got.code != 0 || got.err != "" {
			t.Fatalf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
		}
		return got
	}
	c.kc.ProduceText("in", "a", "b", "c", "d", "e", "f")
	c.awaitCalls(6)
	c.kc.WaitDrained(ctlBridgeGroup, "in")

	if got := good("pause", "orders", "--reason", "the shop moves"); strings.Count(got.out, "bridge shop on host ") != 2 ||
		strings.Count(got.out, ", copy ") != 2 || strings.Contains(got.out, "provider") {
		t.Errorf("pausing says\n%s", got.out)
	}
	c.kc.WaitMembers(ctlBridgeGroup, 0)
	c.kc.ProduceText("in", "later")
	good("resume", "orders")
	c.awaitCalls(7)
	c.kc.WaitMembers(ctlBridgeGroup, 2)

	c.begunAnew(ctlBridgeGroup, func() { good("restart", "orders") })
	c.kc.WaitDrained(ctlBridgeGroup, "in")
	good("seek", "orders", "--to", "start")
	c.awaitCalls(14)
	c.kc.WaitMembers(ctlBridgeGroup, 2)
	c.kc.WaitDrained(ctlBridgeGroup, "in")

	one := copies{t: t, addresses: c.addresses[:1]}
	if got := one.byAddress("seek", "orders", "--to", "start"); got.code != 1 ||
		!strings.Contains(got.err, "the group has members") {
		t.Errorf("a seek by one copy of two: exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := c.byAddress("pause", "bills"); got.code != 2 ||
		!strings.Contains(got.err, "has a route bills: they have shop/orders") {
		t.Errorf("a route that nobody has: exit %d\n%s%s", got.code, got.out, got.err)
	}
	for _, output := range c.outputs {
		if !strings.Contains(output(), `"operator":"alice","via":"token"`) || strings.Contains(output(), ctlToken) {
			t.Errorf("the log does not say who acted, or has the token:\n%s", output())
		}
	}
}
