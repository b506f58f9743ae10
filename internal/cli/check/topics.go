package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
)

// want is one thing that a link does with one topic.
type want struct {
	topic   string
	setting string // that asks for it
	op      kmsg.ACLOperation
	// soft wants matter to some components only: what they lack is a warning.
	soft bool
	// partitions must exist, where the link names some.
	partitions []int32
}

// maxLines is how many topics of one kind get a line each; of more, only those that are not well are listed one by one.
const maxLines = 50

const (
	replyTopic  = "reply_topic"
	replyTopics = "reply_topics_from_records"
)

// checkTopics finds out which topics the link is about, whether they are there, and whether it may read them.
func (r *run) checkTopics(ctx context.Context) bool {
	if err := r.askTopics(ctx); err != nil {
		r.add(r.failed(StepTopic, "", err))
		return false
	}
	r.collectWants()
	var seen []string
	var found, read []Finding
	for _, w := range r.wants {
		if !slices.Contains(seen, w.topic) {
			seen = append(seen, w.topic)
			found = append(found, r.judgeTopic(ctx, w.topic))
		}
		if w.op == kmsg.ACLOperationRead {
			read = append(read, r.judgeRight(StepRead, w))
		}
	}
	if len(found) == 0 {
		r.skip(StepTopic, "the {link} names no topic")
	}
	r.addMany(found)
	r.checkDeadLetters(ctx)
	if len(read) == 0 {
		r.skip(StepRead, "the {link} reads no topic")
	}
	r.addMany(read)
	return true
}

// checkDeadLetters warns of a topic of dead letters that keeps them for less time than their records are kept: they
// have the times of these, so that those of old records would be gone at once.
func (r *run) checkDeadLetters(ctx context.Context) {
	letters := r.settings.Delivery.DeadLetterTopic
	topics := []string{letters}
	for _, w := range r.wants {
		if w.op == kmsg.ACLOperationRead && len(topics) <= maxLines {
			topics = append(topics, w.topic)
		}
	}
	if letters == "" || len(topics) == 1 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	kept := kafka.AskRetention(ctx, kadm.NewClient(r.client), topics...)
	here, known := kept[letters]
	if !known || !here.OwnTime || here.For == 0 {
		return
	}
	for _, topic := range topics[1:] {
		if there, known := kept[topic]; known && (there.For == 0 || there.For > here.For) {
			r.add(Finding{StepTopic, "topic " + letters, Warn, "", fmt.Sprintf(
				"keeps records for %s from their own time on, and topic %s keeps them for longer: the dead letters of older records are deleted at once; raise its retention.ms, or set its message.timestamp.type to LogAppendTime (dead_letter_topic)",
				here.For, topic)})
			return
		}
	}
}

// addMany adds the findings about many topics.
func (r *run) addMany(findings []Finding) {
	if len(findings) <= maxLines {
		r.add(findings...)
		return
	}
	well := 0
	for _, f := range findings {
		if f.Status == OK {
			well++
			continue
		}
		r.add(f)
	}
	r.add(Finding{findings[0].Step, "", OK, "", fmt.Sprintf("%d topics are well", well)})
}

// askTopics asks for all topics where the link has a pattern, else for those it names. The question never creates
// topics, whatever auto.create.topics.enable says.
func (r *run) askTopics(ctx context.Context) error {
	names, all := r.namedTopics()
	r.topics = make(map[string]kmsg.MetadataResponseTopic)
	if len(names) > 0 {
		if err := r.askMetadata(ctx, names); err != nil {
			return err
		}
	}
	if all {
		return r.askMetadata(ctx, nil)
	}
	return nil
}

// askMetadata asks for the given topics, nil for all that the user may see.
func (r *run) askMetadata(ctx context.Context, names []string) error {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation, req.IncludeTopicAuthorizedOperations = false, true
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = new(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := ask[*kmsg.MetadataResponse](ctx, r.client, req)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if t.Topic != nil {
			r.topics[*t.Topic] = t
		}
	}
	return nil
}

func hasGlob(name string) bool { return strings.ContainsAny(name, "*?") }

// namedTopics are the topics that the link names, and whether it has patterns besides.
func (r *run) namedTopics() (names []string, all bool) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	s := &r.settings
	all = s.Consumer.TopicPattern != nil
	for _, topic := range s.Consumer.Topics {
		add(topic)
		if r.answers() {
			add(s.Delivery.ReplyTopicFor(topic))
		}
	}
	add(s.Request.ReplyTopic)
	add(s.Delivery.DeadLetterTopic)
	for _, topic := range s.Delivery.RetryTopicNames() {
		add(topic)
	}
	if r.link.Role.Produces() {
		for _, topic := range slices.Concat(s.Producer.AllowedTopics, s.Producer.ReplyTopicsFromRecords) {
			if hasGlob(topic) {
				all = true
			} else {
				add(topic)
			}
		}
	}
	return names, all
}

