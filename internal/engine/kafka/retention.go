package kafka

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Retention is how long a topic keeps records.
type Retention struct {
	// For is how old they become; 0 is without an end.
	For time.Duration
	// OwnTime tells that their age counts from the time that producers give them.
	OwnTime bool
}

// AskRetention asks how long topics keep records. Topics of which this user may not know it, or the broker does not
// say it, are not in the answer: nothing but advice hangs on it.
func AskRetention(ctx context.Context, adm *kadm.Client, topics ...string) map[string]Retention {
	found := make(map[string]Retention)
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return found
	}
	for _, resource := range configs {
		values := make(map[string]string)
		for _, config := range resource.Configs {
			values[config.Key] = config.MaybeValue()
		}
		millis, err := strconv.ParseInt(values["retention.ms"], 10, 64)
		if resource.Err != nil || err != nil {
			continue
		}
		r := Retention{OwnTime: values["message.timestamp.type"] != "LogAppendTime"}
		if millis > 0 && millis <= int64(math.MaxInt64/time.Millisecond) &&
			strings.Contains(values["cleanup.policy"], "delete") {
			r.For = time.Duration(millis) * time.Millisecond
		}
		found[resource.Name] = r
	}
	return found
}
