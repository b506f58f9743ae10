package route

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/filter"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// keeping notes the batches that it gets, and answers by a function.
type keeping struct {
	got    [][]string
	answer func(batch []*record.Record) []record.Outcome
}

func (k *keeping) Receive(_ context.Context, batch []*record.Record) []record.Outcome {
	var values []string
	for _, r := range batch {
		values = append(values, string(r.Value))
	}
	k.got = append(k.got, values)
	return k.answer(batch)
}

func TestAFilterHandsOverWhatItMatchesAndPutsOutcomesInTheirPlaces(t *testing.T) {
	wrong := errors.New("no")
	answers := map[string]record.Outcome{
		"1": {Kind: record.Done}, "3": {Kind: record.Retry, Err: wrong}, "5": {Kind: record.Reject, Err: wrong}, `"x"`: {Kind: record.Done},
	}
	each := func(batch []*record.Record) (outcomes []record.Outcome) {
		for _, r := range batch {
			outcomes = append(outcomes, answers[string(r.Value)])
		}
		return outcomes
	}
	const skipped, done, retry, reject, unanswered = record.Skipped, record.Done, record.Retry, record.Reject, record.Unanswered
	for sentence, c := range map[string]struct {
		onError  settings.OnFilterError
		values   []string
		answer   func([]*record.Record) []record.Outcome
		got      string
		want     []record.Kind
		filtered float64
		failures float64
	}{
		"one that matches":         {settings.FilterErrorDeliver, []string{"1"}, each, "[1]", []record.Kind{done}, 0, 0},
		"one that does not":        {settings.FilterErrorDeliver, []string{"2"}, each, "", []record.Kind{skipped}, 1, 0},
		"a batch with some":        {settings.FilterErrorDeliver, []string{"2", "3", "4", "1", "5"}, each, "[3 1 5]", []record.Kind{skipped, retry, skipped, done, reject}, 2, 0},
		"a batch with none":        {settings.FilterErrorDeliver, []string{"2", "4"}, each, "", []record.Kind{skipped, skipped}, 2, 0},
		"a batch with all":         {settings.FilterErrorDeliver, []string{"1", "5"}, each, "[1 5]", []record.Kind{done, reject}, 0, 0},
		"what fails is delivered":  {settings.FilterErrorDeliver, []string{`"x"`, "2"}, each, `["x"]`, []record.Kind{done, skipped}, 1, 1},
		"what fails is skipped":    {settings.FilterErrorSkip, []string{`"x"`, "2", "1"}, each, `[1]`, []record.Kind{skipped, skipped, done}, 2, 1},
		"what fails is rejected":   {settings.FilterErrorReject, []string{`"x"`, "2", "1"}, each, `[1]`, []record.Kind{reject, skipped, done}, 1, 1},
		"an answer for too many":   {settings.FilterErrorDeliver, []string{"2", "1"}, func([]*record.Record) []record.Outcome { return make([]record.Outcome, 2) }, "[1]", []record.Kind{skipped, unanswered}, 1, 0},
		"no answer for one alone ": {settings.FilterErrorDeliver, []string{"1", "3", "2"}, func([]*record.Record) []record.Outcome { return nil }, "[1 3]", []record.Kind{unanswered, unanswered, skipped}, 1, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			odd, err := filter.Compile(`int(value) % 2 == 1`)
			if err != nil {
				t.Fatal(err)
			}
			metrics := telemetry.NewMetrics()
			var log testkit.Log
			k := &keeping{answer: c.answer}
			f := filtered{k, odd, c.onError, metrics.Link("echo", "default"), log.Logger()}
			var batch []*record.Record
			for _, v := range c.values {
				batch = append(batch, &record.Record{Value: []byte(v)})
			}
			kept := slices.Clone(batch)
			outcomes := f.Receive(t.Context(), batch)
			if slices.Contains(c.values, `"x"`) {
				testkit.InRunbook(t, "The filter has no answer, or keeps too much back", log.String())
			}
			var kinds []record.Kind
			for _, o := range outcomes {
				kinds = append(kinds, o.Kind)
			}
			if !slices.Equal(kinds, c.want) {
				t.Errorf("the outcomes are %v, want %v", kinds, c.want)
			}
			var got []string
			for _, b := range k.got {
				got = append(got, "["+strings.Join(b, " ")+"]")
			}
			if strings.Join(got, "") != c.got {
				t.Errorf("handed over were %v, want %s", got, c.got)
			}
			if !slices.Equal(kept, batch) {
				t.Error("the batch was changed")
			}
			for i, o := range outcomes {
				if byFilter := o.Kind == skipped || c.onError == settings.FilterErrorReject && o.Kind == reject; o.Uncalled != byFilter {
					t.Errorf("record %d says %v of whether somebody was called", i, o.Uncalled)
				}
				if c.onError == settings.FilterErrorReject && o.Kind == reject && !strings.Contains(o.Err.Error(), "the filter has no answer for it: line 1, column 4: ") {
					t.Errorf("the reason is %v", o.Err)
				}
			}
			counts, err := metrics.Counts()
			if err != nil {
				t.Fatal(err)
			}
			if n := counts[telemetry.LinkName{Component: "echo", Link: "default"}]; n.Filtered != c.filtered || n.FilterFailures != c.failures {
				t.Errorf("%v are counted as filtered, %v as failures", n.Filtered, n.FilterFailures)
			}
		})
	}
}
