package bench

import (
	"fmt"
	"time"
)

// The ways of an echo that are compared.
const (
	Bare  = "bare"  // wRPC alone: caller, host, component, and a provider that answers at once
	Kafka = "kafka" // from topic to topic: provider, host, component, provider
	Alone = "alone" // no echo but a limit: a Kafka client reads what it has produced
)

// The goals of the way through Kafka, held against the bare way in the same round.
const (
	goalRatio  = 0.7  // least share of the bare rate, with several in flight
	goalBehind = 3.0  // most milliseconds by which the median is later, with one in flight
	goalCPU    = 0.15 // most milliseconds of the provider's CPU for each echo
)

// EchoReport is all that a run of the echo benchmark finds out.
type EchoReport struct {
	Started  time.Time         `json:"started"`
	Version  string            `json:"version"` // of the project: git describe
	Machine  Machine           `json:"machine"`
	Software map[string]string `json:"software"`
	Setup    EchoSetup         `json:"setup"`
	Summary  []EchoSummary     `json:"summary"`
	Rounds   []EchoRound       `json:"rounds"`
}

// EchoSetup is what was measured.
type EchoSetup struct {
	ValueBytes int               `json:"value_bytes"`
	Seconds    float64           `json:"seconds"` // of one round
	Rounds     int               `json:"rounds"`
	Instances  int               `json:"instances"`  // of the component at most (count)
	Partitions int               `json:"partitions"` // of each topic
	Link       map[string]string `json:"link"`       // settings of the link besides hosts and topic
}

