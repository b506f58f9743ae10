package record

import (
	"reflect"
	"testing"
)

func TestParseSubject(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		subject string
		want    ReplyAddress
		wantErr string
	}{
		"a topic alone":               {subject: "orders", want: ReplyAddress{Topic: "orders", Partition: AnyPartition}},
		"a correlation":               {subject: "a.reply?correlation=00fF", want: ReplyAddress{Topic: "a.reply", Partition: AnyPartition, Correlation: []byte{0, 0xff}}},
		"a partition":                 {subject: "a?partition=0", want: ReplyAddress{Topic: "a"}},
		"both, in either order":       {subject: "a?partition=7&correlation=01", want: ReplyAddress{Topic: "a", Partition: 7, Correlation: []byte{1}}},
		"the largest partition":       {subject: "a?partition=2147483647", want: ReplyAddress{Topic: "a", Partition: 1<<31 - 1}},
		"nothing":                     {subject: "", wantErr: "names no topic"},
		"no topic before the query":   {subject: "?partition=1", wantErr: "names no topic"},
		"an unknown key":              {subject: "a?key=1", wantErr: `unknown key "key"`},
		"a key that is capitalised":   {subject: "a?Partition=1", wantErr: `unknown key "Partition"`},
		"an empty query":              {subject: "a?", wantErr: "key=value"},
		"a key without a value":       {subject: "a?partition", wantErr: `"partition" behind`},
		"an empty correlation":        {subject: "a?correlation=", want: ReplyAddress{Topic: "a", Partition: AnyPartition, Correlation: []byte{}}},
		"an empty partition":          {subject: "a?partition=", wantErr: "key=value"},
		"a key twice":                 {subject: "a?partition=1&partition=1", wantErr: `"partition" twice`},
		"a correlation of odd length": {subject: "a?correlation=abc", wantErr: "not hexadecimal"},
		"a negative partition":        {subject: "a?partition=-1", wantErr: `"-1"`},
		"a partition with a sign":     {subject: "a?partition=+1", wantErr: `"+1"`},
		"a partition out of range":    {subject: "a?partition=2147483648", wantErr: "not a number from 0"},
		"a trailing separator":        {subject: "a?partition=1&", wantErr: "key=value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkParsed(t, ParseSubject, test.subject, test.want, test.wantErr)
		})
	}
}

func TestReplyAddressStringIsStable(t *testing.T) {
	t.Parallel()
	address := ReplyAddress{Topic: "orders.reply", Partition: 3, Correlation: []byte{0x0a, 0x1b}}
	if got, want := address.String(), "orders.reply?correlation=0a1b&partition=3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzParseSubject checks that nothing panics, and that whatever is read is written and read again as the same.
func FuzzParseSubject(f *testing.F) {
	for _, seed := range []string{"orders", "a?correlation=00ff&partition=3", "?", "a?partition=99999999999",
		"a?b=c&&=", "a??"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		first, err := ParseSubject(subject)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		if first.Topic == "" || first.Partition < AnyPartition {
			t.Errorf("%q gave %+v", subject, first)
		}
		second, err := ParseSubject(first.String())
		if err != nil {
			t.Fatalf("%q was read as %+v, whose form %q gives %v", subject, first, first.String(), err)
		}
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%q: %+v became %+v", subject, first, second)
		}
	})
}
