package route

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestTheLogTellsOfALinkThatGoesUpAndDownOnceInAWhile(t *testing.T) {
	var log testkit.Log
	id := ID{Peer: "echo", Name: "default"}
	unit := &Route{shared: &shared{}, id: id, log: log.Logger()}
	var o observer
	begin := time.Now()
	look := func(after time.Duration, state status.State, reason string) {
		l := status.Link{State: state, Reason: reason}
		o.report([]ID{id}, map[ID]*Route{id: unit}, []status.Link{l}, begin.Add(after))
	}
	ill, again := `msg="the link is not healthy"`, `msg="the link is healthy again"`
	expect := func(what string, times, repeats int) {
		t.Helper()
		if text := log.String(); strings.Count(text, ill) != times || strings.Count(text, again) != repeats {
			t.Errorf("%s: the log says\n%s", what, text)
		}
	}
	look(0, status.Starting, "starting")
	look(time.Second, status.Healthy, "")
	expect("a link that begins", 0, 0)
	look(2*time.Second, status.Unhealthy, "no broker")
	expect("a link that goes wrong is told at once", 1, 0)
	for i := range 20 {
		look(time.Duration(3+i)*time.Second, []status.State{status.Healthy, status.Unhealthy}[i%2], fmt.Sprint("reason ", i))
	}
	expect("one that goes up and down", 1, 0)
	look(33*time.Second, status.Healthy, "")
	look(34*time.Second, status.Healthy, "")
	expect("one that stays well", 1, 1)
	if list := unit.errors.List(); len(list) != 1 || list[0].Text != "healthy again" {
		t.Errorf("events %+v", list)
	}
	look(64*time.Second, status.Unhealthy, "no broker")
	look(95*time.Second, status.Unhealthy, "no broker")
	expect("one that stays ill for the same reason", 2, 1)
	look(96*time.Second, status.Unhealthy, "no topic")
	expect("and for another", 3, 1)
	o.report(nil, nil, nil, begin.Add(97*time.Second))
	look(98*time.Second, status.Unhealthy, "no topic")
	expect("one that was gone", 4, 1)
}
