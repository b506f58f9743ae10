package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/control"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

const (
	// controlTimeout bounds what an operator asks for: whoever asks over HTTP is answered within half a minute.
	controlTimeout = 25 * time.Second
	// quietTimeout is how long the end of a reading is waited for. A route bounds it by less.
	quietTimeout = 20 * time.Second
	// seekHold is how long a link is held by a seek of one copy alone, should that not come to its end.
	seekHold = 2 * controlTimeout
	// maxControls bounds what is carried out at once.
	maxControls = 8
	// maxLooks bounds the looks at records that are under way: each holds what one fetch of all brokers has.
	maxLooks = 2
	// viaToken is how operators come who are known by a token.
	viaToken = "token"
)

// Operator is who acts on links. Via says how he came, and what his name is worth.
type Operator struct{ Name, Via string }

func (o Operator) String() string {
	if o.Name == "" {
		return "somebody, by " + o.Via
	}
	return o.Name + ", by " + o.Via
}

// Mine tells whether a request is for this copy.
func (p *Process) Mine(r *control.Request) bool {
	return r.Instance == "" || r.Instance == p.identity.InstanceID
}

// Control carries out what an operator asks of this copy, within controlTimeout, and logs who did what and what came of
// it.
func (p *Process) Control(ctx context.Context, by Operator, r control.Request) control.Answer {
	id := &p.identity
	answer := control.Answer{ProviderKey: id.ProviderKey, HostID: id.HostID, InstanceID: id.InstanceID}
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	err := p.control(ctx, by, &r, &answer)
	answer.OK = err == nil
	if err != nil {
		answer.Error, answer.Code = p.Secrets.Text(err.Error()), codeOf(err)
	}
	p.audit(by, &r, &answer)
	return answer
}

// errBad and errRefused are kinds of errors, for the answer.
var (
	errBad     = errors.New("the request makes no sense")
	errRefused = errors.New("refused")
)

// refusedFor is an error that the operator can mend, and no failure.
type refusedFor struct{ error }

func (refusedFor) Is(target error) bool { return target == errRefused }

func codeOf(err error) control.Code {
	switch {
	case errors.Is(err, errBad), errors.Is(err, route.ErrView):
		return control.CodeBad
	case errors.Is(err, route.ErrNoLink), errors.Is(err, route.ErrAmbiguous):
		return control.CodeUnknown
	case errors.Is(err, errRefused), errors.Is(err, route.ErrReadsNothing), errors.Is(err, route.ErrHeld),
		errors.Is(err, route.ErrNotItsTopic), errors.Is(err, route.ErrNotHeld), errors.Is(err, route.ErrMembers),
		errors.Is(err, route.ErrShareGroup),
		errors.Is(err, route.ErrNoPlace):
		return control.CodeRefused
	default:
		return control.CodeFailed
	}
}

func (p *Process) control(ctx context.Context, by Operator, r *control.Request, answer *control.Answer) error {
	if err := r.Check(); err != nil {
		return fmt.Errorf("%w: %w", errBad, err)
	}
	if !p.Mine(r) {
		return refusedFor{fmt.Errorf("this is another copy than %s, such as the one after its restart", r.Instance)}
	}
	if !p.controls.TryAcquire(1) {
		return refusedFor{fmt.Errorf("%d actions are carried out already: try again", maxControls)}
	}
	defer p.controls.Release(1)
	name, err := p.Routes.Lookup(r.Link)
	if err != nil {
		return err
	}
	answer.Links = p.Routes.Named(name)
	switch r.Action {
	case control.Pause:
		return p.pause(ctx, name, by, r, answer)
	case control.Resume:
		return p.resume(name, by, answer)
	case control.Restart:
		over := p.Routes.AwaitAnew(ctx, name)
		p.Routes.Restart(name, by.String())
		if over() != nil {
			answer.Note = "what runs still ends, and begins anew when it has"
		}
		return nil
	case control.Hold:
		return p.hold(ctx, name, by, r.Hold, time.Duration(r.Seconds)*time.Second)
	case control.Release:
		p.Routes.Release(name, r.Hold)
		return nil
	case control.Seek:
		return p.seek(ctx, name, by, r, answer)
	case control.Look:
		return p.look(ctx, name, by, r, answer)
	default:
		return fmt.Errorf("%w: there is no action %q", errBad, r.Action)
	}
}

