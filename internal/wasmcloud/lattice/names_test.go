package lattice

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

func TestNamesAreToldWholeOrNotAtAll(t *testing.T) {
	testkit.NeverCut(t, func(name string) string { return logged([]string{name, name}) })
	testkit.NeverCut(t, func(name string) string { return checkNames(&hostdata.Link{Name: "\x01" + name}).Error() })
}
