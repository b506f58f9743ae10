package natsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// who is how a server knows its users, and how one of them comes. Somebody else comes as wrong.
type who struct {
	configure    func(*server.Options)
	right, wrong settings.NATSServer
	// secrets are in no text.
	secrets []string
}

// people are all ways to say who comes.
func people(t *testing.T) map[string]who {
	t.Helper()
	user, stranger := newSeed(t), newSeed(t)
	creds, operator, account := newCreds(t)
	foreign, _, _ := newCreds(t)
	secret := settings.NewSecret
	return map[string]who{
		"user and password": {
			configure: func(o *server.Options) { o.Username, o.Password = "bridge", "right-password" },
			right:     settings.NATSServer{User: "bridge", Password: secret("right-password")},
			wrong:     settings.NATSServer{User: "bridge", Password: secret("false-password")},
			secrets:   []string{"right-password", "false-password"},
		},
		"token": {
			configure: func(o *server.Options) { o.Authorization = "right-token" },
			right:     settings.NATSServer{Token: secret("right-token")}, wrong: settings.NATSServer{Token: secret("false-token")},
			secrets: []string{"right-token", "false-token"},
		},
		"nkey": {
			configure: func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: user.public}} },
			right:     settings.NATSServer{Seed: secret(user.seed)}, wrong: settings.NATSServer{Seed: secret(stranger.seed)},
			secrets: []string{user.seed, stranger.seed},
		},
		"credentials": {
			configure: func(o *server.Options) {
				o.TrustedOperators = []*jwt.OperatorClaims{operator}
				resolver := new(server.MemAccResolver)
				if err := resolver.Store(account.Subject, account.text); err != nil {
					t.Fatal(err)
				}
				o.AccountResolver = resolver
			},
			right: settings.NATSServer{Creds: secret(creds)}, wrong: settings.NATSServer{Creds: secret(foreign)},
			secrets: []string{seedIn(creds), seedIn(foreign)},
		},
	}
}

// key is an nkey.
type key struct{ seed, public string }

func newSeed(t *testing.T) key {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, pair)
}

func keyOf(t *testing.T, pair nkeys.KeyPair) key {
	t.Helper()
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key{string(seed), public}
}

// accountJWT is an account with its JWT.
type accountJWT struct {
	*jwt.AccountClaims
	text string
}

