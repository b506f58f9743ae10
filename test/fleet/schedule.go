package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Kind is a kind of fault.
type Kind string

// Faults of Kafka, which [BreakKafka] carries out. What suites break besides has kinds of their own.
const (
	KillBroker   Kind = "kill a broker"        //
	PauseBroker  Kind = "pause a broker"       // SIGSTOP
	CutKafka     Kind = "cut a broker off"     // its connections are reset and refused for a while
	CutAllKafka  Kind = "cut all brokers off"  // for longer than the session timeout
	ResetKafka   Kind = "reset a broker"       // its connections are reset
	SwallowKafka Kind = "swallow all of Kafka" // nothing passes for longer than the session timeout; connections stay
)

// Fault is one thing to break.
type Fault struct {
	// Wait is the time between the mending of the fault before and this one.
	Wait time.Duration
	Kind Kind
	// Target is what is broken, from 1: which broker, which process.
	Target int
	// Hold is how long it stays broken.
	Hold time.Duration
}

func (f Fault) String() string {
	return fmt.Sprintf("%s %d for %v", f.Kind, f.Target, f.Hold.Round(10*time.Millisecond))
}

// Choice is a kind of fault in a lane, with its weight and how long it holds.
type Choice struct {
	Kind     Kind
	Weight   int
	Min, Max time.Duration
	Targets  int
}

// Choose makes a [Choice].
func Choose(kind Kind, weight int, least, most time.Duration, targets int) Choice {
	return Choice{Kind: kind, Weight: weight, Min: least, Max: most, Targets: targets}
}

// Lane is a sequence of faults of which one is over before the next begins. Lanes run side by side, so that faults of
// different lanes meet.
type Lane struct {
	Name     string
	Min, Max time.Duration // between two faults
	Choices  []Choice
}

// KafkaLanes are the lanes of brokers, and of the network with what else is broken there. Kafka is cut off as a whole
// for as long as least and most say.
func KafkaLanes(brokers int, least, most time.Duration, more ...Choice) []Lane {
	const ms, s = time.Millisecond, time.Second
	return []Lane{
		{Name: "brokers", Min: 6 * s, Max: 15 * s, Choices: []Choice{
			Choose(KillBroker, 1, 500*ms, 6*s, brokers),
			Choose(PauseBroker, 1, 1*s, 10*s, brokers),
		}},
		{Name: "network", Min: 3 * s, Max: 9 * s, Choices: append([]Choice{
			Choose(ResetKafka, 3, 0, 0, brokers),
			Choose(CutKafka, 3, 500*ms, 10*s, brokers),
			Choose(CutAllKafka, 1, least, most, 1),
			Choose(SwallowKafka, 1, least, most, 1),
		}, more...)},
	}
}

// Schedule returns the faults of each lane by its name: as many as can happen within duration. The same arguments
// give the same schedule. When a fault happens depends also on how long the ones before took to be mended.
func Schedule(seed uint64, duration time.Duration, lanes []Lane) map[string][]Fault {
	schedule := make(map[string][]Fault)
	for i, l := range lanes {
		// A generator of its own for each lane: a change in one leaves the others as they are.
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		total := 0
		for _, c := range l.Choices {
			total += c.Weight
		}
		for at := time.Duration(0); ; {
			f := Fault{Wait: between(r, l.Min, l.Max)}
			if len(schedule[l.Name]) == 0 {
				f.Wait = between(r, l.Min/4, l.Max/4) // short runs see each lane too
			}
			if at += f.Wait; at >= duration {
				break
			}
			pick := r.IntN(total)
			for _, c := range l.Choices {
				if pick -= c.Weight; pick < 0 {
					f.Kind, f.Target, f.Hold = c.Kind, 1+r.IntN(c.Targets), between(r, c.Min, c.Max)
					break
				}
			}
			at += f.Hold
			schedule[l.Name] = append(schedule[l.Name], f)
		}
	}
	return schedule
}

// Carry carries a schedule out by carryOut, lane beside lane, and returns at the end of duration, or when the last
// fault has been mended. Where faults take long to be mended, or stop says so, what is left of the schedule is left
// out.
func Carry(ctx context.Context, schedule map[string][]Fault, duration time.Duration, stop func() bool,
	carryOut func(context.Context, Fault)) {
	deadline := time.Now().Add(duration)
	var lanes sync.WaitGroup
	for _, faults := range schedule {
		lanes.Go(func() {
			for _, f := range faults {
				if !Sleep(ctx, f.Wait) || time.Now().After(deadline) || stop() {
					return
				}
				carryOut(ctx, f)
			}
		})
	}
	lanes.Wait()
	Sleep(ctx, time.Until(deadline))
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}
