package overview

import (
	"strings"
	"testing"
	"time"
)

func TestAddressesAreToldWithoutWhatProvesWhoAsks(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"http://user:canary@127.0.0.1:1", "http://canary@127.0.0.1:1/x", "http://127.0.0.1:1/links?key=canary",
		"user:canary@127.0.0.1:1",
		"ftp://user:canary@h", "http://user:canary@h:bad port", "http://user:canary@[::1", "http://%zz:canary@h", "://canary",
	} {
		asker, err := ByAddress([]string{address}, time.Second, "")
		if err == nil {
			_, err = asker.Ask(t.Context())
		}
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
