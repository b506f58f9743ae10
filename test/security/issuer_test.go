package security

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	oauthClient  = "orders-app"
	oauthSubject = "orders-service"
	audience     = "kafka"
	tokenLife    = 30 * time.Second
	keyID        = "test-key"
)

// issuer is a small authorisation server: it gives out signed tokens (RFC 7519, RS256) by the client credentials flow
// (RFC 6749, section 4.4), and its public key as a JWK set (RFC 7517).
type issuer struct {
	t      *testing.T
	key    *rsa.PrivateKey
	secret string
	addr   string
	issued atomic.Int64
	// refusing has every request for a token refused; refused is when the first one was, in nanoseconds since 1970.
	refusing atomic.Bool
	refused  atomic.Int64

	mu    sync.Mutex
	scope string // that was asked for last
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, secret: run.Use("client secret", `s3cr3t,=;"'\ ü€+%`)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i.addr = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", i.serveKeys)
	mux.HandleFunc("POST /token", i.serveToken)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			t.Errorf("serving tokens: %v", err)
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return i
}

func (i *issuer) keysURL() string { return "http://" + i.addr + "/keys" }

func (i *issuer) tokenURL() string { return "http://" + i.addr + "/token" }

var b64 = base64.RawURLEncoding.EncodeToString

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.answer(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": b64(i.key.N.Bytes()), "e": b64(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
}

func (i *issuer) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		i.t.Logf("answering a request for a token: %v", err) // the one who asked is gone
	}
}

func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	} else {
		// RFC 6749, section 2.3.1: both are form-encoded before they are put together.
		id, secret = unescape(id), unescape(secret)
	}
	switch {
	case r.PostFormValue("grant_type") != "client_credentials":
		i.answer(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	case i.refusing.Load():
		i.refused.CompareAndSwap(0, time.Now().UnixNano())
		i.answer(w, http.StatusUnauthorized,
			map[string]string{"error": "invalid_client", "error_description": "the client has been disabled"})
		return
	case id != oauthClient || secret != i.secret:
		i.answer(w, http.StatusUnauthorized,
			map[string]string{"error": "invalid_client", "error_description": "no such client, or another secret"})
		return
	}
	i.mu.Lock()
	i.scope = r.PostFormValue("scope")
	i.mu.Unlock()
	n := i.issued.Add(1)
	token := i.sign(map[string]any{
		"sub": oauthSubject, "iss": "http://" + i.addr, "aud": audience, "scope": r.PostFormValue("scope"),
		"jti": fmt.Sprint(n),
		"iat": time.Now().Unix(), "exp": time.Now().Add(tokenLife).Unix(),
	})
	run.Use(fmt.Sprintf("token %d of %s", n, i.addr), token[strings.LastIndexByte(token, '.')+1:])
	i.answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer",
		"expires_in": int(tokenLife.Seconds())})
}

func unescape(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return "" // which is nobody's id or secret
	}
	return plain
}

func (i *issuer) sign(claims map[string]any) string {
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": keyID})
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	text := b64(header) + "." + b64(payload)
	hash := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, hash[:])
	if err != nil {
		panic(err)
	}
	return text + "." + b64(signature)
}
