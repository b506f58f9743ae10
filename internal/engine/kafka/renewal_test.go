package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/oauth2"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var errIssuer = &oauth2.RetrieveError{Response: &http.Response{StatusCode: http.StatusInternalServerError},
	ErrorCode: "overloaded"}

// fakeIssuer gives tokens of two minutes, numbered, but for the times in which it fails.
type fakeIssuer struct {
	begin    time.Time
	from, to time.Duration // since begin: until then it fails
	err      error
	takes    time.Duration // until it answers while it fails
	asked    []time.Duration
}

func (f *fakeIssuer) fetch(ctx context.Context) (*oauth2.Token, error) {
	at := time.Since(f.begin)
	f.asked = append(f.asked, at)
	if at >= f.from && at < f.to {
		select {
		case <-time.After(f.takes):
			return nil, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &oauth2.Token{AccessToken: fmt.Sprintf("token-%d", len(f.asked)), Expiry: time.Now().Add(2 * time.Minute)}, nil
}

func sourceOf(t *testing.T, f *fakeIssuer, log *testkit.Log) *tokenSource {
	t.Helper()
	s, err := newTokenSource(settings.Security{OAuthTokenEndpoint: "https://login.example.com/token"},
		30*time.Second, nil, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	f.begin = time.Now()
	s.fetch = f.fetch
	return s
}

// authAt authenticates when the time has come.
func authAt(t *testing.T, f *fakeIssuer, s *tokenSource, at time.Duration) (token string,
	took time.Duration, err error) {
	t.Helper()
	time.Sleep(time.Until(f.begin.Add(at)))
	begin := time.Now()
	auth, err := s.auth(t.Context())
	return auth.Token, time.Since(begin), err
}

func TestATokenIsUsedUntilItsEndWhereItsRenewalFails(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]fakeIssuer{
		"answers 500":    {err: errIssuer},
		"is not there":   {err: errors.New("connection refused")},
		"never answers":  {err: errIssuer, takes: time.Hour},
		"answers slowly": {err: errIssuer, takes: 4 * time.Second},
		"refuses":        {err: &oauth2.RetrieveError{Response: &http.Response{StatusCode: http.StatusUnauthorized}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &testkit.Log{}
				f := failing
				f.from, f.to = 89*time.Second, 111*time.Second
				s := sourceOf(t, &f, log)
				for at := time.Duration(0); at < 105*time.Second; at += 500 * time.Millisecond {
					token, took, err := authAt(t, &f, s, at)
					if err != nil || token != "token-1" {
						t.Fatalf("after %s: %q, %v", at, token, err)
					}
					if took > renewalWait {
						t.Errorf("after %s it took %s", at, took)
					}
				}
				if len(f.asked) < 2 || !log.Contains("connections go on with the last one") {
					t.Errorf("renewals failed unseen, or there were none: asked at %v, log %s", f.asked, log)
				}
			})
		})
	}
}

func TestRenewalsAreTriedAgainWithBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &testkit.Log{}
		f := fakeIssuer{err: errIssuer, from: time.Second, to: 111 * time.Second}
		s := sourceOf(t, &f, log)
		for at := time.Duration(0); at < 119*time.Second; at += 250 * time.Millisecond {
			token, _, err := authAt(t, &f, s, at)
			if err != nil {
				t.Fatalf("after %s: %v", at, err)
			}
			if want := "token-1"; at < 111*time.Second && token != want {
				t.Fatalf("after %s: %q", at, token)
			}
			if at >= 118*time.Second && token == "token-1" {
				t.Fatalf("after %s the old token is still used, although the endpoint gives new ones", at)
			}
		}
		// One at the beginning, and then 90, 91, 93, 97 s, and so on until one worked.
		if n := len(f.asked); n < 5 || n > 12 {
			t.Errorf("the endpoint was asked %d times: %v", n, f.asked)
		}
		if !log.Contains("connections go on with the last one") {
			t.Errorf("the log does not say that renewals fail: %s", log)
		}
	})
}

func TestWithoutAGoodTokenAuthenticationFailsForNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := fakeIssuer{err: errIssuer, from: time.Second, to: 200 * time.Second}
		s := sourceOf(t, &f, &testkit.Log{})
		for at := time.Duration(0); at < 118*time.Second; at += time.Second {
			if _, _, err := authAt(t, &f, s, at); err != nil {
				t.Fatalf("after %s: %v", at, err)
			}
		}
		before := len(f.asked)
		for at := 120 * time.Second; at < 195*time.Second; at += 250 * time.Millisecond {
			_, _, err := authAt(t, &f, s, at)
			if err == nil {
				t.Fatalf("after %s a token is used that has ended", at)
			}
			if !kgo.IsRetryableBrokerErr(err) {
				t.Fatalf("the client gives up on %v", err)
			}
		}
		if n := len(f.asked) - before; n < 10 || n > 25 {
			t.Errorf("the endpoint was asked %d times in 75 s", n)
		}
		if _, _, err := authAt(t, &f, s, 206*time.Second); err != nil {
			t.Errorf("after the trouble: %v", err)
		}
	})
}

