package wit

import "testing"

func TestSendErrorsReadAsWhatTheyAre(t *testing.T) {
	for want, e := range map[string]*SendError{
		"too-large: 2 bytes where 1 are allowed": {Case: TooLarge, Size: 2, Limit: 1},
		"not-authorised: no":                     {Case: NotAuthorised, Text: "no"},
		"send-error(7): what":                    {Case: sendCases, Text: "what"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := SendErrorOf(&SendError{Case: sendCases, Text: "what"}); got.Case != Other {
		t.Errorf("a case that the contract does not have goes out as %v", got.Case)
	}
}
