package bridge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
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
	l, err := net.Listen("tcp", "127.0.0.1:0") // whose connections nobody takes
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := config.Route{Name: "orders", Settings: settings.Link{HTTP: settings.HTTP{
		Deliver: settings.DeliverRecords, URL: "http://" + l.Addr().String(), Protocol: settings.HTTP1, Connections: 1,
	}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got, err := Probe(ctx, &r)
	if err != nil || got.Outcome.Kind != record.Unanswered || got.Outcome.Err.Error() != "the application gave no answer within 1s" {
		t.Errorf("an application that never answers: %+v, %v", got, err)
	}
}
