package reply

import (
	"strings"
	"testing"
)

func TestOnlyInboxesAreAnswered(t *testing.T) {
	t.Parallel()
	mine, err := New("mine.inbox", "_inbox_team")
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]struct{ byDefault, mine bool }{
		"_INBOX.QMrlJ0.0":                    {true, true},
		"_INBOX.QMrlJ0.NTz9sKfu":             {true, true},
		"_INBOX.x":                           {true, true},
		"_R_.ab12cd.ef34":                    {true, true}, // asked from another account
		"_GR_.abcdef.ghijkl._INBOX.QMrlJ0.0": {true, true}, // asked from another cluster
		"mine.inbox.x":                       {false, true},
		"_inbox_team.a.b":                    {false, true},
		"_GR_.abcdef.ghijkl.mine.inbox.x":    {false, true},
		"":                                   {},
		"_INBOX":                             {},
		"_INBOX.":                            {},
		"_INBOX..a":                          {},
		"_INBOX.*":                           {},
		"_INBOX.a.>":                         {},
		"_INBOX.a b":                         {},
		"_INBOX.a\r\nPUB x 0":                {},
		"_INBOXES.a":                         {},
		"_inbox.a":                           {},
		"mine.inbox":                         {},
		"mine.inboxes.a":                     {},
		"a._INBOX.b":                         {},
		"late":                               {},
		"orders":                             {},
		"$SYS.REQ.SERVER.PING":               {},
		"$JS.API.STREAM.CREATE.x":            {},
		"$JS.ACK.stream.consumer.1.2.3.4.5":  {},
		"wasmbus.rpc.default.other.default.shutdown":   {},
		"wasmbus.rpc.default.other.linkdefs.put":       {},
		"wasmbus.rpc.default.other.health":             {},
		"wasmbus.ctl.v1.default.host.stop.N":           {},
		"wasmbus.evt.default.provider_started":         {},
		"default.other.wrpc.0.0.1.i.f":                 {},
		"_INBOX.a.wrpc.0.0.1.i.f":                      {},
		"_R_.a.wrpc.0.0.1.i.f":                         {},
		"mine.inbox.wrpc.0.0.2.i.f":                    {},
		"_GR_.abcdef.ghijkl.wasmbus.rpc.l.p.health":    {},
		"_GR_.abcdef.ghijkl.$SYS.REQ.SERVER.PING":      {},
		"_GR_.abcdef.ghijkl._R_.x":                     {},
		"_GR_.abcdef.ghijkl":                           {},
		"_GR_.abcdef":                                  {},
		"_GR_.a.b._GR_.c.d._INBOX.x":                   {},
		"$GR.1234._INBOX.x":                            {},
		"_INBOX." + strings.Repeat("x", maxLen):        {},
		"mine.inbox." + strings.Repeat("x.", maxLen/2): {},
	} {
		if got := (Inboxes{}).Answer(subject); got != want.byDefault {
			t.Errorf("%q is answered: %v", subject, got)
		}
		if got := mine.Answer(subject); got != want.mine {
			t.Errorf("%q is answered where prefixes are given: %v", subject, got)
		}
	}
}

func TestPrefixesThatWouldOpenTheLatticeAreRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"", ".", "a.", ".a", "a..b", "*", ">", "a.*", "a b", "$SYS", "$JS.ACK", "wasmbus",
		"wasmbus.rpc.default", "_R_", "_GR_",
		"default.kafka.wrpc", "default.kafka.wrpc.0.0.1", strings.Repeat("x", maxLen),
	} {
		if _, err := New("fine", p); err == nil {
			t.Errorf("%q is taken", p)
		} else if len(err.Error()) > 300 {
			t.Errorf("the error about %d bytes has %d", len(p), len(err.Error()))
		}
	}
}

// FuzzAnswer: whatever is answered is one subject, and none that means something to others than who waits there.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"_INBOX.a.b", "mine.x", "_R_.a", "_GR_.a.b._INBOX.c", "a..b", "a.*", ">", "$SYS.REQ", "a b",
		"_INBOX.a.wrpc.0.0.1.i.f"} {
		f.Add(s)
	}
	in, err := New("mine")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !in.Answer(s) {
			return
		}
		for token := range strings.SplitSeq(s, ".") {
			if token == "" || token == "*" || token == ">" || strings.ContainsAny(token, " \t\r\n\x00") {
				t.Errorf("%q is answered", s)
			}
		}
		inside := s
		if strings.HasPrefix(s, gatewayPrefix) {
			inside = strings.SplitN(s, ".", 4)[3]
		}
		known := false
		for _, p := range []string{"_INBOX.", "mine.", "_R_."} {
			known = known || strings.HasPrefix(inside, p)
		}
		if !known || strings.Contains(s, ".wrpc.") {
			t.Errorf("%q is answered", s)
		}
	})
}
