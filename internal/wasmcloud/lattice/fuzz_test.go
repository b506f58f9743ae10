package lattice

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// checker is a Handler that fails a fuzz test when it is told something that was not announced.
type checker struct {
	t     *testing.T
	known map[LinkID]bool
}

func (c *checker) PutLink(l Link) { c.known[l.ID] = true }

func (c *checker) RejectLink(id LinkID, err error) {
	if err == nil {
		c.t.Fatal("rejected without a reason")
	}
	c.known[id] = true
}

func (c *checker) DeleteLink(id LinkID) {
	if !c.known[id] {
		c.t.Fatalf("link %s is deleted but not known", id)
	}
	delete(c.known, id)
}

func (c *checker) UpdateConfig(map[string]string) {}
func (c *checker) Health() Health                 { return Health{} }
func (c *checker) Shutdown(context.Context)       {}

func FuzzMessages(f *testing.F) {
	o, seal := sealer(f)
	l := hostdata.Link{SourceID: "echo", Target: "kafka", Name: "default", Interfaces: []string{"consumer"},
		TargetConfig: map[string]string{"topic": "in"}, TargetSecrets: seal(`{"pw":{"kind":"String","value":"x"}}`)}
	f.Add(encode(f, l), encode(f, l), []byte(`{"k":"v"}`))
	l.SourceID = "kafka"
	f.Add(encode(f, l), []byte(`{"target":"kafka","source_secrets":"eGt2MQ=="}`), []byte(`{"k":1}`))
	f.Fuzz(func(t *testing.T, put, del, config []byte) {
		c := &checker{t: t, known: map[LinkID]bool{}}
		s := &Session{data: &hostdata.Data{ProviderKey: "kafka"}, opener: o, log: slog.New(slog.DiscardHandler)}
		ls := newLinks(s, c)
		ls.putSubject, ls.deleteSubject, ls.configSubject = "put", "del", "config"
		for _, msg := range []*nats.Msg{{Subject: "put", Data: put}, {Subject: "put", Data: put}, {Subject: "del", Data: del},
			{Subject: "config", Data: config}, {Subject: "del", Data: put}} {
			ls.handle(msg)
		}
	})
}

func FuzzOpenSealed(f *testing.F) {
	o, seal := sealer(f)
	f.Add([]byte(seal(`{"pw":{"kind":"Bytes","value":[1,2,3]}}`)))
	f.Add([]byte("xkv1"))
	f.Fuzz(func(_ *testing.T, sealed []byte) {
		_, _ = o.open(sealed)
	})
}

func FuzzOpenedSecrets(f *testing.F) {
	o, seal := sealer(f)
	f.Add("hunter2hunter2", "String")
	f.Fuzz(func(t *testing.T, value, kind string) {
		if strings.ContainsAny(value+kind, `"\`) || len(value) < 8 {
			return
		}
		secrets, err := o.open(seal(`{"pw":{"kind":"` + kind + `","value":"` + value + `"}}`))
		if err != nil && strings.Contains(err.Error(), value) {
			t.Fatalf("%q shows the secret", err)
		}
		if err != nil {
			return
		}
		var log testkit.Log
		log.Logger().Info("m", "link", Link{Secrets: secrets})
		if strings.Contains(log.String(), value) {
			t.Fatal("the log shows the secret")
		}
	})
}
