package listen

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestTheConnectionThatIsIdleForLongestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testkit.NewPipes()
		l := Limit(p, 3)
		// One after the other: while the next connection is looked out for, those before it may be closed for it.
		accept := func() *conn {
			t.Helper()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go read(c)
			synctest.Wait()
			return c.(*conn)
		}
		var mine []net.Conn
		var theirs []*conn
		for range 3 {
			mine = append(mine, dial(t, p))
			theirs = append(theirs, accept())
		}
		request := func(c *conn) *http.Request {
			r, err := http.NewRequestWithContext(Keep(t.Context(), c), http.MethodGet, "/", nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		done := Answering(request(theirs[0])) // it is at work, so the second is the one that is idle
		began := time.Now()
		mine = append(mine, dial(t, p))
		theirs = append(theirs, accept())
		if took := time.Since(began); took != grace {
			t.Errorf("a connection that has just come was closed after %v", took)
		}
		if _, err := mine[1].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the connection that was idle for longest: %v", err)
		}
		for _, c := range []*conn{theirs[2], theirs[3]} {
			defer Answering(request(c))()
		}
		// All are at work now: the next one waits for the first that is not.
		go func() {
			time.Sleep(5 * time.Second)
			done()
			time.Sleep(5 * time.Second) // for which the answer is on its way
			State(theirs[0], http.StateActive)
			State(theirs[0], http.StateIdle)
		}()
		began = time.Now()
		mine = append(mine, dial(t, p))
		theirs = append(theirs, accept())
		if took := time.Since(began); took != 10*time.Second { // it has had its answer
			t.Errorf("there was room after %v", took)
		}
		for _, c := range theirs {
			c.Close()
			c.Close() // counts once
		}
		if n := l.order.Len(); n != 0 {
			t.Errorf("%d connections are counted where there is none", n)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		_ = mine
	})
}

// Whoever is answered on one of as many connections as there may be is told that it is closed.
func TestAConnectionThatMakesRoomIsToldOf(t *testing.T) {
	for most, want := range map[int]bool{1: true, 2: false} {
		p := testkit.NewPipes()
		server := &http.Server{ConnContext: Keep, ConnState: State}
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer Answering(r)()
			if Crowded(r) {
				w.Header().Set("Connection", "close")
			}
		})
		served := make(chan error)
		go func() { served <- server.Serve(Limit(p, most)) }()
		c := dial(t, p)
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.Close != want {
			t.Errorf("of %d: closes %v", most, answer.Close)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}

// A server with much to do comes to a connection late. Whoever has asked on it must not be closed before that.
func TestTheServerHasLookedAtWhatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testkit.NewPipes()
		l := Limit(p, 1)
		accept := func() net.Conn {
			t.Helper()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		const late = 20 * grace
		begin := time.Now()
		here := dial(t, p)
		there := accept()
		go func() {
			time.Sleep(late)
			go read(there)
			time.Sleep(grace - 1)
			if _, err := here.Write([]byte("GET ")); err != nil {
				t.Errorf("closed %v after the server has looked at it: %v", time.Since(begin)-late, err)
			}
		}()
		next := dial(t, p)
		second := accept()
		if took, want := time.Since(begin), late+grace-1+grace; took != want {
			t.Errorf("closed after %v, want %v", took, want)
		}
		// More bytes do not begin it again.
		go read(second)
		go func() {
			for range 2 {
				time.Sleep(grace / 2)
				_, _ = next.Write([]byte("G")) // the second time it may be closed
			}
		}()
		begin = time.Now()
		last := dial(t, p)
		accept().Close()
		if took, want := time.Since(begin), grace/2+grace; took != want {
			t.Errorf("who sends byte by byte is closed after %v, want %v", took, want)
		}
		last.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// read reads as a server does, until the connection is closed.
func read(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// dial makes a connection that is accepted when somebody asks for it.
func dial(t *testing.T, p *testkit.Pipes) net.Conn {
	here, there := net.Pipe()
	go func() {
		if err := p.Give(t.Context(), there); err != nil {
			t.Errorf("nobody takes the connection: %v", err)
		}
	}()
	return here
}
