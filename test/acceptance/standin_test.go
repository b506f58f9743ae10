//go:build acceptance

package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// requestFunc asks a topic and returns the answer.
type requestFunc func(ctx context.Context, topic string, value []byte) ([]byte, error)

// standIn does as the values of records tell it, in the words of test/components/records-echo: what it makes of a
// record has the record's value, or what is left of it.
type standIn struct {
	mu         sync.Mutex
	deliveries map[string]int // by value, for those that are told of no attempts
}

var (
	errTrap    = errors.New("told to trap")
	errGivenUp = errors.New("the application has ended")
)

// rejected is the word that a record can never be handled.
type rejected struct{ text string }

func (r rejected) Error() string { return r.text }

// obey returns what is left of a value. attempt is 0 where the application is not told.
func (s *standIn) obey(ctx context.Context, value []byte, attempt int, request requestFunc) ([]byte, error) {
	if attempt == 0 {
		s.mu.Lock()
		if s.deliveries == nil {
			s.deliveries = make(map[string]int)
		}
		s.deliveries[string(value)]++
		attempt = s.deliveries[string(value)]
		s.mu.Unlock()
	}
	command, is := bytes.CutPrefix(value, []byte("!"))
	if !is {
		return value, nil
	}
	name, rest, _ := bytes.Cut(command, []byte(":"))
	switch string(name) {
	case "retry":
		return nil, errors.New(string(rest))
	case "reject":
		return nil, rejected{string(rest)}
	case "trap":
		return nil, errTrap
	case "until":
		n, rest, err := number(rest)
		if err != nil {
			return nil, err
		}
		if attempt < n {
			return nil, fmt.Errorf("attempt %d of %d", attempt, n)
		}
		return s.obey(ctx, rest, attempt, request)
	case "sleep":
		ms, rest, err := number(rest)
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return s.obey(ctx, rest, attempt, request)
		case <-ctx.Done():
			return nil, errGivenUp
		}
	case "request":
		topic, text, _ := bytes.Cut(rest, []byte(":"))
		return request(ctx, string(topic), text)
	default:
		return nil, rejected{fmt.Sprintf("unknown command %q", name)}
	}
}

// number reads a number and what stands behind its colon.
func number(b []byte) (int, []byte, error) {
	digits, rest, _ := bytes.Cut(b, []byte(":"))
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		return 0, nil, rejected{err.Error()}
	}
	return n, rest, nil
}

// process is the processor of records-echo. An error is that of the whole call.
func (s *standIn) process(ctx context.Context, batch []*record.Record, request requestFunc) ([]record.Outcome, error) {
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		value, err := s.obey(ctx, r.Value, r.Attempt, request)
		switch {
		case errors.Is(err, errTrap), errors.Is(err, errGivenUp):
			return nil, err
		case errors.As(err, new(rejected)):
			outcomes[i] = record.Outcome{Kind: record.Reject, Err: err}
		case err != nil:
			outcomes[i] = record.Outcome{Kind: record.Retry, Err: err}
		default:
			outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{
				Topic: r.Topic + ".out", Partition: record.AnyPartition, Key: r.Key, Value: value,
				Headers: r.Headers, Timestamp: r.Timestamp,
			}}}
		}
	}
	return outcomes, nil
}
