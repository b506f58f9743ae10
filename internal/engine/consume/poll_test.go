package consume

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/dispatch"
)

// Of a topic that was made anew the client has one error to tell, by a poll: where polls wait for partitions that have
// gone, the new ones are never read.
func TestAPollWaitsForNoPartitionThatHasGone(t *testing.T) {
	tp := topicPartition{"t", 0}
	for name, change := range map[string]func(*session, *assignment){
		"it was handed over": func(s *session, a *assignment) {
			s.forget(map[topicPartition]*assignment{tp: a})
		},
		"others have come": func(s *session, _ *assignment) {
			s.onAssigned(t.Context(), s.cl, map[string][]int32{"t": {1}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"), kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
					return nil, errors.New("there is no broker")
				}))
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Close()
				cfg := &Config{Log: slog.New(slog.DiscardHandler), Observer: new(counts)}
				s := &session{
					cfg: cfg, log: cfg.Log, cl: cl, progress: make(chan struct{}, 1), freed: make(chan struct{}, 1),
					joined: make(chan struct{}, 1), assigned: make(map[topicPartition]*assignment),
				}
				s.d = dispatch.New(dispatch.Config{Observer: cfg.Observer, Log: cfg.Log, Progress: s.finished})
				defer s.d.Close(t.Context())
				a := &assignment{Partition: s.d.Open("t", 0, 0), stopped: errRecreated}
				s.assigned[tp] = a
				polls := make(chan bool, 1)
				go func() { polls <- s.waitForRoom(t.Context()) }()
				synctest.Wait()
				if len(polls) > 0 {
					t.Fatal("there is a poll while the only partition stands still")
				}
				change(s, a)
				synctest.Wait()
				if len(polls) == 0 {
					t.Fatal("there is no poll any more")
				}
			})
		})
	}
}
