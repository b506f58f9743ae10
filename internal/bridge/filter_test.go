package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestARouteHandsOverWhatItsFilterMatches(t *testing.T) {
	t.Parallel()
	k := testkit.Kfake(t)
	k.Topic("orders", 2)
	client := testkit.NewClient(t, k.Brokers())
	app := newApplication(t, nil)
	filtering := "orders\ntopic: orders\ndeliver: http-records\nurl: " + app.URL + "\nfilter: |\n  value.country in [\"AT\", \"CH\"]\n  && value.amount >= %s\n"
	b := start(t, file(k.Brokers(), fmt.Sprintf(filtering, "100")), nil)
	for i, country := range []string{"DE", "AT", "CH", "FR", "AT"} {
		client.Produce(&kgo.Record{Topic: "orders", Key: []byte("one customer"), Value: fmt.Appendf(nil, `{"country":%q,"amount":%d}`, country, 50*i)})
	}
	client.WaitDrained("bridge.orders", "orders")
	if got, want := app.values(), []string{`{"country":"CH","amount":100}`, `{"country":"AT","amount":200}`}; !slices.Equal(got, want) {
		t.Errorf("the application got %q, want %q", got, want)
	}
	b.await(func(s *status.Provider) error {
		if c := s.Links[0].Counters; c.Filtered != 3 || c.FilterFailures != 0 {
			return fmt.Errorf("counted are %+v", c)
		}
		return healthy(s)
	})
	// A file with a wrong expression is not taken: the route goes on as it was.
	write(t, b.path, withAdmin(file(k.Brokers(), fmt.Sprintf(filtering, "\"100\" +"))))
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if log := b.log.String(); !strings.Contains(log, "is not an expression of CEL, at line ") {
			return errors.New("the file was not refused yet")
		}
		return nil
	})
	client.Produce(&kgo.Record{Topic: "orders", Key: []byte("one customer"), Value: []byte(`{"country":"CH","amount":101}`)})
	app.await(t, 3)
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}
