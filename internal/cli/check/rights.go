package check

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rights are the operations that the user may do on something, one bit for each code of [kmsg.ACLOperation] (KIP-430).
type rights int32

// unknownRights is what brokers before Kafka 2.3 leave in the field.
const unknownRights rights = math.MinInt32

func (r rights) known() bool { return r != unknownRights }

func (r rights) has(op kmsg.ACLOperation) bool { return r.known() && r&(1<<op) != 0 }

// opName is an operation as Kafka's tools write it.
func opName(op kmsg.ACLOperation) string {
	switch op {
	case kmsg.ACLOperationRead:
		return "Read"
	case kmsg.ACLOperationWrite:
		return "Write"
	case kmsg.ACLOperationCreate:
		return "Create"
	case kmsg.ACLOperationIdempotentWrite:
		return "IdempotentWrite"
	default:
		return op.String()
	}
}
