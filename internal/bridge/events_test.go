package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// newClientPair is a certificate of its own with its key, as PEM.
func newClientPair(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestEventsGoToApplicationsThatAskForACertificate, whose answers become records, and another certificate is shown once
// its files have changed.
func TestEventsGoToApplicationsThatAskForACertificate(t *testing.T) {
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
	show := func(name string) {
		cert, key := newClientPair(t, name)
		write(t, certFile, cert)
		write(t, keyFile, key)
	}
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
