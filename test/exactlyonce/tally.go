package exactlyonce

import (
	"strings"

	"github.com/messaging-kafka/messaging-kafka/test/ledger"
)

// Output is one record of the output topic.
type Output struct {
	ID ledger.ID
	// Nth is which of the outputs of its record it is, from 1.
	Nth int
	// From is the place of its record, as the component saw it; At is its own.
	From, At ledger.Place
}

// Tally is what came out of one pipeline.
type Tally struct {
	Seed uint64
	// Produced are the records that Kafka has acknowledged, with their places.
	Produced map[ledger.ID]ledger.Place
	// Outputs are what a read_committed reader sees, in the order of each partition; Dead the dead letters it sees.
	Outputs []Output
	Dead    []ledger.ID
	// Strangers are outputs and dead letters that belong to no record that was produced.
	Strangers []string
	// End and Committed are the offsets of the input by partition.
	End, Committed map[int32]int64
}

// Count says how well a pipeline kept its promise.
type Count struct {
	Records int
	// Lost are records of which an output is missing and no dead letter is there, or the dead letter where there must
	// be one.
	Lost []ledger.ID
	// Twice are outputs and dead letters that are there more than once, each counted once for each time too many; Both
	// are records that have outputs and a dead letter.
	Twice, Both int
	// Disorder are outputs that stand behind one of a later record of the same partition (or key, see Check).
	Disorder int
	// Uncommitted are input partitions whose committed offset is not their end.
	Uncommitted int
	// Failed are dead letters of records that deserved outputs: bad luck used up their attempts.
	Failed int
	// Breaches tell of all of that.
	ledger.Breaches
}

// output names one output of a record.
type output struct {
	id  ledger.ID
	nth int
}

// Check counts. With strict, outputs must stand in the order of their records' offsets for each pair of input and
// output partition; without it, the first occurrences of each key's outputs must.
func (t *Tally) Check(strict bool) Count {
	c := Count{Records: len(t.Produced)}
	times := make(map[output][]Output)
	for _, o := range t.Outputs {
		key := output{o.ID, o.Nth}
		times[key] = append(times[key], o)
		if where, ok := t.Produced[o.ID]; !ok || where != o.From {
			c.Addf("output %d of %v says that its record is at %v, which was stored at %v", o.Nth, o.ID, o.From, where)
			c.Twice++
		}
		if n := len(times[key]); n > 1 {
			c.Twice++
			c.Addf("output %d of %v (from %v) is there at %v", o.Nth, o.ID, o.From, places(times[key]))
		}
	}
	dead := make(map[ledger.ID]int)
	for _, id := range t.Dead {
		if dead[id]++; dead[id] > 1 {
			c.Twice++
			c.Addf("dead letter of %v (from %v) is there %d times", id, t.Produced[id], dead[id])
		}
	}
	for _, text := range t.Strangers {
		c.Twice++
		c.Addf("%s", text)
	}
	for _, id := range ledger.SortedIDs(t.Produced) {
		t.checkRecord(&c, id, times, dead[id])
	}
	t.checkOrder(&c, strict)
	for p, end := range t.End {
		if t.Committed[p] != end {
			c.Uncommitted++
			c.Addf("partition %d is committed to %d of %d", p, t.Committed[p], end)
		}
	}
	return c
}

func places(outputs []Output) string {
	texts := make([]string, len(outputs))
	for i, o := range outputs {
		texts[i] = o.At.String()
	}
	return strings.Join(texts, ", ")
}

func (t *Tally) checkRecord(c *Count, id ledger.ID, times map[output][]Output, dead int) {
	fate := FateOf(t.Seed, id)
	there := 0
	for n := 1; n <= fate.Outputs; n++ {
		if len(times[output{id, n}]) > 0 {
			there++
		}
	}
	lost := there < fate.Outputs || fate.dead()
	switch {
	case dead > 0 && there > 0:
		c.Both++
		c.Addf("%v (from %v) has %d of %d outputs and a dead letter", id, t.Produced[id], there, fate.Outputs)
	case dead > 0:
		if !fate.dead() {
			c.Failed++
		}
	case lost:
		c.Lost = append(c.Lost, id)
		c.Addf("%v (from %v) has %d of %d outputs and no dead letter", id, t.Produced[id], there, fate.Outputs)
	}
}

func (t *Tally) checkOrder(c *Count, strict bool) {
	type lane struct {
		from, to int32
		key      int
	}
	type step struct {
		offset int64
		nth    int
	}
	last := make(map[lane]step)
	seen := make(map[output]bool)
	for _, o := range t.Outputs {
		l := lane{from: o.From.Partition, to: o.At.Partition}
		if !strict {
			if seen[output{o.ID, o.Nth}] {
				continue
			}
			seen[output{o.ID, o.Nth}] = true
			l.key = o.ID.Key
		}
		now := step{o.From.Offset, o.Nth}
		if before := last[l]; now.offset < before.offset || now.offset == before.offset && now.nth < before.nth {
			c.Disorder++
			c.Addf("output %d of %v (from %v) at %v stands behind one of offset %d", o.Nth, o.ID, o.From, o.At, before.offset)
			continue
		}
		last[l] = now
	}
}
