package provider

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestHealthFollowsWhatAComponentPublishes(t *testing.T) {
	b := newBench(t)
	b.topics("orders")
	c := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("", "allowed_topics", "orders,later")))
	p.WaitHealthy()
	publish := func(topic string) error {
		return c.Publish(t.Context(), testkit.Message{Subject: topic, Body: []byte("x")})
	}
	if err := publish("orders"); err != nil {
		t.Fatal(err)
	}
	// What the link itself refuses is between the component and its link.
	if publish("elsewhere") == nil {
		t.Fatal("a publish outside of allowed_topics was taken")
	}
	if h, err := p.Health(t.Context()); err != nil || !h.Healthy {
		t.Errorf("a publish that the link does not allow makes health %+v (%v)", h, err)
	}
	if publish("later") == nil {
		t.Fatal("a publish to a topic that is not there was taken")
	}
	p.WaitUnhealthy("link echo/default: ", "publishing to later: ", "does not exist")
	// Others go on, and say nothing about that topic.
	if err := publish("orders"); err != nil {
		t.Error(err)
	}
	p.WaitUnhealthy("publishing to later: ")
	b.topics("later")
	p.WaitHealthy() // nobody has to publish for that
}