// answers tells whether the component gets a reply topic that it can publish to by this link.
func (r *run) answers() bool { return r.link.Role == role.Messaging }

// collectWants lists what the link does with which topic.
func (r *run) collectWants() {
	s := &r.settings
	reads := s.Consumer.Topics
	if pattern := s.Consumer.TopicPattern; pattern != nil {
		reads = r.matching(pattern.MatchString)
		if len(reads) == 0 {
			r.add(Finding{StepTopic, "topic", Warn, kafka.ClassUnknownTopic, kafka.ErrNoMatch.Error()})
		}
	}
	for _, topic := range reads {
		r.wants = append(r.wants,
			want{topic: topic, setting: "topic", op: kmsg.ACLOperationRead, partitions: s.Consumer.Partitions})
	}
	if topic := s.Request.ReplyTopic; topic != "" {
		w := want{topic: topic, setting: "request_reply_topic", op: kmsg.ACLOperationRead}
		if p := s.Request.ReplyPartition; p != record.AnyPartition {
			w.partitions = []int32{p}
		}
		r.wants = append(r.wants, w)
	}
	for _, topic := range s.Delivery.RetryTopicNames() {
		for _, op := range []kmsg.ACLOperation{kmsg.ACLOperationRead, kmsg.ACLOperationWrite} {
			r.wants = append(r.wants, want{topic: topic, setting: "retry_topics", op: op})
		}
	}
	if topic := s.Delivery.DeadLetterTopic; topic != "" {
		r.wants = append(r.wants, want{topic: topic, setting: "dead_letter_topic", op: kmsg.ACLOperationWrite})
	}
	if !r.link.Role.Produces() {
		return
	}
	for _, topic := range reads {
		if reply := s.Delivery.ReplyTopicFor(topic); r.answers() && reply != "" {
			r.want(want{topic: reply, setting: replyTopic, op: kmsg.ACLOperationWrite, soft: true,
				partitions: s.Producer.Partitions})
		}
	}
	r.wantGlobs("allowed_topics", s.Producer.AllowedTopics, s.Producer.Partitions)
	if r.answers() {
		r.wantGlobs(replyTopics, s.Producer.ReplyTopicsFromRecords, nil)
	}
}

// wantGlobs adds the topics that a setting allows to be published to.
func (r *run) wantGlobs(setting string, patterns []string, partitions []int32) {
	for _, pattern := range patterns {
		topics, soft := []string{pattern}, false
		if hasGlob(pattern) {
			topics, soft = r.matching(func(name string) bool { return settings.MatchTopic(pattern, name) }), true
		}
		for _, topic := range topics {
			r.want(want{topic: topic, setting: setting, op: kmsg.ACLOperationWrite, soft: soft, partitions: partitions})
		}
	}
}

// want adds w, or makes more of the want that is there for the same topic and right.
func (r *run) want(w want) {
	for i := range r.wants {
		if old := &r.wants[i]; old.topic == w.topic && old.op == w.op {
			old.soft = old.soft && w.soft
			old.partitions = append(old.partitions, w.partitions...)
			if !strings.Contains(old.setting, w.setting) {
				old.setting += ", " + w.setting
			}
			return
		}
	}
	r.wants = append(r.wants, w)
}

