package natsout

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// The headers by which a message tells what its record is.
const (
	routeHeader     = "Messaging-Kafka-Route"
	topicHeader     = "Messaging-Kafka-Topic"
	partitionHeader = "Messaging-Kafka-Partition"
	offsetHeader    = "Messaging-Kafka-Offset"
	timestampHeader = "Messaging-Kafka-Timestamp" // milliseconds since 1970
	attemptHeader   = "Messaging-Kafka-Attempt"
	// tombstoneHeader marks a record whose value is null.
	tombstoneHeader = "Messaging-Kafka-Tombstone"
	// keyHeader has the key; where no header can hold that, keyBase64Header has it in base64.
	keyHeader       = "Messaging-Kafka-Key"
	keyBase64Header = "Messaging-Kafka-Key-Base64"
	// headersHeader has all headers of the record as JSON, where NATS cannot hold one of them as it is.
	headersHeader = "Messaging-Kafka-Headers"
)

// reserved tells whether the name of a record's header means something to NATS or to us: whoever writes a record must
// not choose what a server does with its message, such as Nats-Rollup, which deletes others.
func reserved(name string) bool {
	const nats, ours = "nats-", "messaging-kafka-"
	lower := strings.ToLower(name)
	return strings.HasPrefix(lower, nats) || strings.HasPrefix(lower, ours) || lower == "status" || lower == "description"
}

// isPlain tells whether a header of NATS can hold the text as it is: no control characters, and no spaces at its ends,
// which are cut off.
func isPlain(text string) bool {
	return utf8.ValidString(text) && strings.TrimSpace(text) == text &&
		!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isName tells whether NATS takes the name of a header (a token of RFC 9110).
func isName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// addHeaders adds the headers of a record. What NATS cannot hold as it is stands with all the others in a list as
// JSON.
func addHeaders(to nats.Header, headers []record.Header) {
	whole := true
	for _, h := range headers {
		if h.Value == nil || reserved(h.Key) || !isName(h.Key) || !isPlain(string(h.Value)) {
			whole = false
			continue
		}
		to[h.Key] = append(to[h.Key], string(h.Value))
	}
	if !whole {
		to.Set(headersHeader, payload.EncodeHeaders(headers))
	}
}

// header is the header of the message of a record. Its trace takes the place of the record's own.
func (s *sender) header(r *record.Record, trace map[string][]string) nats.Header {
	h := make(nats.Header, len(r.Headers)+8)
	addHeaders(h, r.Headers)
	for name, values := range trace {
		if len(values) > 0 && isPlain(values[0]) {
			h[name] = values[:1:1]
		}
	}
	if isPlain(s.o.Route) {
		h[routeHeader] = []string{s.o.Route}
	}
	h[topicHeader] = []string{r.Topic}
	h[partitionHeader] = []string{strconv.Itoa(int(r.Partition))}
	h[offsetHeader] = []string{strconv.FormatInt(r.Offset, 10)}
	h[timestampHeader] = []string{strconv.FormatInt(r.Timestamp.UnixMilli(), 10)}
	h[attemptHeader] = []string{strconv.Itoa(r.Attempt)}
	if r.Value == nil {
		h[tombstoneHeader] = []string{"true"}
	}
	switch {
	case r.Key == nil:
	case isPlain(string(r.Key)):
		h[keyHeader] = []string{string(r.Key)}
	default:
		h[keyBase64Header] = []string{base64.StdEncoding.EncodeToString(r.Key)}
	}
	return h
}

// recordOf is the record that a message was made of, as far as it tells: headers that NATS can hold stand in the order
// of their names, and the trace is that of the delivery.
func recordOf(m *nats.Msg, form settings.Payload) (*record.Record, error) {
	r := &record.Record{Topic: m.Header.Get(topicHeader), Value: m.Data}
	partition, partitionErr := strconv.ParseInt(m.Header.Get(partitionHeader), 10, 32)
	offset, offsetErr := strconv.ParseInt(m.Header.Get(offsetHeader), 10, 64)
	timestamp, timestampErr := strconv.ParseInt(m.Header.Get(timestampHeader), 10, 64)
	if err := errors.Join(partitionErr, offsetErr, timestampErr); err != nil {
		return nil, fmt.Errorf("its headers do not say which record it is: %w", err)
	}
	r.Partition, r.Offset, r.Timestamp = int32(partition), offset, time.UnixMilli(timestamp)
	if form == settings.PayloadEnvelope {
		// A body that is none was written by other settings of the route. The headers of the message say the rest then.
		if out, err := payload.Decode(m.Data); err == nil {
			r.Key, r.Value, r.Headers = out.Key, out.Value, out.Headers
			return r, nil
		}
	}
	switch {
	case m.Header.Get(tombstoneHeader) == "true":
		r.Value = nil
	case r.Value == nil:
		r.Value = []byte{}
	}
	var err error
	if key, is := m.Header[keyHeader]; is && len(key) > 0 {
		r.Key = []byte(key[0])
	} else if key, is := m.Header[keyBase64Header]; is && len(key) > 0 {
		if r.Key, err = base64.StdEncoding.DecodeString(key[0]); err != nil {
			return nil, fmt.Errorf("reading its key: %w", err)
		}
	}
	if all := m.Header.Get(headersHeader); all != "" {
		if r.Headers, err = payload.DecodeHeaders(all); err != nil {
			return nil, fmt.Errorf("reading its headers: %w", err)
		}
		return r, nil
	}
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		if reserved(name) {
			continue
		}
		for _, value := range m.Header[name] {
			r.Headers = append(r.Headers, record.Header{Key: name, Value: []byte(value)})
		}
	}
	return r, nil
}

// subjectOf is the subject that a record goes to. The error is about the record.
func subjectOf(template string, r *record.Record) (string, error) {
	subject := template
	if strings.Contains(template, "{") {
		subject = strings.NewReplacer(
			settings.NATSTopic, topicToken(r.Topic),
			settings.NATSPartition, strconv.Itoa(int(r.Partition)),
			settings.NATSOffset, strconv.FormatInt(r.Offset, 10),
			settings.NATSKey, keyToken(r.Key),
		).Replace(template)
	}
	if !settings.IsNATSSubject(subject) {
		return "", fmt.Errorf("its subject would have %d bytes, or is none of NATS (nats_subject)", len(subject))
	}
	return subject, nil
}

// topicToken makes tokens of a subject of a topic's name, which may have dots where no subject has: at the ends, and
// two in a row.
func topicToken(topic string) string {
	if !strings.HasPrefix(topic, ".") && !strings.HasSuffix(topic, ".") && !strings.Contains(topic, "..") {
		return topic
	}
	tokens := strings.Split(topic, ".")
	for i, token := range tokens {
		if token == "" {
			tokens[i] = emptyToken
		}
	}
	return strings.Join(tokens, ".")
}

// emptyToken stands for what would be an empty token. It is the base64url of nothing.
const emptyToken = "_"

// keyToken makes a token of a key.
func keyToken(key []byte) string {
	if len(key) == 0 {
		return emptyToken
	}
	return base64.RawURLEncoding.EncodeToString(key)
}
