package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// pauseFile is where pauses are kept that outlast a restart of this copy.
type pauseFile struct {
	path string // "" is none

	// err is why it could not be read, as of the start. It is not written then: what is in it would be lost.
	err error

	mu sync.Mutex // held while the file is written
	// has tells that there are pauses in it.
	has bool
	// content is what it had when this copy read or wrote it last, nil where there was none.
	content []byte
}

// keptPause is a pause in the file.
type keptPause struct {
	Component string    `json:"component"`
	Name      string    `json:"name"`
	Since     time.Time `json:"since"`
	By        string    `json:"by"`
	Why       string    `json:"why,omitempty"`
}

type keptPauses struct {
	Version int         `json:"version"`
	Pauses  []keptPause `json:"pauses"`
}

const (
	pausesVersion = 1
	// maxPausesFile bounds what is read of the file.
	maxPausesFile = 16 << 20
)

// open reads the file, if there is one, and has routes know what is paused.
func (f *pauseFile) open(path string, routes *route.Set) error {
	f.path = path
	if path == "" {
		return nil
	}
	kept, content, err := readPauses(path)
	f.content = content
	if err != nil {
		f.err = fmt.Errorf("reading provider_pauses_file: %w", err)
		return f.err
	}
	f.has = len(kept) > 0
	for _, k := range kept {
		pause := status.Pause{Since: k.Since, By: k.By, Why: k.Why, Kept: true}
		if err := routes.Restore(route.Name{Peer: k.Component, Name: k.Name}, pause); err != nil {
			f.err = fmt.Errorf("pausing what provider_pauses_file names: %w", err)
			return f.err
		}
	}
	return nil
}

func readPauses(path string) ([]keptPause, []byte, error) {
	data, err := readPausesFile(path)
	if err != nil || data == nil {
		return nil, nil, err
	}
	var kept keptPauses
	if err := json.Unmarshal(data, &kept); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if kept.Version != pausesVersion {
		return nil, nil, fmt.Errorf("%s has the version %d, and this program knows %d", path, kept.Version, pausesVersion)
	}
	return kept.Pauses, data, nil
}

// readPausesFile returns nil where there is no file: nothing was kept yet.
func readPausesFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", path))
	}
	data, err := io.ReadAll(io.LimitReader(file, maxPausesFile+1))
	if err == nil && len(data) > maxPausesFile {
		err = fmt.Errorf("%s has more than %d MiB", path, maxPausesFile>>20)
	}
	return data, err
}

// trouble says why what was paused before the start is not known; nil is that it is.
func (f *pauseFile) trouble() error { return f.err }

// usable says why no pause can be kept, nil where it can.
func (f *pauseFile) usable() error {
	if f.path == "" {
		return errors.New("provider_pauses_file is not set")
	}
	return f.err
}

// keep writes down which pauses of routes are to outlast a restart, where there are or were any.
func (f *pauseFile) keep(routes *route.Set) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" {
		return nil
	}
	kept := keptPauses{Version: pausesVersion, Pauses: []keptPause{}}
	for name, p := range routes.Paused() {
		if p.Kept {
			kept.Pauses = append(kept.Pauses,
				keptPause{Component: name.Peer, Name: name.Name, Since: p.Since, By: p.By, Why: p.Why})
		}
	}
	if len(kept.Pauses) == 0 && !f.has {
		return nil
	}
	if f.err != nil {
		return f.err
	}
	slices.SortFunc(kept.Pauses, func(a, b keptPause) int {
		return strings.Compare(a.Component+"/"+a.Name, b.Component+"/"+b.Name)
	})
	if err := f.write(&kept); err != nil {
		return fmt.Errorf("writing provider_pauses_file: %w", err)
	}
	f.has = len(kept.Pauses) > 0
	return nil
}

// write puts pauses into the file. What another copy has written there would be lost, and its pauses end at its restart
// without a word.
func (f *pauseFile) write(kept *keptPauses) error {
	now, err := readPausesFile(f.path)
	if err != nil {
		return err
	}
	if now != nil && !bytes.Equal(now, f.content) {
		return fmt.Errorf("%s is not as this copy left it, and stays as it is: each copy needs a file of its own (a restart reads anew one that was changed by hand)", f.path)
	}
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := writePauses(f.path, data); err != nil {
		return err
	}
	f.content = data
	return nil
}

// writePauses puts the file into the place of the one before, whole or not at all.
func writePauses(path string, data []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // its owner's alone
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync() // or a crash of the machine could leave an empty one
	}
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
