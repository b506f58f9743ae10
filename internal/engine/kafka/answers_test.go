package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ask writes the head of a request, and answer that of its answer, one byte at a time.
func ask(t *testing.T, conn net.Conn, key kmsg.Key, id int32) {
	t.Helper()
	askVersion(t, conn, key, 0, id)
}

func askVersion(t *testing.T, conn net.Conn, key kmsg.Key, version int16, id int32) {
	t.Helper()
	b := binary.BigEndian.AppendUint32(nil, 8)
	b = binary.BigEndian.AppendUint16(b, uint16(key.Int16()))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	if _, err := conn.Write(binary.BigEndian.AppendUint32(b, uint32(id))); err != nil {
		t.Fatal(err)
	}
}

func answer(size, id int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	return append(binary.BigEndian.AppendUint32(b, uint32(id)), body...)
}

func TestAnswersWithoutRecordsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		key     kmsg.Key
		size    int32
		refused bool
	}{
		"small":                            {kmsg.Metadata, 100, false},
		"as large as may be":               {kmsg.Metadata, maxAnswer, false},
		"larger":                           {kmsg.Metadata, maxAnswer + 1, true},
		"larger, of another kind":          {kmsg.DescribeConfigs, 90 << 20, true},
		"larger, with records":             {kmsg.Fetch, 90 << 20, false},
		"larger, with records, share":      {kmsg.ShareFetch, 90 << 20, false},
		"so large that it is no answer":    {kmsg.Metadata, 0x48545450, false}, // "HTTP", of which the client says what it is
		"none that was asked for, and big": {-1, maxAnswer + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			defer func() { _ = here.Close(); _ = there.Close() }()
			var told error
			conn := bounded(here, "broker:1", func(err error) { told = err }, nil)
			go func() { _, _ = io.CopyN(io.Discard, there, 24) }()
			ask(t, conn, kmsg.Fetch, 6)
			if c.key >= 0 {
				ask(t, conn, c.key, 7)
			} else {
				ask(t, conn, kmsg.Metadata, 5)
			}
			go func() {
				first := answer(4+3, 6, []byte("abc"))
				for i := range first {
					_, _ = there.Write(first[i : i+1])
				}
				_, _ = there.Write(answer(c.size, 7, []byte("body")))
			}()
			got := make([]byte, 8+3+8+4)
			_, err := io.ReadFull(conn, got)
			large, refused := errors.AsType[*AnswerTooLargeError](err)
			if refused != c.refused || refused && (large.Bytes != int64(c.size) || told != err) || !refused && err != nil {
				t.Errorf("got %v, told %v", err, told)
			}
			if refused {
				if _, err := conn.Read(got); err != large {
					t.Errorf("it can be read on after that: %v", err)
				}
			}
		})
	}
}

// Of what is answered to members of classic groups the code is told before the client has the answer, in each version.
func TestAnswersAboutMembershipsAreTold(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		for version := range kmsg.ResponseForKey(key.Int16()).MaxVersion() + 1 {
			t.Run(fmt.Sprint(key.Name(), version), func(t *testing.T) {
				here, there := net.Pipe()
				defer func() { _ = here.Close(); _ = there.Close() }()
				var codes []int16
				before := time.Now()
				conn := bounded(here, "broker:1", func(error) {}, func(k int16, sent time.Time, code int16) {
					if k != key.Int16() || sent.Before(before) || sent.After(time.Now()) {
						t.Errorf("told of key %d, sent at %s", k, sent)
					}
					codes = append(codes, code)
				})
				resp := kmsg.ResponseForKey(key.Int16())
				resp.SetVersion(version)
				reflect.ValueOf(resp).Elem().FieldByName("ErrorCode").SetInt(16)
				var body []byte
				if resp.IsFlexible() {
					body = []byte{0}
				}
				body = resp.AppendTo(body)
				go func() {
					_, _ = io.CopyN(io.Discard, there, 24)
					whole := answer(int32(4+len(body)), 6, body)
					for i := range whole {
						_, _ = there.Write(whole[i : i+1])
					}
					_, _ = there.Write(answer(4+3, 7, []byte("abc")))
					_, _ = there.Write(answer(4, 8, nil)) // of nobody
				}()
				askVersion(t, conn, key, version, 6)
				askVersion(t, conn, key, version, 7)
				got := make([]byte, 8+len(body)+8+3+8)
				if _, err := io.ReadFull(conn, got); err != nil {
					t.Fatal(err)
				}
				if len(codes) == 0 || codes[0] != 16 {
					t.Errorf("told of %v, want 16 first", codes)
				}
			})
		}
	}
}
