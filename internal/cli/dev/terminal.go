package dev

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

const prompt = "> "

var (
	errInterrupted = errors.New("the read was called off")
	errLineTooLong = fmt.Errorf("it is longer than %d bytes (1 MiB)", MaxLine)
)

// screen writes whole lines to whom they are for. All goroutines may use it.
type screen struct {
	mu       sync.Mutex
	out, err io.Writer
	// quiet leaves out what is said and is neither a record nor trouble.
	quiet bool
	said  bool
	// prompting is the terminal while a line is being typed: it moves what is typed out of the way.
	prompting io.Writer
}

func newScreen(out, err io.Writer) *screen { return &screen{out: out, err: err} }

// show writes an echo.
func (s *screen) show(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompting != nil {
		_, err := s.prompting.Write(line)
		return err
	}
	_, err := s.out.Write(line)
	return err
}

// say tells the person what is going on. There is nobody to tell when that fails.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	s.said = true
	quiet := s.quiet
	s.mu.Unlock()
	if !quiet {
		s.warn(format, args...)
	}
}

// warn tells of trouble, also where all else is not to be told.
func (s *screen) warn(format string, args ...any) { _, _ = fmt.Fprintf(s, format, args...) }

// hasSaid tells whether there was anything to say yet, be it told or not.
func (s *screen) hasSaid() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said
}

// Write implements io.Writer for the log.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prompting != nil {
		return s.prompting.Write(b)
	}
	return s.err.Write(b)
}

// patience is how long a person waits without a word.
const patience = 500 * time.Millisecond

// sayEarly says something where nothing else was said for a while. The function that it returns ends that.
func (s *screen) sayEarly(text string) (stop func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(done)
		if !s.hasSaid() {
			s.say("%s", text)
		}
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}

func (s *screen) setPrompting(w io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompting = w
}

// line is one line of the input, without its end.
type line struct {
	value []byte
	err   error // [errLineTooLong]; value is empty then
}

// input reads lines in a goroutine of its own.
type input struct {
	lines chan line
	// err is why the lines have ended, nil at the end of the input. It is valid once lines is closed.
	err error
}

// readLines begins to read. stop calls a blocked read off, waits for the goroutine, and gives the terminal back.
func (r *runner) readLines() (in *input, stop func() error, err error) {
	reading := &input{lines: make(chan line)}
	ctx, cancel := context.WithCancel(context.Background())
	source, release := r.opts.In, func() error { return nil }
	interrupt := release
	file, isFile := source.(*os.File)
	if isFile {
		i, err := newInterruptible(file)
		if err != nil {
			cancel()
			return nil, nil, fmt.Errorf("reading the input: %w", err)
		}
		source, interrupt, release = i, i.interrupt, i.close
	}
	next, restore, err := r.lineReader(source, file)
	if err != nil {
		cancel()
		return nil, nil, errors.Join(fmt.Errorf("reading the input: %w", err), interrupt(), release())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(reading.lines)
		// At once, and not at stop: from here on Ctrl-C is a signal again.
		defer restore()
		reading.err = reading.forward(ctx, next)
	}()
	return reading, func() error {
		cancel()
		err := interrupt()
		<-done
		return errors.Join(err, release())
	}, nil
}

func (in *input) forward(ctx context.Context, next func() (line, error)) error {
	for {
		l, err := next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errInterrupted):
			return nil
		case err != nil:
			return fmt.Errorf("reading the input: %w", err)
		}
		select {
		case in.lines <- l:
		case <-ctx.Done():
			return nil
		}
	}
}

// lineReader returns what reads the next line, and what ends the reading.
func (r *runner) lineReader(source io.Reader, file *os.File) (next func() (line, error), restore func(), err error) {
	if !r.opts.Interactive {
		buffered := bufio.NewReaderSize(source, 64<<10)
		return func() (line, error) { return readLine(buffered) }, func() {}, nil
	}
	restoreMode := func() error { return nil }
	resize := func(*term.Terminal) {}
	if file != nil {
		descriptor := int(file.Fd())
		before, err := term.MakeRaw(descriptor)
		if err != nil {
			return nil, nil, err
		}
		restoreMode = func() error { return term.Restore(descriptor, before) }
		resize = func(t *term.Terminal) {
			// A size that is not known stays what it was; some terminals say 0 for that.
			if width, height, err := term.GetSize(descriptor); err == nil && width > 0 {
				_ = t.SetSize(width, height)
			}
		}
	}
	terminal := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{source, r.opts.Out}, prompt)
	r.screen.setPrompting(terminal)
	next = func() (line, error) {
		resize(terminal)
		text, err := terminal.ReadLine()
		if errors.Is(err, term.ErrPasteIndicator) {
			err = nil
		}
		return line{value: []byte(text)}, err
	}
	restore = func() {
		r.screen.setPrompting(nil)
		if err := restoreMode(); err != nil {
			r.log.Warn("the terminal could not be given back as it was; the command reset mends it", "error", err)
		}
		r.screen.say("\n")
	}
	return next, restore, nil
}

// readLine reads up to the end of a line, or of the input; an end of the input behind a line end is no further line.
// Nothing is kept of a line that is too long.
func readLine(from *bufio.Reader) (line, error) {
	whole := []byte{} // an empty line is an empty value, and no tombstone
	tooLong := false
	for {
		part, err := from.ReadSlice('\n')
		ended := err == nil
		part = bytes.TrimSuffix(part, []byte{'\n'})
		if tooLong = tooLong || len(whole)+len(part) > MaxLine; tooLong {
			whole = nil
		} else {
			whole = append(whole, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || (len(whole) == 0 && !tooLong)):
			return line{}, err
		case tooLong:
			return line{err: errLineTooLong}, nil
		case ended || errors.Is(err, io.EOF):
			return line{value: whole}, nil
		}
	}
}
