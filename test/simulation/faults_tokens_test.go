package simulation

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// tokenAddress is where tokens are given, in the network of each copy.
	tokenAddress = "127.0.0.1:9000"
	tokenURL     = "http://" + tokenAddress + "/token"
	clientID     = "guest"
	bearer       = "OAUTHBEARER"
)

// tokens are what a plan says of those by which copies come in.
type tokens struct {
	life    time.Duration
	session time.Duration // after which a broker wants a connection to authenticate again; 0 is with its token
}

// drawTokens draws whether copies come in by tokens, and what happens to these, from sources of its own: it changes
// nothing else of a seed.
func (p *plan) drawTokens() {
	rng := newRand(p.seed, "credentials")
	if rng.IntN(4) > 0 && !p.bearers {
		return
	}
	lives := []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	sessions := []time.Duration{0, 0, 15 * time.Second, 3 * time.Minute}
	p.tokens = &tokens{life: lives[rng.IntN(len(lives))], session: sessions[rng.IntN(len(sessions))]}
	many := 1 + rng.IntN(6)
	if p.bearers {
		p.tokens.life = lives[rng.IntN(2)] // many end
		many += rng.IntN(10)
	}
	for range many {
		at := time.Duration(rng.Int64N(int64(p.trouble)))
		p.events = append(p.events, event{number: len(p.events), at: at, what: tokenTroubles[rng.IntN(len(tokenTroubles))].name})
	}
}

// illness is what is wrong with who gives tokens.
type illness string

const (
	well     illness = "is well"
	gone     illness = "is not there"
	silent   illness = "does not answer"
	slow     illness = "takes its time"
	failing  illness = "answers with status 500"
	refusing illness = "refuses the credentials"
	nonsense illness = "answers with a page"
	breaking illness = "breaks off in the answer"
)

var (
	// barren are those with which nobody gets a token.
	barren    = []illness{gone, silent, failing, refusing, nonsense, breaking}
	illnesses = append(slices.Clip(barren), slow)
)

// issuer gives the tokens by which copies come in, in the runs that have them, and tells their brokers which are good.
type issuer struct {
	tokens
	wrong   func(invariant, format string, args ...any)
	serving sync.WaitGroup

	mu      sync.Mutex
	rng     *rand.Rand
	ill     illness
	secrets []string             // that are taken, the last one being the newest
	ends    map[string]time.Time // of the tokens that brokers take
	strict  bool                 // they take none at the moment
	given   int
	last    time.Time // when the last token ends
	since   time.Time // when the span began in which requests are counted
	many    int
}

func newIssuer(p *plan, wrong func(invariant, format string, args ...any)) *issuer {
	return &issuer{
		tokens: *p.tokens, wrong: wrong, rng: newRand(p.seed, "issuer"), ill: well, secrets: []string{"secret-0"},
		ends: make(map[string]time.Time),
	}
}

// secret is the newest one.
func (i *issuer) secret() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.secrets[len(i.secrets)-1]
}

// newSecret has the client have another one. Those of before are taken until they are forgotten.
func (i *issuer) newSecret() (forget func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	secret := fmt.Sprint(i.secrets[len(i.secrets)-1], "x")
	i.secrets = append(i.secrets, secret)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.secrets = i.secrets[max(0, slices.Index(i.secrets, secret)):] // another one may have done that
	}
}

func (i *issuer) set(ill illness) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ill = ill
}

// revoke has brokers take none of the tokens that were given until now.
func (i *issuer) revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.ends)
}

// trust has brokers take good tokens, or none.
func (i *issuer) trust(good bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.strict = !good
}

// lastEnd is when the last token that was given ends.
func (i *issuer) lastEnd() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last
}

// tooManyTokens is how many times copies ask for one within a span only if they ask without a break.
const tooManyTokens = 1500

// count is the invariant asks-with-breaks, for tokens.
func (i *issuer) count() illness {
	i.mu.Lock()
	defer i.mu.Unlock()
	if now := time.Now(); now.Sub(i.since) > span {
		i.since, i.many = now, 0
	}
	if i.many++; i.many == tooManyTokens {
		i.wrong("asks-with-breaks", "tokens are asked for %d times within %s", tooManyTokens, time.Since(i.since))
	}
	return i.ill
}

var errNobody = errors.New("connection refused by the simulated token endpoint")

// connect connects to who gives tokens.
func (i *issuer) connect() (net.Conn, error) {
	if i.count() == gone {
		return nil, errNobody
	}
	theirs, ours := net.Pipe()
	i.serving.Go(func() {
		defer func() { _ = ours.Close() }()
		i.serve(ours)
	})
	return theirs, nil
}

