package bridge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAProbeHandsNothingOver(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.ContentLength != 0 || r.Host != "shop" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("it asks by %s %s %v", r.Method, r.Host, r.Header)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer app.Close()
	r := config.Route{Name: "orders", Settings: settings.Link{HTTP: settings.HTTP{
		Deliver: settings.DeliverRecords, URL: app.URL, Host: "shop", Protocol: settings.HTTP1, Connections: 1,
		BearerToken: settings.NewSecret("secret"),
	}}}
	got, err := Probe(t.Context(), &r)
	refused, is := errors.AsType[*record.Refusal](got.Outcome.Err)
	if err != nil || got.Status != http.StatusFound || !is || refused.Reason != record.Redirected {
		t.Errorf("the answer is %+v, %v", got, err)
	}
	app.Close()
	if got, err := Probe(t.Context(), &r); err != nil || got.Outcome.Kind != record.Unavailable {
		t.Errorf("an application that is gone answers %+v, %v", got, err)
	}
}

func TestAProbeTellsHowLongItHasWaited(t *testing.T) {
	ctx, over := testkit.Ending(t)
	application := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // never answers
		over()
		<-r.Context().Done()
	}))
	defer application.Close()
	r := config.Route{Name: "orders", Settings: settings.Link{HTTP: settings.HTTP{
		Deliver: settings.DeliverRecords, URL: application.URL, Protocol: settings.HTTP1, Connections: 1,
	}}}
	got, err := Probe(ctx, &r)
	if err != nil || got.Outcome.Kind != record.Unanswered || got.Outcome.Err.Error() != "the application gave no answer within 10s" {
		t.Errorf("an application that never answers: %+v, %v", got, err)
	}
}
