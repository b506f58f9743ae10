package memory

import (
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func files(of map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range of {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestFindLid(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		set   int64
		files map[string]string
		want  int64
	}{
		"what is set goes before all": {set: 77 << 20, files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, want: 77 << 20},
		"version 2":                   {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, want: gib / 2},
		"version 2, a group above is lower": {files: map[string]string{"proc/self/cgroup": "0::/pods/one\n",
			"sys/fs/cgroup/pods/one/memory.max": "4294967296\n", "sys/fs/cgroup/pods/memory.max": "1073741824\n"},
			want: gib / 2},
		"version 2 without a limit": {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "proc/meminfo": "MemTotal:        8388608 kB\nMemFree: 1 kB\n"}, want: 4 * gib},
		"version 1": {files: map[string]string{"proc/self/cgroup": "12:cpu,cpuacct:/x\n5:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, want: gib / 4},
		"version 1 without a limit": {files: map[string]string{"proc/self/cgroup": "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "proc/meminfo": "MemTotal: 2097152 kB\n"},
			want: gib},
		"a small group": {files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, want: 128 << 20},
		"nothing known": {},
	} {
		l := findProcessLimit(c.set, files(c.files))
		if l.Bytes != c.want || l.From == "" {
			t.Errorf("%s: %d from %q, want %d", name, l.Bytes, l.From, c.want)
		}
		if b := l.Budget(); (b == nil) != (c.want == 0) || b.Status().Limit != c.want/2 {
			t.Errorf("%s: the budget is %d", name, b.Status().Limit)
		}
	}
}

func TestGosLimitFollowsTheLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	// What Go does not count is left, of a small limit more than a tenth.
	for limit, want := range map[int64]int64{1000: 900, 256: 192, 100: 50} {
		undo := ProcessLimit{Bytes: limit << 20}.Set()
		if got := debug.SetMemoryLimit(-1); got != want<<20 {
			t.Errorf("Go's limit is %d MiB of %d", got>>20, limit)
		}
		undo()
	}
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("Go's limit is %d afterwards, and was %d", got, before)
	}
	if Resident() <= 0 {
		t.Error("the system does not tell what the process has taken")
	}
}
