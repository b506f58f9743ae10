package settings

import (
	"errors"
	"strings"
	"unicode"

	basetext "github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/filter"
)

// filterSettings are those that say which records the component gets.
func filterSettings() []setting {
	return []setting{
		{
			name: keyFilter, hints: []string{"cel", "record_filter", "filter_expression", "where"},
			example: `headers[?"type"] == optional.of("created")` + "\n" + `topic == "orders" && value.amount > 100`,
			doc: "Expression of [CEL](https://cel.dev) that is true for the records that the component gets. The others are finished without a call, and counted. " +
				"It may ask for `key`, `headers`, `value` (the fields of JSON), `topic`, `partition`, `offset`, `timestamp` and `size` of a record ([delivery.md](delivery.md#filter)). " +
				"`none` takes back one of the provider's own config.",
			value: into("expression or `none`", parseFilter, func(d *draft) *string { return &d.link.Delivery.Filter }),
		},
		{
			name: keyOnFilterError, hints: []string{"filter_error", "on_filter_failure"},
			def: "deliver", example: "reject",
			doc: "What becomes of a record at which the expression of `filter` fails, as where it asks for a field that the record does not have: `deliver` gives it to the component, `skip` finishes it without a call, `reject` treats it as rejected (`dead_letter_topic`, `on_reject`). " +
				"`deliver` is the default because with it no mistake in an expression can lose a record.",
			value: word(func(d *draft) *OnFilterError { return &d.link.Delivery.OnFilterError },
				nil, FilterErrorDeliver, FilterErrorSkip, FilterErrorReject),
		},
	}
}

const (
	keyFilter        = "filter"
	keyOnFilterError = "on_filter_error"
)

func parseFilter(text string) (string, error) {
	if strings.EqualFold(text, "none") {
		return "", nil
	}
	isOdd := func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }
	if strings.ContainsFunc(text, isOdd) {
		return "", refuse(text, "holds a control character")
	}
	_, err := filter.Compile(text)
	if err == nil {
		return text, nil
	}
	refused := &badValue{why: "is not an expression of CEL"}
	if wrong, is := errors.AsType[*filter.Error](err); is {
		if place := wrong.Place(); place != "" {
			refused.why += ", at " + place
		}
		refused.told = basetext.Whole(wrong.Problem, maxShown)
	}
	return "", refused
}
