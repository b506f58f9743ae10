package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/test/fleet"
	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

const (
	componentID = "witness"
	providerKey = "kafka"
)

// providerCopy is one copy of the provider, on a host of its own, with its own way to the NATS server.
type providerCopy struct {
	w        *world
	number   int
	lattice  *testkit.Proxy
	admin    string
	provider *testkit.Provider
	baseline int      // goroutines without a link
	dumps    [][2]int // where its output is a dump that was asked for

	mu    sync.Mutex
	lives []Span // of its processes
}

// user is the name by which a life of a copy is known to the NATS server. It is part of the URL that the host data
// gives to the process, so that the server's own list of connections tells which inbox belongs to which life. The
// server asks for no password, but a name without one would be a token, which the list does not show.
func user(l Life) string { return fmt.Sprintf("copy-%d-life-%d", l.Copy, l.Nth) }

func parseUser(text string) (l Life, ok bool) {
	n, err := fmt.Sscanf(text, "copy-%d-life-%d", &l.Copy, &l.Nth)
	return l, err == nil && n == 2
}

// start starts the copy for the first time.
func (c *providerCopy) start(host *testkit.FakeHost, binary string) {
	c.provider = host.StartProvider(testkit.ProviderSpec{
		Key: providerKey, Binary: binary, Config: map[string]string{"admin_address": c.admin},
		HostData: func(data map[string]any) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lives = append(c.lives, Span{From: time.Now()})
			data["lattice_rpc_url"] = "nats://" + user(Life{c.number, len(c.lives)}) + ":none@" + c.lattice.Addr()
			data["structured_logging"], data["log_level"] = true, "debug"
		},
	})
}

// gone notes the end of the copy's process.
func (c *providerCopy) gone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lives[len(c.lives)-1].To = time.Now()
}

// up tells whether the copy is meant to run.
func (c *providerCopy) up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lives[len(c.lives)-1].To.IsZero()
}

// end ends the copy's process by a fault.
func (c *providerCopy) end(kind fleet.Kind) {
	if c.provider.Exited() {
		c.w.badStop("%v had ended by itself: %v", c, c.provider.Err())
	}
	switch kind {
	case KillCopy:
		c.provider.Kill()
	case StopCopy:
		c.stop()
	case TermCopy:
		c.provider.Signal(syscall.SIGTERM)
		deadline := time.Now().Add(10 * time.Second) // its own limit is half of that
		for !c.provider.Exited() && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if !c.provider.Exited() {
			c.w.badStop("%v was still there 10 s after SIGTERM", c)
			c.provider.Kill()
		} else if err := c.provider.Err(); err != nil {
			c.w.badStop("%v ended with %v on SIGTERM", c, err)
		}
	default:
		panic("this fault is for no copy: " + string(kind))
	}
	c.gone()
}

// stop stops the copy as its host does, and counts the answers that came too late.
func (c *providerCopy) stop() {
	if !c.provider.Shutdown().Replied {
		c.w.late.add()
	}
}

func (c *providerCopy) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Life{c.number, len(c.lives)}.String()
}

// get fetches a page of the copy's admin address.
func (c *providerCopy) get(path string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + c.admin + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// goroutines is the number of goroutines that the copy's process has.
func (c *providerCopy) goroutines() (int, error) {
	page, err := c.get("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			return strconv.Atoi(strings.TrimSpace(text))
		}
	}
	return 0, errors.New("no go_goroutines among the metrics")
}

// origins ends the copy's process with a dump of its goroutines, and counts them by where they were started. Those of
// Go's own runtime are left out: they come and go as it needs them.
func (c *providerCopy) origins() (map[string]int, error) {
	before := len(c.provider.Output())
	c.provider.Signal(syscall.SIGQUIT)
	_ = c.provider.WaitExit() // the status that goes with a dump
	c.gone()
	output := c.provider.Output()
	c.dumps = append(c.dumps, [2]int{before, len(output)})
	dump := output[before:]
	if !strings.Contains(dump, "goroutine 1 ") {
		return nil, errors.New("the process left no dump of its goroutines")
	}
	found := fleet.Origins(dump)
	maps.DeleteFunc(found, func(origin string, _ int) bool { return strings.HasPrefix(origin, "runtime.") })
	return found, nil
}

