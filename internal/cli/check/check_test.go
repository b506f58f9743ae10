package check

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func link(config map[string]string) Link {
	return Link{Name: "test",
		Input: settings.Input{Config: config, Identity: settings.Identity{Lattice: "l", Component: "c", LinkName: "default"}}}
}

// find returns the findings of a step.
func find(r Result, step Step) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Steps), func(f Finding) bool { return f.Step != step })
}

// only is the one finding of a step.
func only(t *testing.T, r Result, step Step) Finding {
	t.Helper()
	found := find(r, step)
	if len(found) != 1 {
		t.Fatalf("%d findings of %s in %s", len(found), step, dump(r))
	}
	return found[0]
}

func dump(r Result) string {
	var b strings.Builder
	for _, f := range r.Steps {
		fmt.Fprintf(&b, "\n%s %s %s (%s): %s", f.Status, f.Step, f.Target, f.Class, f.Text)
	}
	return b.String()
}

func TestALinkThatIsWell(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 2)
	k.Topic("in.reply", 1)
	k.Topic("dead", 1)
	k.Topic("out", 1)
	kc := testkit.NewClient(t, k.Brokers(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for range 5 {
		kc.Produce(&kgo.Record{Topic: "in", Partition: 1})
	}
	kc.CommitOffset("g", "in", 1, 2)
	var told []Finding
	r := Run(t.Context(), link(map[string]string{
		"hosts": k.Brokers()[0] + ",", "topic": "in", "consumer_group": "g", "dead_letter_topic": "dead",
		"allowed_topics": "out,in.*",
	}), Options{Each: func(f Finding) { told = append(told, f) }})
	if !slices.Equal(told, r.Steps) {
		t.Errorf("told %v", told)
	}
	if r.Count(Fail) != 0 {
		t.Errorf("something failed: %s", dump(r))
	}
	for _, step := range steps {
		if len(find(r, step)) == 0 {
			t.Errorf("nothing of %s", step)
		}
	}
	if f := only(t, r, StepLag); f.Status != OK ||
		!strings.Contains(f.Text, "lag 3 (by partition: 0: no offset yet, 1: 3)") {
		t.Errorf("lag: %+v", f)
	}
	if len(r.Lag) != 2 || *r.Lag[1].Committed != 2 || r.Lag[1].End != 5 || *r.Lag[1].Behind != 3 ||
		r.Lag[0].Committed != nil {
		t.Errorf("lag: %+v", r.Lag)
	}
	topics := find(r, StepTopic)
	if len(topics) != 4 {
		t.Errorf("topics: %v", topics)
	}
	// The reply topic is asked for by two settings, which makes one line.
	if f := topics[2]; f.Target != "topic in.reply" || !strings.Contains(f.Text, "reply_topic, allowed_topics") {
		t.Errorf("the reply topic: %+v", f)
	}
	text, err := json.Marshal(r)
	if err != nil || !bytes.Contains(text, []byte(`"committed":null,"start":0,"end":0,"lag":null`)) ||
		!bytes.Contains(text, []byte(`{"step":"tcp","target":"`+k.Brokers()[0]+`","status":"ok","text":`)) {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

func TestWhatIsMissingFailsOrWarns(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 2)
	hosts := k.Brokers()[0]
	for name, test := range map[string]struct {
		config map[string]string
		does   role.Role
		step   Step
		target string
		status Status
		words  string
	}{
		"a topic that is read":                          {map[string]string{"topic": "absent", "reply_topic": "none"}, role.Messaging, StepTopic, "topic absent", Fail, "create_topics"},
		"a topic that may be created":                   {map[string]string{"topic": "absent", "reply_topic": "none", "create_topics": "true"}, role.Messaging, StepTopic, "topic absent", OK, "create_topics makes it"},
		"a reply topic":                                 {map[string]string{"topic": "in"}, role.Messaging, StepTopic, "topic in.reply", Warn, "reply_topic"},
		"a retry topic":                                 {map[string]string{"topic": "in", "consumer_group": "g", "retry_topics": "1m"}, role.Messaging, StepTopic, "topic g-retry-1m", Fail, "retry_topics"},
		"a dead-letter topic":                           {map[string]string{"topic": "in", "dead_letter_topic": "dead"}, role.Messaging, StepTopic, "topic dead", Fail, "dead_letter_topic"},
		"a topic for answers":                           {map[string]string{"request_reply_topic": "answers"}, role.Messaging, StepTopic, "topic answers", Fail, "request_reply_topic"},
		"an allowed topic":                              {map[string]string{"allowed_topics": "out"}, role.Messaging, StepTopic, "topic out", Fail, "allowed_topics"},
		"a partition that is read":                      {map[string]string{"topic": "in", "consumer_partitions": "1,2", "reply_topic": "none"}, role.Messaging, StepTopic, "topic in", Fail, "no partition 2: it has 2 (0 to 1)"},
		"a reply topic that is not allowed":             {map[string]string{"topic": "in", "reply_topic": "in2", "allowed_topics": "x*"}, role.Messaging, StepWrite, "topic in2", Skipped, "does not exist"},
		"topics for a pattern":                          {map[string]string{"topic": "/none.*/", "reply_topic": "none"}, role.Messaging, StepTopic, "topic", Warn, "matches no topic"},
		"topics to publish to":                          {map[string]string{"topic": "in", "reply_topic": "none"}, role.Messaging, StepWrite, "", Skipped, "allowed_topics"},
		"publishing on a source link":                   {map[string]string{"topic": "in"}, role.Messages, StepWrite, "", Skipped, "publishes nothing"},
		"publishing on a link for batches":              {map[string]string{"topic": "in"}, role.Handle, StepWrite, "", Skipped, "publishes nothing"},
		"the topics of outputs":                         {map[string]string{"topic": "in", "allowed_topics": "out"}, role.Process, StepTopic, "topic out", Fail, "allowed_topics"},
		"outputs of a batch":                            {map[string]string{"topic": "in"}, role.Process, StepWrite, "", Skipped, "allowed_topics"},
		"transactions":                                  {map[string]string{"topic": "in", "transactions": "true"}, role.Process, StepIdempotent, "", OK, "TransactionalId"},
		"transactions without outputs":                  {map[string]string{"topic": "in", "transactions": "true"}, role.Handle, StepSettings, "transactions", Fail, "processor"},
		"a topic where records are only sent":           {map[string]string{"topic": "in"}, role.Produce, StepSettings, "topic", Fail, "only publishes"},
		"a setting about messages on a records link":    {map[string]string{"topic": "in", "payload": "envelope"}, role.Handle, StepSettings, "payload", Warn, "is not used"},
		"an idempotent producer":                        {map[string]string{"idempotent": "false"}, role.Messaging, StepIdempotent, "", Skipped, "idempotent=false"},
		"reading":                                       {map[string]string{"allowed_topics": "in"}, role.Messaging, StepGroup, "", Skipped, "reads no topic"},
		"a pattern that matches what is there":          {map[string]string{"topic": "/i./", "reply_topic": "none"}, role.Messaging, StepRead, "topic in", OK, "Read"},
		"partitions of a reply topic that do not exist": {map[string]string{"topic": "in", "reply_topic": "in", "producer_partitions": "9"}, role.Messaging, StepTopic, "topic in", Fail, "no partition 9: it has 2 (0 to 1) (topic, reply_topic)"},
		"partitions of matching topics":                 {map[string]string{"allowed_topics": "i*", "producer_partitions": "9"}, role.Messaging, StepTopic, "topic in", Warn, "no partition 9"},
		"partitions to publish to of unknown topics":    {map[string]string{"producer_partitions": "9"}, role.Produce, StepWrite, "producer_partitions", Warn, "allowed_topics"},
		"partitions of topics that are not there":       {map[string]string{"topic": "in", "producer_partitions": "9"}, role.Messaging, StepWrite, "producer_partitions", Warn, "allowed_topics"},
		"partitions to publish to that do not exist":    {map[string]string{"allowed_topics": "in", "producer_partitions": "7"}, role.Messaging, StepTopic, "topic in", Fail, "no partition 7"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config["hosts"] = hosts
			l := link(test.config)
			l.Role = test.does
			r := Run(t.Context(), l, Options{})
			ok := slices.ContainsFunc(r.Steps, func(f Finding) bool {
				return f.Step == test.step && f.Target == test.target && f.Status == test.status &&
					strings.Contains(f.Text, test.words)
			})
			if !ok {
				t.Errorf("no such finding: %s", dump(r))
			}
			if test.status == Fail != (r.Status == Fail) {
				t.Errorf("the check is %s: %s", r.Status, dump(r))
			}
		})
	}
}

func TestSettingsEndTheCheckWithTheirErrors(t *testing.T) {
	l := link(map[string]string{"hosts": "127.0.0.1:1", "max_in_flight": "many", "order": "odd", "hots": "x"})
	r := Run(t.Context(), l, Options{})
	var failed, warned []string
	for _, f := range find(r, StepSettings) {
		if f.Status == Fail {
			failed = append(failed, f.Target)
		} else {
			warned = append(warned, f.Target)
		}
	}
	if !slices.Equal(failed, []string{"order", "max_in_flight"}) || !slices.Equal(warned, []string{"hots"}) ||
		r.Status != Fail {
		t.Errorf("failed %v, warned %v", failed, warned)
	}
	for _, step := range steps {
		if f := only(t, r, step); f.Status != Skipped || !strings.Contains(f.Text, "settings") {
			t.Errorf("%+v", f)
		}
	}
}

// What is decided about certificates in files is told, as it is of those in texts.
func TestCertificatesInFilesAreRemarkedOn(t *testing.T) {
	authority, folder := testkit.NewAuthority(t), t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	authority.WritePair(authority.Local("client"), file("cert"), file("key"))
	authority.Write(file("ca"))
	read := func(name string) string {
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	// The version of a certificate is one that none has: no part is missing, and Go does not read it.
	block, _ := pem.Decode([]byte(read("ca")))
	block.Bytes = bytes.Replace(block.Bytes, []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 9}, 1)
	odd := string(pem.EncodeToMemory(block))
	for name, text := range map[string]string{"cert": read("ca") + read("cert"), "ca": odd + read("ca")} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Run(t.Context(), link(map[string]string{"hosts": "127.0.0.1:1", "security_protocol": "SSL",
		"tls_ca_file": file("ca"), "tls_cert_file": file("cert"), "tls_key_file": file("key")}), Options{})
	warned := map[string]string{}
	for _, f := range find(r, StepTLS) {
		if f.Status == Warn {
			warned[f.Target] = f.Text
		}
	}
	if !strings.Contains(warned["tls_cert_file"], "is not in order") ||
		!strings.Contains(warned["tls_ca_file"], "is left out (number 1)") {
		t.Errorf("warnings %q in %s", warned, dump(r))
	}
}

// A dead letter has the time of its record.
func TestATopicThatKeepsDeadLettersForTooShortIsWarnedOf(t *testing.T) {
	k := testkit.Kfake(t)
	for topic, config := range map[string]map[string]string{
		"week": {"retention.ms": "604800000"}, "ever": {"retention.ms": "-1"}, "month": {"retention.ms": "2592000000"},
		"append": {"retention.ms": "1000", "message.timestamp.type": "LogAppendTime"},
	} {
		if err := k.CreateTopic(topic, 1, config); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		topic, letters string
		warned         bool
	}{
		{"week", "week", false}, {"week", "month", false}, {"month", "week", true}, {"ever", "month", true},
		{"month", "ever", false}, {"ever", "append", false}, {"week,ever", "month", true},
	} {
		r := Run(t.Context(), link(map[string]string{"hosts": strings.Join(k.Brokers(), ","), "topic": test.topic,
			"dead_letter_topic": test.letters}), Options{})
		warned := slices.ContainsFunc(find(r, StepTopic), func(f Finding) bool {
			return f.Status == Warn && f.Target == "topic "+test.letters &&
				strings.Contains(f.Text, "the dead letters of older records")
		})
		if warned != test.warned {
			t.Errorf("letters of %s in %s: %s", test.topic, test.letters, dump(r))
		}
	}
}

func TestOneGoodAddressIsEnough(t *testing.T) {
	k := testkit.Kfake(t)
	r := Run(t.Context(), link(map[string]string{"hosts": "127.0.0.1:1," + k.Brokers()[0]}), Options{})
	tcp := find(r, StepTCP)
	if r.Status != Warn || len(tcp) != 2 || tcp[0].Status != Warn || tcp[0].Class != kafka.ClassRefused ||
		tcp[1].Status != OK {
		t.Errorf("got %s", dump(r))
	}
}

func TestAnAdvertisedAddressThatCannotBeReached(t *testing.T) {
	k := testkit.Kfake(t)
	answer(k, kmsg.Metadata, func(_ kmsg.Request, resp *kmsg.MetadataResponse) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = 7, "127.0.0.1", 1
		resp.Brokers = append(resp.Brokers, b)
	})
	r := Run(t.Context(), link(map[string]string{"hosts": k.Brokers()[0]}), Options{Timeout: 3 * time.Second})
	if f := only(t, r, StepListener); f.Status != Fail || f.Class != kafka.ClassAdvertised ||
		!strings.Contains(f.Text, "127.0.0.1:1") || !strings.Contains(f.Text, "advertised.listeners") {
		t.Errorf("got %s", dump(r))
	}
}