// matching returns the topics that exist and match, sorted; those that Kafka keeps for itself do not count.
func (r *run) matching(matches func(string) bool) []string {
	var names []string
	for name, t := range r.topics {
		if t.ErrorCode == 0 && kafka.MayMatch(name, t.IsInternal) && matches(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// judgeTopic says whether a topic is as the link needs it.
func (r *run) judgeTopic(ctx context.Context, name string) Finding {
	target := "topic " + name
	status := Warn // of what is wrong
	var neededBy []string
	var partitions []int32
	for _, w := range r.wants {
		if w.topic != name {
			continue
		}
		if !w.soft {
			status = Fail
		}
		partitions = append(partitions, w.partitions...)
		if !slices.Contains(neededBy, w.setting) {
			neededBy = append(neededBy, w.setting)
		}
	}
	suffix := fmt.Sprintf(" (%s)", strings.Join(neededBy, ", "))
	t, told := r.topics[name]
	err := kerr.ErrorForCode(t.ErrorCode)
	if !told {
		err = kerr.UnknownTopicOrPartition
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) && r.settings.Create.Enabled {
		return r.judgeCreation(ctx, name, suffix, status)
	}
	if err != nil {
		d := r.access.Explain(err)
		return Finding{StepTopic, target, status, d.Class, d.Text + suffix}
	}
	if err := kafka.NoPartition(partitions, len(t.Partitions)); err != nil {
		return Finding{StepTopic, target, status, kafka.ClassUnknownTopic, err.Error() + suffix}
	}
	return judgePartitions(r.access, target, suffix, status, t.Partitions)
}

// judgePartitions says whether each partition has a leader and all its replicas.
func judgePartitions(access *kafka.Access, target, suffix string, bad Status,
	partitions []kmsg.MetadataResponseTopicPartition) Finding {
	var leaderless, behind []string
	for _, p := range partitions {
		switch {
		case p.Leader < 0:
			leaderless = append(leaderless, fmt.Sprint(p.Partition))
		case len(p.ISR) < len(p.Replicas):
			behind = append(behind, fmt.Sprint(p.Partition))
		}
	}
	slices.Sort(leaderless)
	slices.Sort(behind)
	switch {
	case len(leaderless) > 0:
		d := access.Explain(kerr.LeaderNotAvailable)
		return Finding{StepTopic, target, bad, d.Class,
			fmt.Sprintf("partitions %s: %s%s", strings.Join(leaderless, ", "), d.Text, suffix)}
	case len(behind) > 0:
		return Finding{StepTopic, target, Warn, kafka.ClassReplicas,
			fmt.Sprintf("not all replicas of partitions %s are in sync: brokers are down or slow%s",
				strings.Join(behind, ", "), suffix)}
	}
	replicas := 0
	if len(partitions) > 0 {
		replicas = len(partitions[0].Replicas)
	}
	return Finding{StepTopic, target, OK, "", fmt.Sprintf("exists, partitions: %d, replicas: %d, all with a leader%s",
		len(partitions), replicas, suffix)}
}

// judgeCreation asks whether a topic could be created, which creates nothing.
func (r *run) judgeCreation(ctx context.Context, name, suffix string, bad Status) Finding {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	target := "topic " + name
	switch err := kafka.TryCreateTopic(ctx, kadm.NewClient(r.client), name, r.settings.Create); {
	case err == nil:
		return Finding{StepTopic, target, OK, "", "does not exist yet, and create_topics makes it" + suffix}
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return Finding{StepTopic, target, bad, kafka.ClassTopicRights,
			"does not exist, and create_topics cannot make it" + suffix + ": the user needs the ACL Create on the topic or the cluster"}
	default:
		d := r.access.Explain(err)
		return Finding{StepTopic, target, bad, d.Class,
			"does not exist, and create_topics cannot make it" + suffix + ": " + d.Text}
	}
}

// judgeRight says whether the link may do with a topic what it wants to.
func (r *run) judgeRight(step Step, w want) Finding {
	target := "topic " + w.topic
	suffix := fmt.Sprintf(" (%s)", w.setting)
	bad := Fail
	if w.soft {
		bad = Warn
	}
	t, told := r.topics[w.topic]
	if !told || t.ErrorCode != 0 {
		return Finding{step, target, Skipped, "", "the topic does not exist, or cannot be seen" + suffix}
	}
	if w.op == kmsg.ACLOperationWrite && w.setting == replyTopics && !r.settings.Producer.Allows(w.topic) {
		return Finding{step, target, Warn, kafka.ClassTopicRights,
			"allowed_topics does not cover it, so that no record is believed that asks for its answer there; add it there"}
	}
	if w.op == kmsg.ACLOperationWrite && strings.Contains(w.setting, replyTopic) && !r.settings.Producer.Allows(w.topic) {
		return Finding{step, target, Warn, kafka.ClassTopicRights,
			"allowed_topics does not cover it: a {component} that answers to reply_topic is refused; add it there, or set reply_topic=none"}
	}
	may := rights(t.AuthorizedOperations)
	switch {
	case !may.known():
		return Finding{step, target, Warn, "",
			fmt.Sprintf("whether this user has the ACL %s is not known: the broker does not tell, as before Kafka 2.3%s",
				opName(w.op), suffix)}
	case may.has(w.op):
		return Finding{step, target, OK, "", fmt.Sprintf("the ACL %s is there%s", opName(w.op), suffix)}
	default:
		d := r.access.Explain(kerr.TopicAuthorizationFailed)
		return Finding{step, target, bad, d.Class, fmt.Sprintf("%s is missing: %s%s", opName(w.op), d.Text, suffix)}
	}
}

// checkWrite tells whether the link may write where it does.
func (r *run) checkWrite(context.Context) bool {
	var write []Finding
	writable := false
	for _, w := range r.wants {
		if w.op == kmsg.ACLOperationWrite {
			f := r.judgeRight(StepWrite, w)
			writable = writable || rights(r.topics[w.topic].AuthorizedOperations).has(kmsg.ACLOperationWrite)
			write = append(write, f)
		}
	}
	r.addMany(write)
	publishes := r.link.Role.Produces()
	switch {
	case len(write) > 0:
	case publishes:
		r.skip(StepWrite, "the {link} does not say which topics its {component} publishes to; name them in allowed_topics to have them checked, and to allow no others")
	default:
		r.skip(StepWrite, "the {link} publishes nothing")
	}
	if listed := len(r.settings.Producer.Partitions) > 0; listed && publishes &&
		!slices.ContainsFunc(r.wants, r.publishesTo) {
		r.add(Finding{StepWrite, "producer_partitions", Warn, "",
			"whether the topics have these partitions is not known: none of those that the {component} publishes to is there and named; name them in allowed_topics"})
	}
	r.checkIdempotence(writable, publishes || len(write) > 0)
	r.checkTransactions()
	return true
}

// publishesTo tells of a topic that is there and that the component publishes to, into the partitions of the link.
func (r *run) publishesTo(w want) bool {
	t, told := r.topics[w.topic]
	return w.op == kmsg.ACLOperationWrite && len(w.partitions) > 0 && told && t.ErrorCode == 0
}

// txnOffsetCommitByGroup is the version of TxnOffsetCommit that fences by the group's generation, which came with Kafka
// 2.5 (KIP-447).
const txnOffsetCommitByGroup = 3

// checkTransactions tells of what a link with transactions needs besides.
func (r *run) checkTransactions() {
	if !r.settings.Delivery.Transactions {
		return
	}
	if version, known := r.versions.LookupMaxKeyVersion(int16(kmsg.TxnOffsetCommit)); !known ||
		version < txnOffsetCommitByGroup {
		r.add(Finding{StepIdempotent, "", Fail, kafka.ClassBrokerTooOld, "transactions=true needs Kafka 2.5 or later"})
		return
	}
	if r.cluster.known() && r.cluster.has(kmsg.ACLOperationAlter) {
		r.add(Finding{StepIdempotent, "", OK, "",
			"transactions=true: the TransactionalId needs the ACLs Write and Describe; this user may alter the cluster, as one who may do everything"})
		return
	}
	r.add(Finding{StepIdempotent, "", Warn, "", fmt.Sprintf(
		"transactions=true needs the ACLs Write and Describe on the TransactionalId too, of which brokers do not tell: allow them for ids with the prefix %s.", r.settings.Consumer.Group)})
}

// checkIdempotence tells whether an idempotent producer may be had: with Write on any topic from Kafka 2.8 on
// (KIP-679), with IdempotentWrite on the cluster before.
func (r *run) checkIdempotence(writable, publishes bool) {
	sinceWrite := r.versions.HasKey(int16(kmsg.DescribeCluster)) // came with 2.8, too
	switch {
	case !publishes:
		r.skip(StepIdempotent, "the {link} publishes nothing")
	case !r.settings.Producer.Client.Idempotent:
		r.skip(StepIdempotent, "not used: idempotent=false")
	case !r.versions.HasKey(int16(kmsg.InitProducerID)):
		r.add(Finding{StepIdempotent, "", Fail, kafka.ClassBrokerTooOld,
			"the broker is older than Kafka 0.11 and knows no idempotent producers: set idempotent=false, or update it"})
	case r.cluster.has(kmsg.ACLOperationIdempotentWrite):
		r.add(Finding{StepIdempotent, "", OK, "", "the ACL IdempotentWrite is there on the cluster"})
	case writable && sinceWrite:
		r.add(Finding{StepIdempotent, "", OK, "", "the ACL Write on a topic is enough, as from Kafka 2.8 on"})
	case sinceWrite && r.hasWriteWants():
		d := r.access.Explain(kerr.ClusterAuthorizationFailed)
		r.add(Finding{StepIdempotent, "", Warn, d.Class,
			"of the topics that were looked at this user may write to none; with none at all, this is what publishing fails with: " + d.Text})
	default:
		r.add(Finding{StepIdempotent, "", Warn, "",
			"whether this user may use an idempotent producer is not known: it needs the ACL Write on any topic (from Kafka 2.8 on) or IdempotentWrite on the cluster, and the broker does not tell; where it is refused, set idempotent=false"})
	}
}

func (r *run) hasWriteWants() bool {
	return slices.ContainsFunc(r.wants, func(w want) bool { return w.op == kmsg.ACLOperationWrite })
}
