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
