package route

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/produce"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

func TestEachEndOfAPublishHasItsSendError(t *testing.T) {
	cases := map[produce.Class]wit.SendCase{
		produce.ClassTooLarge: wit.TooLarge, produce.ClassUnknownTopic: wit.UnknownTopic,
		produce.ClassNotAuthorised: wit.NotAuthorised, produce.ClassTimedOut: wit.TimedOut,
		produce.ClassUnavailable: wit.Unavailable, produce.ClassInvalid: wit.Invalid, produce.ClassOther: wit.Other,
	}
	for _, class := range produce.Classes() {
		want, ok := cases[class]
		if !ok && class != produce.ClassOK {
			t.Errorf("the test knows nothing of %s", class)
		}
		if class == produce.ClassOK {
			continue
		}
		err := &produce.Error{Class: class, Topic: "t", Text: "why", Size: 3, Limit: 2}
		got := SendErrorOf(fmt.Errorf("wrapped: %w", err))
		if got.Case != want || got.Text != "publishing to t: why" {
			t.Errorf("%s is %+v", class, got)
		}
		if large := got.Size == 3 && got.Limit == 2; large != (want == wit.TooLarge) {
			t.Errorf("%s has size %d and limit %d", class, got.Size, got.Limit)
		}
	}
	for want, err := range map[wit.SendCase]error{
		wit.Invalid:     fmt.Errorf("wrapped: %w", ErrNoReplyTopic),
		wit.Unavailable: &UnusableError{errors.New("it has just been deleted")},
		wit.TimedOut:    fmt.Errorf("no answer: %w", context.DeadlineExceeded),
		wit.Other:       errors.New("what"),
	} {
		if got := SendErrorOf(err); got.Case != want || got.Text != err.Error() {
			t.Errorf("%v is %+v", err, got)
		}
	}
}