// A broker that has other keys by now takes no token of before, however long these are good.
func TestATokenThatABrokerRefusesIsReplacedWithBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := fakeIssuer{}
		s := sourceOf(t, &f, &testkit.Log{})
		authenticate := func(at time.Duration, takes bool) string {
			t.Helper()
			time.Sleep(time.Until(f.begin.Add(at)))
			session, first, err := tokenMechanism{s}.Authenticate(t.Context(), "broker:9092")
			if err != nil {
				t.Fatal(err)
			}
			said := []byte(`{"status":"invalid_token"}`)
			if takes {
				said = nil
			}
			if done, _, err := session.Challenge(said); done != takes || err != nil {
				t.Errorf("after %s: %v, %v", at, done, err)
			}
			return string(first)
		}
		for at, want := range []string{"token-1", "token-1", "token-1"} {
			if got := authenticate(time.Duration(at)*5*time.Second, true); !strings.Contains(got, want) {
				t.Errorf("a token that is taken: %q", got)
			}
		}
		authenticate(15*time.Second, false)
		if got := authenticate(15*time.Second, true); !strings.Contains(got, "token-2") {
			t.Errorf("after a refusal: %q", got)
		}
		// None is taken for a minute: the endpoint is not asked for each connection.
		for at := 20 * time.Second; at < 80*time.Second; at += 100 * time.Millisecond {
			authenticate(at, false)
		}
		if n := len(f.asked); n < 5 || n > 9 {
			t.Errorf("asked %d times: %v", n, f.asked)
		}
		// The last one is, and so is what comes when its time has come.
		authenticate(150*time.Second, true)
		asked := len(f.asked)
		authenticate(151*time.Second, true)
		s.refuse("token-1")
		authenticate(152*time.Second, true)
		if len(f.asked) != asked {
			t.Errorf("a good token was replaced: %v", f.asked)
		}
		s.refuse("") // by a broker that says no more
		if got := authenticate(215*time.Second, true); !strings.Contains(got, fmt.Sprint("token-", asked+1)) {
			t.Errorf("after a refusal of whichever: %q", got)
		}
	})
}

func TestOneAsksWhileOthersGoOnWithTheOldToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := fakeIssuer{err: errIssuer, from: time.Second, to: time.Hour, takes: 4 * time.Second}
		s := sourceOf(t, &f, &testkit.Log{})
		if _, _, err := authAt(t, &f, s, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(91 * time.Second)
		var slow atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				begin := time.Now()
				if _, err := s.auth(t.Context()); err != nil {
					t.Error(err)
				}
				if time.Since(begin) > 0 {
					slow.Add(1)
				}
			})
		}
		all.Wait()
		if n := slow.Load(); n != 1 || len(f.asked) != 2 {
			t.Errorf("%d of 8 waited, and the endpoint was asked %d times", n, len(f.asked))
		}
	})
}

func TestErrorsOfTokensThatPassAreTriedAgain(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{307: false, 400: false, 401: false, 403: false, 408: true, 429: true,
		500: true, 503: true} {
		err := fmt.Errorf("connecting: %w",
			&TokenError{Err: &oauth2.RetrieveError{Response: &http.Response{StatusCode: code}}})
		if got := kgo.IsRetryableBrokerErr(err); got != want {
			t.Errorf("status %d: %v", code, got)
		}
	}
	refused := &url.Error{Op: "Post", URL: "https://x", Err: context.DeadlineExceeded}
	for _, err := range []error{&TokenError{Err: refused}, &AWSError{Err: refused}} {
		if !kgo.IsRetryableBrokerErr(err) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%T is taken for the end of somebody's time, or for final", err)
		}
	}
}

func TestATokenOutlastsChangesOfOtherSettings(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t, time.Hour, false)
	access := newAccess(t, clusterAt(issuer.security(), "127.0.0.1:1"))
	if _, err := first(t, access); err != nil {
		t.Fatal(err)
	}
	changed := issuer.security()
	changed.OAuthExtensions = map[string]string{"logicalCluster": "lkc-2"}
	if err := access.Update(changed); err != nil {
		t.Fatal(err)
	}
	if message, err := first(t, access); err != nil || !strings.Contains(message, "token-1") ||
		!strings.Contains(message, "lkc-2") {
		t.Errorf("got %q, %v", message, err)
	}
	changed.OAuthScope = []string{"other"}
	if err := access.Update(changed); err != nil {
		t.Fatal(err)
	}
	if message, err := first(t, access); err != nil || !strings.Contains(message, "token-2") {
		t.Errorf("with another scope: %q, %v", message, err)
	}
}

func TestARedirectIsNotFollowedWithTheSecret(t *testing.T) {
	t.Parallel()
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			var told atomic.Int32
			third := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				told.Add(1)
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"access_token":"theirs","token_type":"Bearer","expires_in":60}`)
			}))
			t.Cleanup(third.Close)
			endpoint := httptest.NewServer(http.RedirectHandler(third.URL, code))
			t.Cleanup(endpoint.Close)
			security := (&issuer{server: endpoint}).security()
			access := newAccess(t, clusterAt(security, "127.0.0.1:1"))
			_, err := first(t, access)
			if err == nil {
				t.Fatal("a token of a third host was taken")
			}
			if text := access.Explain(err).Text; !strings.Contains(text, "redirects") ||
				!strings.Contains(text, fmt.Sprint(code)) {
				t.Errorf("got %s", text)
			}
			if n := told.Load(); n != 0 {
				t.Errorf("the third host was asked %d times", n)
			}
		})
	}
}
