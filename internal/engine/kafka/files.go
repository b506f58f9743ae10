package kafka

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// maxFile bounds the files that settings name. Certificates and keys have some kilobytes.
const maxFile = 1 << 20

// FileError says that a file that a setting names cannot be used.
type FileError struct {
	Setting string // "" where Err names it
	Err     error
}

// Error implements error.
func (e *FileError) Error() string {
	if e.Setting == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("reading %s: %v", e.Setting, e.Err)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// statFile returns what is known of a file without reading it. One that is no regular file is an error: a device may
// never end, and a pipe may have nobody who writes to it.
func statFile(setting, path string, s *settings.Security) (fs.FileInfo, error) {
	info, err := withFile(path, s, os.Stat,
		func(root *os.Root, rest string) (fs.FileInfo, error) { return root.Stat(rest) })
	if err == nil {
		err = checkFile(path, info)
	}
	if err != nil {
		return nil, &FileError{Setting: setting, Err: err}
	}
	return info, nil
}

// readFile reads a regular file of at most [maxFile].
func readFile(setting, path string, s *settings.Security) ([]byte, error) {
	if _, err := statFile(setting, path, s); err != nil {
		return nil, err
	}
	// The file may have been replaced since, so it is opened without waiting and looked at again.
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	file, err := withFile(path, s,
		func(path string) (*os.File, error) { return os.OpenFile(path, flags, 0) },
		func(root *os.Root, rest string) (*os.File, error) { return root.OpenFile(rest, flags, 0) })
	if err != nil {
		return nil, &FileError{Setting: setting, Err: err}
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err == nil {
		err = checkFile(path, info)
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	}
	if err == nil && len(data) > maxFile {
		err = tooLarge(path)
	}
	if err != nil {
		return nil, &FileError{Setting: setting, Err: err}
	}
	return data, nil
}

func checkFile(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file but %s", path, kindOf(info.Mode()))
	case info.Size() > maxFile:
		return tooLarge(path)
	}
	return nil
}

func tooLarge(path string) error {
	return fmt.Errorf("%s is larger than %d bytes, so that it is no certificate or key", path, maxFile)
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

var errOutside = errors.New("the file is in none of the folders that provider_allowed_folders has")

// withFile calls anywhere with the path of a file or, where only some folders are allowed, within with the one that it
// is in: what that opens is in it, wherever symbolic links point.
func withFile[T any](path string, s *settings.Security, anywhere func(string) (T, error),
	within func(*os.Root, string) (T, error)) (T, error) {
	var none T
	folder, rest, ok := s.AllowedFile(path)
	switch {
	case !ok:
		return none, errOutside
	case folder == "":
		return anywhere(path)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return none, err
	}
	defer root.Close() //nolint:errcheck // it was only read
	return within(root, rest)
}
