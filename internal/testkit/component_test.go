package testkit

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// serve answers one function by hand, so that the component is tested against nothing but the protocol.
func serve(t *testing.T, nc *nats.Conn, function string, answer func(params []byte, m *nats.Msg)) {
	t.Helper()
	sub, err := nc.Subscribe(wrpcSubject("default", "kafka", function), func(m *nats.Msg) { answer(m.Data, m) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func call(t *testing.T, nc *nats.Conn, msg Message) (result []byte, err error) {
	t.Helper()
	root := nats.NewInbox()
	sub, err := nc.SubscribeSync(root + ".>")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := nc.PublishRequest(wrpcSubject("default", "echo", handleMessage), root+".c",
		appendMessage(nil, msg)); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := sub.NextMsg(DefaultTimeout)
		if err != nil {
			return nil, err
		}
		switch {
		case m.Subject == root+".c":
			if err := nc.Publish(m.Reply+".params", nil); err != nil {
				t.Fatal(err)
			}
		case len(m.Data) == 0:
			return result, nil
		default:
			result = append(result, m.Data...)
		}
	}
}

func TestTheComponentPublishesInTheOrderOfARustHost(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	nc := ns.Connect()
	ended := make(chan struct{})
	serve(t, nc, publishFunction, func(params []byte, m *nats.Msg) {
		// {orders, "hi", some("orders.reply")}, as the wRPC value encoding has it
		want := []byte("\x06orders\x02hi\x01\x0corders.reply")
		if !bytes.Equal(params, want) {
			t.Errorf("params %q, want %q", params, want)
		}
		if m.Header.Get("source-id") != "echo" || m.Header.Get("link-name") != "default" {
			t.Errorf("headers %v", m.Header)
		}
		rs := nats.NewInbox()
		if _, err := nc.Subscribe(rs+".params", func(p *nats.Msg) {
			if len(p.Data) != 0 {
				t.Errorf("params after the invocation: %q", p.Data)
			}
			close(ended)
			_ = nc.Publish(m.Reply+".results", []byte{0})
			_ = nc.Publish(m.Reply+".results", nil)
		}); err != nil {
			t.Error(err)
		}
		_ = nc.PublishRequest(m.Reply, rs, nil)
	})
	c := NewComponent(t, ns, ComponentOptions{})
	reply := "orders.reply"
	if err := c.Publish(t.Context(), Message{Subject: "orders", Body: []byte("hi"), ReplyTo: &reply}); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestTheComponentLosesAcceptsWhenTold(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	nc := ns.Connect()
	var accepts int
	serve(t, nc, publishFunction, func(_ []byte, m *nats.Msg) {
		// All results are there at once, and still the call hangs until the third accept.
		_ = nc.Publish(m.Reply+".results", []byte{0})
		_ = nc.Publish(m.Reply+".results", nil)
		for range 3 {
			accepts++
			_ = nc.PublishRequest(m.Reply, nats.NewInbox(), nil)
		}
	})
	if err := NewComponent(t, ns, ComponentOptions{LoseAccepts: 2}).Publish(t.Context(),
		Message{Subject: "a"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := NewComponent(t, ns, ComponentOptions{ID: "other", LoseAccepts: 3}).Publish(ctx, Message{Subject: "a"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("with every accept lost: %v", err)
	}
}

func TestTheComponentTellsHowACallFailed(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	nc := ns.Connect()
	c := NewComponent(t, ns, ComponentOptions{})
	if err := c.Publish(t.Context(), Message{Subject: "a"}); !errors.Is(err, ErrNoProvider) {
		t.Fatalf("without a provider: %v", err)
	}
	answer := []byte("\x01\x04boom")
	serve(t, nc, publishFunction, func(_ []byte, m *nats.Msg) {
		_ = nc.PublishRequest(m.Reply, nats.NewInbox(), nil)
		_ = sendChunks(nc, m.Reply+".results", answer)
	})
	var refused *ResultError
	if err := c.Publish(t.Context(), Message{Subject: "a"}); !errors.As(err, &refused) || refused.Text != "boom" {
		t.Fatalf("with a result::err: %v", err)
	}
	answer = nil
	if err := c.Publish(t.Context(), Message{Subject: "a"}); !errors.Is(err, ErrTrap) {
		t.Fatalf("with no value: %v", err)
	}
}

func TestTheComponentAnswersEveryCall(t *testing.T) {
	ns := NATS(t, NATSOptions{MaxPayload: 4096})
	nc := ns.Connect()
	c := NewComponent(t, ns, ComponentOptions{Handler: func(_ context.Context, _ *Component, call Call) error {
		switch string(call.Body) {
		case "trap":
			return ErrTrap
		case "fail":
			return errors.New("no")
		}
		return nil
	}})
	for body, want := range map[string]string{"ok": "\x00", "fail": "\x01\x02no", "trap": ""} {
		got, err := call(t, nc, Message{Subject: "s", Body: []byte(body)})
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", body, got, err, want)
		}
	}
	if c.Calls() != 3 {
		t.Errorf("%d calls, want 3", c.Calls())
	}
}

func TestTheComponentReadsParamsOfManyMessages(t *testing.T) {
	ns := NATS(t, NATSOptions{MaxPayload: 4096})
	nc := ns.Connect()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB in 256 messages
	got := make(chan []byte, 1)
	NewComponent(t, ns, ComponentOptions{Handler: func(_ context.Context, _ *Component, call Call) error {
		got <- call.Body
		return nil
	}})
	root := nats.NewInbox()
	sub, err := nc.SubscribeSync(root)
	if err != nil {
		t.Fatal(err)
	}
	params := appendMessage(nil, Message{Subject: "s", Body: big})
	if err := nc.PublishRequest(wrpcSubject("default", "echo", handleMessage), root, params[:10]); err != nil {
		t.Fatal(err)
	}
	accept, err := sub.NextMsg(DefaultTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if err := sendChunks(nc, accept.Reply+".params", params[10:]); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(<-got, big) {
		t.Fatal("the body changed on its way")
	}
}

func TestAStoppedComponentGivesUpItsCallsAndLeavesNobodyToCall(t *testing.T) {
	ns := NATS(t, NATSOptions{})
	nc := ns.Connect()
	begun := make(chan struct{})
	c := NewComponent(t, ns, ComponentOptions{Handler: func(context.Context, *Component, Call) error {
		close(begun)
		return ErrHang
	}})
	var done sync.WaitGroup
	done.Go(func() {
		if result, err := call(t, nc, Message{Subject: "s"}); err == nil {
			t.Errorf("the hanging call was answered: %q", result)
		}
	})
	<-begun
	c.Stop()
	if _, err := call(t, nc, Message{Subject: "s"}); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("calling a stopped component: %v, want a 503", err)
	}
	c.Start()
	ns.WaitInterest(wrpcSubject("default", "echo", handleMessage))
	ns.Stop() // ends the call that nobody answers
	nc.Close()
	done.Wait()
}
