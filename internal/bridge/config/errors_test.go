package config

import (
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestKeysAreToldWholeOrNotAtAll(t *testing.T) {
	testkit.NeverCut(t, shown)
	testkit.NeverCut(t, func(key string) string {
		_, err := Parse([]byte("routes:\n  orders:\n    "+key+": x\n"), Options{Path: "bridge.yaml"})
		return err.Error()
	})
}