// newCreds makes the content of a user's credentials file, with the operator and the account that vouch for it.
func newCreds(t *testing.T) (string, *jwt.OperatorClaims, accountJWT) {
	t.Helper()
	made := func(pair nkeys.KeyPair, err error) nkeys.KeyPair {
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	operator, account, user := made(nkeys.CreateOperator()), made(nkeys.CreateAccount()), made(nkeys.CreateUser())
	encoded := func(claims interface {
		Encode(nkeys.KeyPair) (string, error)
	}, by nkeys.KeyPair) string {
		text, err := claims.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	operatorText := encoded(jwt.NewOperatorClaims(keyOf(t, operator).public), operator)
	operatorClaims, err := jwt.DecodeOperatorClaims(operatorText)
	if err != nil {
		t.Fatal(err)
	}
	accountClaims := jwt.NewAccountClaims(keyOf(t, account).public)
	accountText := encoded(accountClaims, operator)
	own := keyOf(t, user)
	creds, err := jwt.FormatUserConfig(encoded(jwt.NewUserClaims(own.public), account), []byte(own.seed))
	if err != nil {
		t.Fatal(err)
	}
	return string(creds), operatorClaims, accountJWT{accountClaims, accountText}
}

// seedIn is the seed in a credentials file.
func seedIn(creds string) string {
	for line := range strings.Lines(creds) {
		if strings.HasPrefix(line, "SU") {
			return strings.TrimSpace(line)
		}
	}
	panic("there is no seed")
}

// TestEveryCredentialsAreTaken, also when the server was gone and has come back, and others are refused, by check as
// well. Nothing that is secret is told.
func TestEveryCredentialsAreTaken(t *testing.T) {
	for name, w := range people(t) {
		t.Run(name, func(t *testing.T) {
			ns := testkit.NATS(t, testkit.NATSOptions{Configure: w.configure})
			right, wrong := w.right, w.wrong
			right.URLs, wrong.URLs = ns.URL(), ns.URL()
			p, log := newPool()
			c := p.Acquire(right)
			defer c.Release()
			connected(t, p)
			answer := func() {
				t.Helper()
				heard, tell := make(chan *nats.Msg, 1), nats.NewMsg("orders")
				sub := c.Subscribe("orders", "", func(m *nats.Msg) { heard <- m })
				defer sub.Drain(t.Context())
				other, _ := newPool()
				sender := other.Acquire(right)
				defer sender.Release()
				connected(t, other)
				c.Settle(t.Context())
				testkit.Eventually(t, testkit.DefaultTimeout, func() error { return sender.Publish(t.Context(), tell) })
				select {
				case <-heard:
				case <-time.After(testkit.DefaultTimeout):
					t.Error("a message does not arrive")
				}
			}
			answer()
			ns.Stop()
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if len(p.Problems()) == 0 {
					return fmt.Errorf("the server is not missed")
				}
				return nil
			})
			ns.Start()
			connected(t, p)
			answer()
			if _, err := Check(t.Context(), right, "", nil); err != nil {
				t.Errorf("the check says %v", err)
			}
			_, err := Check(t.Context(), wrong, "", nil)
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization violation") {
				t.Errorf("others: the check says %v", err)
			}
			strangers, strangersLog := newPool()
			stranger := strangers.Acquire(wrong)
			defer stranger.Release()
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if list := strangers.Problems(); len(list) != 1 || !strings.Contains(strings.ToLower(list[0].Text), "authorization violation") {
					return fmt.Errorf("the problems are %+v", list)
				}
				return nil
			})
			for _, secret := range w.secrets {
				if log.Contains(secret) || strangersLog.Contains(secret) || strings.Contains(fmt.Sprint(err, strangers.Problems()), secret) {
					t.Errorf("a secret is told")
				}
			}
		})
	}
}

// withTLS has a server show a certificate, and ask for those of clients where clients is not nil.
func withTLS(pair tls.Certificate, clients *x509.CertPool) func(*server.Options) {
	return func(o *server.Options) { testkit.ServeTLS(o, pair, clients) }
}

// inFile is a file with the certificate of an authority.
func inFile(t *testing.T, a *testkit.Authority) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	a.Write(path)
	return path
}

// files are those of a certificate and its key.
type files struct{ cert, key string }

func inFiles(t *testing.T, a *testkit.Authority, c tls.Certificate) files {
	t.Helper()
	folder := t.TempDir()
	f := files{filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")}
	a.WritePair(c, f.cert, f.key)
	return f
}

// TestARefusalNamesTheSettings that it is about, in health and in the check.
func TestARefusalNamesTheSettings(t *testing.T) {
	ours, foreign := testkit.NewAuthority(t), testkit.NewAuthority(t)
	ourFile := inFile(t, ours)
	good, elsewhere := ours.Local("nats"), ours.Make(&x509.Certificate{DNSNames: []string{"nats.example.com"}})
	user := func(o *server.Options) { o.Users = []*server.User{{Username: "u", Password: "p"}} }
	token := func(o *server.Options) { o.Authorization = "right" }
	for name, test := range map[string]struct {
		configure func(*server.Options)
		server    settings.NATSServer
		want      string
	}{
		"none": {user, settings.NATSServer{},
			"wants credentials, and there are none (nats_creds, nats_nkey, nats_token, or nats_user and nats_password)"},
		"a password":           {user, settings.NATSServer{User: "u", Password: settings.NewSecret("q")}, "take the credentials (nats_user, nats_password)"},
		"a token":              {token, settings.NATSServer{Token: settings.NewSecret("left")}, "take the credentials (nats_token)"},
		"no TLS":               {nil, settings.NATSServer{TLSCAFile: ourFile}, "does not speak TLS, which tls:// in nats_url"},
		"an authority":         {withTLS(good, nil), settings.NATSServer{TLSCAFile: inFile(t, foreign)}, "not trusted (nats_tls_ca_file)"},
		"an authority of none": {withTLS(good, nil), settings.NATSServer{}, "not trusted (nats_tls_ca_file)"},
		"a name":               {withTLS(elsewhere, nil), settings.NATSServer{TLSCAFile: ourFile}, "for another name than nats_url has"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := testkit.NATS(t, testkit.NATSOptions{Configure: test.configure})
			test.server.URLs = ns.URL()
			p, log := newPool()
			c := p.Acquire(test.server)
			defer c.Release()
			testkit.Eventually(t, testkit.DefaultTimeout, func() error {
				if got := p.Problems().String(); !strings.Contains(got, test.want) {
					return fmt.Errorf("health says %q, want %q", got, test.want)
				}
				return nil
			})
			if _, err := Check(t.Context(), test.server, "", nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the check says %v, want %q", err, test.want)
			}
			if log.Contains("left") {
				t.Error("the log tells the token")
			}
		})
	}
}

