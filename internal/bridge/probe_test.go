package bridge

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestAProbeHandsNothingOver(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.ContentLength != 0 || r.Host != "shop" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("it asks by %s %s %v", r.Method, r.Host, r.Header)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer app.Close()
	h := settings.HTTP{URL: app.URL, Host: "shop", BearerToken: settings.NewSecret("secret")}
	if code, err := Probe(t.Context(), &h); err != nil || code != http.StatusFound {
		t.Errorf("the answer is %d, %v", code, err)
	}
	app.Close()
	if code, err := Probe(t.Context(), &h); err == nil {
		t.Errorf("an application that is gone answers %d", code)
	}
}
