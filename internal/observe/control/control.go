package control

import (
	"bytes"
	"cmp"
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
	// Look shows records of one of the link's topics, and changes nothing.
	Look Action = "look"
)

var actions = []Action{Pause, Resume, Restart, Seek, Hold, Release, Look}

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
	// Seek is where to; DryRun only says what would be done. With Leaving it is refused as the seek would be where others
	// are in the group than this copy and the members that Leaving names, which are those of the other copies that would
	// be held. Only who says that he knows it gets it: see Answer.Members.
	Seek    *Target  `json:"seek,omitempty"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Leaving []string `json:"leaving,omitzero"`
	// Look says which records are to be shown.
	Look *View `json:"look,omitempty"`
}

// View is which records are shown: those of Topic, one that the link reads or writes dead letters or answers to ("" is
// the first that it reads), from From on (a place as `messaging-kafka tail --from` takes it, "" is [DefaultFrom]), that
// fit all of Filters (as tail takes them), Limit of them at most (0 is [MaxShown]).
type View struct {
	Topic     string   `json:"topic,omitempty"`
	Partition *int32   `json:"partition,omitempty"`
	From      string   `json:"from,omitempty"`
	Filters   []string `json:"filters,omitempty"`
	Limit     int      `json:"limit,omitempty"`
}

const (
	// DefaultFrom is so many offsets before the end of each partition.
	DefaultFrom = "-20"
	// MaxShown bounds the records of an answer.
	MaxShown = 100
	// maxFilters bounds what each record is compared with.
	maxFilters = 8
	// maxLeaving bounds the ids of members that a request names, in bytes together: they are to fit in MaxRequest.
	maxLeaving = 12 << 10
)

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
	// Members are as whom the copy is in the group of which a dry run of a seek was; nil tells nothing of it, as copies
	// of a version do that knows no Request.Leaving.
	Members []string `json:"members,omitzero"`
	// Records are those that were to be shown; More tells that there are others behind them, and Hidden that keys, values
	// and headers' values are not told, because provider_control_payloads does not allow it.
	Records []Shown `json:"records,omitempty"`
	More    bool    `json:"more,omitempty"`
	Hidden  bool    `json:"hidden,omitempty"`
}

// Shown is a record for people. A text is null, text in which nothing is left that a terminal obeys, or 0x and
// hexadecimal digits; of what is long the rest is left out. Sizes are in bytes, -1 of what is null.
type Shown struct {
	Topic     string        `json:"topic"`
	Partition int32         `json:"partition"`
	Offset    int64         `json:"offset"`
	Time      string        `json:"time"`
	KeySize   int           `json:"key_size"`
	ValueSize int           `json:"value_size"`
	Key       string        `json:"key,omitempty"`
	Value     string        `json:"value,omitempty"`
	Headers   []ShownHeader `json:"headers,omitempty"`
	// MoreHeaders is how many there are besides these.
	MoreHeaders int `json:"more_headers,omitempty"`
}

// ShownHeader is a header for people.
type ShownHeader struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
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
		return errors.New("the request names nothing to act on")
	case (r.Action == Hold || r.Action == Release) && r.Hold == "":
		return fmt.Errorf("%s needs the name of a hold", r.Action)
	case r.Action == Hold && (r.Seconds < 1 || r.Seconds > maxSeconds):
		return fmt.Errorf("a hold lasts from 1 to %d seconds", maxSeconds)
	case r.Action == Seek:
		return cmp.Or(r.Seek.check(), r.checkLeaving())
	case r.Action == Look:
		return r.Look.check()
	}
	return nil
}

func (r *Request) checkLeaving() error {
	if r.Leaving != nil && !r.DryRun {
		return errors.New("members that would leave go with a dry run")
	}
	bytes := 0
	for _, member := range r.Leaving {
		if bytes += len(member) + len(`"",`); bytes > maxLeaving {
			return fmt.Errorf("the members that would leave have names of more than %d bytes together", maxLeaving)
		}
	}
	return nil
}

func (v *View) check() error {
	switch {
	case v == nil:
		return errors.New("look needs to know at what")
	case v.Partition != nil && *v.Partition < 0:
		return errors.New("partitions are counted from 0 on")
	case v.Limit < 0 || v.Limit > MaxShown:
		return fmt.Errorf("from 1 to %d records are shown", MaxShown)
	case len(v.Filters) > maxFilters:
		return fmt.Errorf("there are more than %d filters", maxFilters)
	case len(v.Topic) > maxText || len(v.From) > maxText:
		return fmt.Errorf("a text of the request is longer than %d bytes", maxText)
	}
	for _, f := range v.Filters {
		if len(f) > maxText {
			return fmt.Errorf("a filter is longer than %d bytes", maxText)
		}
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
