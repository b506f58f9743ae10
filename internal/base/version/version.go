package version

import (
	"runtime"
	"runtime/debug"
)

// Set by the linker in releases: -X github.com/messaging-kafka/messaging-kafka/internal/base/version.version=1.2.3.
// Without it, what the Go toolchain recorded has to do.
var (
	version string
	commit  string
)

// unknown stands for what neither the linker nor the toolchain recorded.
const unknown = "unknown"

// modules are the dependencies whose version explains behaviour on the wire.
var modules = []string{"github.com/twmb/franz-go", "github.com/nats-io/nats.go"}

// Info describes a build. No text in it is empty.
type Info struct {
	Version string            `json:"version"` // "1.2.3", a Go pseudo-version, or "devel"
	Commit  string            `json:"commit"`
	Go      string            `json:"go"`     // "go1.26.8"
	Target  string            `json:"target"` // Go's name: "linux/amd64"
	Modules map[string]string `json:"modules"`
}

// Get returns the description of the running program. It reads the build information anew each time, so that programs
// which do not ask do not pay for it at start.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{} // built without module support
	}
	return describe(version, commit, build)
}

func describe(version, commit string, build *debug.BuildInfo) Info {
	info := Info{
		Version: version, Commit: commit, Go: runtime.Version(), Target: runtime.GOOS + "/" +
			runtime.GOARCH, Modules: map[string]string{},
	}
	if info.Version == "" {
		info.Version = build.Main.Version
	}
	if info.Version == "" || info.Version == "(devel)" {
		info.Version = "devel"
	}
	if info.Commit == "" {
		info.Commit = recordedCommit(build)
	}
	for _, dependency := range build.Deps {
		for _, path := range modules {
			if dependency.Path != path {
				continue
			}
			info.Modules[path] = dependency.Version
			if dependency.Replace != nil {
				info.Modules[path] = dependency.Replace.Path + " " + dependency.Replace.Version
			}
		}
	}
	return info
}

func recordedCommit(build *debug.BuildInfo) string {
	var revision, dirty string
	for _, setting := range build.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision == "" {
		return unknown
	}
	return revision + dirty
}
