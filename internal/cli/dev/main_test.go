package dev

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(listensAt); address != "" {
		fmt.Fprintln(os.Stderr, listenInPlaceOfWasmtime(address))
		os.Exit(1)
	}
	testkit.Main(m)
}

// listensAt has the test's program do what wasmtime does, as far as these tests look: it listens until somebody says a
// word to it, and ends as one that is killed.
const listensAt = "MESSAGING_KAFKA_TEST_LISTENS_AT"

func listenInPlaceOfWasmtime(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("Serving HTTP on http://" + address + "/")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		if n, _ := conn.Read(make([]byte, 1)); n > 0 { // who only looks whether it listens says nothing
			fmt.Println("out of memory")
			os.Exit(3)
		}
	}
}
