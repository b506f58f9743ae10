package lattice

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestSealedSecretsAreOpenedAtBothEnds(t *testing.T) {
	secrets := map[string]testkit.SecretValue{
		"password": testkit.SecretText("s3cret"), "key": testkit.SecretBytes([]byte{0, 255}),
	}
	asTarget, asSource := testkit.TargetLink("echo", "kafka", nil), testkit.SourceLink("kafka", "sink", nil)
	asTarget.TargetSecrets, asSource.SourceSecrets = secrets, secrets
	f := newFixture(t, fixtureOptions{before: []testkit.Link{asTarget}}) // sealed in the host data as well
	f.host.PutLink(asSource)
	for _, e := range f.wait(t, 2) {
		if e.what != "put" {
			t.Fatal(e)
		}
		if p, k := e.link.Secrets["password"].Reveal(), e.link.Secrets["key"].Reveal(); p != "s3cret" || k != "\x00\xff" {
			t.Errorf("the secrets are %q and %q", p, k)
		}
	}
	if f.log.Contains("s3cret") {
		t.Error("the log shows a secret")
	}
}

func TestALinkWithUnreadableSecretsIsRejectedUntilItIsReadable(t *testing.T) {
	f := newFixture(t, fixtureOptions{})
	s := f.current()
	l := hostdata.Link{SourceID: "echo", Target: "kafka", Name: "default", WITNamespace: "wasmcloud",
		WITPackage: "messaging"}
	put := func(sealed string) {
		t.Helper()
		l.TargetSecrets = hostdata.Sealed(sealed)
		if err := f.host.Conn().Publish(s.putSubject(), encode(t, l)); err != nil {
			t.Fatal(err)
		}
	}
	put("")                          // well
	put("garbage-canary")            // no box at all
	put("")                          // well again, and equal to what it was
	put(strings.Repeat("canary", 9)) // still none
	f.host.DeleteLink(testkit.TargetLink("echo", "kafka", nil))
	events := f.barrier(t)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.what)
		if e.err != nil && (strings.Contains(e.err.Error(), "canary") || !strings.Contains(e.err.Error(), "secrets")) {
			t.Errorf("the reason is %q", e.err)
		}
	}
	if got := strings.Join(kinds, " "); got != "put reject put reject delete" {
		t.Errorf("events are %s", got)
	}
	if f.log.Contains("canary") {
		t.Error("the log shows sealed bytes")
	}
}

// sealer is a host's and a provider's keys.
func sealer(t testing.TB) (opener, func(string) hostdata.Sealed) {
	t.Helper()
	host, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	provider, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	hostPublic, err := host.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := provider.Seed()
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOpener(&hostdata.Data{HostXKeyPublic: hostPublic, ProviderXKeyPrivate: settings.NewSecret(string(seed))})
	if err != nil {
		t.Fatal(err)
	}
	return o, func(plain string) hostdata.Sealed {
		sealed, err := host.Seal([]byte(plain), o.public)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
}

func TestOpeningSecretsSaysWhatIsWrong(t *testing.T) {
	o, seal := sealer(t)
	stranger, _ := sealer(t)
	good := seal(`{"pw":{"kind":"String","value":"canary-1"}}`)
	broken := append(hostdata.Sealed{}, good...)
	broken[len(broken)-1] ^= 1
	for name, test := range map[string]struct {
		opener opener
		sealed hostdata.Sealed
		wants  string
	}{
		"no keys":           {opener{}, good, "no key"},
		"a foreign key":     {stranger, good, "opening"},
		"a flipped bit":     {o, broken, "opening"},
		"another version":   {o, append(hostdata.Sealed("xkv2"), good[4:]...), "opening"},
		"a cut box":         {o, good[:20], "opening"},
		"a bad kind":        {o, seal(`{"pw":{"kind":"canary-1","value":"x"}}`), `"pw"`},
		"a number":          {o, seal(`{"pw":{"kind":"String","value":4711}}`), `"pw"`},
		"no JSON":           {o, seal(`canary-1`), "reading"},
		"an array, no map":  {o, seal(`["canary-1"]`), "reading"},
		"a value that ends": {o, seal(`{"pw":{"kind":"String","value":"canary-1`), "reading"},
	} {
		t.Run("with "+name, func(t *testing.T) {
			_, err := test.opener.open(test.sealed)
			if err == nil || !strings.Contains(err.Error(), test.wants) {
				t.Fatalf("the error is %v, want %q", err, test.wants)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "4711") {
				t.Errorf("%q shows a secret", err)
			}
		})
	}
	if _, err := (opener{}).open(nil); err != nil {
		t.Errorf("a link without secrets needs no key, but got %v", err)
	}
	if _, err := (opener{}).open(good); !errors.Is(err, errNoKeys) {
		t.Errorf("got %v", err)
	}
}

func TestBadKeysInTheHostDataAreRefusedWithoutShowingThem(t *testing.T) {
	o, _ := sealer(t)
	seed, err := o.key.Seed()
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]*hostdata.Data{
		"a seed of no key":      {HostXKeyPublic: o.host, ProviderXKeyPrivate: settings.NewSecret("SXcanary")},
		"a seed of another use": {HostXKeyPublic: o.host, ProviderXKeyPrivate: settings.NewSecret(string(accountSeed))},
		"a short public key":    {HostXKeyPublic: "XABC", ProviderXKeyPrivate: settings.NewSecret(string(seed))},
		"a long public key":     {HostXKeyPublic: o.host + o.host, ProviderXKeyPrivate: settings.NewSecret(string(seed))},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newOpener(data)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), data.ProviderXKeyPrivate.Reveal()) {
				t.Errorf("%q shows the seed", err)
			}
		})
	}
}
