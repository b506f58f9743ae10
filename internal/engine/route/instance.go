package route

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// instance is the instance id as which what c asks for is to be read. Two links of both directions that read together
// have one that is the same whichever of them is there or comes first, or a restart would leave the old one behind as a
// member that keeps its partitions from being read until its session is over. Where they read different things, the
// second has one of its own. It is called with mu held.
func (s *readings) instance(c *claim) string {
	consumer := &c.settings.Consumer
	id := consumer.InstanceID
	if consumer.CommonInstanceID != "" && !c.wanted.Role.Batches() {
		id = consumer.CommonInstanceID
	}
	first := c
	for other := range s.claims {
		if other.wanted.Role.Batches() || compareIDs(other.id, first.id) >= 0 || !c.sameName(other) {
			continue
		}
		switch {
		case other.key == c.key && consumer.CommonInstanceID == "":
			first, id = other, other.settings.Consumer.InstanceID
		case other.key != c.key && other.settings.Consumer.CommonInstanceID == id:
			return consumer.InstanceID
		}
	}
	return id
}

// memberAs tells whether what c asks for is to be read as the member that sub is. It is called with mu held.
func (s *readings) memberAs(c *claim, sub *reading) bool {
	id := sub.settings.Consumer.InstanceID
	return id != "" && sub.claim.key != c.key && sub.settings.Consumer.Group == c.settings.Consumer.Group && id == s.instance(c)
}

// wanted tells whether another link that asks for something else is to be the member that sub is, and to read. It is
// called with mu held.
func (s *readings) wanted(sub *reading) bool {
	for other := range s.claims {
		if s.memberAs(other, sub) && s.clashOf(other) == nil {
			return true
		}
	}
	return false
}

// transactionalID is the same after a restart on the same host, so that the transaction that a killed process left
// open is aborted at once and not at its time-out; and different for each copy. Only one link can have a reading with
// transactions: processors are linked in one direction.
func (s *reading) transactionalID() string {
	h := sha256.New()
	for _, part := range append(slices.Clip(s.shared.Process), s.claim.name) {
		fmt.Fprintf(h, "%q", part)
	}
	return fmt.Sprintf("%s.%x", s.settings.Consumer.Group, h.Sum(nil)[:6])
}
