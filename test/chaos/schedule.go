package chaos

import (
	"time"

	"github.com/messaging-kafka/messaging-kafka/test/fleet"
)

// Kinds of faults besides those of Kafka.
const (
	KillCopy     fleet.Kind = "kill a copy"          // SIGKILL, as a crash
	StopCopy     fleet.Kind = "stop a copy"          // as the host does it
	TermCopy     fleet.Kind = "terminate a copy"     // SIGTERM
	CutLattice   fleet.Kind = "cut a copy's lattice" // its connection is reset and refused for a while
	ResetLattice fleet.Kind = "reset a copy's lattice"
	NoComponent  fleet.Kind = "scale the component to 0"
	ReplaceLink  fleet.Kind = "replace the link" // the target picks the settings
	DeleteLink   fleet.Kind = "delete and put the link"
	KillBridge   fleet.Kind = "kill a bridge"      // SIGKILL
	TermBridge   fleet.Kind = "terminate a bridge" // SIGTERM
	PauseBridge  fleet.Kind = "pause a bridge"     // SIGSTOP, for longer than the session timeout
	KillApp      fleet.Kind = "kill the application behind HTTP"
)

// bridgeCopies is the number of copies of the bridge.
const bridgeCopies = 2

// linkVariants is the number of settings that [ReplaceLink] picks from.
const linkVariants = 4

func lanes(copies, brokers int) []fleet.Lane {
	const ms, s = time.Millisecond, time.Second
	return append(fleet.KafkaLanes(brokers, 8*s, 12*s, fleet.Choose(ResetLattice, 3, 0, 0, copies),
		fleet.Choose(CutLattice, 3, 200*ms, 5*s, copies)), []fleet.Lane{
		{Name: "copies", Min: 4 * s, Max: 12 * s, Choices: []fleet.Choice{
			fleet.Choose(KillCopy, 4, 200*ms, 8*s, copies),
			fleet.Choose(StopCopy, 4, 200*ms, 5*s, copies),
			fleet.Choose(TermCopy, 2, 200*ms, 5*s, copies),
		}},
		{Name: "component", Min: 10 * s, Max: 30 * s, Choices: []fleet.Choice{fleet.Choose(NoComponent, 1, 500*ms, 6*s, 1)}},
		{Name: "links", Min: 8 * s, Max: 20 * s, Choices: []fleet.Choice{
			fleet.Choose(ReplaceLink, 2, 0, 0, linkVariants),
			fleet.Choose(DeleteLink, 1, 50*ms, 3*s, linkVariants),
		}},
		{Name: "bridges", Min: 5 * s, Max: 15 * s, Choices: []fleet.Choice{
			fleet.Choose(KillBridge, 4, 200*ms, 8*s, bridgeCopies),
			fleet.Choose(TermBridge, 2, 200*ms, 5*s, bridgeCopies),
			fleet.Choose(PauseBridge, 2, 7*s, 10*s, bridgeCopies),
		}},
		{Name: "application", Min: 8 * s, Max: 20 * s, Choices: []fleet.Choice{fleet.Choose(KillApp, 1, 200*ms, 6*s, 1)}},
	}...)
}
