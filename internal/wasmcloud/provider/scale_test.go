package provider

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// Thousands of links come and go while others publish and the host asks how it goes. What a link costs when it goes
// must not grow with how many there are.
func TestLinksComeAndGoByTheThousandWhileOthersAreServed(t *testing.T) {
	const links = 1000
	b := newBench(t)
	b.topics("out")
	echo := testkit.NewComponent(t, b.nats, testkit.ComponentOptions{})
	p := b.start()
	b.host.PutLink(testkit.TargetLink("echo", "kafka", b.config("")))
	p.WaitHealthy()

	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan int, 1)
	failed := make(chan error, 1)
	go func() {
		n := 0
		defer func() { served <- n }()
		for ctx.Err() == nil {
			began := time.Now()
			err := echo.Publish(context.WithoutCancel(ctx), testkit.Message{Subject: "out", Body: []byte("x")})
			if _, askErr := p.Health(context.WithoutCancel(ctx)); err == nil {
				err = askErr
			}
			if took := time.Since(began); err == nil && took > testkit.DefaultTimeout/2 {
				err = fmt.Errorf("a publish and a health check took %v", took)
			}
			if err != nil {
				failed <- err
				return
			}
			n++
		}
	}()
	link := func(i int) testkit.Link {
		// They are refused: it is about links, not about Kafka.
		return testkit.TargetLink(fmt.Sprint("c", i), "kafka", map[string]string{"order": "any"})
	}
	for i := range links {
		b.host.PutLink(link(i))
	}
	for i := range links {
		b.host.DeleteLink(link(i))
	}
	p.WaitHealthy() // when the last of them is gone
	cancel()
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
	if n := <-served; n == 0 {
		t.Error("nobody was served meanwhile")
	}
	if r := p.Shutdown(); !r.Replied {
		t.Errorf("shutdown was not answered: %+v", r)
	}
}