// serve answers one request.
func (i *issuer) serve(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return // the client has gone
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return
	}
	i.mu.Lock()
	ill, wait := i.ill, time.Duration(i.rng.Int64N(int64(8*time.Second)))
	id, secret, _ := req.BasicAuth()
	known := id == clientID && slices.Contains(i.secrets, secret)
	i.mu.Unlock()
	covered.kind("token endpoint " + string(ill))
	status := http.StatusOK
	var body string
	switch {
	case ill == silent:
		_, _ = io.Copy(io.Discard, conn) // until the client has gone
		return
	case ill == failing:
		status, body = http.StatusInternalServerError, `{"error":"overloaded"}`
	case ill == nonsense:
		body = "<html>Log in, please</html>"
	case ill == refusing, !known:
		status, body = http.StatusUnauthorized, `{"error":"invalid_client"}`
	default:
		if ill == slow {
			time.Sleep(wait)
		}
		body = i.give()
	}
	answer := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
	if ill == breaking {
		answer = answer[:len(answer)-len(body)/2]
	}
	_, _ = conn.Write([]byte(answer)) // the client may have gone
}

// give gives a token.
func (i *issuer) give() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.given++
	name := fmt.Sprint("token-", i.given)
	i.last = time.Now().Add(i.life)
	i.ends[name] = i.last
	return fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, name, i.life/time.Second)
}

// lifetime is for how long a broker takes a connection with a token for authenticated; 0 where it does not.
func (i *issuer) lifetime(token string) time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	left := time.Until(i.ends[token])
	if i.strict {
		return 0
	}
	if i.session > 0 {
		left = min(left, i.session)
	}
	return max(left, 0)
}

// session is how far a connection has authenticated, to a broker that takes tokens alone (SASL/OAUTHBEARER, KIP-368).
type session struct {
	begun   bool      // by a handshake
	refused bool      // the client has still to hear that in its own words
	until   time.Time // from then on nothing is answered but a handshake
	began   time.Time // the last handshake
}

// sessionOver is what a request meets whose connection has not authenticated again in time.
const sessionOver way = "session ended"

// betweenHandshakes is how soon a connection may authenticate again.
const betweenHandshakes = time.Second

// admit is what a broker does with a request of a connection before all else. It answers those that are about
// authentication itself, and reports false where the connection ends.
func (s *session) admit(i *issuer, a *asked, frame []byte) (answer []byte, ok bool) {
	now := time.Now()
	switch a.key {
	case kmsg.SASLHandshake:
		req, err := a.decodeRequest(frame)
		if err != nil {
			return nil, false
		}
		resp := a.newResponse().(*kmsg.SASLHandshakeResponse)
		switch again := !s.until.IsZero(); {
		case s.begun, again && now.Sub(s.began) < betweenHandshakes:
			resp.ErrorCode = kerr.IllegalSaslState.Code
		case req.(*kmsg.SASLHandshakeRequest).Mechanism != bearer:
			resp.ErrorCode, resp.SupportedMechanisms = kerr.UnsupportedSaslMechanism.Code, []string{bearer}
		default:
			s.begun, s.began = true, now
		}
		return a.encode(resp), true
	case kmsg.SASLAuthenticate:
		req, err := a.decodeRequest(frame)
		if err != nil {
			return nil, false
		}
		return a.encode(s.authenticate(i, req.(*kmsg.SASLAuthenticateRequest), a.newResponse().(*kmsg.SASLAuthenticateResponse))), true
	case kmsg.ApiVersions:
		if s.until.IsZero() {
			return nil, true
		}
	default:
	}
	if s.begun || s.until.IsZero() {
		return nil, false
	}
	if now.After(s.until) {
		covered.kind("session ended")
		covered.way(a.key, sessionOver)
		return nil, false
	}
	return nil, true
}

// authenticate answers with the lifetime of the session, or, to a token that is not good, in two steps: the client
// hears why, says that it has, and is refused.
func (s *session) authenticate(i *issuer, req *kmsg.SASLAuthenticateRequest, resp *kmsg.SASLAuthenticateResponse) *kmsg.SASLAuthenticateResponse {
	switch {
	case !s.begun:
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp
	case s.refused:
		s.begun, s.refused = false, false
		message := `{"status":"invalid_token"}`
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &message
		covered.code(kmsg.SASLAuthenticate, code{err: kerr.SaslAuthenticationFailed, top: true}, false)
		return resp
	}
	_, token, _ := bytes.Cut(req.SASLAuthBytes, []byte("auth=Bearer "))
	token, _, _ = bytes.Cut(token, []byte{1})
	life := i.lifetime(string(token))
	if life == 0 {
		covered.kind("token refused")
		s.refused, resp.SASLAuthBytes = true, []byte(`{"status":"invalid_token"}`)
		return resp
	}
	covered.kind(map[bool]string{true: "authenticated", false: "authenticated again"}[s.until.IsZero()])
	s.begun, s.until = false, time.Now().Add(life)
	resp.SessionLifetimeMillis = life.Milliseconds()
	return resp
}

