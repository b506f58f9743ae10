package security

import (
	"errors"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/check"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// rights holds links to as little as they need.
func rights(t *testing.T, c *cluster) {
	r := newRig(t, c, nil, nil)
	c.scramUser(t, "least", "least-password")
	base := config("hosts", c.SASLBrokers()[0], "security_protocol", "SASL_PLAINTEXT", "sasl_mechanism", "SCRAM-SHA-256",
		"sasl_username", "least")
	secrets := config("sasl_password", "least-password")

	t.Run("topics and the group are enough, idempotent or not", func(t *testing.T) {
		r := r.in(t)
		for id, idempotent := range map[string]string{"plain": "false", "idempotent": "true"} {
			r.component(id)
			in := r.topic(id, 1)
			r.kc.Topic(in+".reply", 1, nil)
			c.grant(t, "least", acl("Read topic "+in), acl("Write topic "+in+".reply"), acl("Read group "+r.group(id)))
			settings := with(with(reading(in), flat(base)...), "idempotent", idempotent)
			l := r.link(id, settings, secrets)
			r.kc.ProduceText(in, "ping")
			r.echoes(in, "ping")
			r.kc.WaitDrained(r.group(id), in)
			r.WaitHealthy()
			if result := r.check(id, settings, secrets); result.Status != check.OK {
				t.Errorf("the check says\n%s", lines(result))
			}
			r.host.DeleteLink(l)
		}
	})
	t.Run("a right that is taken while the link runs shows, and its return mends it", func(t *testing.T) {
		r := r.in(t)
		r.component("moody")
		in := r.topic("moody", 1)
		r.kc.Topic(in+".reply", 1, nil)
		read := acl("Read topic " + in)
		c.grant(t, "least", read, acl("Describe topic "+in), acl("Write topic "+in+".reply"),
			acl("Read group "+r.group("moody")))
		settings := with(reading(in), flat(base)...)
		l := r.link("moody", settings, secrets)
		r.kc.ProduceText(in, "before")
		r.echoes(in, "before")
		r.WaitHealthy()
		c.revoke(t, "least", read)
		r.kc.ProduceText(in, "meanwhile")
		r.unhealthy("moody", in, `"least"`, "not authorised for the topic", "Read")
		if f, ok := found(r.check("moody", settings, secrets), check.StepRead, check.Fail); !ok ||
			f.Class != kafka.ClassTopicRights || !strings.HasPrefix(f.Text, "Read is missing") {
			t.Errorf("the check says %+v", f)
		}
		c.grant(t, "least", read)
		r.echoes(in, "before", "meanwhile")
		r.WaitHealthy()
		r.host.DeleteLink(l)
	})
	t.Run("dead letters that cannot be written are known before there is one", func(t *testing.T) {
		r := r.in(t)
		in, dead := r.topic("dying", 1), r.topic("dead", 1)
		r.kc.Topic(in+".reply", 1, nil)
		c.grant(t, "least", acl("Read topic "+in), acl("Describe topic "+dead), acl("Write topic "+in+".reply"),
			acl("Read group "+r.group("dying")))
		settings := with(with(reading(in), flat(base)...), "dead_letter_topic", dead)
		f, ok := found(r.check("dying", settings, secrets), check.StepWrite, check.Fail)
		if !ok || f.Target != "topic "+dead || f.Class != kafka.ClassTopicRights ||
			!strings.HasPrefix(f.Text, "Write is missing") {
			t.Errorf("the check says %+v", f)
		}
		r.component("dying")
		l := r.link("dying", settings, secrets)
		r.unhealthy("dying", "topic "+dead, `"least"`, "not authorised for the topic", "Write")
		c.grant(t, "least", acl("Write topic "+dead))
		r.WaitHealthy()
		r.host.DeleteLink(l)
	})
	t.Run("a component publishes where its link allows, and nowhere else", func(t *testing.T) {
		r := r.in(t)
		publisher := r.component("bound")
		yes, no := r.topic("yes.a", 1), r.topic("no", 1)
		l := r.link("bound", config("hosts", c.Brokers()[0], "allowed_topics", r.lattice+".yes.*"), nil)
		if err := publisher.Publish(t.Context(), testkit.Message{Subject: yes, Body: []byte("x")}); err != nil {
			t.Error(err)
		}
		var refused *testkit.ResultError
		if err := publisher.Publish(t.Context(), testkit.Message{Subject: no, Body: []byte("x")}); !errors.As(err,
			&refused) || !strings.Contains(refused.Text, "allowed_topics") {
			t.Errorf("it was not refused: %v", err)
		}
		if ends := r.kc.EndOffsets(no); ends[0] != 0 {
			t.Errorf("the topic holds %d records", ends[0])
		}
		r.host.DeleteLink(l)
	})
}
