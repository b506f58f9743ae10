package rig

import (
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kfake starts a fake Kafka of one broker and returns its address with its process id. It is for what a real broker
// takes minutes to set up, such as a thousand groups.
func Kfake(t testing.TB) (brokers []string, pid int) {
	t.Helper()
	pid, line := start(t, "kfake")
	return strings.Split(line, ","), pid
}

func serveKfake(_ []string, in io.Reader, out io.Writer) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return err
	}
	defer cluster.Close()
	return untilEnd(in, out, strings.Join(cluster.ListenAddrs(), ","))
}
