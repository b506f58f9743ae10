package version

import (
	"maps"
	"runtime/debug"
	"testing"
)

func TestWhatTheLinkerSaysBeatsWhatTheToolchainRecorded(t *testing.T) {
	recorded := &debug.BuildInfo{
		Main: debug.Module{Version: "v0.9.0"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	devel := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
	tests := map[string]struct {
		version, commit         string
		build                   *debug.BuildInfo
		wantVersion, wantCommit string
	}{
		"a release":                      {"1.2.3", "def", recorded, "1.2.3", "def"},
		"go install":                     {"", "", recorded, "v0.9.0", "abc-dirty"},
		"go run":                         {"", "", devel, "devel", "unknown"},
		"a build without any knowledge":  {"", "", &debug.BuildInfo{}, "devel", "unknown"},
		"a commit that was not modified": {"", "", &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}}, "devel", "abc"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := describe(test.version, test.commit, test.build)
			if got.Version != test.wantVersion || got.Commit != test.wantCommit {
				t.Errorf("version %q, commit %q, want %q, %q", got.Version, got.Commit, test.wantVersion, test.wantCommit)
			}
		})
	}
}

func TestTheClientsAreNamedWithTheirReplacements(t *testing.T) {
	got := describe("", "", &debug.BuildInfo{Deps: []*debug.Module{
		{Path: "github.com/twmb/franz-go", Version: "v1.22.3"},
		{Path: "github.com/twmb/franz-go/pkg/kmsg", Version: "v1.15.1"},
		{Path: "github.com/nats-io/nats.go", Version: "v1.55.0", Replace: &debug.Module{Path: "example.org/fork", Version: "v2.0.0"}},
	}})
	want := map[string]string{"github.com/twmb/franz-go": "v1.22.3",
		"github.com/nats-io/nats.go": "example.org/fork v2.0.0"}
	if !maps.Equal(got.Modules, want) {
		t.Errorf("modules %v, want %v", got.Modules, want)
	}
}
