package listen

import "testing"

func TestAnAddressWithoutAHostIsTheLoopbacks(t *testing.T) {
	for address, want := range map[string]string{
		"9464": "127.0.0.1:9464", ":9464": "127.0.0.1:9464", "127.0.0.1:1": "127.0.0.1:1", "0.0.0.0:9464": "0.0.0.0:9464",
		"[::1]:9464": "[::1]:9464", "localhost:9464": "localhost:9464",
	} {
		if got := Address(address); got != want {
			t.Errorf("%q is %q, want %q", address, got, want)
		}
	}
}

func TestAddressesClashWhereOneProcessCannotHaveBoth(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"8088", "127.0.0.1:8088", true}, {":8088", "localhost:8088", true}, {"0.0.0.0:8088", "10.0.0.1:8088", true},
		{"[::]:8088", "8088", true}, {"host:8088", "HOST:08088", true}, {"[::ffff:127.0.0.1]:8088", "8088", true},
		{"8088", "8089", false}, {"127.0.0.1:8088", "10.0.0.1:8088", false}, {"0", "0", false}, {"nowhere", "8088", false},
	} {
		if Clash(c.a, c.b) != c.want || Clash(c.b, c.a) != c.want {
			t.Errorf("%s and %s: want %t", c.a, c.b, c.want)
		}
	}
}
