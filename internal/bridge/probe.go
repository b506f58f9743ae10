package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/httpout"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// probeTimeout bounds the question whether an application is there.
const probeTimeout = 10 * time.Second

// Probe asks by a HEAD request, which hands nothing over, whether an application answers at the url of a route. It asks
// as the bridge hands records over, and judges as the bridge does.
func Probe(ctx context.Context, r *config.Route) (httpout.Probed, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s, err := shownOf(&r.Settings.HTTP)
	if err != nil {
		return httpout.Probed{}, err
	}
	var mine credentials
	mine.now.Store(s)
	deadline, _ := ctx.Deadline() // there is one
	patience := time.Until(deadline).Round(time.Second)
	p, err := httpout.Probe(ctx, toApplication(r.Name, &r.Settings.HTTP, &mine))
	if errors.Is(p.Outcome.Err, context.DeadlineExceeded) {
		p.Outcome.Err = fmt.Errorf("the application gave no answer within %s", patience)
		if p.Outcome.Kind == record.Unavailable {
			p.Outcome.Err = fmt.Errorf("the application cannot be reached within %s", patience)
		}
	}
	return p, err
}
