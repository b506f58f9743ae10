package lattice

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// runner is a provider for a fake host.
func runner(h Handler, session *atomic.Pointer[Session]) func(context.Context, io.Reader) error {
	return func(ctx context.Context, stdin io.Reader) error {
		data, err := hostdata.Read(ctx, stdin)
		if err != nil {
			return err
		}
		s, err := Connect(ctx, data, Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		session.Store(s)
		return s.Run(ctx, h)
	}
}

// runSession runs a session in the background. The returned function ends it by its context and returns what Run
// returned.
func runSession(t *testing.T, data *hostdata.Data, o Options, h Handler) (stop func() error) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = testkit.Logger(t)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Connect(ctx, data, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, h) }()
	return func() error {
		cancel()
		err := <-ended
		s.Close()
		return err
	}
}

func TestTheSessionSurvivesARestartOfTheServer(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	f.host.PutLink(testkit.TargetLink("before", "kafka", nil))
	f.wait(t, 1)
	s := f.current()
	if !s.Conn().IsConnected() {
		t.Error("not connected before")
	}
	f.ns.Stop()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if s.Conn().IsConnected() {
			return errors.New("still connected")
		}
		return nil
	})
	if err := s.Conn().Publish("late", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publishing while disconnected gives %v, as if it could be sent later", err)
	}
	f.ns.Start()
	f.ns.WaitInterest(s.putSubject())
	f.waitServing(t)
	if !s.Conn().IsConnected() {
		t.Error("not connected after")
	}
	f.host.PutLink(testkit.TargetLink("after", "kafka", nil))
	f.host.DeleteLink(testkit.TargetLink("before", "kafka", nil))
	f.provider.UpdateConfig(map[string]string{"a": "1"})
	expect(t, f.wait(t, 4), "put before/default", "put after/default", "delete before/default", "config map[a:1]")
	for _, line := range []string{"connection lost", "connection is back"} {
		if n := strings.Count(f.log.String(), line); n != 1 {
			t.Errorf("the log says %d times %q", n, line)
		}
	}
	testkit.InRunbook(t, "NATS is away", f.log.String())
	testkit.InRunbook(t, "A link that was put does nothing", f.log.String())
	if got := f.provider.Shutdown(); got.Err != nil {
		t.Errorf("got %+v", got)
	}
}

func TestConnectWaitsForTheServer(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	ns.Stop()
	var log testkit.Log
	connected := make(chan error, 1)
	go func() {
		s, err := Connect(t.Context(), &hostdata.Data{Lattice: "l", ProviderKey: "k", LatticeURL: ns.URL()},
			Options{Logger: log.Logger()})
		if err == nil {
			s.Close()
		}
		connected <- err
	}()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if strings.Count(log.String(), "trying again") < 3 {
			return errors.New("not tried three times yet")
		}
		return nil
	})
	ns.Start()
	if err := <-connected; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("warned %d times of the same", n)
	}
}

func TestConnectGivesUpWithItsContextAndItsParent(t *testing.T) {
	ns := testkit.NATS(t, testkit.NATSOptions{})
	ns.Stop()
	data := &hostdata.Data{Lattice: "l", ProviderKey: "k", LatticeURL: ns.URL()}
	ctx, over := testkit.Ending(t)
	var log testkit.Log
	ended := make(chan error, 1)
	go func() {
		_, err := Connect(ctx, data, Options{Logger: log.Logger()})
		ended <- err
	}()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !log.Contains("trying again") {
			return errors.New("not tried yet")
		}
		return nil
	})
	over()
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) ||
		!errors.Is(err, nats.ErrNoServers) {
		t.Errorf("got %v", err)
	}
	var calls atomic.Int64
	dying := parent{id: func() int { return int(calls.Add(1)) }, every: time.Millisecond}
	if _, err := Connect(t.Context(), data, Options{parent: dying}); !errors.Is(err, ErrParentGone) {
		t.Errorf("got %v", err)
	}
}

func TestHostDataThatCannotBeRightFailsAtOnce(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	hostPublic, err := account.PublicKey() // no curve key
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]*hostdata.Data{
		"no lattice":            {ProviderKey: "k"},
		"no provider id":        {Lattice: "l"},
		"a wildcard":            {Lattice: "*", ProviderKey: "k"},
		"a wildcard at the end": {Lattice: "l", ProviderKey: ">"},
		"white space":           {Lattice: "l", ProviderKey: "a b"},
		"an empty token":        {Lattice: "l..m", ProviderKey: "k"},
		"a bad seed":            {Lattice: "l", ProviderKey: "k", LatticeUserSeed: settings.NewSecret("SUcanary")},
		"a JWT without a seed":  {Lattice: "l", ProviderKey: "k", LatticeUserJWT: settings.NewSecret("canary")},
		"a bad URL":             {Lattice: "l", ProviderKey: "k", LatticeURL: "nats://u:canary@h:port%%"},
		"a bad curve key": {Lattice: "l", ProviderKey: "k", HostXKeyPublic: hostPublic,
			ProviderXKeyPrivate: settings.NewSecret("SXcanary")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), data, Options{})
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%q shows a secret", err)
			}
		})
	}
}

