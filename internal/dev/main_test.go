package dev

import (
	"testing"

	"messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