// EchoRound is one load on one of the ways.
type EchoRound struct {
	Way       string  `json:"way"`
	InFlight  int     `json:"in_flight"`
	Round     int     `json:"round"`
	Seconds   float64 `json:"seconds"`
	Echoes    int     `json:"echoes"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	// Sent and Lost count values of the whole load, Repeated echoes that came again.
	Sent     int `json:"sent"`
	Lost     int `json:"lost"`
	Repeated int `json:"repeated"`
	// CPU is the milliseconds of each process for one echo.
	CPU map[string]float64 `json:"cpu_ms_per_echo"`
	// Others is how many processors were busy with what is no part of the benchmark.
	Others float64 `json:"other_cpus"`
}

// NewEchoRound makes the figures of a load.
func NewEchoRound(way string, inFlight, round int, s *Sample, used CPU) EchoRound {
	r := EchoRound{
		Way: way, InFlight: inFlight, Round: round,
		Seconds: s.Took.Seconds(), Echoes: len(s.Echoes), PerSecond: s.PerSecond(),
		P50: milliseconds(Quantile(s.Echoes, 0.5)), P99: milliseconds(Quantile(s.Echoes, 0.99)),
		Max:  milliseconds(Quantile(s.Echoes, 1)),
		Sent: s.Sent, Lost: s.Lost, Others: used.Others().Seconds() / s.Took.Seconds(),
	}
	if len(s.Echoes) > 0 {
		r.CPU = make(map[string]float64, len(used.Of))
		for name, cpu := range used.Of {
			r.CPU[name] = milliseconds(cpu) / float64(len(s.Echoes))
		}
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// EchoFigures sum up the rounds of one way.
type EchoFigures struct {
	PerSecond Spread            `json:"per_second"`
	P50       Spread            `json:"p50_ms"`
	P99       Spread            `json:"p99_ms"`
	Lost      int               `json:"lost"`
	Repeated  int               `json:"repeated"`
	CPU       map[string]Spread `json:"cpu_ms_per_echo"`
	Others    Spread            `json:"other_cpus"`
}

// EchoSummary compares the ways. Ratio and Behind are those within the rounds, so that what the machine did
// meanwhile falls on both sides.
type EchoSummary struct {
	InFlight int         `json:"in_flight"`
	Bare     EchoFigures `json:"bare"`
	Kafka    EchoFigures `json:"kafka"`
	Alone    EchoFigures `json:"alone"`
	// Ratio is the rate through Kafka as a share of the bare one, Behind the difference of the medians.
	Ratio  Spread `json:"ratio"`
	Behind Spread `json:"p50_behind_ms"`
	// Apart is what the ratio would be where processors are the limit and broker and load had their own: the CPU of
	// host, nats-server and provider, whose part the load plays on the bare way, for an echo of each.
	Apart Spread `json:"ratio_apart"`
	Goals []Goal `json:"goals"`
}

// Goal is a figure beside what it is meant to be.
type Goal struct {
	Text    string  `json:"text"`
	Value   float64 `json:"value"`
	Reached bool    `json:"reached"`
}

// Summarise sums up the rounds of one number in flight, of which each has all ways.
func Summarise(inFlight int, rounds []EchoRound) EchoSummary {
	ways := map[string][]EchoRound{}
	for _, r := range rounds {
		if r.InFlight == inFlight {
			ways[r.Way] = append(ways[r.Way], r)
		}
	}
	bare, kafka := ways[Bare], ways[Kafka]
	var ratios, behind, apart []float64
	measured := len(bare) > 0 && len(kafka) > 0
	for i := range min(len(bare), len(kafka)) {
		if bare[i].Echoes == 0 || kafka[i].Echoes == 0 {
			measured = false // there is nothing to compare, and no goal is reached by that
			continue
		}
		ratios = append(ratios, kafka[i].PerSecond/bare[i].PerSecond)
		behind = append(behind, kafka[i].P50-bare[i].P50)
		b, k := bare[i].CPU, kafka[i].CPU
		if cpu := k[Host] + k[NATS] + k[Provider]; cpu > 0 {
			apart = append(apart, (b[Host]+b[NATS]+b[Client])/cpu)
		}
	}
	s := EchoSummary{
		InFlight: inFlight, Bare: figures(bare), Kafka: figures(kafka), Alone: figures(ways[Alone]),
		Ratio: SpreadOf(ratios), Behind: SpreadOf(behind), Apart: SpreadOf(apart),
	}
	if inFlight == 1 {
		s.Goals = append(s.Goals, Goal{fmt.Sprintf("median at most %g ms later", goalBehind), s.Behind.Median, measured &&
			s.Behind.Median <= goalBehind})
	} else {
		s.Goals = append(s.Goals, Goal{fmt.Sprintf("rate at least %g of bare wRPC", goalRatio), s.Ratio.Median, measured &&
			s.Ratio.Median >= goalRatio})
	}
	cpu := s.Kafka.CPU[Provider].Median
	lost := s.Bare.Lost + s.Kafka.Lost + s.Alone.Lost
	s.Goals = append(s.Goals,
		Goal{fmt.Sprintf("at most %g ms of the provider's CPU for each echo", goalCPU), cpu, measured && cpu <= goalCPU},
		Goal{"nothing lost", float64(lost), lost == 0})
	return s
}

// The names of [Processes] here.
const (
	Provider = "provider"
	Host     = "host"
	NATS     = "nats"
	Broker   = "broker"
	Client   = "load" // the benchmark itself
)

// ways are the ways with their names in tables.
func (s *EchoSummary) ways() []namedFigures {
	return []namedFigures{{"bare wRPC", &s.Bare}, {"through Kafka", &s.Kafka}, {"Kafka alone", &s.Alone}}
}

type namedFigures struct {
	name string
	*EchoFigures
}

func figures(rounds []EchoRound) EchoFigures {
	spread := func(of func(EchoRound) float64) Spread {
		var values []float64
		for _, r := range rounds {
			values = append(values, of(r))
		}
		return SpreadOf(values)
	}
	f := EchoFigures{
		PerSecond: spread(func(r EchoRound) float64 { return r.PerSecond }),
		P50:       spread(func(r EchoRound) float64 { return r.P50 }),
		P99:       spread(func(r EchoRound) float64 { return r.P99 }),
		Others:    spread(func(r EchoRound) float64 { return r.Others }),
		CPU:       map[string]Spread{},
	}
	for _, r := range rounds {
		f.Lost += r.Lost
		f.Repeated += r.Repeated
		for name := range r.CPU {
			f.CPU[name] = spread(func(r EchoRound) float64 { return r.CPU[name] })
		}
	}
	return f
}
