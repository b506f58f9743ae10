package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Kind is a kind of fault.
type Kind string

const (
	KillCopy     Kind = "kill a copy"          // SIGKILL, as a crash
	StopCopy     Kind = "stop a copy"          // as the host does it
	TermCopy     Kind = "terminate a copy"     // SIGTERM
	KillBroker   Kind = "kill a broker"        //
	PauseBroker  Kind = "pause a broker"       // SIGSTOP
	CutKafka     Kind = "cut a broker off"     // its connections are reset and refused for a while
	CutAllKafka  Kind = "cut all brokers off"  // for longer than the session timeout
	ResetKafka   Kind = "reset a broker"       // its connections are reset
	SwallowKafka Kind = "swallow all of Kafka" // nothing passes for longer than the session timeout; connections stay
	CutLattice   Kind = "cut a copy's lattice" // its connection is reset and refused for a while
	ResetLattice Kind = "reset a copy's lattice"
	NoComponent  Kind = "scale the component to 0"
	ReplaceLink  Kind = "replace the link"
	DeleteLink   Kind = "delete and put the link"
)

// Fault is one thing to break.
type Fault struct {
	// Wait is the time between the mending of the fault before and this one.
	Wait time.Duration
	Kind Kind
	// Target is the copy or broker, from 1; for links it picks the settings.
	Target int
	// Hold is how long it stays broken.
	Hold time.Duration
}

func (f Fault) String() string {
	return fmt.Sprintf("%s %d for %v", f.Kind, f.Target, f.Hold.Round(10*time.Millisecond))
}

// choice is a kind of fault in a lane, with its weight and how long it holds.
type choice struct {
	kind     Kind
	weight   int
	min, max time.Duration
	targets  int
}

// lane is a sequence of faults of which one is over before the next begins. Lanes run side by side, so that faults of
// different lanes meet.
type lane struct {
	name     string
	min, max time.Duration // between two faults
	choices  []choice
}

// linkVariants is the number of settings that [ReplaceLink] picks from.
const linkVariants = 4

func lanes(copies, brokers int) []lane {
	const ms, s = time.Millisecond, time.Second
	return []lane{
		{"copies", 4 * s, 12 * s, []choice{
			{KillCopy, 4, 200 * ms, 8 * s, copies},
			{StopCopy, 4, 200 * ms, 5 * s, copies},
			{TermCopy, 2, 200 * ms, 5 * s, copies},
		}},
		{"brokers", 6 * s, 15 * s, []choice{
			{KillBroker, 1, 500 * ms, 6 * s, brokers},
			{PauseBroker, 1, 1 * s, 10 * s, brokers},
		}},
		{"network", 3 * s, 9 * s, []choice{
			{ResetKafka, 3, 0, 0, brokers},
			{CutKafka, 3, 500 * ms, 10 * s, brokers},
			{CutAllKafka, 1, 8 * s, 12 * s, 1},
			{SwallowKafka, 1, 8 * s, 12 * s, 1},
			{ResetLattice, 3, 0, 0, copies},
			{CutLattice, 3, 200 * ms, 5 * s, copies},
		}},
		{"component", 10 * s, 30 * s, []choice{{NoComponent, 1, 500 * ms, 6 * s, 1}}},
		{"links", 8 * s, 20 * s, []choice{
			{ReplaceLink, 2, 0, 0, linkVariants},
			{DeleteLink, 1, 50 * ms, 3 * s, linkVariants},
		}},
	}
}

// Schedule returns the faults of each lane by its name: as many as can happen within duration. The same arguments
// give the same schedule. When a fault happens depends also on how long the ones before took to be mended.
func Schedule(seed uint64, duration time.Duration, copies, brokers int) map[string][]Fault {
	schedule := make(map[string][]Fault)
	for i, l := range lanes(copies, brokers) {
		// A generator of its own for each lane: a change in one leaves the others as they are.
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		total := 0
		for _, c := range l.choices {
			total += c.weight
		}
		for at := time.Duration(0); ; {
			f := Fault{Wait: between(r, l.min, l.max)}
			if len(schedule[l.name]) == 0 {
				f.Wait = between(r, l.min/4, l.max/4) // short runs see each lane too
			}
			if at += f.Wait; at >= duration {
				break
			}
			pick := r.IntN(total)
			for _, c := range l.choices {
				if pick -= c.weight; pick < 0 {
					f.Kind, f.Target, f.Hold = c.kind, 1+r.IntN(c.targets), between(r, c.min, c.max)
					break
				}
			}
			at += f.Hold
			schedule[l.name] = append(schedule[l.name], f)
		}
	}
	return schedule
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}
