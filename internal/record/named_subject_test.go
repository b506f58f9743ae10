package record

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestParseNamedSubject(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		subject string
		want    NamedSubject
		wantErr string
	}{
		"a topic alone":                   {subject: "orders", want: NamedSubject{Subject: "orders"}},
		"a key":                           {subject: "orders?key=customer-7", want: NamedSubject{Subject: "orders", Key: []byte("customer-7")}},
		"an empty key":                    {subject: "orders?key=", want: NamedSubject{Subject: "orders", Key: []byte{}}},
		"a key of any bytes":              {subject: "o?key=%00%ff+%26%3d", want: NamedSubject{Subject: "o", Key: []byte("\x00\xff &=")}},
		"a key with an equals sign":       {subject: "o?key=a=b", want: NamedSubject{Subject: "o", Key: []byte("a=b")}},
		"headers in order, which repeat":  {subject: "o?header.b=1&header.a=2&header.b=3", want: NamedSubject{Subject: "o", Headers: []Header{{"b", []byte("1")}, {"a", []byte("2")}, {"b", []byte("3")}}}},
		"null and empty headers":          {subject: "o?header.null&header.empty=", want: NamedSubject{Subject: "o", Headers: []Header{{"null", nil}, {"empty", []byte{}}}}},
		"an encoded header name":          {subject: "o?header.a%26b.c=1", want: NamedSubject{Subject: "o", Headers: []Header{{"a&b.c", []byte("1")}}}},
		"a reply address around it":       {subject: "o?correlation=00ff&key=k&partition=3", want: NamedSubject{Subject: "o?correlation=00ff&partition=3", Key: []byte("k")}},
		"what is wrong elsewhere is kept": {subject: "o?key=k&&keys=1", want: NamedSubject{Subject: "o?&keys=1", Key: []byte("k")}},
		"an empty query is kept":          {subject: "o?", want: NamedSubject{Subject: "o?"}},
		"a key twice":                     {subject: "o?key=a&key=a", wantErr: "key twice"},
		"an empty key twice":              {subject: "o?key=&key=", wantErr: "key twice"},
		"a key without a value":           {subject: "o?key", wantErr: "key="},
		"a bad escape in a key":           {subject: "o?key=50%", wantErr: "a key that is not URL-encoded"},
		"a bad escape in a header":        {subject: "o?header.a=%zz", wantErr: "a header.a that is not URL-encoded"},
		"a bad escape in a header's name": {subject: "o?header.%z=1", wantErr: "whose name"},
		"a header name that is no UTF-8":  {subject: "o?header.%ff=1", wantErr: "whose name"},
		"a header without a name":         {subject: "o?header.=1", wantErr: "without a name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkParsed(t, ParseNamedSubject, test.subject, test.want, test.wantErr)
		})
	}
}

func TestNamesKey(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]bool{
		"key": false, "o": false, "o?": false, "o?partition=1": false, "o?keys=1": false, "o?header=1": false, "key=1": false,
		"o?key": true, "o?key=%": true, "o?partition=1&key=": true, "o?header.a": true, "o?header.=": true,
	} {
		if got := NamesKey(subject); got != want {
			t.Errorf("NamesKey(%q) = %v", subject, got)
		}
	}
}

// FuzzParseNamedSubject checks that a subject that is read holds nothing of a key any more, and that every key and
// header can be named.
func FuzzParseNamedSubject(f *testing.F) {
	f.Add("o?key=%00&header.a=1&header.a&correlation=00", "h", []byte("k"), []byte{0xff}, false)
	f.Add("?&&=?key=key", "a&b=", []byte{}, []byte("x y+%"), true)
	f.Fuzz(func(t *testing.T, subject, header string, key, value []byte, null bool) {
		if named, err := ParseNamedSubject(subject); err == nil {
			if NamesKey(named.Subject) {
				t.Errorf("%q leaves %q", subject, named.Subject)
			}
			if !NamesKey(subject) && named.Subject != subject {
				t.Errorf("%q became %q", subject, named.Subject)
			}
			if NamesKey(subject) != (named.Key != nil || named.Headers != nil) {
				t.Errorf("%q gave %+v", subject, named)
			}
		}
		if header == "" || strings.ToValidUTF8(header, "") != header {
			header = "h"
		}
		want := NamedSubject{Subject: "o?partition=1", Key: append([]byte{}, key...),
			Headers: []Header{{Key: header, Value: append([]byte{}, value...)}}}
		written := "o?key=" + url.QueryEscape(string(key)) + "&partition=1&header." + url.QueryEscape(header)
		if null {
			want.Headers[0].Value = nil
		} else {
			written += "=" + url.QueryEscape(string(value))
		}
		got, err := ParseNamedSubject(written)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q gave %+v (%v), want %+v", written, got, err, want)
		}
	})
}

// checkParsed fails the test unless what parse makes of a subject is want, or an error with wantErr in it.
func checkParsed[T any](t *testing.T, parse func(string) (T, error), subject string, want T, wantErr string) {
	t.Helper()
	got, err := parse(subject)
	switch {
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Errorf("got %+v and error %v, want an error with %q", got, err, wantErr)
	case wantErr == "" && (err != nil || !reflect.DeepEqual(got, want)):
		t.Errorf("got %+v and error %v, want %+v", got, err, want)
	}
}
