package bridge

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/httpin"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Occupant is who listens on an address that is taken.
type Occupant string

// Who that may be.
const (
	Unknown     Occupant = ""
	SomeBridge  Occupant = "a bridge"   // which it is cannot be told
	OtherBridge Occupant = "another"    // one of another name, or that is not at the admin address
	ThisBridge  Occupant = "the bridge" // one of the name of the file
)

// Trial is what an attempt to listen on an address of a file has come to.
type Trial struct {
	// Key and Line are where the address stands in the file.
	Key     string
	Line    int
	Address string
	// Err is nil where it can be listened on, and By who does so already.
	Err error
	By  Occupant
}

// keyAdmin is the setting of the process that has it listen on a further address.
const keyAdmin = "admin_address"

// TryListen tries the addresses of a file on this machine, as a start would. It accepts no connection.
func TryListen(ctx context.Context, c *config.Config) []Trial {
	var list []Trial
	runs := Unknown // who is at the admin address
	if address := c.Own[keyAdmin]; address != "" {
		one := trial(c, keyAdmin, address)
		if errors.Is(one.Err, syscall.EADDRINUSE) {
			runs = atAdmin(ctx, one.Address, c.Name)
			one.By = runs
		} else if _, port, err := net.SplitHostPort(one.Address); one.Err == nil && err == nil && port != "0" {
			runs = OtherBridge // whoever runs already is not at this address
		}
		list = append(list, one)
	}
	if c.Listen.Address != "" {
		one := trial(c, keyListen, c.Listen.Address)
		if errors.Is(one.Err, syscall.EADDRINUSE) && servesCallers(ctx, one.Address, c.Listen.CertFile != "") {
			if one.By = runs; runs == Unknown {
				one.By = SomeBridge
			}
		}
		list = append(list, one)
	}
	return list
}

func trial(c *config.Config, key, address string) Trial {
	return Trial{Key: key, Line: c.Line(key), Address: listen.Address(address), Err: httpin.TryListen(address)}
}

// The bounds of a question to whoever listens on an address.
const (
	askTimeout = 2 * time.Second
	askMost    = 4 << 20
)

// askFor puts what is told at a path of an address into answer, as far as it has room for that. It says nothing of
// itself.
func askFor(ctx context.Context, scheme, address, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+reachable(address)+path, http.NoBody)
	if err != nil {
		return err
	}
	wire := &http.Transport{
		DisableKeepAlives: true,
		// Nothing is told to whoever answers, and nothing that it says is used but for a text.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see above
	}
	resp, err := wire.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, askMost)).Decode(answer)
}

// reachable is where an address is reached on which somebody listens.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip, bad := netip.ParseAddr(host); err == nil && bad == nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}

// atAdmin says who answers at an admin address.
func atAdmin(ctx context.Context, address, name string) Occupant {
	var s status.Provider
	switch err := askFor(ctx, "http", address, "/links", &s); {
	case err != nil || s.Words != status.OfRoutes:
		return Unknown
	case s.ProviderKey == name:
		return ThisBridge
	default:
		return OtherBridge
	}
}

// servesCallers tells whether a bridge answers callers at an address.
func servesCallers(ctx context.Context, address string, secured bool) bool {
	scheme := "http"
	if secured {
		scheme = "https"
	}
	var document struct {
		Info struct{ Title string }
	}
	return askFor(ctx, scheme, address, "/openapi.json", &document) == nil && document.Info.Title == httpin.Title
}