// answer puts an answer in the place of the fake Kafka's own.
func answer[R kmsg.Response](k *testkit.FakeKafka, key kmsg.Key, fill func(kmsg.Request, R)) {
	k.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		resp := req.ResponseKind().(R)
		fill(req, resp)
		return resp, nil, true
	})
}

func TestMissingRightsOfAGroup(t *testing.T) {
	for name, test := range map[string]struct {
		rights rights
		code   int16
		status Status
		class  kafka.Class
		words  string
	}{
		"none at all":             {unknownRights, kerr.GroupAuthorizationFailed.Code, Fail, kafka.ClassGroupRights, "consumer_group"},
		"Describe only":           {1 << kmsg.ACLOperationDescribe, 0, Fail, kafka.ClassGroupRights, "Read is missing"},
		"Read":                    {1<<kmsg.ACLOperationDescribe | 1<<kmsg.ACLOperationRead, 0, OK, "", "Read is there"},
		"a broker that is silent": {unknownRights, 0, Warn, "", "is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			answer(k, kmsg.DescribeGroups, func(req kmsg.Request, resp *kmsg.DescribeGroupsResponse) {
				g := kmsg.NewDescribeGroupsResponseGroup()
				g.Group, g.ErrorCode, g.AuthorizedOperations, g.State = req.(*kmsg.DescribeGroupsRequest).Groups[0], test.code,
					int32(test.rights), "Dead"
				resp.Groups = append(resp.Groups, g)
			})
			r := Run(t.Context(), link(map[string]string{"hosts": k.Brokers()[0], "topic": "in", "reply_topic": "none"}),
				Options{})
			if f := only(t, r, StepGroup); f.Status != test.status || f.Class != test.class ||
				!strings.Contains(f.Text, test.words) {
				t.Errorf("got %+v", f)
			}
			if f := only(t, r, StepLag); (test.class == kafka.ClassGroupRights) != (f.Status == Skipped) {
				t.Errorf("lag: %+v", f)
			}
		})
	}
}

