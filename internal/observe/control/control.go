package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
)

// Action is what is to be done with a link.
type Action string

// The actions.
const (
	// Pause ends the reading of a link, in order and for good, until Resume. What is published by it goes on.
	Pause  Action = "pause"
	Resume Action = "resume"
	// Restart has what runs of a link end and begin anew, by the same settings.
	Restart Action = "restart"
	// Seek sets the offsets from which the link's group goes on.
	Seek Action = "seek"
	// Hold is a pause that ends by itself, Release ends it: the other copies are held while one of them sets offsets.
	Hold    Action = "hold"
	Release Action = "release"
)

var actions = []Action{Pause, Resume, Restart, Seek, Hold, Release}

// Where a seek goes.
const (
	ToStart  = "start"
	ToEnd    = "end"
	ToTime   = "time"
	ToOffset = "offset"
)

// Target is where a seek goes: to the start or the end of each partition, to its first record that is not older than
// Time, or to Offset. It is for the partitions of all topics of the link, unless Topic or Partition is given.
type Target struct {
	To        string     `json:"to"`
	Time      *time.Time `json:"time,omitempty"`
	Offset    *int64     `json:"offset,omitempty"`
	Topic     string     `json:"topic,omitempty"`
	Partition *int32     `json:"partition,omitempty"`
}

// Request is what an operator asks of a copy.
type Request struct {
	Action Action `json:"action"`
	// Link names a link as the status does, component/name, or by the name alone where only one component has such a link.
	Link string `json:"link"`
	// Instance names the only copy that is meant; "" is whoever hears it.
	Instance string `json:"instance_id,omitempty"`
	// By is who asks, as he says. Over HTTP it is his token that counts.
	By string `json:"by,omitempty"`
	// Why is for those who wonder why a link is paused. Keep has the pause outlast a restart of the copy.
	Why  string `json:"why,omitempty"`
	Keep bool   `json:"keep,omitempty"`
	// Hold names a hold among those of all copies, Seconds are how long it lasts at most.
	Hold    string `json:"hold,omitempty"`
	Seconds int    `json:"seconds,omitempty"`
	// Seek is where to; DryRun only says what would be done.
	Seek   *Target `json:"seek,omitempty"`
	DryRun bool    `json:"dry_run,omitempty"`
}

// Move is what a seek does with one partition. From is -1 where the group had no offset.
type Move struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// Answer is what one copy made of a request.
type Answer struct {
	ProviderKey string `json:"provider_key"`
	HostID      string `json:"host_id"`
	InstanceID  string `json:"instance_id"`
	// OK tells whether it was done; Error says why not.
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	// Code says what kind of error it is.
	Code Code `json:"code,omitempty"`
	// Links are those that were acted on, as the status names them.
	Links []string `json:"links,omitempty"`
	// Note says what else is to be known of it.
	Note  string `json:"note,omitempty"`
	Moves []Move `json:"moves,omitempty"`
}

// Code is a kind of error.
type Code string

// The kinds of errors.
const (
	// CodeBad is a request that makes no sense, CodeUnknown a link that the copy does not have.
	CodeBad     Code = "bad_request"
	CodeUnknown Code = "unknown_link"
	// CodeRefused is what cannot be done as things are, CodeFailed what was tried and failed.
	CodeRefused Code = "refused"
	CodeFailed  Code = "failed"
)

const (
	// MaxRequest bounds a request in bytes.
	MaxRequest = 16 << 10
	// maxText bounds each text in it, maxSeconds a hold.
	maxText    = 1 << 10
	maxSeconds = 300
)

// Parse reads a request and says what is wrong with it.
func Parse(data []byte) (Request, error) {
	if len(data) > MaxRequest {
		return Request{}, fmt.Errorf("the request has more than %d bytes", MaxRequest)
	}
	var r Request
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields() // who asks for something that this version does not know must not get something else
	if err := decoder.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("reading the request: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Request{}, errors.New("reading the request: something comes after it")
	}
	return r, r.Check()
}

// Check says what is wrong with a request.
func (r *Request) Check() error {
	for _, said := range []string{r.Link, r.Instance, r.By, r.Why, r.Hold} {
		if len(said) > maxText || !utf8.ValidString(said) || strings.ContainsFunc(said, unicode.IsControl) {
			return fmt.Errorf("a text of the request is longer than %d bytes, or has control characters", maxText)
		}
	}
	switch {
	case !slices.Contains(actions, r.Action):
		return fmt.Errorf("there is no action %q", clipped(string(r.Action)))
	case r.Link == "":
		return errors.New("the request names no link")
	case (r.Action == Hold || r.Action == Release) && r.Hold == "":
		return fmt.Errorf("%s needs the name of a hold", r.Action)
	case r.Action == Hold && (r.Seconds < 1 || r.Seconds > maxSeconds):
		return fmt.Errorf("a hold lasts from 1 to %d seconds", maxSeconds)
	case r.Action == Seek:
		return r.Seek.check()
	}
	return nil
}

func (t *Target) check() error {
	switch {
	case t == nil:
		return errors.New("seek needs to know where to")
	case !slices.Contains([]string{ToStart, ToEnd, ToTime, ToOffset}, t.To):
		return fmt.Errorf("a seek goes to %s, %s, %s or %s, and not to %q", ToStart, ToEnd, ToTime, ToOffset, clipped(t.To))
	case (t.To == ToTime) != (t.Time != nil), (t.To == ToOffset) != (t.Offset != nil):
		return errors.New("a time goes with a seek to a time, and an offset with one to an offset")
	case t.Offset != nil && (*t.Offset < 0 || t.Partition == nil):
		return errors.New("a seek to an offset, from 0 on, names the partition: the same offset of another one is another record")
	case t.Partition != nil && *t.Partition < 0:
		return errors.New("partitions are counted from 0 on")
	case len(t.Topic) > maxText:
		return fmt.Errorf("the name of the topic is longer than %d bytes", maxText)
	}
	return nil
}

// clipped keeps what somebody sent from filling an error.
func clipped(sent string) string { return text.Clip(sent, 40) }