// settleGoroutines returns the number of goroutines once it no longer falls.
func (c *providerCopy) settleGoroutines() int {
	least, same := math.MaxInt, 0
	for deadline := time.Now().Add(testkit.DefaultTimeout); same < 10 && time.Now().Before(deadline); {
		if n, err := c.goroutines(); err == nil {
			if same++; n < least {
				least, same = n, 0
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return least
}

// history reads the copy's log. The lines of its lives are one after another.
func (c *providerCopy) history(lives map[Life]*History) (complaints []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, span := range c.lives {
		lives[Life{c.number, i + 1}] = &History{Gone: span.To, Assigned: make(map[int32][]time.Time),
			TimedOut: make(map[ledger.Place][]Span), GivenUp: make(map[ledger.Place][]time.Time)}
	}
	log := c.provider.Output()
	for _, dump := range slices.Backward(c.dumps) {
		log = log[:dump[0]] + log[dump[1]:]
	}
	plain := 0
	lines := bufio.NewScanner(strings.NewReader(log))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var line struct {
			Time       time.Time
			Msg        string
			Topic      string
			Partition  int32
			Partitions map[string][]int32
			Offsets    []int64
			Offset     int64
			Error      string
			Took       time.Duration
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			var kind *json.UnmarshalTypeError
			// A process that is killed may leave half a line; a Go program that crashes says so in plain text.
			if !errors.As(err, &kind) && !strings.HasPrefix(lines.Text(), "{") {
				if plain++; plain == 1 {
					complaints = append(complaints, fmt.Sprintf("copy %d wrote %.200q", c.number, lines.Text()))
				}
			}
			continue
		}
		h := lives[c.lifeAt(line.Time)]
		if h == nil {
			continue
		}
		switch line.Msg {
		case "partitions assigned":
			for _, p := range line.Partitions[topic] {
				h.Assigned[p] = append(h.Assigned[p], line.Time)
			}
		case "a delivery failed":
			if strings.Contains(line.Error, "handle_timeout") {
				place := ledger.At(line.Partition, line.Offset)
				h.TimedOut[place] = append(h.TimedOut[place], Span{line.Time.Add(-line.Took), line.Time})
			}
		case "calls were given up":
			for _, offset := range line.Offsets {
				place := ledger.At(line.Partition, offset)
				h.GivenUp[place] = append(h.GivenUp[place], line.Time)
			}
		}
	}
	return complaints, lines.Err()
}

// lifeAt is the life that ran at a time. c.mu is held.
func (c *providerCopy) lifeAt(t time.Time) Life {
	n := 0
	for n < len(c.lives) && !c.lives[n].From.After(t) {
		n++
	}
	return Life{c.number, n}
}

// callers learns from the NATS server which inbox belongs to which life, and when a life has no connection.
type callers struct {
	mu      sync.Mutex
	inboxes map[string]Life
}

// run looks at the server's connections again and again until ctx ends. A life keeps its inbox over all its
// connections, and needs longer to join its group than it takes to look twice; but it gives the inbox up before its
// last connection ends, so that it is too late to look then.
func (c *callers) run(ctx context.Context, srv *server.Server) error {
	for fleet.Sleep(ctx, 50*time.Millisecond) {
		list, err := srv.Connz(&server.ConnzOptions{Username: true, Subscriptions: true, Limit: math.MaxInt32})
		if err != nil {
			return fmt.Errorf("listing connections: %w", err)
		}
		c.mu.Lock()
		for _, conn := range list.Conns {
			life, ok := parseUser(conn.AuthorizedUser)
			for _, subject := range conn.Subs {
				if ok && strings.HasPrefix(subject, "_INBOX.") {
					c.inboxes[inboxOf(subject)] = life
				}
			}
		}
		c.mu.Unlock()
	}
	return nil
}

func (c *callers) of(inbox string) (Life, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	life, ok := c.inboxes[inbox]
	return life, ok
}

// connections notes when lives had no connection, by the NATS server's list of all connections that there ever were.
func connections(srv *server.Server, lives map[Life]*History) error {
	list, err := srv.Connz(&server.ConnzOptions{State: server.ConnAll, Username: true, Sort: server.ByCid,
		Limit: math.MaxInt32})
	if err != nil {
		return fmt.Errorf("listing connections: %w", err)
	}
	left := make(map[Life]time.Time)
	for _, conn := range list.Conns { // in the order in which they were made
		life, ok := parseUser(conn.AuthorizedUser)
		if !ok {
			continue
		}
		h := lives[life]
		if h == nil {
			return fmt.Errorf("the NATS server knows %v, which was never started", life)
		}
		if at, again := left[life]; again {
			h.Offline = append(h.Offline, Span{at, conn.Start})
		}
		if conn.Stop != nil {
			left[life] = *conn.Stop
		} else {
			delete(left, life)
		}
	}
	for life, at := range left {
		lives[life].Offline = append(lives[life].Offline, Span{From: at})
	}
	return nil
}

// counter is a number that goroutines share.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *counter) get() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