func (p *Process) pause(
	ctx context.Context, name route.Name, by Operator, r *control.Request, answer *control.Answer,
) error {
	if r.Keep {
		if err := p.pauses.usable(); err != nil {
			return refusedFor{fmt.Errorf("the pause cannot be kept: %w", err)}
		}
	}
	pause := status.Pause{Since: time.Now(), By: by.String(), Why: r.Why, Kept: r.Keep}
	before, already := p.Routes.Paused()[name]
	if err := p.Routes.Pause(name, pause); err != nil {
		return err
	}
	var notes []string
	if already {
		notes = append(notes, p.Secrets.Text(replaced(&before, r.Keep)))
	}
	// One that was kept, and is not to be any more, must not come back either.
	if err := p.pauses.keep(p.Routes); err != nil {
		return fmt.Errorf("it is paused, and what a restart does is not as it was meant to be: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	if p.Routes.AwaitQuiet(ctx, name) != nil {
		notes = append(notes, "what was read is being finished, and nothing more is read")
	}
	answer.Note = strings.Join(notes, "; ")
	return nil
}

// replaced says of which pause another one takes the place, since who asks for that may not know of it.
func replaced(before *status.Pause, kept bool) string {
	text := "it was paused already, and this takes the place of that"
	if before.Kept && !kept {
		text += ", and does not outlast a restart as that did"
	}
	return text + ": " + before.String()
}

func (p *Process) resume(name route.Name, by Operator, answer *control.Answer) error {
	if !p.Routes.Resume(name, by.String()) {
		answer.Note = "it was not paused"
	}
	if err := p.pauses.keep(p.Routes); err != nil {
		return fmt.Errorf("it reads again, and would be paused after a restart: %w", err)
	}
	return nil
}

// hold has a link read nothing for a while, and returns when nothing of it is read.
func (p *Process) hold(ctx context.Context, name route.Name, by Operator, hold string, long time.Duration) error {
	now := time.Now()
	if err := p.Routes.Hold(name, hold, status.Pause{Since: now, By: by.String(), Until: new(now.Add(long))}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	if err := p.Routes.AwaitQuiet(ctx, name); err != nil {
		p.Routes.Release(name, hold)
		return err
	}
	return nil
}

func (p *Process) seek(
	ctx context.Context, name route.Name, by Operator, r *control.Request, answer *control.Answer,
) (err error) {
	switch {
	case r.DryRun:
	case r.Hold != "": // of who asks, in all copies
		if !p.Routes.Held(name, r.Hold) {
			return route.ErrNotHeld
		}
	default:
		hold := rand.Text()
		if err := p.hold(ctx, name, by, hold, seekHold); err != nil {
			return err
		}
		defer p.Routes.Release(name, hold)
	}
	leaving := r.Leaving
	if r.DryRun {
		answer.Members = p.Routes.Members(name)
	}
	if leaving != nil {
		// Not slices.Concat: it makes nil of none and none, as where this copy is paused, and nil is not to ask.
		leaving = append(slices.Clip(leaving), answer.Members...)
	}
	answer.Moves, err = p.Routes.Seek(ctx, name, r.Link, r.Seek, r.DryRun, leaving)
	return err
}

// look shows records to operators whose token proves who they are.
func (p *Process) look(
	ctx context.Context, name route.Name, by Operator, r *control.Request, answer *control.Answer,
) (err error) {
	if by.Via != viaToken {
		return refusedFor{errors.New("records are shown to operators with a token alone (provider_control_tokens)")}
	}
	if !p.looks.TryAcquire(1) {
		return refusedFor{fmt.Errorf("%d others look at records already: try again", maxLooks)}
	}
	defer p.looks.Release(1)
	answer.Hidden = !p.Own.ControlPayloads
	if answer.Hidden && len(r.Look.Filters) > 0 {
		return refusedFor{errors.New("a filter would tell what is in records that provider_control_payloads does not show")}
	}
	answer.Records, answer.More, err = p.Routes.Look(ctx, name, r.Link, r.Look, p.Own.ControlPayloads)
	return err
}

const (
	// maxAudited bounds the partitions that a line of the log names.
	maxAudited = 50
	// maxAuditedAction bounds in bytes an action that a line of the log names, which may be none that there is.
	maxAuditedAction = 64
)

// audit logs who did what. What failed is a warning.
func (p *Process) audit(by Operator, r *control.Request, answer *control.Answer) {
	log := p.Log.With("action", text.Clip(string(r.Action), maxAuditedAction), p.words.Link(), r.Link,
		"acted_on", answer.Links, "operator", by.Name, "via", by.Via)
	if r.Why != "" {
		log = log.With("reason", r.Why)
	}
	if r.Action == control.Pause {
		log = log.With("kept", r.Keep)
	}
	if r.Action == control.Look {
		log = log.With("records", len(answer.Records))
	}
	if r.DryRun {
		log = log.With("dry_run", true)
	}
	if len(answer.Moves) > 0 {
		log = log.With("moves", movesText(answer.Moves))
	}
	if answer.Note != "" {
		log = log.With("note", answer.Note)
	}
	if !answer.OK {
		log.Warn("an operator could not act", "error", answer.Error)
		return
	}
	log.Info("an operator acted")
}

func movesText(moves []control.Move) string {
	return text.List(moves, maxAudited, func(m control.Move) string {
		return fmt.Sprintf("%s/%d from %d to %d", m.Topic, m.Partition, m.From, m.To)
	})
}
