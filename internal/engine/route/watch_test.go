package route

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// unknownTopic is the error of a publish to a topic that is not there.
func unknownTopic(t *testing.T, publisher *produce.Publisher, topic string) error {
	t.Helper()
	err := publisher.Publish(t.Context(), record.Outgoing{Topic: topic, Partition: record.AnyPartition})[0].Err
	var failure *produce.Error
	if !errors.As(err, &failure) || failure.Class != produce.ClassUnknownTopic {
		t.Fatalf("publishing to %s: %v", topic, err)
	}
	return err
}

func TestTopicsThatAreNotWellAreBoundedAndForgotten(t *testing.T) {
	fake := testkit.Kfake(t)
	link, _, err := settings.ParseLink(settings.Input{Config: map[string]string{"hosts": strings.Join(fake.Brokers(), ",")}})
	if err != nil {
		t.Fatal(err)
	}
	handle, err := produce.NewPool(produce.Options{}).Acquire(link.Cluster, link.Producer.Client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = handle.Release(t.Context()) })
	publisher := produce.NewPublisher(handle, link.Producer, link.Create, nil)
	failed := unknownTopic(t, publisher, "gone")
	w := &watch{publisher: publisher, wake: make(chan struct{}, 1), topics: make(map[string]badTopic)}
	for range 3 {
		w.published("gone", failed)
	}
	if texts := w.problems(); len(texts) != 1 || texts[0].Text != failed.Error() {
		t.Errorf("problems are %q", texts)
	}
	w.askTopics(t.Context())
	if len(w.problems()) != 1 {
		t.Error("a topic that is still not there is well again")
	}
	w.published("another", nil)
	if len(w.problems()) != 1 {
		t.Error("a publish to one topic makes another one well")
	}
	w.published("gone", nil)
	if len(w.problems()) != 0 || w.any.Load() {
		t.Error("a topic is not well after a publish to it")
	}

	for i := range maxBadTopics + 5 {
		var failure *produce.Error
		errors.As(failed, &failure)
		other := *failure
		other.Topic = fmt.Sprint("topic-", i)
		w.published(other.Topic, &other)
	}
	if n := len(w.problems()); n != maxBadTopics {
		t.Errorf("%d topics are remembered, want %d", n, maxBadTopics)
	}
	// Nobody has published to them for long.
	w.mu.Lock()
	for topic, bad := range w.topics {
		bad.failed = time.Now().Add(-forgetAfter)
		w.topics[topic] = bad
	}
	w.mu.Unlock()
	w.askTopics(t.Context())
	if texts := w.problems(); len(texts) != 0 {
		t.Errorf("topics are remembered for ever: %q", texts)
	}

	// Trouble that Kafka cannot be asked about is over when nothing has failed for a while.
	fake.Topic("slow", 3)
	w.mu.Lock()
	w.topics["slow"] = badTopic{text: "no acknowledgement", failed: time.Now()}
	w.any.Store(true)
	w.mu.Unlock()
	if w.askTopics(t.Context()); len(w.problems()) != 1 {
		t.Error("a time-out is forgotten at once")
	}
	w.mu.Lock()
	w.topics["slow"] = badTopic{text: "no acknowledgement", failed: time.Now().Add(-calmAfter)}
	w.mu.Unlock()
	if w.askTopics(t.Context()); len(w.problems()) != 0 {
		t.Error("a time-out is remembered for ever")
	}
}
