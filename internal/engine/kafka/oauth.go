package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/messaging-kafka/messaging-kafka/internal/base/backoff"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// tokenSource gets OAUTHBEARER tokens by the client credentials flow (RFC 6749, section 4.4; KIP-768).
type tokenSource struct {
	config     clientcredentials.Config
	security   settings.Security
	timeout    time.Duration
	log        *slog.Logger
	extensions map[string]string
	// connect makes the connection to the endpoint.
	connect Connector

	// fetch asks the endpoint for a token.
	fetch func(context.Context) (*oauth2.Token, error)

	// asking is held by the one who asks, and is a channel so that waiting for it has a deadline.
	asking chan struct{}

	mu       sync.Mutex // guards what follows, and is held for moments
	token    *oauth2.Token
	renewAt  time.Time // from then on a new one is asked for
	end      time.Time // from then on the token is not used
	retryAt  time.Time // until then nobody is asked again after a failure
	failures int       // since the last token
	failure  error     // the last one of them
	refusals int       // tokens in a row that brokers did not take
	refused  bool      // token is one of them
	got      time.Time // when token came
}

const (
	// renewalWait bounds the time for an answer while the last token is good: a connection that could go on with the token
	// waits for it.
	renewalWait = 5 * time.Second
	// tokenMargin is how long before its end a token is not used any more: it has to last until the broker sees it.
	tokenMargin = time.Second
)

// renewing is the wait before the renewal of a token that is still good is tried again, fetching that before
// connections that have none ask again, replacing how old a token is that brokers do not take before another one is
// asked for.
var (
	renewing  = backoff.Backoff{First: time.Second, Most: 30 * time.Second}
	fetching  = backoff.Backoff{First: time.Second, Most: 5 * time.Second}
	replacing = backoff.Backoff{First: time.Second, Most: time.Minute}
)

// TokenError is a failure to get an OAUTHBEARER token. Its text has the endpoint's own error code and description,
// and never the credentials.
type TokenError struct {
	Endpoint string
	Err      error
}

func (e *TokenError) Error() string {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](e.Err); ok {
		// The error's own text has the whole body of the answer, which is the endpoint's to fill.
		text := refused.ErrorCode
		if refused.ErrorDescription != "" {
			text += ": " + refused.ErrorDescription
		}
		if text == "" {
			text = "it gives no reason"
		}
		if code := refused.Response.StatusCode; code >= 300 && code < 400 {
			return fmt.Sprintf("getting a token from %s: it redirects (status %d), which is not followed, since the client secret would go there too: set oauth_token_endpoint to where tokens are given", e.Endpoint, code)
		}
		return fmt.Sprintf("getting a token from %s: status %d, %s", e.Endpoint, refused.Response.StatusCode, text)
	}
	return fmt.Sprintf("getting a token from %s: %v", e.Endpoint, e.Err)
}

// Is tells whether the call was cancelled. Nothing else of the cause is shown to whoever asks for kinds of errors: the
// Kafka client would take an endpoint that is away, or too slow, for a broker that is.
func (e *TokenError) Is(target error) bool {
	return target == context.Canceled && errors.Is(e.Err, target)
}

// Temporary tells the Kafka client to try again, so that what waits for a connection goes on waiting: false only where
// the endpoint has refused the credentials.
func (e *TokenError) Temporary() bool {
	var refused *oauth2.RetrieveError
	if !errors.As(e.Err, &refused) {
		return true
	}
	switch code := refused.Response.StatusCode; code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	default:
		return code < 300 || code >= 500
	}
}

func newTokenSource(s settings.Security, timeout time.Duration, connect Connector, log *slog.Logger) (*tokenSource, error) {
	source := &tokenSource{
		config: clientcredentials.Config{
			ClientID:     s.OAuthClientID,
			ClientSecret: s.OAuthClientSecret.Reveal(),
			TokenURL:     s.OAuthTokenEndpoint,
			Scopes:       s.OAuthScope,
		},
		security:   s,
		timeout:    timeout,
		extensions: maps.Clone(s.OAuthExtensions),
		connect:    connect,
		log:        log,
		asking:     make(chan struct{}, 1),
	}
	source.fetch = source.ask
	if err := source.service().Check(); err != nil { // what is given as text is checked at once
		return nil, err
	}
	return source, nil
}

// service is the endpoint as a server.
func (t *tokenSource) service() *Service {
	return &Service{CA: t.security.TLSCA, CAFile: t.security.TLSCAFile, Setting: "tls_ca", Folders: &t.security,
		Timeout: t.timeout, Connect: t.connect, Log: t.log}
}

// ask asks the endpoint for a token.
func (t *tokenSource) ask(ctx context.Context) (*oauth2.Token, error) {
	client, err := t.service().Client()
	if err != nil {
		return nil, err
	}
	return t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
}

