package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// echoServer answers every line with the same line.
func echoServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

type lineClient struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *lineClient {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &lineClient{c, bufio.NewReader(c)}
}

func (c *lineClient) ask(line string, patience time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if line != "" {
		if _, err := fmt.Fprintln(c, line); err != nil {
			return err
		}
	}
	_, err := c.r.ReadString('\n')
	return err
}

func TestAProxyPassesPausesAndCuts(t *testing.T) {
	p := NewProxy(t, echoServer(t))
	c := dial(t, p.Addr())
	if err := c.ask("one", DefaultTimeout); err != nil {
		t.Fatal(err)
	}

	p.Pause()
	if err := c.ask("two", 50*time.Millisecond); !isTimeout(err) {
		t.Fatalf("while paused: %v, want a timeout", err)
	}
	p.Resume()
	if err := c.ask("", DefaultTimeout); err != nil {
		t.Fatalf("what was held back did not come: %v", err)
	}

	p.Pause()
	if n := p.Cut(); n != 1 {
		t.Fatalf("cut %d connections, want 1", n)
	}
	if err := c.ask("", DefaultTimeout); err == nil || isTimeout(err) {
		t.Fatalf("after a cut while paused: %v, want an end of the connection", err)
	}
	Eventually(t, DefaultTimeout, func() error {
		if n := p.Conns(); n != 0 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	p.Resume()

	p.Down()
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Fatal("a proxy that is down took a connection")
	}
	p.Up()
	if err := dial(t, p.Addr()).ask("three", DefaultTimeout); err != nil {
		t.Fatalf("after Up: %v", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestAPausedProxyEndsWithTheTest(t *testing.T) {
	target := echoServer(t)
	t.Run("inner", func(t *testing.T) {
		p := NewProxy(t, target)
		c := dial(t, p.Addr())
		p.Pause()
		if _, err := fmt.Fprintln(c, "held back for ever"); err != nil {
			t.Fatal(err)
		}
	})
}
