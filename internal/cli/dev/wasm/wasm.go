package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"
)

// Interfaces are the names of what a component imports and exports, such as wasi:http/incoming-handler@0.2.0, in the
// order of the file.
type Interfaces struct {
	Imports, Exports []string
}

// maxFile bounds the file. Larger ones exist and are no components for one topic's records.
const maxFile = 256 << 20

// Errors of [Read] and [Parse].
var (
	// ErrModule says that the file is a core module, of which no component was made.
	ErrModule = errors.New("it is a core module and no component: build it for wasm32-wasip2, or make a component of it by wasm-tools component new")
	// ErrNotWasm says that the file is something else.
	ErrNotWasm = errors.New("it is no WebAssembly")
)

var errTruncated = errors.New("the file is cut off or damaged")

// Read reads a file.
func Read(path string) (Interfaces, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Interfaces{}, err
	case !info.Mode().IsRegular():
		return Interfaces{}, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxFile:
		return Interfaces{}, fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Interfaces{}, err
	}
	found, err := Parse(b)
	if err != nil {
		return Interfaces{}, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

const (
	magic          = "\x00asm"
	layerModule    = "\x01\x00\x00\x00"
	layerComponent = "\x0d\x00\x01\x00"

	sectionImport = 10
	sectionExport = 11
)

// Parse reads the content of a file.
func Parse(b []byte) (Interfaces, error) {
	var found Interfaces
	if len(b) < len(magic)+4 || string(b[:4]) != magic {
		return found, ErrNotWasm
	}
	switch string(b[4:8]) {
	case layerComponent:
	case layerModule:
		return found, ErrModule
	default:
		return found, errors.New("it is of a version of the component model's format that is not known here")
	}
	r := reader{b[8:]}
	for len(r.b) > 0 {
		id, err := r.byte()
		if err != nil {
			return found, err
		}
		content, err := r.sized()
		if err != nil {
			return found, err
		}
		switch id {
		case sectionImport:
			found.Imports, err = content.names(found.Imports, (*reader).skipImported)
		case sectionExport:
			found.Exports, err = content.names(found.Exports, (*reader).skipExported)
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// reader has what is left to be read.
type reader struct{ b []byte }

func (r *reader) byte() (byte, error) {
	if len(r.b) == 0 {
		return 0, errTruncated
	}
	first := r.b[0]
	r.b = r.b[1:]
	return first, nil
}

func (r *reader) number() (uint64, error) {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<32-1 {
		return 0, errTruncated
	}
	r.b = r.b[size:]
	return n, nil
}

// sized reads a length and returns what has it.
func (r *reader) sized() (*reader, error) {
	n, err := r.number()
	if err != nil || n > uint64(len(r.b)) {
		return nil, errTruncated
	}
	part := &reader{r.b[:n]}
	r.b = r.b[n:]
	return part, nil
}

// names appends the names of a section's entries.
func (r *reader) names(to []string, skip func(*reader) error) ([]string, error) {
	count, err := r.number()
	if err != nil {
		return to, err
	}
	for range count {
		// Before a name stands how it is written: 0 and 1 alone, and 2 with further attributes behind it.
		form, err := r.byte()
		if err != nil {
			return to, err
		}
		if form > 2 {
			return to, errTruncated
		}
		name, err := r.sized()
		if err != nil {
			return to, err
		}
		if !utf8.Valid(name.b) {
			return to, errTruncated
		}
		if form == 2 {
			if err := r.skipAttributes(); err != nil {
				return to, err
			}
		}
		if err := skip(r); err != nil {
			return to, err
		}
		to = append(to, string(name.b))
	}
	return to, nil
}

func (r *reader) skipAttributes() error {
	count, err := r.number()
	if err != nil {
		return err
	}
	for range count {
		if _, err := r.byte(); err != nil {
			return err
		}
		if _, err := r.sized(); err != nil {
			return err
		}
	}
	return nil
}

// skipImported passes over what says of which type an import is (externdesc).
func (r *reader) skipImported() error {
	kind, err := r.byte()
	if err != nil {
		return err
	}
	switch kind {
	case 0x00: // a core module: its sort, and the number of its type
		if _, err = r.byte(); err != nil {
			return err
		}
	case 0x02, 0x03: // a bound: equal to something, or for 0x03 any resource
		bound, err := r.byte()
		if err != nil {
			return err
		}
		if kind == 0x03 && bound == 0x01 {
			return nil
		}
		if kind == 0x02 && bound == 0x01 { // of a type, which is a number or a letter
			_, err = r.number()
			return err
		}
	case 0x01, 0x04, 0x05:
	default:
		return errTruncated
	}
	_, err = r.number()
	return err
}

// skipExported passes over what is exported, and its type where that is given.
func (r *reader) skipExported() error {
	sort, err := r.byte()
	if err != nil {
		return err
	}
	if sort == 0x00 {
		if _, err = r.byte(); err != nil {
			return err
		}
	}
	if _, err = r.number(); err != nil {
		return err
	}
	typed, err := r.byte()
	if err != nil || typed == 0 {
		return err
	}
	return r.skipImported()
}
