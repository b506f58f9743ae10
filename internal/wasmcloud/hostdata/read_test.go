package hostdata

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestTheLineIsReadHoweverItArrives(t *testing.T) {
	want := fullData()
	want.LogLevel = strings.Repeat("x", 150<<10) // more than a bufio.Scanner takes
	line := append(encode64(strings.Replace(full, `"log_level":"info"`, `"log_level":"`+want.LogLevel+`"`, 1)), "\r\n"...)
	for name, r := range map[string]io.Reader{
		"in one piece":            bytes.NewReader(line),
		"byte by byte":            iotest.OneByteReader(bytes.NewReader(line)),
		"in halves":               iotest.HalfReader(bytes.NewReader(line)),
		"with the end of file":    iotest.DataErrReader(bytes.NewReader(line)),
		"without a line end":      bytes.NewReader(bytes.TrimSpace(line)),
		"with more lines after":   io.MultiReader(bytes.NewReader(line), strings.NewReader("more\n")),
		"and then the line fails": io.MultiReader(bytes.NewReader(line), iotest.ErrReader(errors.New("later"))),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Read(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Error("the data differ")
			}
		})
	}
}

func TestReadSaysWhyThereIsNothing(t *testing.T) {
	broken := errors.New("broken pipe")
	for name, test := range map[string]struct {
		r    io.Reader
		want error
	}{
		"an empty input":   {strings.NewReader(""), ErrNothing},
		"an empty line":    {strings.NewReader(" \r\n"), ErrNothing},
		"a failing input":  {iotest.ErrReader(broken), broken},
		"an endless input": {endless{}, ErrTooLong},
	} {
		t.Run("for "+name, func(t *testing.T) {
			if _, err := Read(t.Context(), test.r); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}

func TestSilenceEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		begin := time.Now()
		if _, err := Read(t.Context(), r); !errors.Is(err, ErrSilence) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begin); waited != Patience {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestASlowLineIsReadWhileItMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		line := append(encode64(full), '\n')
		go func() {
			for _, part := range [][]byte{line[:10], line[10:20], line[20:]} {
				time.Sleep(Patience - time.Second)
				_, _ = w.Write(part)
			}
			w.Close()
		}()
		if _, err := Read(t.Context(), r); err != nil {
			t.Error(err)
		}
	})
}

func TestTheContextEndsTheWait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
