package check

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/schema"
)

// checkSchemas asks the schema registry for the schemas of the topics that the link names.
func (r *run) checkSchemas(ctx context.Context) {
	if !r.settings.Schema.Enabled() {
		return
	}
	codec, err := schema.NewCodec(schema.NewPool(nil, r.opts.Logger), &r.settings, nil)
	if err != nil {
		r.add(Finding{StepSchemas, "schema_registry", Fail, kafka.ClassOther, err.Error()})
		return
	}
	defer codec.Close()
	var written []string
	if r.link.Role.Produces() {
		written = slices.DeleteFunc(slices.Clone(r.settings.Producer.AllowedTopics), hasGlob)
	}
	topics := slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.settings.Consumer.Topics, written))))
	if len(topics) == 0 {
		topics = []string{"messaging-kafka.check"} // whose schema is not what matters
	}
	asked := map[string]bool{}
	for _, topic := range topics {
		for _, subject := range codec.Subjects(ctx, topic) {
			if asked[subject.Name] {
				continue
			}
			asked[subject.Name] = true
			finding, goOn := judgeSubject(subject, slices.Contains(written, topic))
			r.add(finding)
			if !goOn {
				return
			}
		}
	}
	if len(asked) == 0 {
		r.skip(StepSchemas, "schema_topics has none of the topics that the {link} names")
	}
}

// judgeSubject says what there is to say of a subject. Records are read by the ids in them, so that one of which
// nothing is known is no trouble unless it is written by. Nothing else is asked of a registry that cannot be asked.
func judgeSubject(subject schema.Subject, written bool) (f Finding, goOn bool) {
	f = Finding{Step: StepSchemas, Target: subject.Name, Status: OK, Text: "its latest schema can be used"}
	_, away := errors.AsType[*schema.AwayError](subject.Err)
	switch {
	case subject.Err == nil:
	case away:
		f.Target, f.Status, f.Class, f.Text = "schema_registry", Fail, kafka.ClassOther, subject.Err.Error()
	case written:
		f.Status, f.Text = Warn, subject.Err.Error()+": publishes that are written by it would be refused"
	default:
		f.Text = "the registry answers; " + strings.TrimPrefix(subject.Err.Error(), "the schema registry ") +
			", which says nothing of records that are read"
	}
	return f, !away
}
