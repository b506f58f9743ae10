package par

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// A target is a machine that a host can run on, in the words of the archive: the ARCH and OS names of Rust's standard
// library ("x86_64-linux"), not target triples.
var targets = map[string]string{ // by Go's name
	"linux/amd64":   "x86_64-linux",
	"linux/arm64":   "aarch64-linux",
	"darwin/amd64":  "x86_64-macos",
	"darwin/arm64":  "aarch64-macos",
	"windows/amd64": "x86_64-windows",
}

// ErrTarget is wrapped by the errors of [ParseTarget].
var ErrTarget = errors.New("unknown target")

// ParseTarget returns the archive's name of a target, given that ("x86_64-linux") or Go's name ("linux/amd64").
func ParseTarget(text string) (string, error) {
	if target, ok := targets[text]; ok {
		return target, nil
	}
	if knownTarget(text) {
		return text, nil
	}
	return "", fmt.Errorf("%w %q: a host looks for one of %s, %s, %s, %s, %s", ErrTarget, text,
		targets["linux/amd64"], targets["linux/arm64"], targets["darwin/amd64"], targets["darwin/arm64"],
		targets["windows/amd64"])
}

// ThisTarget is the target that this very program was built for.
func ThisTarget() (string, error) { return ParseTarget(runtime.GOOS + "/" + runtime.GOARCH) }

func knownTarget(name string) bool {
	for _, target := range targets {
		if name == target {
			return true
		}
	}
	return false
}

// CommitTime returns the time of the newest commit that the Go toolchain recorded in any of the binaries, and false
// when none carries one (they were built with -buildvcs=false, outside of a repository, or not by Go). Unlike the time
// of a file it is part of the content, so it is the same wherever the archive is built.
func CommitTime(binaries []Binary) (time.Time, bool) {
	var newest time.Time
	for _, binary := range binaries {
		info, err := buildinfo.ReadFile(binary.Path)
		if err != nil {
			continue // not built by Go; an unreadable file is reported when it is packed
		}
		for _, setting := range info.Settings {
			if setting.Key != "vcs.time" {
				continue
			}
			if at, err := time.Parse(time.RFC3339, setting.Value); err == nil && at.After(newest) {
				newest = at
			}
		}
	}
	return newest, !newest.IsZero()
}