func TestAGroupOfAnotherKindIsTold(t *testing.T) {
	for _, c := range []struct{ is, asks string }{{"classic", "share"}, {"share", "classic"}, {"share", "consumer"}} {
		t.Run(c.is+" for "+c.asks, func(t *testing.T) {
			k := testkit.Kfake(t)
			k.Topic("in", 1)
			cl := testkit.NewClient(t, k.Brokers())
			if c.is == "classic" {
				cl.CommitOffset("g", "in", 0, 0)
			} else {
				member := testkit.NewClient(t, k.Brokers(), kgo.ShareGroup("g"), kgo.ConsumeTopics("in"))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				polled := make(chan struct{})
				go func() {
					defer close(polled)
					member.PollFetches(ctx)
				}()
				testkit.Eventually(t, testkit.DefaultTimeout, func() error {
					kind, err := kafka.KindOfGroup(t.Context(), cl.Client, "g")
					if err == nil && kind != kafka.KindShare {
						err = fmt.Errorf("the group is of the kind %q", kind)
					}
					return err
				})
				cancel()
				<-polled
			}
			r := Run(t.Context(), link(map[string]string{"hosts": k.Brokers()[0], "topic": "in", "reply_topic": "none",
				"consumer_group": "g", "group_protocol": c.asks}), Options{})
			if f := only(t, r, StepGroup); f.Status != Fail || f.Class != kafka.ClassGroupProtocol ||
				!strings.Contains(f.Text, "of the kind "+c.is) {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestNothingIsChanged(t *testing.T) {
	k := testkit.Kfake(t, kfake.AllowAutoTopicCreation())
	k.Topic("in", 1)
	asked := make(chan kmsg.Key, 1000)
	k.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		if create, is := req.(*kmsg.CreateTopicsRequest); is && !create.ValidateOnly {
			t.Error("it creates topics")
		}
		asked <- kmsg.Key(req.Key())
		return nil, nil, false
	})
	Run(t.Context(), link(map[string]string{"hosts": k.Brokers()[0], "topic": "in,absent", "create_topics": "true",
		"dead_letter_topic": "dead"}), Options{})
	close(asked)
	reading := []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.DescribeCluster, kmsg.DescribeGroups,
		kmsg.ShareGroupDescribe, kmsg.ConsumerGroupDescribe, kmsg.StreamsGroupDescribe, kmsg.FindCoordinator,
		kmsg.OffsetFetch, kmsg.ListOffsets, kmsg.CreateTopics, kmsg.DescribeConfigs}
	for key := range asked {
		if !slices.Contains(reading, key) {
			t.Errorf("it sent the request %s", key.Name())
		}
	}
	testkit.Eventually(t, testkit.DefaultTimeout, func() error {
		if info := k.TopicInfo("absent"); info != nil {
			return fmt.Errorf("the topic absent was created")
		}
		return nil
	})
}

func TestTheTimeForACheckIsBounded(t *testing.T) {
	k := testkit.KfakeProxied(t)
	k.Proxies()[0].Pause()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := Run(ctx, link(map[string]string{"hosts": k.Brokers()[0], "topic": "in"}),
		Options{Timeout: 2 * time.Second}) // what comes before the question that is not answered has to be over by then
	if f := only(t, r, StepVersions); f.Status != Fail || f.Class != kafka.ClassTimeout || ctx.Err() != nil {
		t.Errorf("got %s", dump(r))
	}
}

func TestPrintedLines(t *testing.T) {
	skipped := func(step Step, target, text string) Finding { return Finding{step, target, Skipped, "", text} }
	for name, test := range map[string]struct {
		found  []Finding
		colour bool
		want   string
	}{
		"each": {[]Finding{
			{StepTCP, "a:1", Fail, kafka.ClassRefused, "nothing listens"}, skipped(StepLag, "", "no group"), {StepName, "a", OK, "", "a is well"},
		}, false, "FAIL  tcp         a:1: nothing listens\nskip  lag         no group\nok    name        a is well\n"},
		"steps that follow one another": {[]Finding{
			skipped(StepTLS, "a:1", "tcp failed"), skipped(StepSASL, "a:1", "tcp failed"),
			skipped(StepVersions, "a:1", "tcp failed"), skipped(StepTLS, "b:1", "tcp failed"),
		}, false, "skip  tls to versions  a:1: tcp failed\nskip  tls         b:1: tcp failed\n"},
		"steps that do not":  {[]Finding{skipped(StepName, "", "x"), skipped(StepTLS, "", "x"), skipped(StepLag, "", "x")}, false, "skip  name, tls, lag  x\n"},
		"several targets":    {[]Finding{skipped(StepRead, "topic a", "no topic"), skipped(StepRead, "topic b", "no topic")}, false, "skip  read        topic a, topic b: no topic\n"},
		"what is to be read": {[]Finding{{StepRead, "topic a", Warn, "", "not known"}, {StepRead, "topic b", Warn, "", "not known"}}, false, "warn  read        topic a: not known\nwarn  read        topic b: not known\n"},
		"in colour":          {[]Finding{{StepTCP, "", Fail, "", "x"}, {StepTCP, "", OK, "", "x"}}, true, "\x1b[31;1mFAIL\x1b[0m  tcp         x\n\x1b[32mok  \x1b[0m  tcp         x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p := Printer{Out: &out, Colour: test.colour}
			for _, f := range test.found {
				p.Print(f)
			}
			if err := p.Flush(); err != nil || out.String() != test.want {
				t.Errorf("%v, got\n%q", err, out.String())
			}
		})
	}
}

func TestAPatternIsResolvedAsTheReadingDoes(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("__consumer_offsets", 1)
	if err := k.CreateTopic("told", 1, map[string]string{"kfake.is_internal": "true"}); err != nil {
		t.Fatal(err)
	}
	r := Run(t.Context(), link(map[string]string{"hosts": k.Brokers()[0], "topic": "/.*/", "reply_topic": "none"}),
		Options{})
	if f := only(t, r, StepRead); f.Target != "topic in" {
		t.Errorf("read: %+v", f)
	}
	if len(r.Lag) != 1 || r.Lag[0].Topic != "in" {
		t.Errorf("lag: %+v", r.Lag)
	}
}
