package overview

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// Answer is what asking once came to.
type Answer struct {
	// Time is when it was asked.
	Time time.Time
	// Providers are sorted by key, host and instance.
	Providers []status.Provider
	// Silent says of whom no answer came, and why.
	Silent []string
}

// State is healthy where everybody asked has answered that all is well.
func (a *Answer) State() State {
	worst := Healthy
	if len(a.Silent) > 0 || len(a.Providers) == 0 {
		worst = Unknown
	}
	for i := range a.Providers {
		if unhealthy(&a.Providers[i]) {
			return Unhealthy
		}
	}
	return worst
}

// State is the whole of an [Answer] in a word.
type State string

// The states of an answer.
const (
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy"
	// Unknown says that somebody did not answer; all that is known of the others is well.
	Unknown State = "unknown"
)

func unhealthy(p *status.Provider) bool {
	return !p.Healthy || slices.ContainsFunc(p.Links, func(l status.Link) bool { return l.State.Ill() })
}

// Asker asks providers.
type Asker interface {
	// Ask asks once. Its error says that nobody could be asked.
	Ask(ctx context.Context) (*Answer, error)
	// Act has a copy that has answered act on a link of it. Its error says that no answer came.
	Act(ctx context.Context, on *status.Provider, request control.Request) (control.Answer, error)
	Close()
}

// maxAnswer bounds one provider's answer in bytes.
const maxAnswer = 64 << 20

// byAddress asks admin addresses.
type byAddress struct {
	urls   []string
	names  []string       // of the urls, without what proves who asks
	token  string         // by which links are acted on
	asked  map[string]int // of the urls, by the instance id of the copy that answered last
	client *http.Client
}

// ByAddress asks the admin addresses of providers. Each is a URL, with or without a path, or host:port. token is what
// proves who acts on links; "" is for who only asks.
func ByAddress(addresses []string, timeout time.Duration, token string) (Asker, error) {
	a := &byAddress{token: token, client: &http.Client{Timeout: timeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1}}}
	for _, address := range addresses {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		u, err := url.Parse(address)
		if err != nil {
			// Its error would repeat the whole of it, in which there may be a password.
			return nil, errors.New("--address: this is no URL: an address is http://host:port")
		}
		if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			// A part of it may be a password here, too.
			return nil, errors.New("--address: an address is http://host:port")
		}
		if !strings.HasSuffix(u.Path, "/links") {
			u = u.JoinPath("links")
		}
		a.urls, a.names = append(a.urls, u.String()), append(a.names, nameOf(u))
	}
	return a, nil
}

// nameOf is a URL as it may be shown: without user, password and query.
func nameOf(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

// Ask implements Asker.
func (a *byAddress) Ask(ctx context.Context) (*Answer, error) {
	answer := &Answer{Time: time.Now()}
	type result struct {
		p   *status.Provider
		err error
	}
	results := make([]result, len(a.urls))
	done := make(chan struct{})
	for i, address := range a.urls {
		go func() {
			p, err := a.get(ctx, address)
			results[i] = result{p, err}
			done <- struct{}{}
		}()
	}
	for range a.urls {
		<-done // bounded by the client's timeout
	}
	a.asked = make(map[string]int, len(results))
	for i, r := range results {
		if r.err != nil {
			answer.Silent = append(answer.Silent, fmt.Sprintf("%s: %v", a.names[i], r.err))
			continue
		}
		a.asked[r.p.InstanceID] = i
		answer.Providers = append(answer.Providers, *r.p)
	}
	if len(answer.Providers) == 0 {
		return nil, fmt.Errorf("nobody could be asked: %s", strings.Join(answer.Silent, "; "))
	}
	answer.sort()
	return answer, nil
}

func (a *byAddress) get(ctx context.Context, address string) (*status.Provider, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // the address is named by whoever tells
		}
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: %.200s", response.Status, strings.TrimSpace(string(body)))
	}
	return decode(body)
}

// errNoStatus says that something answered, but not with a status.
var errNoStatus = errors.New("something else than messaging-kafka answers, or a version without a status")

func decode(text []byte) (*status.Provider, error) {
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	}
	var p status.Provider
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoStatus, err)
	}
	if p.ProviderKey == "" || p.Time.IsZero() {
		return nil, errNoStatus
	}
	return &p, nil
}

// Close implements Asker.
func (a *byAddress) Close() { a.client.CloseIdleConnections() }

func (a *Answer) sort() {
	slices.SortFunc(a.Providers, func(x, y status.Provider) int {
		return cmp.Or(cmp.Compare(x.ProviderKey, y.ProviderKey), cmp.Compare(x.HostID, y.HostID),
			cmp.Compare(x.InstanceID, y.InstanceID))
	})
	slices.Sort(a.Silent)
}
