package integration

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestAnEchoComponentAnswersARequesterOnKafka(t *testing.T) {
	const requests = 200
	r := newRig(t, kafka4(t).Brokers())
	in, answers := r.topic("in", 3), r.topic("answers", 4)
	r.component(testkit.ComponentOptions{})
	r.link("echo", r.config(in, "reply_topics_from_records", answers))
	r.start().WaitHealthy()

	// As Spring's ReplyingKafkaTemplate asks: a correlation id of 16 bytes, its own partition of the reply topic.
	const mine = 2
	reader := testkit.NewClient(t, r.brokers, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		answers: {mine: kgo.NewOffset().AtStart()},
	}))
	asked := make(map[string]string) // by correlation id
	var questions []*kgo.Record
	for i := range requests {
		id := fmt.Sprintf("%016d", i)
		asked[id] = fmt.Sprintf("question %d", i)
		questions = append(questions, &kgo.Record{
			Topic: in, Key: fmt.Appendf(nil, "k%d", i%7), Value: []byte(asked[id]),
			Headers: []kgo.RecordHeader{
				{Key: "kafka_replyTopic", Value: []byte(answers)},
				{Key: "kafka_correlationId", Value: []byte(id)},
				{Key: "kafka_replyPartition", Value: binary.BigEndian.AppendUint32(nil, mine)},
			},
		})
	}
	r.kc.Produce(questions...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(asked) > 0 {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d requests were not answered", len(asked), requests)
		}
		for _, answer := range fetches.Records() {
			var id string
			for _, h := range answer.Headers {
				if h.Key == "kafka_correlationId" {
					id = string(h.Value)
				}
			}
			if want, ok := asked[id]; !ok || string(answer.Value) != want {
				t.Errorf("answer %q for %q, want %q", answer.Value, id, want)
			}
			delete(asked, id)
		}
	}
}

func TestAThousandRequestsThroughTwoCopiesGetTheirOwnAnswers(t *testing.T) {
	const callers = 1000
	r := newRig(t, kafka4(t).Brokers())
	questions, answers := r.topic("questions", 4), r.topic("answers", 2)
	asker := r.component(testkit.ComponentOptions{ID: "asker"})
	echo := r.component(testkit.ComponentOptions{ID: "echo"})
	echo.Stop() // until all questions are asked
	r.link("asker", r.config("", "request_reply_topic", answers))
	r.link("echo", r.config(questions, "reply_topics_from_records", answers))
	one, two := r.start(), r.start()
	r.waitShared(r.group("echo"), 2)
	// Any copy answers a question for health: both are ready when requests were served by each.
	one.WaitHealthy()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			question := fmt.Sprintf("question %d", i)
			answer, err := asker.Request(ctx, questions, []byte(question), patience)
			if err != nil || string(answer.Body) != question {
				t.Errorf("asking %q: %q, %v", question, answer.Body, err)
			}
		})
	}
	testkit.Eventually(t, patience, func() error {
		if n := sum(r.kc.EndOffsets(questions)); n != callers {
			return fmt.Errorf("%d of %d questions are asked", n, callers)
		}
		return nil
	})
	echo.Start()
	wg.Wait()
	t.Logf("%d requests in flight at once, all answered after %v", callers, time.Since(begin).Round(time.Millisecond))
	answered := "messaging_kafka_requests_total"
	a, b := one.metric(answered, `result="answered"`), two.metric(answered, `result="answered"`)
	if a == 0 || b == 0 || a+b != callers {
		t.Errorf("the copies got %v and %v answers, want %d in sum and some each", a, b, callers)
	}
	one.stop()
	two.stop()
}
