package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"messaging-kafka/internal/settings"
)

// tokenSource gets OAUTHBEARER tokens by the client credentials flow (RFC 6749, section 4.4; KIP-768).
type tokenSource struct {
	config     clientcredentials.Config
	security   settings.Security
	timeout    time.Duration
	extensions map[string]string

	// sem admits one at a time to the two fields below, and is a channel so that waiting for it has a deadline.
	sem     chan struct{}
	token   *oauth2.Token
	renewAt time.Time
}

// TokenError is a failure to get an OAUTHBEARER token. Its text has the endpoint's own error code and description,
// and never the credentials.
type TokenError struct {
	Endpoint string
	Err      error
}

func (e *TokenError) Error() string {
	var refused *oauth2.RetrieveError
	if errors.As(e.Err, &refused) {
		// The error's own text has the whole body of the answer, which is the endpoint's to fill.
		text := refused.ErrorCode
		if refused.ErrorDescription != "" {
			text += ": " + refused.ErrorDescription
		}
		if text == "" {
			text = "it gives no reason"
		}
		return fmt.Sprintf("getting a token from %s: status %d, %s", e.Endpoint, refused.Response.StatusCode, text)
	}
	return fmt.Sprintf("getting a token from %s: %v", e.Endpoint, e.Err)
}

func (e *TokenError) Unwrap() error { return e.Err }

func newTokenSource(s settings.Security, timeout time.Duration) (*tokenSource, error) {
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
		sem:        make(chan struct{}, 1),
	}
	if s.TLSCA != "" { // what is given as text is checked at once
		if _, err := certPool([]byte(s.TLSCA), "tls_ca", false); err != nil {
			return nil, err
		}
	}
	return source, nil
}

// httpClient makes the client for one token. A token is wanted every few minutes at most, so nothing is kept: no
// connection is left over at the end, and a changed CA file is read.
func (t *tokenSource) httpClient() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	// The token endpoint is often, but not always, under the CA that the brokers are under: both that and the
	// system's roots are good.
	ca, name, err := textOrFile(t.security.TLSCA, t.security.TLSCAFile, "tls_ca")
	if err != nil {
		return nil, err
	}
	if ca != nil {
		if config.RootCAs, err = certPool(ca, name, true); err != nil {
			return nil, err
		}
	}
	return &http.Client{Timeout: t.timeout, Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DisableKeepAlives:   true,
		TLSHandshakeTimeout: t.timeout,
		TLSClientConfig:     config,
	}}, nil
}

func (t *tokenSource) fetch(ctx context.Context) (*oauth2.Token, error) {
	client, err := t.httpClient()
	if err != nil {
		return nil, err
	}
	return t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
}

// auth returns the token for one authentication. A token serves several (a client has several connections to each
// broker), but none in the last quarter of its life: brokers end a session with its token, so one made with an old
// token would have to authenticate again at once.
func (t *tokenSource) auth(ctx context.Context) (oauth.Auth, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	select {
	case t.sem <- struct{}{}:
		defer func() { <-t.sem }()
	case <-ctx.Done():
		return oauth.Auth{}, &TokenError{Endpoint: t.config.TokenURL, Err: ctx.Err()}
	}
	if t.token == nil || !time.Now().Before(t.renewAt) {
		asked := time.Now()
		token, err := t.fetch(ctx)
		if err != nil {
			return oauth.Auth{}, &TokenError{Endpoint: t.config.TokenURL, Err: err}
		}
		t.token = token
		// Without an end given, the token is good for this one time only as far as we know.
		t.renewAt = asked
		if !token.Expiry.IsZero() {
			t.renewAt = asked.Add(token.Expiry.Sub(asked) * 3 / 4)
		}
	}
	return oauth.Auth{Token: t.token.AccessToken, Extensions: t.extensions}, nil
}