// TestTLS is spoken with servers that an authority vouches for, and with no others; a client certificate is shown.
func TestTLS(t *testing.T) {
	ours, foreign := testkit.NewAuthority(t), testkit.NewAuthority(t)
	ourFile, foreignFile := inFile(t, ours), inFile(t, foreign)
	good := ours.Local("nats")
	expired := ours.Make(&x509.Certificate{
		IPAddresses: good.Leaf.IPAddresses, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute),
	})
	elsewhere := ours.Make(&x509.Certificate{DNSNames: []string{"nats.example.com"}})
	client, stranger := inFiles(t, ours, ours.Local("bridge")), inFiles(t, foreign, foreign.Local("bridge"))
	for name, test := range map[string]struct {
		configure func(*server.Options)
		server    settings.NATSServer
		wrong     []string // one of them
	}{
		"ours":                     {withTLS(good, nil), settings.NATSServer{TLSCAFile: ourFile}, nil},
		"another authority's":      {withTLS(good, nil), settings.NATSServer{TLSCAFile: foreignFile}, []string{"unknown authority"}},
		"one unknown to all":       {withTLS(good, nil), settings.NATSServer{}, []string{"unknown authority"}},
		"expired":                  {withTLS(expired, nil), settings.NATSServer{TLSCAFile: ourFile}, []string{"expired"}},
		"for another name":         {withTLS(elsewhere, nil), settings.NATSServer{TLSCAFile: ourFile}, []string{"doesn't contain any IP SANs", "not valid for"}},
		"a server without TLS":     {nil, settings.NATSServer{TLSCAFile: ourFile}, []string{"secure connection not available"}},
		"a client's":               {withTLS(good, ours.Pool()), settings.NATSServer{TLSCAFile: ourFile, TLSCertFile: client.cert, TLSKeyFile: client.key}, nil},
		"no client's":              {withTLS(good, ours.Pool()), settings.NATSServer{TLSCAFile: ourFile}, []string{"certificate required", "bad certificate", "connection reset", "broken pipe", "eof"}},
		"a stranger's":             {withTLS(good, ours.Pool()), settings.NATSServer{TLSCAFile: ourFile, TLSCertFile: stranger.cert, TLSKeyFile: stranger.key}, []string{"unknown certificate authority", "bad certificate", "connection reset", "broken pipe", "eof", "unknown ca"}},
		"one with another's key":   {withTLS(good, ours.Pool()), settings.NATSServer{TLSCAFile: ourFile, TLSCertFile: client.cert, TLSKeyFile: stranger.key}, []string{"is that of no certificate in the first"}},
		"a file that is not PEM":   {withTLS(good, nil), settings.NATSServer{TLSCAFile: client.key}, []string{"holds a private key and no certificate"}},
		"a file that is not there": {withTLS(good, nil), settings.NATSServer{TLSCAFile: "/nowhere/ca.pem"}, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			ns := testkit.NATS(t, testkit.NATSOptions{Configure: test.configure})
			test.server.URLs = ns.URL()
			is := func(text string) error {
				for _, want := range test.wrong {
					if strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
						return nil
					}
				}
				return fmt.Errorf("it says %q, want one of %q", text, test.wrong)
			}
			p, _ := newPool()
			c := p.Acquire(test.server)
			defer c.Release()
			if test.wrong == nil {
				connected(t, p)
				ns.Restart()
				connected(t, p)
				if _, err := Check(t.Context(), test.server, "", nil); err != nil {
					t.Errorf("the check says %v", err)
				}
				return
			}
			testkit.Eventually(t, testkit.DefaultTimeout, func() error { return is(p.Problems().String()) })
			if _, err := Check(t.Context(), test.server, "", nil); err == nil {
				t.Error("the check finds nothing")
			} else if err := is(err.Error()); err != nil {
				t.Errorf("the check: %v", err)
			}
		})
	}
}

