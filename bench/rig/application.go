package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// Application starts a plain program behind deliver=http-records, which returns each record, as it came, for the topic
// <topic>.reply. It fails the test when the records of a key did not come in the order of their offsets.
func Application(t testing.TB) (url string, pid int) {
	t.Helper()
	pid, line := start(t, "application")
	return line, pid
}

func serveApplication(_ []string, in io.Reader, out io.Writer) error {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var seen order
	server := http.Server{
		Handler: http.HandlerFunc(seen.answer), ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	err = untilEnd(in, out, "http://"+ln.Addr().String()+"/")
	_ = server.Close() // the connections are cut, which is all that is wanted
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return errors.Join(err, seen.err())
}

// order watches that the records of a key come one after another. Its zero value is ready.
type order struct {
	mu     sync.Mutex
	last   map[string]uint64 // by topic, partition and key: one more than the offset
	broken error
}

func (o *order) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken
}

func (o *order) look(batch []*record.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = make(map[string]uint64)
	}
	for _, r := range batch {
		if len(r.Key) == 0 || r.Attempt > 1 {
			continue
		}
		key := fmt.Sprintf("%s/%d/%s", r.Topic, r.Partition, r.Key)
		if next := uint64(r.Offset) + 1; next > o.last[key] {
			o.last[key] = next
		} else if o.broken == nil {
			o.broken = fmt.Errorf("offset %d of %s came after %d", r.Offset, key, o.last[key]-1)
		}
	}
}

func (o *order) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the bridge is gone
	}
	batch, err := wit.DecodeBatch(wit.NewBytesDecoder(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.look(batch)
	outcomes := make([]record.Outcome, len(batch))
	for i, r := range batch {
		outcomes[i] = record.Outcome{Kind: record.Done, Outputs: []record.Outgoing{{
			Topic: r.Topic + ".reply", Partition: record.AnyPartition, Key: r.Key, Value: r.Value,
			Headers: r.Headers, Timestamp: r.Timestamp,
		}}}
	}
	w.Header().Set("Content-Type", wit.RecordsType)
	_, _ = w.Write(wit.AppendProcessed(nil, outcomes)) // a bridge that is gone asks again
}
