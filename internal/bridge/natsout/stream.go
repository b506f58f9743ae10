package natsout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/jsonnames"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/natsconn"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Stream stores records in a stream of JetStream (deliver=jetstream). A record is handled when the stream has it.
type Stream struct {
	sender
	// ids begins the ids of messages.
	ids string
	// advisories is nil where nobody asks for what consumers give up.
	advisories *advisories
}

// NewStream returns the receiver of a route.
func NewStream(o Options) *Stream {
	hosts := slices.Sorted(slices.Values(o.Settings.Cluster.Hosts))
	sum := sha256.Sum256([]byte(strings.Join(hosts, ",")))
	s := &Stream{sender: sender{o}, ids: hex.EncodeToString(sum[:4]) + "/" + o.Settings.Consumer.Group}
	if o.Settings.NATS.AdvisoryStream != "" {
		s.advisories = watchAdvisories(o, s.ids)
	}
	return s
}

// Close ends what the receiver does, and gives the connection back.
func (s *Stream) Close() {
	if s.advisories != nil {
		s.advisories.stop()
	}
	s.sender.Close()
}

// Receive implements record.Receiver.
func (s *Stream) Receive(ctx context.Context, batch []*record.Record) []record.Outcome {
	return s.each(ctx, batch, s.one)
}

// id is the same for all deliveries of a record to one group, after a restart as well, so that a stream has it once. A
// topic that was deleted and made anew has other timestamps.
func (s *Stream) id(r *record.Record) string {
	return fmt.Sprintf("%s/%s/%d/%d-%d", s.ids, r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli())
}

func (s *Stream) one(ctx context.Context, d *delivery) record.Outcome {
	d.message.Header.Set(nats.MsgIdHdr, s.id(d.record))
	if stream := s.o.Settings.NATS.Stream; stream != "" {
		d.message.Header.Set(nats.ExpectedStreamHdr, stream)
	}
	answer, err := s.o.Conn.Request(ctx, d.message, 0, nil)
	if err != nil {
		o := s.failed(err, d.message)
		if o.Kind == record.Unavailable && errors.Is(err, natsconn.ErrNoResponders) {
			o.Err = fmt.Errorf("no stream of JetStream has the subject %s", d.message.Subject)
		}
		return o
	}
	return stored(answer, d.message.Subject)
}

// The errors of JetStream that are about one message, as its server numbers them.
const (
	errMessageTooLarge = 10054
	errWrongStream     = 10060
	errHeaderTooLarge  = 10097
)

// stored reads the answer of a stream.
func stored(m *nats.Msg, subject string) record.Outcome {
	var ack struct {
		Stream string `json:"stream"`
		Error  *struct {
			Code        int    `json:"code"`
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	err := json.Unmarshal(m.Data, &ack)
	if err == nil {
		err = jsonnames.Check(m.Data, &ack)
	}
	switch {
	case err != nil || ack.Error == nil && ack.Stream == "":
		return record.Outcome{Kind: record.Unavailable, Err: fmt.Errorf("whoever answers on %s is no stream of JetStream", subject)}
	case ack.Error == nil:
		return record.Outcome{Kind: record.Done} // as a duplicate as well
	}
	e := ack.Error
	reason := fmt.Errorf("JetStream does not store it: %s (%d)", e.Description, e.ErrCode)
	switch {
	case e.ErrCode == errMessageTooLarge || e.ErrCode == errHeaderTooLarge:
		return record.Outcome{Kind: record.Reject, Err: reason}
	case e.ErrCode == errWrongStream:
		return record.Outcome{Kind: record.Unavailable, Err: fmt.Errorf("the stream that has the subject %s is another than nats_stream says", subject)}
	case e.Code >= 500:
		return record.Outcome{Kind: record.Unavailable, Err: reason}
	default:
		return record.Outcome{Kind: record.Retry, Err: reason}
	}
}
