package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// appendPrefix appends what stands before a message of gRPC: whether it is compressed, and its length.
func appendPrefix(b []byte, flag byte, length int) []byte {
	return binary.BigEndian.AppendUint32(append(b, flag), uint32(length))
}

// partial is an export that the collector took in part.
type partial struct {
	lost int
	text string
}

func (p *partial) Error() string { return fmt.Sprintf("the collector refused %d: %s", p.lost, p.text) }

// judgeHTTP reads the answer of a collector over HTTP. OTLP says which statuses are worth another try.
func judgeHTTP(resp *http.Response, body []byte) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return judgeExport(body)
	}
	f := &failure{err: fmt.Errorf("the collector answered %s", resp.Status)}
	if text := statusOf(body).text; text != "" && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-protobuf") {
		f.err = fmt.Errorf("%w: %s", f.err, text)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.again, f.after = true, retryAfter(resp.Header.Get("Retry-After"))
	}
	return f
}

// retryAfter reads seconds or a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// The codes of gRPC that matter here.
const (
	grpcOK                = 0
	grpcCancelled         = 1
	grpcDeadlineExceeded  = 4
	grpcResourceExhausted = 8
	grpcAborted           = 10
	grpcOutOfRange        = 11
	grpcUnavailable       = 14
	grpcDataLoss          = 15
)

// judgeGRPC reads the answer of a collector over gRPC.
func judgeGRPC(resp *http.Response, body []byte) error {
	header := resp.Trailer
	if header.Get("Grpc-Status") == "" {
		header = resp.Header // an answer of trailers alone
	}
	code, err := strconv.Atoi(header.Get("Grpc-Status"))
	if err != nil {
		// A proxy that knows no gRPC, or no collector at all.
		f := &failure{err: fmt.Errorf("the collector answered %s without a gRPC status", resp.Status)}
		switch resp.StatusCode {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			f.again = true
		}
		return f
	}
	if code == grpcOK {
		if len(body) < 5 || body[0] != 0 {
			// Compressed answers are not asked for; one that is compressed all the same says nothing that matters.
			return nil
		}
		return judgeExport(body[5:])
	}
	text, err := url.PathUnescape(header.Get("Grpc-Message"))
	if err != nil {
		text = ""
	}
	f := &failure{err: fmt.Errorf("the collector answered gRPC status %d: %s", code, clip(text))}
	switch code {
	case grpcCancelled, grpcDeadlineExceeded, grpcAborted, grpcOutOfRange, grpcUnavailable, grpcDataLoss:
		f.again = true
	}
	if code == grpcUnavailable || code == grpcResourceExhausted {
		// Only with a time to wait does "exhausted" mean "later", OTLP says.
		if details, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(header.Get("Grpc-Status-Details-Bin"), "=")); err == nil {
			if s := statusOf(details); s.hasDelay {
				f.again, f.after = true, s.delay
			}
		}
	}
	return f
}

// judgeExport reads an Export…ServiceResponse, whose field 1 says what the collector refused.
func judgeExport(body []byte) error {
	var p partial
	fields(body, func(n protowire.Number, _ uint64, b []byte) {
		if n != 1 {
			return
		}
		fields(b, func(n protowire.Number, v uint64, b []byte) {
			switch n {
			case 1:
				p.lost = int(min(v, 1<<30))
			case 2:
				p.text = clip(string(b))
			}
		})
	})
	if p.lost == 0 {
		return nil // a text alone is a warning for the collector's own operator
	}
	return &p
}

// status is what matters of a google.rpc.Status.
type status struct {
	text     string
	delay    time.Duration
	hasDelay bool
}

func statusOf(b []byte) (s status) {
	fields(b, func(n protowire.Number, _ uint64, b []byte) {
		switch n {
		case 2:
			s.text = clip(string(b))
		case 3: // details, each a google.protobuf.Any
			var kind string
			var value []byte
			fields(b, func(n protowire.Number, _ uint64, b []byte) {
				switch n {
				case 1:
					kind = string(b)
				case 2:
					value = b
				}
			})
			if strings.HasSuffix(kind, "/google.rpc.RetryInfo") {
				s.hasDelay = true
				fields(value, func(n protowire.Number, _ uint64, b []byte) {
					if n == 1 {
						s.delay = durationOf(b)
					}
				})
			}
		}
	})
	return s
}

func durationOf(b []byte) (d time.Duration) {
	fields(b, func(n protowire.Number, v uint64, _ []byte) {
		switch n {
		case 1:
			d += time.Duration(min(v, 3600)) * time.Second
		case 2:
			d += time.Duration(min(v, uint64(time.Second)))
		}
	})
	return d
}

// fields calls f with each field of a message: v of a varint, b of what has a length. What is no message ends it: an
// answer that cannot be read says nothing more.
func fields(msg []byte, f func(n protowire.Number, v uint64, b []byte)) {
	for len(msg) > 0 {
		number, kind, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return
		}
		msg = msg[n:]
		switch kind {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(msg)
			if n < 0 {
				return
			}
			f(number, v, nil)
			msg = msg[n:]
		case protowire.BytesType:
			b, n := protowire.ConsumeBytes(msg)
			if n < 0 {
				return
			}
			f(number, 0, b)
			msg = msg[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, msg)
			if n < 0 {
				return
			}
			msg = msg[n:]
		}
	}
}

// maxText bounds what a collector can put into our log.
const maxText = 256

func clip(text string) string {
	if len(text) <= maxText {
		return strings.ToValidUTF8(text, "?")
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.ToValidUTF8(text[:cut], "?") + "…"
}
