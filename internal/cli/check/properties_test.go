package check

import (
	"maps"
	"strings"
	"testing"
)

func TestPropertiesAreReadAsWritten(t *testing.T) {
	const text = "\ufeff# a comment\r\n! another\n\nhosts = a:1, b:2 \r\nsasl.password=a=b#c;d\nquoted=\"  x \\\"y\\\" \\\\ \\n\"  # why\nsingle='it\\n \"is\"'\nempty=\n"
	want := map[string]string{
		"hosts": "a:1, b:2", "sasl.password": "a=b#c;d", "quoted": "  x \"y\" \\ \n", "single": `it\n "is"`, "empty": "",
	}
	got, err := ReadProperties(strings.NewReader(text))
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPropertiesThatCannotBeReadNameTheLineAndNoValue(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no equals sign":         {"\nhidden", "line 2 is not key=value"},
		"no key":                 {"=hidden", "line 1"},
		"an open quote":          {"a=1\npassword=\"hidden", "line 2: the value of password begins with a quote"},
		"text behind a quote":    {"password='hidden'x", "goes on behind its closing quote"},
		"an escape of no use":    {`password="hid\den"`, `write \\ for \`},
		"a key twice":            {"a=hidden\na=hidden", "line 2: a is given twice"},
		"a line without an end":  {"a=" + strings.Repeat("hidden", maxLine/6+1), "too long"},
		"a backslash at the end": {`password="hidden\`, "nothing closes"},
		"a setting swallowed":    {"sasl_password=hidden\\\nhosts=a", `line 1 ends with a \`},
		"a line that goes on":    {"a=1\n\nhid\\\nden\n", "line 3 is not key=value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadProperties(strings.NewReader(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestAFileOfAKafkaClientIsReadAsItIs(t *testing.T) {
	const text = "bootstrap.servers=a:1,\\\n    b:2\nsasl.jaas.config=x.PlainLoginModule required \\\r\n  username=\"u\" \\\n  password=\"a=b\";\nlast=x\\"
	want := map[string]string{"bootstrap.servers": "a:1,b:2", "last": `x\`,
		"sasl.jaas.config": `x.PlainLoginModule required username="u" password="a=b";`}
	got, err := ReadProperties(strings.NewReader(text))
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzReadProperties(f *testing.F) {
	f.Add("a=b\n#c\nd=\"e\\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		if values, err := ReadProperties(strings.NewReader(text)); err != nil && values != nil {
			t.Error("values come with an error")
		}
	})
}