// TestCertificatesAreReadAgain for each connection: those in the files may be others by then.
func TestCertificatesAreReadAgain(t *testing.T) {
	before, after := testkit.NewAuthority(t), testkit.NewAuthority(t)
	var options *server.Options
	ns := testkit.NATS(t, testkit.NATSOptions{Configure: func(o *server.Options) {
		withTLS(before.Local("nats"), before.Pool())(o)
		options = o
	}})
	trusted, shown := inFile(t, before), inFiles(t, before, before.Local("bridge"))
	p, _ := newPool()
	c := p.Acquire(settings.NATSServer{URLs: ns.URL(), TLSCAFile: trusted, TLSCertFile: shown.cert, TLSKeyFile: shown.key})
	defer c.Release()
	connected(t, p)
	ns.Stop()
	after.Write(trusted)
	after.WritePair(after.Local("bridge"), shown.cert, shown.key)
	withTLS(after.Local("nats"), after.Pool())(options)
	ns.Start()
	connected(t, p)
}

// TestWhatIsNotSpokenAtAnAddressIsTold, with the setting that has the address, in health and in the check.
func TestWhatIsNotSpokenAtAnAddressIsTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // who connects waits with the kernel
	ns := testkit.NATS(t, testkit.NATSOptions{})
	ns.Stop()
	for url, want := range map[string]string{
		ns.URL():                             "nothing listens at nats_url",
		"nats://" + listener.Addr().String(): "nothing answered as a NATS server does in time (nats_url)",
	} {
		server := settings.NATSServer{URLs: url}
		p, _ := newPool()
		c := p.Acquire(server)
		testkit.Eventually(t, testkit.DefaultTimeout, func() error {
			if got := p.Problems().String(); !strings.Contains(got, want) {
				return fmt.Errorf("health says %q, want %q", got, want)
			}
			return nil
		})
		c.Release()
		if _, err := Check(t.Context(), server, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the check says %v, want %q", err, want)
		}
	}
}

// TestTLSAlertsAreToldApart: not each of them is about the certificate of the client.
func TestTLSAlertsAreToldApart(t *testing.T) {
	alert := func(text string) error { return &net.OpError{Op: "remote error", Err: errors.New("tls: " + text)} }
	for _, c := range []struct {
		err   error
		about bool
	}{
		{alert("certificate required"), true},
		{alert("bad certificate"), true},
		{alert("unknown certificate authority"), true},
		{fmt.Errorf("%w: connection closed by remote after TLS handshake: %w", nats.ErrTLS, io.EOF), true},
		{alert("protocol version not supported"), false},
		{alert("handshake failure"), false},
		{alert("internal error"), false},
		{io.EOF, false},
	} {
		if got := explained(&settings.NATSServer{}, c.err); strings.Contains(got.Error(), "nats_tls_cert_file") != c.about {
			t.Errorf("%v is told as %q", c.err, got)
		}
	}
}
