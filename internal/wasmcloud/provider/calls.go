package provider

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/guest"
)

// callerOf names who makes a call, for the share of the places that its calls may have. All whom no link lets call are
// one, or they could take a share for each name that they think of.
func (p *Provider) callerOf(h nats.Header) string {
	id := guest.ComponentOf(h)
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.callers[id] == 0 {
		return ""
	}
	return id
}

// tooLong is how long a call waits for a place before health tells of it.
const tooLong = 5 * time.Second

// pressure is what is wrong with the provider besides its links: that components make more calls than can be served.
func (p *Provider) pressure() status.Problems {
	var list status.Problems
	pressure := p.server.Pressure()
	if pressure.Refused > 0 {
		who := "the last was of a component without a link"
		if pressure.Source != "" {
			who = fmt.Sprintf("the last was of component %s", p.Secrets.Clip(pressure.Source, 100))
		}
		list.Add(status.ProblemCalls,
			fmt.Sprintf("%d calls of components were refused since %s because there are too many at once; %s",
				pressure.Refused, pressure.Since.UTC().Format(time.TimeOnly+"Z"), who))
	}
	if pressure.Waiting >= tooLong {
		list.Add(status.ProblemCalls,
			fmt.Sprintf("calls of components have waited for up to %s to be served: as many run as may",
				pressure.Waiting.Round(time.Second)))
	}
	return list
}