// tokenTroubles are what happens to tokens.
var tokenTroubles = []misfortune{
	{name: "no tokens", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		ill := illnesses[rng.IntN(len(illnesses))]
		w.tell("the token endpoint %s", ill)
		w.issuer.set(ill)
		sleep(ctx, between(rng, time.Second, 3*time.Minute))
		w.tell("the token endpoint is well")
		w.issuer.set(well)
	}},
	{name: "tokens revoked", do: func(_ context.Context, w *world, _ *rand.Rand) {
		w.tell("brokers take the tokens of before no more")
		w.issuer.revoke()
	}},
	{name: "authentication refused", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		w.tell("brokers take no token, however good")
		w.issuer.trust(false)
		sleep(ctx, between(rng, time.Second, time.Minute))
		w.tell("brokers take good tokens")
		w.issuer.trust(true)
	}},
	{name: "client secret changed", do: func(ctx context.Context, w *world, rng *rand.Rand) {
		forget := w.issuer.newSecret()
		w.tell("the client has another secret")
		if rng.IntN(2) == 0 {
			w.tell("that of before is taken no more")
			forget()
		}
		sleep(ctx, between(rng, 0, 30*time.Second))
		w.tell("the links are put with the new secret")
		for _, l := range w.theLinks() {
			w.everywhere(ctx, rng, func(r *replica) { r.put(&l) })
		}
		forget()
	}},
}

// tellsWithin is how long after the last token has ended each copy says by whom there is none.
const tellsWithin = time.Minute

// outlastTokens is the invariant tokens-told: when nobody has got a token for so long that the last one has ended, each
// copy names the endpoint, and when there are tokens again it goes on soon and has lost nothing.
func (w *world) outlastTokens() bool {
	rng := newRand(w.plan.seed, "outlast")
	ill := barren[rng.IntN(len(barren))]
	cl := w.client()
	defer cl.Close()
	if !w.useTokensToTheirEnd(ill, func() { w.stray(rng).produce(context.Background(), cl, 10, nil) }) {
		return false
	}
	w.tell("nothing is broken but that the token endpoint %s", ill)
	w.issuer.set(ill)
	w.stray(rng).produce(context.Background(), cl, 10, nil)
	for deadline := w.issuer.lastEnd().Add(tellsWithin); ; time.Sleep(time.Second) {
		silent := w.silentAboutTokens()
		if silent == "" {
			break
		}
		if now := time.Now(); now.After(deadline) {
			w.fail("tokens-told", "%s after the last token has ended, %s", now.Sub(w.issuer.lastEnd()), silent)
			return false
		}
	}
	w.issuer.set(well)
	return w.goesOn(remade, nothing, "there are tokens again")
}

// useTokensToTheirEnd is the invariant tokens-last: where nobody gets a token in the last quarter of the life of those
// that copies have, connections are made with these, and nothing stands.
func (w *world) useTokensToTheirEnd(ill illness, produce func()) bool {
	life := w.issuer.life
	if life < 10*time.Minute {
		return true // tokens of different copies have no quarter in common
	}
	for _, r := range w.copies {
		r.stop(15 * time.Second)
	}
	began := time.Now()
	for _, r := range w.copies {
		r.start()
	}
	if !w.goesOn(soon, nothing, "all copies were stopped in order and started again, and have tokens of the same age") {
		return false
	}
	time.Sleep(time.Until(began.Add(life * 8 / 10)))
	w.tell("the token endpoint %s, and all connections are cut", ill)
	w.issuer.set(ill)
	for _, r := range w.copies {
		r.cut()
	}
	produce()
	link, err := parse(w.plan.role(), w.plan.config, "N")
	if err != nil {
		w.t.Fatal(err)
	}
	// Whoever asks an endpoint that does not answer takes the last token when that has had its time, and what was asked
	// of Kafka meanwhile is asked again when it is asked next. Members that join anew wait for each other.
	settled := 40 * time.Second
	if w.plan.protocol == "classic" {
		settled = max(settled, link.Consumer.RebalanceTimeout+link.Consumer.SessionTimeout)
	}
	for time.Sleep(settled); time.Since(began) < life*95/100; time.Sleep(time.Second) {
		for _, r := range w.copies {
			if said := r.problems(); len(said) > 0 {
				w.fail("tokens-last", "%s before the end of its token %s says %q", life-time.Since(began), r.name, said.Texts())
				return false
			}
		}
	}
	if err := w.undrained(); err != nil {
		w.fail("tokens-last", "with tokens that are good: %v", err)
		return false
	}
	return true
}

// silentAboutTokens tells what a copy says that does not name the token endpoint; "" where each of them does.
func (w *world) silentAboutTokens() string {
	for _, r := range w.copies {
		said := r.problems()
		if !slices.ContainsFunc(said.Texts(), func(text string) bool { return strings.Contains(text, tokenURL) }) {
			return fmt.Sprintf("%s says %q", r.name, said.Texts())
		}
	}
	return ""
}

// secure adds to the config of a link how its connections authenticate.
func (i *issuer) secure(config map[string]string) {
	config["security_protocol"], config["sasl_mechanism"] = "SASL_PLAINTEXT", bearer
	config["oauth_token_endpoint"], config["oauth_client_id"], config["oauth_client_secret"] = tokenURL, clientID, i.secret()
}
