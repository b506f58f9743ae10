package dev

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestTheEndOfWasmtimeIsTold, with what it said last, unless the run itself has ended it; also to who wants to hear
// only of what is wrong.
func TestTheEndOfWasmtimeIsTold(t *testing.T) {
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "wasmtime")
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec '%s'\n", listensAt, address, self)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // a program is to be run
		t.Fatal(err)
	}
	log := new(testkit.Log)
	s := &serving{screen: newScreen(log, log), name: "mine.wasm", wasmtime: path, address: address}
	s.screen.quiet = true
	if err := s.start(t.Context(), "mine.wasm"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := s.start(t.Context(), "mine.wasm"); err != nil {
		t.Fatal(err)
	}
	if log.String() != "" {
		t.Errorf("it says %q", log.String())
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	if want := "mine.wasm is served no more: wasmtime: exit status 3: "; strings.Count(log.String(), want) != 1 || !log.Contains("out of memory") {
		t.Errorf("it says %q", log.String())
	}
}