// auth returns the token for one authentication. A token serves several (a client has several connections to each
// broker). In the last quarter of its life a new one is asked for: brokers end a session with its token, so one made
// with an old token would have to authenticate again at once. Where there is no new one, the old one serves until its
// end.
func (t *tokenSource) auth(ctx context.Context) (oauth.Auth, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if token, _, err := t.kept(); token != "" || err != nil {
		return t.authWith(token, err)
	}
	if old := t.old(); old != "" {
		select {
		case t.asking <- struct{}{}:
		default: // somebody asks already
			return t.authWith(old, nil)
		}
	} else {
		select {
		case t.asking <- struct{}{}:
		case <-ctx.Done():
			return oauth.Auth{}, &TokenError{Endpoint: t.config.TokenURL, Err: ctx.Err()}
		}
	}
	defer func() { <-t.asking }()
	token, wait, err := t.kept() // whoever asked until now may have a new one
	if token != "" || err != nil {
		return t.authWith(token, err)
	}
	return t.authWith(t.renew(ctx, wait))
}

func (t *tokenSource) authWith(token string, err error) (oauth.Auth, error) {
	if err != nil {
		return oauth.Auth{}, &TokenError{Endpoint: t.config.TokenURL, Err: err}
	}
	return oauth.Auth{Token: token, Extensions: t.extensions}, nil
}

// kept returns the token or the error that there is without asking anybody. Without either it says how long an answer
// may be waited for.
func (t *tokenSource) kept() (token string, wait time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	usable := t.token != nil && now.Before(t.end)
	early := now.Before(t.retryAt)
	switch {
	case t.token != nil && now.Before(t.renewAt), usable && early:
		return t.token.AccessToken, 0, nil
	case early:
		return "", 0, t.failure
	case usable:
		return "", min(t.timeout, renewalWait, max(renewing.First, t.end.Sub(now)/4)), nil
	default:
		return "", t.timeout, nil
	}
}

// old returns the last token while it may still be used.
func (t *tokenSource) old() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil && time.Now().Before(t.end) {
		return t.token.AccessToken
	}
	return ""
}

// renew asks for a token. Where that fails, it returns the old one if that is still good.
func (t *tokenSource) renew(ctx context.Context, wait time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	asked := time.Now()
	token, err := t.fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if err == nil {
		t.token, t.failures, t.failure, t.retryAt, t.got = token, 0, nil, time.Time{}, now
		if !t.refused {
			t.refusals = 0
		}
		t.refused = false
		// Without an end given, the token is good for this one time only as far as we know.
		t.renewAt, t.end = asked, asked
		if !token.Expiry.IsZero() {
			// The endpoint counts from when it made the token, some time after it was asked.
			life := token.Expiry.Sub(now)
			t.renewAt = asked.Add(life * 3 / 4)
			t.end = asked.Add(life - min(tokenMargin, life/4))
		}
		return token.AccessToken, nil
	}
	t.failures++
	t.failure = err
	if t.token == nil || !now.Before(t.end) {
		t.retryAt = now.Add(fetching.After(t.failures))
		return "", err
	}
	// The nearer the end, the more often, so that a token that can be had again is had before.
	t.retryAt = now.Add(min(renewing.After(t.failures), max(renewing.First, t.end.Sub(now)/4)))
	t.log.Warn("no new token: connections go on with the last one, until it ends", "until", t.end, "retry_at", t.retryAt,
		"error", &TokenError{Endpoint: t.config.TokenURL, Err: err})
	return t.token.AccessToken, nil
}

// refuse notes that a broker does not take a token, "" being whichever there is: its issuer has new keys, say, or it
// was revoked. Its time says nothing then, and another one is asked for when a connection is made. They may all be
// refused, so that is done with back-off.
func (t *tokenSource) refuse(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == nil || t.refused || token != "" && token != t.token.AccessToken {
		return
	}
	t.refused = true
	t.refusals++
	if at := t.got.Add(replacing.After(t.refusals)); at.Before(t.renewAt) {
		t.renewAt = at
	}
}

// tokenMechanism authenticates with the tokens of a source.
type tokenMechanism struct{ source *tokenSource }

// Name implements [sasl.Mechanism].
func (tokenMechanism) Name() string { return string(settings.OAuthBearer) }

// Authenticate implements [sasl.Mechanism].
func (m tokenMechanism) Authenticate(ctx context.Context, addr string) (sasl.Session, []byte, error) {
	auth, err := m.source.auth(ctx)
	if err != nil {
		return nil, nil, err
	}
	session, first, err := auth.AsMechanism().Authenticate(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	return tokenSession{session, m.source, auth.Token}, first, nil
}

// tokenSession is one authentication with a token.
type tokenSession struct {
	sasl.Session
	source *tokenSource
	token  string
}

// Challenge implements [sasl.Session]. A broker has something to say only where it does not take the token.
func (s tokenSession) Challenge(said []byte) (bool, []byte, error) {
	if len(said) > 0 {
		s.source.refuse(s.token)
	}
	return s.Session.Challenge(said)
}

// adopt takes over the token of a source that asks the same endpoint for the same.
func (t *tokenSource) adopt(from *tokenSource) {
	if from == nil {
		return
	}
	a, b := &t.config, &from.config
	if a.TokenURL != b.TokenURL || a.ClientID != b.ClientID || a.ClientSecret != b.ClientSecret ||
		!slices.Equal(a.Scopes, b.Scopes) {
		return
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	t.token, t.renewAt, t.end, t.got = from.token, from.renewAt, from.end, from.got
	t.refusals, t.refused = from.refusals, from.refused
}
