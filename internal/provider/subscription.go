package provider

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"messaging-kafka/internal/consume"
	"messaging-kafka/internal/kafka"
	"messaging-kafka/internal/settings"
	"messaging-kafka/internal/status"
)

// subscriptions are what the provider consumes. A component may be linked in both directions with the same topic, as
// users of the original provider do who add a link of the usual direction: that is one subscription with two users,
// not two members of one group in one process.
type subscriptions struct {
	mu   sync.Mutex
	open map[string]*subscription
}

// subscription is one consumer and the links that asked for it.
type subscription struct {
	key string
	// component and link name the consumer's metrics.
	component, link string

	users  map[*running]struct{}
	access *kafka.Access
	*consume.Consumer
}

// subscriptionKey is equal for links that ask for the same records, from the same brokers, delivered to the same
// component in the same way.
func subscriptionKey(r *running) string {
	delivery := "messages"
	if r.role.Batches() {
		delivery = r.role.String()
	}
	c := r.settings.Consumer
	pattern := ""
	if c.TopicPattern != nil {
		pattern = c.TopicPattern.String()
		c.TopicPattern = nil
	}
	return fmt.Sprintf("%s|%s|%s|%q|%q|%+v|%+v", delivery, r.id.Peer, r.id.Name, r.settings.Cluster.Hosts, pattern, c, r.settings.Delivery)
}

func (s *subscriptions) join(r *running) (*subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := subscriptionKey(r)
	sub := s.open[key]
	if sub == nil {
		access, err := kafka.NewAccess(r.settings.Cluster, r.log)
		if err != nil {
			return nil, err
		}
		access.Watch(r.p.metrics.Client("consumer"))
		sub = &subscription{key: key, component: r.id.Peer, link: r.id.Name, users: make(map[*running]struct{}), access: access}
		sub.Consumer = consume.Start(r.consumerConfig(access))
		if s.open == nil {
			s.open = make(map[string]*subscription)
		}
		s.open[key] = sub
	} else {
		r.log.Info("the component's link in the other direction consumes the same already: both share it")
	}
	sub.users[r] = struct{}{}
	return sub, nil
}

// leave ends r's use of sub; the last user ends the consumer.
func (s *subscriptions) leave(ctx context.Context, r *running, sub *subscription) {
	s.mu.Lock()
	delete(sub.users, r)
	last := len(sub.users) == 0
	if last {
		delete(s.open, sub.key)
	}
	s.mu.Unlock()
	if last {
		sub.Stop(ctx)
	}
}

func (s *subscription) problems() status.Problems { return s.Status().Problems }

// equalSettings compares what links ask for. Regular expressions are compared by their text.
func equalSettings(a, b *settings.Link) bool {
	x, y := *a, *b
	if (x.Consumer.TopicPattern == nil) != (y.Consumer.TopicPattern == nil) {
		return false
	}
	if x.Consumer.TopicPattern != nil && x.Consumer.TopicPattern.String() == y.Consumer.TopicPattern.String() {
		x.Consumer.TopicPattern, y.Consumer.TopicPattern = nil, nil
	}
	return reflect.DeepEqual(x, y)
}
