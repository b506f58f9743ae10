package bench

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// sink keeps what a test allocates from being optimised away.
var sink [][]byte

func TestAGaugeReadsWhatTheRuntimeOfAnotherProcessSays(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(ServeRuntime))
	defer server.Close()
	defer runtimeClient.CloseIdleConnections()
	gauge := Gauge{
		Processes: Processes{"test": os.Getpid()},
		Runtimes:  map[string]string{"test": strings.TrimPrefix(server.URL, "http://")},
	}
	before, err := gauge.Read()
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		sink = append(sink, make([]byte, 1024))
	}
	after, err := gauge.Read()
	if err != nil {
		t.Fatal(err)
	}
	used := after.Since(before)
	r := used.Runtimes["test"]
	if r.Objects < 900 || r.Bytes < 900*1024 { // the runtime counts what is in use late
		t.Errorf("%d objects of %d bytes, want at least those that the test made", r.Objects, r.Bytes)
	}
	if r.Goroutines < 2 || r.Live < 900*1024 {
		t.Errorf("%+v: what is no sum was subtracted", r)
	}
	if used.CPU.Of["test"] < 0 {
		t.Errorf("CPU %v", used.CPU.Of)
	}
}

func TestAGaugeSaysWhichReadingFailed(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	defer runtimeClient.CloseIdleConnections()
	for _, gauge := range []Gauge{
		{Runtimes: map[string]string{"a": strings.TrimPrefix(server.URL, "http://")}},
		{Processes: Processes{"a": -1}},
	} {
		if _, err := gauge.Read(); err == nil {
			t.Errorf("%+v could be read", gauge)
		}
	}
}
