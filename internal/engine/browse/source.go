package browse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Source is a topic that can be looked at.
type Source struct {
	Topic    string
	Settings settings.Link
	Access   *kafka.Access
	Client   *kgo.Client
	Admin    *kadm.Client
	Reader   *kafka.TopicReader
	// Secrets are those of the link: no error tells them.
	Secrets *redact.Redactor
}

// leastBatch is what a batch may decompress to at least.
const leastBatch = 8 << 20

// Open makes the clients for a topic and asks for it. Close follows.
func Open(ctx context.Context, link settings.Link, topic string, secrets *redact.Redactor) (*Source, error) {
	access, err := kafka.NewAccess(link.Cluster, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	access.Redact(secrets)
	client, err := kgo.NewClient(access.Options()...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client: %w", err)
	}
	s := &Source{
		Topic: topic, Settings: link, Access: access, Client: client, Admin: kadm.NewClient(client), Secrets: secrets,
	}
	s.Reader, err = kafka.NewTopicReader(client, topic, link.Consumer.ReadCommitted,
		max(leastBatch, 2*int64(link.Producer.Client.MaxMessageBytes)))
	if err == nil {
		err = s.Explain(s.look(ctx))
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Cluster.RequestTimeout)
	defer cancel()
	return s.Reader.Look(ctx)
}

// Close closes the clients.
func (s *Source) Close() { s.Client.Close() }

// Explain makes of an error one that says to people what Kafka means by it, without secrets. It is still what err is.
func (s *Source) Explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if _, gone := errors.AsType[*kafka.GoneError](err); gone {
		return err
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) { // to create it helps nobody who wants to see what is in it
		return &explained{fmt.Sprintf("topic %s does not exist, or this user may not see it (ACL Describe)", s.Topic), err}
	}
	_, answered := errors.AsType[*kerr.Error](err)
	if d := s.Access.Explain(err); d.Class != kafka.ClassOther || answered {
		return &explained{s.Secrets.Text(fmt.Sprintf("topic %s: %s", s.Topic, d.Text)), err}
	}
	return s.Secrets.Err(err)
}

// explained is an error in other words.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }
