package hostdata

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// MaxLine bounds the line in bytes. A link takes about a kilobyte, so this is room for tens of thousands.
	MaxLine = 64 << 20
	// Patience is how long [Read] waits for more of the line. The host writes it as soon as the process runs and
	// waits until all is read, so a longer silence means that it was no host that started the process.
	Patience = 5 * time.Second
)

var (
	// ErrNothing says that the input ended without a line.
	ErrNothing = errors.New("standard input holds no host data")
	// ErrSilence says that nothing came for [Patience].
	ErrSilence = errors.New("no host data came on standard input")
	// ErrTooLong says that the line exceeds [MaxLine].
	ErrTooLong = fmt.Errorf("the host data exceed %d bytes", MaxLine)
)

// Read reads the host data from r, which is the process's standard input: one line, or all up to the end of the
// input. The host may write anything behind the line. It gives up with [ErrSilence] when nothing comes for [Patience],
// and with ctx's error when ctx ends.
//
// A blocked read from a pipe cannot be called off. Where Read gave up, the goroutine that reads stays until r
// returns, and r must not be used again; the process has nothing left to do but to end.
func Read(ctx context.Context, r io.Reader) (*Data, error) {
	line, err := readLine(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("reading host data: %w", err)
	}
	d, err := Decode(line)
	if err != nil {
		return nil, fmt.Errorf("reading host data: %w", err)
	}
	return d, nil
}

// Decode decodes one line of host data. White space around it is ignored, as are keys that are not known.
func Decode(line []byte) (*Data, error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil, ErrNothing
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Decode(decoded, line)
	if err != nil {
		if at, ok := errors.AsType[base64.CorruptInputError](err); ok {
			return nil, fmt.Errorf("no valid base64, from byte %d on", int64(at))
		}
		return nil, errors.New("no valid base64")
	}
	d := &Data{}
	if err := unmarshal(decoded[:n], d); err != nil {
		return nil, err
	}
	return d, nil
}

func readLine(ctx context.Context, r io.Reader) ([]byte, error) {
	type chunk struct {
		bytes []byte
		err   error
	}
	chunks := make(chan chunk)
	done := make(chan struct{})
	defer close(done)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			select {
			case chunks <- chunk{bytes.Clone(buf[:n]), err}:
			case <-done:
				return
			}
			if err != nil || bytes.IndexByte(buf[:n], '\n') >= 0 {
				return
			}
		}
	}()

	silence := time.NewTimer(Patience)
	defer silence.Stop()
	var line []byte
	for {
		select {
		case c := <-chunks:
			head, _, ended := bytes.Cut(c.bytes, []byte{'\n'})
			line = append(line, head...)
			switch {
			case len(line) > MaxLine:
				return nil, ErrTooLong
			case ended, errors.Is(c.err, io.EOF):
				return line, nil
			case c.err != nil:
				return nil, c.err
			}
			silence.Reset(Patience)
		case <-silence.C:
			return nil, ErrSilence
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
