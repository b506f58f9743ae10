package dev

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestLinesAreReadHoweverTheyArrive(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for name, test := range map[string]struct {
		input string
		want  []string // "!" is a line that is too long
	}{
		"nothing":                       {"", nil},
		"a line end alone":              {"\n", []string{""}},
		"no end of the last":            {"a\nb", []string{"a", "b"}},
		"a carriage return is kept":     {"a\r\n", []string{"a\r"}},
		"the longest":                   {long + "\n" + long, []string{long, long}},
		"a longer one between others":   {"a\n" + long + "y\nb\n", []string{"a", "!", "b"}},
		"a longer one without an end":   {long + "y", []string{"!"}},
		"much longer ones, one by one":  {long + long + long + "\n" + long + "z\n\n", []string{"!", "!", ""}},
		"null bytes and other controls": {"\x00\x07\n", []string{"\x00\x07"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, from := range []io.Reader{strings.NewReader(test.input), iotest.HalfReader(strings.NewReader(test.input)),
				iotest.DataErrReader(strings.NewReader(test.input))} {
				buffered := bufio.NewReaderSize(from, 64<<10)
				var got []string
				for {
					l, err := readLine(buffered)
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if l.err != nil {
						l.value = []byte("!")
					}
					if l.value == nil {
						t.Errorf("line %d would be a tombstone", len(got)+1)
					}
					got = append(got, string(l.value))
				}
				if len(got) != len(test.want) {
					t.Fatalf("%d lines, want %d", len(got), len(test.want))
				}
				for i := range got {
					if got[i] != test.want[i] {
						t.Errorf("line %d is %.50q of %d bytes, want %.50q of %d", i, got[i], len(got[i]), test.want[i],
							len(test.want[i]))
					}
				}
			}
		})
	}
}

func TestAnInputThatFailsEndsTheRunWithItsError(t *testing.T) {
	broken := errors.New("the disk is gone")
	_, end := begin(t, t.Context(), io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(broken)), Options{})
	if got := end(); !errors.Is(got.err, broken) {
		t.Errorf("got %v", got.err)
	}
}

func TestAnOutputThatFailsEndsTheRunWithItsError(t *testing.T) {
	full := errors.New("no space")
	var log testkit.Log
	err := Run(t.Context(), Options{In: strings.NewReader("a\nb\n"), Out: failing{full}, Err: &log})
	if !errors.Is(err, full) {
		t.Errorf("got %v\n%s", err, log.String())
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestABlockedReadOfAFileIsCalledOff(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	source, err := newInterruptible(read)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write.WriteString("abc"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := source.Read(b); err != nil || string(b[:n]) != "abc" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	done := make(chan error)
	go func() {
		_, err := source.Read(b)
		done <- err
	}()
	if err := source.interrupt(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
	if err := source.close(); err != nil {
		t.Error(err)
	}
}

func TestValuesArePrintedSoThatTheyHarmNoTerminal(t *testing.T) {
	for name, test := range map[string]struct {
		value, want string
		most        int
	}{
		"text":                     {"grüße, 漢字\t🙂", "grüße, 漢字\t🙂", 100},
		"nothing":                  {"", "", 100},
		"an escape":                {"\x1b[2J", `"\x1b[2J"`, 100},
		"a line end":               {"a\nb", `"a\nb"`, 100},
		"no UTF-8":                 {"a\xffb", `"a\xffb"`, 100},
		"the replacement itself":   {"\uFFFD", "\uFFFD", 100},
		"an order to change sides": {"a\u202eb", `"a\u202eb"`, 100},
		"as long as allowed":       {"abc", "abc", 3},
		"longer":                   {"abcd", "abc… (4 bytes)", 3},
		"cut within a character":   {"aüü", "aü… (5 bytes)", 4},
		"cut within no character":  {"\x80\x80\x80\x80\x80", `"\x80"… (5 bytes)`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(appendPrintable([]byte("x: "), []byte(test.value), test.most)); got != "x: "+test.want {
				t.Errorf("got %q, want %q", got, "x: "+test.want)
			}
		})
	}
}
