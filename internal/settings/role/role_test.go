package role

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func TestInterfacesSayWhatALinkDoes(t *testing.T) {
	const target, source = false, true
	for name, test := range map[string]struct {
		source     bool
		pkg        string
		interfaces string
		want       Role
		refused    string
	}{
		"the original provider's link":       {target, "wasmcloud:messaging", "consumer", Messaging, ""},
		"its other direction":                {source, "wasmcloud:messaging", "handler", Messages, ""},
		"batches":                            {source, "messaging-kafka:records", "handler", Handle, ""},
		"batches with outputs":               {source, "messaging-kafka:records", "processor", Process, ""},
		"sending":                            {target, "messaging-kafka:records", "producer", Produce, ""},
		"requests":                           {target, "messaging-kafka:records", "requester", Produce, ""},
		"both":                               {target, "messaging-kafka:records", "requester producer", Produce, ""},
		"two ways for one record":            {source, "messaging-kafka:records", "handler processor", 0, "two links"},
		"a handler in the wrong direction":   {target, "messaging-kafka:records", "handler", 0, "with this provider as target cannot have the interface handler"},
		"a consumer in the wrong direction":  {source, "wasmcloud:messaging", "consumer", 0, "with this provider as source cannot have the interface consumer"},
		"an interface of the other package":  {source, "wasmcloud:messaging", "processor", 0, "cannot have the interface processor"},
		"an interface that nobody knows":     {target, "messaging-kafka:records", "producer transformer", 0, "transformer"},
		"no interface":                       {target, "wasmcloud:messaging", "", 0, "names no interface"},
		"another package":                    {target, "wasi:keyvalue", "store", 0, "serves wasmcloud:messaging and messaging-kafka:records, not wasi:keyvalue"},
		"a package with an interface behind": {target, "messaging-kafka:records/producer", "producer", 0, "not messaging-kafka:records/producer"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Of(test.source, test.pkg, strings.Fields(test.interfaces))
			switch {
			case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("%v, %v, want %q refused", got, err, test.refused)
			case test.refused == "" && (err != nil || got != test.want):
				t.Errorf("%v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestSettingsThatSayNothingForALinkAreRefused(t *testing.T) {
	reads := settings.Link{Consumer: settings.Consumer{TopicPattern: regexp.MustCompile("orders")}}
	transactions := reads
	transactions.Delivery.Transactions = true
	for name, test := range map[string]struct {
		does  Role
		link  settings.Link
		wrong string // the setting
	}{
		"a topic where records are only sent": {Produce, reads, "topic"},
		"a topic where messages are read":     {Messaging, reads, ""},
		"a topic for batches":                 {Handle, reads, ""},
		"transactions with outputs":           {Process, transactions, ""},
		"transactions without outputs":        {Handle, transactions, "transactions"},
		"transactions of messages":            {Messages, transactions, "transactions"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.does.Check(&test.link)
			var of *settings.Error
			if got := errors.As(err, &of); got != (test.wrong != "") || got && of.Key != test.wrong {
				t.Errorf("%v, want one about %q", err, test.wrong)
			}
		})
	}
}
