package bridge

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestEventsGoToApplicationsThatAskForACertificate, whose answers become records, and another certificate is shown once
// its files have changed.
func TestEventsGoToApplicationsThatAskForACertificate(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	k.Topic("answers", 1)
	client := testkit.NewClient(t, k.Brokers())
	var mu sync.Mutex
	var last string
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the bridge gave the request up
		}
		if r.Header.Get("Ce-Specversion") != "1.0" || r.Header.Get("Ce-Kafkakey") != "k" {
			t.Errorf("the headers are %v", r.Header)
		}
		mu.Lock()
		last = r.TLS.PeerCertificates[0].Subject.CommonName
		mu.Unlock()
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "answer to %s", body)
	}))
	app.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	app.StartTLS()
	t.Cleanup(app.Close)
	folder := t.TempDir()
	ca, certFile, keyFile := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw})))
	callers := testkit.NewAuthority(t)
	show := func(name string) { callers.WritePair(callers.Local(name), certFile, keyFile) }
	show("first")
	b := start(t, file(k.Brokers(), "orders\ntopic: orders\ndeliver: http-cloudevents\nreply_topic: answers\nurl: "+app.URL+
		"\nhttp_tls_ca_file: "+ca+"\nhttp_tls_cert_file: "+certFile+"\nhttp_tls_key_file: "+keyFile), nil)
	produce := func(value string) {
		client.Produce(&kgo.Record{Topic: "orders", Key: []byte("k"), Value: []byte(value)})
	}
	produce("one")
	if got := client.Read("answers", 1); string(got[0].Value) != "answer to one" {
		t.Errorf("the answer is %q", got[0].Value)
	}
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)
	show("second")
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		produce("another")
		mu.Lock()
		defer mu.Unlock()
		if last != "second" {
			return fmt.Errorf("the certificate is %s", last)
		}
		return nil
	})
}

// TestAnApplicationUnderAnotherAuthorityIsTrustedOnceTheFileSaysSo, and its records wait until then.
func TestAnApplicationUnderAnotherAuthorityIsTrustedOnceTheFileSaysSo(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 1)
	client := testkit.NewClient(t, k.Brokers())
	before, after := testkit.NewAuthority(t), testkit.NewAuthority(t)
	var shows atomic.Pointer[tls.Certificate]
	first, second := before.Local("first"), after.Local("second")
	shows.Store(&first)
	var calls atomic.Int32
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", wit.RecordsType)
	}))
	app.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*shows.Load()}}, nil
	}}
	app.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	app.StartTLS()
	t.Cleanup(app.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	before.Write(ca)
	b := start(t, file(k.Brokers(), reads("orders", app.URL, "http_tls_ca_file: "+ca)), nil)
	client.ProduceText("orders", "one")
	client.WaitDrained("bridge.orders", "orders")
	shows.Store(&second)
	app.CloseClientConnections()
	client.ProduceText("orders", "two")
	b.await(func(s *status.Provider) error {
		if s.Healthy || !strings.Contains(s.Message, "certificate signed by unknown authority") {
			return fmt.Errorf("the status says %q", s.Message)
		}
		return nil
	})
	if n := calls.Load(); n != 1 {
		t.Errorf("the application got %d requests", n)
	}
	after.Write(ca)
	client.WaitDrained("bridge.orders", "orders")
	b.await(healthy)
}
