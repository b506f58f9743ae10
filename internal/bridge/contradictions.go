package bridge

import (
	"cmp"
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/httpin"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// Contradictions are settings of a file of which one keeps another from having effect, with the memory that the process
// would have on this machine.
func Contradictions(c *config.Config) []config.Warning {
	own, _, err := settings.ParseProvider(c.Own, c.OwnSecrets)
	if err != nil {
		return nil // which is told elsewhere
	}
	return contradictions(c, memory.FindProcessLimit(own.MaxMemory).Budget())
}

// contradictions are sizes that are more than one thing may take of a budget, so that what comes close to them is
// refused each time, and times that are longer than the end of the bridge.
func contradictions(c *config.Config, budget *memory.Budget) []config.Warning {
	var list []config.Warning
	warn := func(line int, key, what string, size int64) {
		if most := budget.Largest(); size > most {
			list = append(list, config.Warning{Line: line, Key: key, Text: fmt.Sprintf(
				"is %d bytes, and there is memory for %d of one %s: larger ones are refused; lower it, or raise provider_max_memory to %d at least",
				size, most, what, neededFor(size))})
		}
	}
	if c.Listen.Address != "" {
		const key = "listen_max_body"
		warn(cmp.Or(c.Line(key), c.Line(keyListen)), key, "request", cmp.Or(c.Listen.MaxBody, httpin.DefaultMaxBody))
	}
	end := shutdownTimeoutOf(c)
	for _, r := range c.Routes {
		place := "routes." + r.Name
		if drain := r.Settings.Delivery.DrainTimeout; r.Reads() && drain > end {
			list = append(list, config.Warning{Line: c.Line(place), Key: place + ".drain_timeout", Text: fmt.Sprintf(
				"is %s, and the bridge ends within %s: what is left then is cut off; lower it, or raise provider_shutdown_timeout", drain, end)})
		}
		if r.Settings.HTTP.Deliver.OverHTTP() {
			warn(c.Line(place), place+".http_max_answer", "answer", r.Settings.HTTP.MaxAnswer)
		}
	}
	return list
}

// neededFor is the memory of a process in which one thing of a size has room.
func neededFor(size int64) int64 {
	whole := memory.ProcessLimit{Bytes: 1 << 40}
	return size * (whole.Bytes / whole.Budget().Largest())
}