// seedOf makes a NATS user.
func seedOf(t *testing.T, kp nkeys.KeyPair, err error) (public, seed string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	public, err = kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return public, string(b)
}

func TestASeedAloneAuthenticatesByItsNkey(t *testing.T) {
	kp, err := nkeys.CreateUser()
	public, seed := seedOf(t, kp, err)
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.Nkeys = []*server.NkeyUser{{Nkey: public}}
	}})
	s, err := Connect(t.Context(), &hostdata.Data{Lattice: "l", ProviderKey: "k", LatticeURL: ns.URL(),
		LatticeUserSeed: settings.NewSecret(seed)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestJWTAndSeedAuthenticateTheUser(t *testing.T) {
	operator, err := nkeys.CreateOperator()
	operatorPublic, _ := seedOf(t, operator, err)
	account, err := nkeys.CreateAccount()
	accountPublic, _ := seedOf(t, account, err)
	accountJWT, err := jwt.NewAccountClaims(accountPublic).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(accountPublic, accountJWT); err != nil {
		t.Fatal(err)
	}
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.TrustedKeys, o.AccountResolver = []string{operatorPublic}, resolver
	}})
	user, err := nkeys.CreateUser()
	userPublic, seed := seedOf(t, user, err)
	userJWT, err := jwt.NewUserClaims(userPublic).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	data := &hostdata.Data{Lattice: "default", ProviderKey: "kafka", LatticeURL: ns.URL(),
		LatticeUserJWT: settings.NewSecret(userJWT), LatticeUserSeed: settings.NewSecret(seed)}

	t.Run("the right ones, also after a restart of the server", func(t *testing.T) {
		stop := runSession(t, data, Options{}, newRecorder())
		host := ns.Connect(nats.UserJWTAndSeed(userJWT, seed))
		healthy := func() error {
			_, err := host.Request("wasmbus.rpc.default.kafka.health", nil, time.Second)
			return err
		}
		testkit.Eventually(t, testkit.DefaultTimeout, healthy)
		ns.Restart()
		testkit.Eventually(t, testkit.DefaultTimeout, healthy)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("another user's seed is tried without end and shown nowhere", func(t *testing.T) {
		other, err := nkeys.CreateUser()
		_, otherSeed := seedOf(t, other, err)
		wrong := *data
		wrong.LatticeUserSeed = settings.NewSecret(otherSeed)
		var log testkit.Log
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := Connect(ctx, &wrong, Options{Logger: log.Logger()})
			failed <- err
		}()
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if strings.Count(log.String(), "trying again") < 3 {
				return errors.New("not tried three times yet")
			}
			return nil
		})
		cancel()
		err = <-failed
		if !errors.Is(err, nats.ErrAuthorization) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if text := log.String() + err.Error(); strings.Contains(text, otherSeed) || strings.Contains(text, userJWT) {
			t.Error("credentials are shown")
		}
	})
}

// certificate writes a CA's PEM file and returns its path and a server certificate that the CA signed.
func certificate(t *testing.T) (string, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestAServerThatDemandsTLSGetsItWithTheHostsOwnCA(t *testing.T) {
	ca, cert := certificate(t)
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}})
	data := &hostdata.Data{Lattice: "l", ProviderKey: "k", LatticeURL: ns.URL(),
		OTel: otlp.HostConfig{AdditionalCAPaths: []string{"/there/is/none.pem", ca}}}
	s, err := Connect(t.Context(), data, Options{Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Conn().TLSConnectionState(); err != nil {
		t.Errorf("the connection has no TLS: %v", err)
	}

	var log testkit.Log
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := Connect(ctx, &hostdata.Data{Lattice: "l", ProviderKey: "k", LatticeURL: ns.URL()},
			Options{Logger: log.Logger()})
		failed <- err
	}()
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if !log.Contains("trying again") {
			return errors.New("not tried yet")
		}
		return nil
	})
	cancel()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the CA: %v", err)
	}
}

func TestAServerWithoutTLSIsFineWithAnAdditionalCA(t *testing.T) {
	ca, _ := certificate(t)
	ns := testkit.NATS(t, testkit.NATSOptions{})
	s, err := Connect(t.Context(), &hostdata.Data{Lattice: "l", ProviderKey: "k", LatticeURL: ns.URL(),
		OTel: otlp.HostConfig{AdditionalCAPaths: []string{ca}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
