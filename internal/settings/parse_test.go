package settings

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

var echo = Identity{Lattice: "default", Component: "echo", LinkName: "orders", HostID: "NHOST", ProviderKey: "VKEY"}

type config = map[string]string

func secrets(pairs ...string) map[string]Secret {
	m := make(map[string]Secret)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = NewSecret(pairs[i+1])
	}
	return m
}

// lines is how warnings are compared.
func lines(warnings []Warning) string {
	texts := make([]string, len(warnings))
	for i, w := range warnings {
		texts[i] = w.String()
	}
	return strings.Join(texts, "\n")
}

// mustParse parses a link that is expected to be well and without warnings.
func mustParse(t *testing.T, in Input) Link {
	t.Helper()
	in.Identity = echo
	link, warnings, err := ParseLink(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Fatalf("warnings: %s", lines(warnings))
	}
	return link
}

func TestALinkWithATopicAloneHasTheDocumentedDefaults(t *testing.T) {
	got := mustParse(t, Input{Config: config{"topic": "orders"}})
	want := Link{
		Cluster: Cluster{
			Hosts: []string{"127.0.0.1:9092"}, ClientID: "messaging-kafka", MetadataMaxAge: time.Minute,
			DialTimeout: 10 * time.Second, RequestTimeout: 30 * time.Second,
			Security: Security{Protocol: Plaintext, TLSMinVersion: 0x303},
		},
		Consumer: Consumer{
			Topics: []string{"orders"}, Group: "wasmcloud.default.echo.orders", GroupProtocol: GroupClassic,
			SessionTimeout: 45 * time.Second, RebalanceTimeout: time.Minute, OnOutOfRange: OutOfRangeEarliest,
			ReadCommitted:  true,
			CommitInterval: time.Second, FetchMaxBytes: 8 << 20, FetchMaxWait: 500 * time.Millisecond,
		},
		Delivery: Delivery{
			OnFilterError: FilterErrorDeliver,
			Order:         OrderKey, MaxInFlight: 64, Batch: Batch{MaxRecords: 500, MaxBytes: 4 << 20,
				MaxWait: 5 * time.Millisecond, Binary: BinaryBytes}, MaxBuffer: 32 << 20, HandleTimeout: time.Minute,
			RetryBackoff: 100 * time.Millisecond, RetryBackoffMax: 30 * time.Second,
			OnReject: RejectSkip, DrainTimeout: 250 * time.Millisecond, ReplyTopic: "{topic}.reply",
			Payload: PayloadRaw, Tombstones: TombstonesEmpty,
		},
		Producer: Producer{Fanout: FanoutSpread, KeyFrom: KeyFromNone, Client: ProducerClient{
			Acks: AcksAll, Idempotent: true, Compression: CompressionNone, MaxMessageBytes: 1 << 20,
			Partitioner: PartitionerMurmur2, PublishTimeout: 30 * time.Second,
		}},
		Request: Request{ReplyPartition: record.AnyPartition},
		Create:  CreateTopics{Partitions: -1, Replication: -1},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEverySettingReachesItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		config config
		got    func(Link) any
		want   any
	}{
		"hosts":                     {config{"hosts": "a,b:1"}, func(l Link) any { return l.Cluster.Hosts }, []string{"a:9092", "b:1"}},
		"client_id":                 {config{"client_id": "x"}, func(l Link) any { return l.Cluster.ClientID }, "x"},
		"metadata_max_age":          {config{"metadata_max_age": "5s"}, func(l Link) any { return l.Cluster.MetadataMaxAge }, 5 * time.Second},
		"dial_timeout":              {config{"dial_timeout": "5s"}, func(l Link) any { return l.Cluster.DialTimeout }, 5 * time.Second},
		"request_timeout":           {config{"request_timeout": "5s"}, func(l Link) any { return l.Cluster.RequestTimeout }, 5 * time.Second},
		"consumer_group":            {config{"consumer_group": "g"}, func(l Link) any { return l.Consumer.Group }, "g"},
		"consumer_partitions":       {config{"consumer_partitions": "3,1"}, func(l Link) any { return l.Consumer.Partitions }, []int32{1, 3}},
		"start":                     {config{"start": "earliest"}, func(l Link) any { return l.Consumer.Start.Kind }, StartEarliest},
		"on_offset_out_of_range":    {config{"on_offset_out_of_range": "stop"}, func(l Link) any { return l.Consumer.OnOutOfRange }, OutOfRangeStop},
		"isolation":                 {config{"isolation": "read-uncommitted"}, func(l Link) any { return l.Consumer.ReadCommitted }, false},
		"group_protocol":            {config{"group_protocol": "Consumer"}, func(l Link) any { return l.Consumer.GroupProtocol }, GroupConsumer},
		"group_instance_id":         {config{"group_instance_id": "host-1"}, func(l Link) any { return l.Consumer.InstanceID }, "host-1"},
		"session_timeout":           {config{"session_timeout": "10s"}, func(l Link) any { return l.Consumer.SessionTimeout }, 10 * time.Second},
		"rebalance_timeout":         {config{"rebalance_timeout": "2m"}, func(l Link) any { return l.Consumer.RebalanceTimeout }, 2 * time.Minute},
		"commit_interval":           {config{"commit_interval": "10ms"}, func(l Link) any { return l.Consumer.CommitInterval }, 10 * time.Millisecond},
		"fetch_max_bytes":           {config{"fetch_max_bytes": "1MiB"}, func(l Link) any { return l.Consumer.FetchMaxBytes }, int32(1 << 20)},
		"fetch_max_wait":            {config{"fetch_max_wait": "1s"}, func(l Link) any { return l.Consumer.FetchMaxWait }, time.Second},
		"rack":                      {config{"rack": "a"}, func(l Link) any { return l.Consumer.Rack }, "a"},
		"filter":                    {config{"filter": "topic ==\n'orders'"}, func(l Link) any { return l.Delivery.Filter }, "topic ==\n'orders'"},
		"on_filter_error":           {config{"filter": "true", "on_filter_error": "Reject"}, func(l Link) any { return l.Delivery.OnFilterError }, FilterErrorReject},
		"order":                     {config{"order": "none"}, func(l Link) any { return l.Delivery.Order }, OrderNone},
		"max_in_flight":             {config{"max_in_flight": "7"}, func(l Link) any { return l.Delivery.MaxInFlight }, 7},
		"max_buffer":                {config{"max_buffer": "64MiB"}, func(l Link) any { return l.Delivery.MaxBuffer }, int64(64 << 20)},
		"handle_timeout":            {config{"handle_timeout": "1s"}, func(l Link) any { return l.Delivery.HandleTimeout }, time.Second},
		"retry_backoff":             {config{"retry_backoff": "1s"}, func(l Link) any { return l.Delivery.RetryBackoff }, time.Second},
		"retry_backoff_max":         {config{"retry_backoff_max": "1s"}, func(l Link) any { return l.Delivery.RetryBackoffMax }, time.Second},
		"max_attempts":              {config{"max_attempts": "3", "on_reject": "stop"}, func(l Link) any { return l.Delivery.MaxAttempts }, 3},
		"dead_letter_topic":         {config{"dead_letter_topic": "dead"}, func(l Link) any { return l.Delivery.DeadLetterTopic }, "dead"},
		"on_reject":                 {config{"on_reject": "stop"}, func(l Link) any { return l.Delivery.OnReject }, RejectStop},
		"drain_timeout":             {config{"drain_timeout": "0s"}, func(l Link) any { return l.Delivery.DrainTimeout }, time.Duration(0)},
		"reply_topic":               {config{"reply_topic": "re"}, func(l Link) any { return l.Delivery.ReplyTopic }, "re"},
		"log_payloads":              {config{"log_payloads": "yes"}, func(l Link) any { return l.LogPayloads }, true},
		"payload":                   {config{"payload": "Envelope"}, func(l Link) any { return l.Delivery.Payload }, PayloadEnvelope},
		"tombstones":                {config{"tombstones": "skip"}, func(l Link) any { return l.Delivery.Tombstones }, TombstonesSkip},
		"key_from":                  {config{"key_from": "subject"}, func(l Link) any { return l.Producer.KeyFrom }, KeyFromSubject},
		"allowed_topics":            {config{"allowed_topics": "a*, b"}, func(l Link) any { return l.Producer.AllowedTopics }, []string{"a*", "b"}},
		"producer_partitions":       {config{"producer_partitions": "1,0"}, func(l Link) any { return l.Producer.Partitions }, []int32{0, 1}},
		"producer_fanout":           {config{"producer_fanout": "copy", "producer_partitions": "0"}, func(l Link) any { return l.Producer.Fanout }, FanoutCopy},
		"acks":                      {config{"acks": "leader"}, func(l Link) any { return l.Producer.Client.Acks }, AcksLeader},
		"idempotent":                {config{"idempotent": "false"}, func(l Link) any { return l.Producer.Client.Idempotent }, false},
		"compression":               {config{"compression": "ZSTD"}, func(l Link) any { return l.Producer.Client.Compression }, CompressionZstd},
		"linger":                    {config{"linger": "5ms"}, func(l Link) any { return l.Producer.Client.Linger }, 5 * time.Millisecond},
		"max_message_bytes":         {config{"max_message_bytes": "5MiB"}, func(l Link) any { return l.Producer.Client.MaxMessageBytes }, int32(5 << 20)},
		"partitioner":               {config{"partitioner": "round-robin"}, func(l Link) any { return l.Producer.Client.Partitioner }, PartitionerRoundRobin},
		"publish_timeout":           {config{"publish_timeout": "5s"}, func(l Link) any { return l.Producer.Client.PublishTimeout }, 5 * time.Second},
		"request_reply_topic":       {config{"request_reply_topic": "answers"}, func(l Link) any { return l.Request.ReplyTopic }, "answers"},
		"request_reply_partition":   {config{"request_reply_topic": "answers", "request_reply_partition": "3"}, func(l Link) any { return l.Request.ReplyPartition }, int32(3)},
		"create_topics":             {config{"create_topics": "true"}, func(l Link) any { return l.Create.Enabled }, true},
		"create_topics_partitions":  {config{"create_topics": "true", "create_topics_partitions": "12"}, func(l Link) any { return l.Create.Partitions }, int32(12)},
		"create_topics_replication": {config{"create_topics": "true", "create_topics_replication": "3"}, func(l Link) any { return l.Create.Replication }, int16(3)},
	} {
		t.Run(name, func(t *testing.T) {
			c.config["topic"] = "orders"
			link, _, err := ParseLink(Input{Config: c.config, Identity: echo})
			if err != nil {
				t.Fatal(err)
			}
			if got := c.got(link); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			// The default of another kind would hide that the setting went nowhere.
			delete(c.config, name)
			if link, _, err = ParseLink(Input{Config: config{"topic": "orders"}, Identity: echo}); err != nil {
				t.Fatal(err)
			}
			if reflect.DeepEqual(c.got(link), c.want) {
				t.Error("the default is the same")
			}
		})
	}
}

func TestWhichValueCounts(t *testing.T) {
	for sentence, c := range map[string]struct {
		in   Input
		want string // the client id
		warn string
	}{
		"the default, where nothing is given": {want: "messaging-kafka"},
		"the provider's config beats the default": {
			in: Input{Defaults: config{"client_id": "pc"}}, want: "pc"},
		"the provider's secret beats the provider's config": {
			in: Input{Defaults: config{"client_id": "pc"}, DefaultSecrets: secrets("client_id", "ps")}, want: "ps"},
		"the link's config beats the provider's secret": {
			in: Input{DefaultSecrets: secrets("client_id", "ps"), Config: config{"client_id": "lc"}}, want: "lc"},
		"the link's secret beats the link's config, with a warning": {
			in: Input{Config: config{"client_id": "lc"}, Secrets: secrets("Client.ID", "ls")}, want: "ls",
			warn: "client_id: is given in the config and as a secret; the secret is used"},
		"an empty value does not count and is named": {
			in: Input{Defaults: config{"client_id": "pc"}, Config: config{" Client-Id ": "  "}}, want: "pc",
			warn: "Client-Id: is empty and is not used"},
		"an empty secret does not count and is named": {
			in: Input{Config: config{"client_id": "lc"}, Secrets: secrets("client_id", "")}, want: "lc",
			warn: "client_id: is empty and is not used"},
		"spaces around keys and values do not count": {
			in: Input{Config: config{"\tCLIENT_ID ": "  my id\n"}}, want: "my id"},
		"an unknown key in the provider's config is none of the link's business": {
			in:   Input{Defaults: config{"klient_id": "x", "topic": "a,b", "provider_max_in_flight": "many"}},
			want: "messaging-kafka"},
	} {
		t.Run(sentence, func(t *testing.T) {
			link, warnings, err := ParseLink(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if link.Cluster.ClientID != c.want {
				t.Errorf("client id %q, want %q", link.Cluster.ClientID, c.want)
			}
			if got := lines(warnings); got != c.warn {
				t.Errorf("warnings %q, want %q", got, c.warn)
			}
		})
	}
}

func TestWhatIsOddIsNamedInAWarning(t *testing.T) {
	for sentence, c := range map[string]struct {
		in   Input
		want string // a part of the warnings
	}{
		"an unknown key names the nearest one":                {Input{Config: config{"Tpic": "x"}}, "Tpic: is not a setting and is not used; the nearest known one is topic"},
		"an unknown secret names the nearest one":             {Input{Secrets: secrets("sasl_pasword", "x")}, "the nearest known one is sasl_password"},
		"a name that is near to none names none":              {Input{Config: config{"zzzz": "a"}}, "zzzz: is not a setting and is not used"},
		"another common name leads to ours":                   {Input{Config: config{"dlq": "a"}}, "the setting for that is dead_letter_topic"},
		"a name of one letter is near to none":                {Input{Config: config{"a": "1"}}, "a: is not a setting and is not used"},
		"a key with odd characters is quoted":                 {Input{Config: config{"a\nb": "x"}}, `a\nb: is not a setting`},
		"a key of any length is told":                         {Input{Config: config{strings.Repeat("x", 100_000): "x"}}, "(100000 bytes, too many to be shown): is not a setting"},
		"an unknown key is no misuse of a provider's setting": {Input{Config: config{"provider_max_in_flihgt": "1"}}, "provider_max_in_flihgt: is not a setting and is not used"},
		"a setting of the provider has no place on a link":    {Input{Config: config{"admin_address": ":1"}}, "admin_address: belongs in the provider's own config"},
		"a password in plain config":                          {Input{Config: config{"topic": "a", "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": hidden}}, "sasl_password: is sensitive and stands in plain config"},
		"a line break at the end of a password":               {Input{Config: config{"sasl_mechanism": "PLAIN", "sasl_username": "u"}, Secrets: secrets("sasl_password", hidden+"\n")}, "ended with a line break"},
		"consumer settings without a topic":                   {Input{Config: config{"start": "earliest"}}, "start: is not used: the link has no topic"},
		"calls may outlast a rebalance":                       {Input{Config: config{"topic": "a", "handle_timeout": "2m"}}, "handle_timeout: is longer than rebalance_timeout (1m0s)"},
		"failing records are skipped":                         {Input{Config: config{"topic": "a", "max_attempts": "3"}}, "no dead_letter_topic is set"},
		"a share group has no order":                          {Input{Config: config{"topic": "a", "group_protocol": "share", "order": "key"}}, "order: is not used: group_protocol=share has no order"},
		"a share group has no static members":                 {Input{Config: config{"topic": "a", "group_protocol": "share", "group_instance_id": "auto"}}, "has no static members"},
		"the broker keeps the session of KIP-848":             {Input{Config: config{"topic": "a", "group_protocol": "consumer", "session_timeout": "10s"}}, "session_timeout: is not used"},
		"replies that are read again":                         {Input{Config: config{"topic": "a,a.reply"}}, "reply_topic: is one of the topics"},
		"replies that are read again by name":                 {Input{Config: config{"topic": "a,b", "reply_topic": "b"}}, "reply_topic: is one of the topics"},
		"replies that a pattern reads again":                  {Input{Config: config{"topic": `/orders\..*/`}}, "reply_topic: matches the pattern"},
		"replies that a pattern reads again by name":          {Input{Config: config{"topic": `/a|re/`, "reply_topic": "re"}}, "reply_topic: matches the pattern"},
		"a reply topic of too long a name":                    {Input{Config: config{"topic": strings.Repeat("x", 245)}}, "reply_topic: is a name of more than 249"},
		"answers that are read as messages":                   {Input{Config: config{"topic": "a", "request_reply_topic": "a"}}, "request_reply_topic: is one of the topics"},
		"more to fetch than fits":                             {Input{Config: config{"max_buffer": "1MiB", "fetch_max_bytes": "2MiB", "topic": "a"}}, "fetch_max_bytes: is more than max_buffer holds"},
		"fanout without partitions":                           {Input{Config: config{"producer_fanout": "copy"}}, "producer_fanout: is not used"},
		"a partition for answers that nobody reads":           {Input{Config: config{"request_reply_partition": "1"}}, "request_reply_partition: is not used"},
		"replication of topics that nobody creates":           {Input{Config: config{"create_topics_replication": "3"}}, "create_topics_replication: is not used"},
		"tombstones that are in envelopes already":            {Input{Config: config{"topic": "a", "payload": "envelope", "tombstones": "empty"}}, "tombstones: is empty, which says nothing with payload=envelope"},
		"tombstones where nothing is read":                    {Input{Config: config{"tombstones": "skip"}}, "tombstones: is not used: the link has no topic"},
		"an envelope around whole records":                    {Input{Records: true, Config: config{"topic": "a", "payload": "envelope"}}, "payload: is not used: the link is of messaging-kafka:records"},
		"a key in the subject of whole records":               {Input{Records: true, Config: config{"key_from": "subject"}}, "key_from: is subject, and is not used: no subject names a record here, since the link is of messaging-kafka:records"},
		"a word about a filter that is not there":             {Input{Config: config{"topic": "a", "on_filter_error": "skip"}}, "on_filter_error: is not used: the link has no filter"},
		"a filter where nothing is read":                      {Input{Config: config{"filter": "true"}}, "filter: is not used: the link has no topic"},
		"dialling for longer than a request":                  {Input{Config: config{"dial_timeout": "20s", "request_timeout": "10s"}}, "dial_timeout: is longer"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, warnings, err := ParseLink(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := lines(warnings); !strings.Contains(got, c.want) {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
			mustNotShow(t, "a warning", lines(warnings))
			if len(lines(warnings)) > 600 {
				t.Errorf("the warning is endless: %s", lines(warnings))
			}
		})
	}
}

func TestWhatCannotBeUsedRefusesTheLink(t *testing.T) {
	for sentence, c := range map[string]struct {
		in   Input
		key  string
		want string
	}{
		"a key in two spellings":                             {Input{Config: config{"Topic": "a", "topic": "b"}}, "topic", `is given twice, as "Topic" and as "topic"`},
		"a secret in two spellings":                          {Input{Secrets: secrets("sasl.password", hidden, "SASL_PASSWORD", hidden)}, "sasl_password", "is given twice"},
		"an unknown key in two spellings":                    {Input{Config: config{"Foo": "a", "foo": "b"}}, `"foo"`, "is given twice"},
		"a default in two spellings":                         {Input{Defaults: config{"linger": "1s", "LINGER": "2s"}}, "linger", "(from the provider's own config)"},
		"a bad default":                                      {Input{Defaults: config{"linger": "x"}}, "linger", "(from the provider's own config)"},
		"a word that is none of the words":                   {Input{Config: config{"compression": "zip"}}, "compression", `"zip" is not one of: none, gzip`},
		"Kerberos":                                           {Input{Config: config{"sasl_mechanism": "GSSAPI"}}, "sasl_mechanism", "is Kerberos, which is not supported"},
		"no unit":                                            {Input{Config: config{"session_timeout": "45000"}}, "session_timeout", "no unit"},
		"a duration out of bounds":                           {Input{Config: config{"commit_interval": "1ms"}}, "commit_interval", "from 10ms to 5m"},
		"a size out of bounds":                               {Input{Config: config{"fetch_max_bytes": "2GiB"}}, "fetch_max_bytes", "from 1KiB to 1GiB"},
		"a number out of bounds":                             {Input{Config: config{"max_in_flight": "0"}}, "max_in_flight", "from 1 to 10000"},
		"no replicas":                                        {Input{Config: config{"create_topics": "true", "create_topics_replication": "00"}}, "create_topics_replication", "-1 for the broker's default"},
		"a line break in a name":                             {Input{Config: config{"client_id": "a\nb"}}, "client_id", "line break"},
		"too long a name":                                    {Input{Config: config{"client_id": strings.Repeat("x", 257)}}, "client_id", "longer than 256 bytes"},
		"a bad instance id":                                  {Input{Config: config{"group_instance_id": "a b"}}, "group_instance_id", "is not an instance id"},
		"partitions with KIP-848":                            {Input{Config: config{"topic": "a", "consumer_partitions": "0", "group_protocol": "consumer"}}, "consumer_partitions", "the broker assigns"},
		"partitions with a share group":                      {Input{Config: config{"topic": "a", "consumer_partitions": "0", "group_protocol": "share"}}, "consumer_partitions", "the broker assigns"},
		"a session that outlasts a rebalance":                {Input{Config: config{"session_timeout": "60s", "rebalance_timeout": "30s"}}, "session_timeout", "make it 30s or shorter"},
		"backoff beyond its maximum":                         {Input{Config: config{"retry_backoff": "2s", "retry_backoff_max": "1s"}}, "retry_backoff", "longer than retry_backoff_max"},
		"dead letters that are read again":                   {Input{Config: config{"topic": "a,b", "dead_letter_topic": "b"}}, "dead_letter_topic", "one of the topics"},
		"dead letters that a pattern reads again":            {Input{Config: config{"topic": `/b.*/`, "dead_letter_topic": "b.dead", "reply_topic": "none"}}, "dead_letter_topic", "one of the topics"},
		"idempotent without acks=all":                        {Input{Config: config{"acks": "1", "idempotent": "true"}}, "idempotent", "needs acks=all"},
		"idempotent on the link, acks by default":            {Input{Defaults: config{"acks": "1"}, Config: config{"idempotent": "true"}}, "idempotent", "needs acks=all"},
		"marks on what is no envelope":                       {Input{Config: config{"topic": "a", "tombstones": "envelope"}}, "tombstones", "set payload=envelope"},
		"marks on what the link takes back":                  {Input{Defaults: config{"payload": "envelope"}, Config: config{"topic": "a", "payload": "raw", "tombstones": "envelope"}}, "tombstones", "set payload=envelope"},
		"lingering for ever":                                 {Input{Config: config{"linger": "1m", "publish_timeout": "30s"}}, "linger", "every publish would time out"},
		"a value of a secret is not quoted":                  {Input{Secrets: secrets("hosts", "http://"+hidden)}, "hosts", "the value is a URL"},
		"a part of a secret list is not quoted":              {Input{Secrets: secrets("topic", "a,"+hidden)}, "topic", "the value is not a topic name"},
		"a password in hosts is not quoted":                  {Input{Config: config{"hosts": "u:" + hidden + "@kafka"}}, "hosts", "holds an @"},
		"a key in place of a certificate":                    {Input{Config: config{"tls_ca": testKey}}, "tls_ca", "holds a private key"},
		"a secret in an endpoint is not quoted":              {Input{Config: config{"oauth_token_endpoint": "https://u:" + hidden + "@a/"}}, "oauth_token_endpoint", "the value is not a URL"},
		"a long value in a wrong setting is not shown":       {Input{Config: config{"order": strings.Repeat("x", 10_000)}}, "order", `"(10000 bytes, too many to be shown)" is not one of`},
		"a file name where PEM text is asked for":            {Input{Config: config{"tls_ca": "/etc/ca.pem"}}, "tls_ca", "use the setting that ends in _file"},
		"a file name in place of a key":                      {Input{Secrets: secrets("tls_key", "/etc/key.pem")}, "tls_key", "use tls_key_file"},
		"a share group that is to stop at a rejected record": {Input{Config: config{"topic": "a", "group_protocol": "share", "on_reject": "stop"}}, "on_reject", "dead_letter_topic"},
		"a pattern that RE2 does not have":                   {Input{Config: config{"topic": `/(?!a)b/`}}, "topic", "RE2"},
		"an unknown partition for answers":                   {Input{Config: config{"request_reply_topic": "a", "request_reply_partition": "-1"}}, "request_reply_partition", "negative"},
		"transactions over what was never committed":         {Input{Config: config{"topic": "a", "transactions": "true", "isolation": "read_uncommitted"}}, "isolation", "set isolation=read_committed"},
		"a filter that is no expression":                     {Input{Config: config{"topic": "a", "filter": "key ==\n == 1"}}, "filter", "the value is not an expression of CEL, at line 2, column 2: "},
		"a filter that asks for what is not there":           {Input{Config: config{"topic": "a", "filter": "foo == 1"}}, "filter", "at line 1, column 1: undeclared reference to 'foo'; a record has key, headers"},
		"a filter that says neither true nor false":          {Input{Config: config{"topic": "a", "filter": "size"}}, "filter", "a filter says true or false"},
		"a filter of any length":                             {Input{Config: config{"topic": "a", "filter": strings.Repeat("x", 10_000)}}, "filter", "too long"},
		"a filter of one long name":                          {Input{Config: config{"topic": "a", "filter": strings.Repeat("x", 1000)}}, "filter", "at line 1, column 1: (1"},
		"a filter in a secret is not quoted":                 {Input{Config: config{"topic": "a"}, Secrets: secrets("filter", "topic == "+hidden)}, "filter", "the value is not an expression of CEL, at line 1, column 18"},
		"several problems name the first of a key":           {Input{Config: config{"hosts": "a:b", "order": "x"}}, "hosts", "no port"},
	} {
		t.Run(sentence, func(t *testing.T) {
			link, _, err := ParseLink(c.in)
			if err == nil {
				t.Fatalf("accepted: %+v", link)
			}
			var first *Error
			if !errors.As(err, &first) || first.Key != c.key {
				t.Errorf("the first error is about %v, want %s: %v", first, c.key, err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
			if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 600 {
				t.Errorf("the error is not one readable line: %q", err)
			}
			mustNotShow(t, "an error", err.Error())
			if !reflect.DeepEqual(link, Link{}) {
				t.Error("a refused link has settings")
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnceInTheOrderOfTheDocs(t *testing.T) {
	_, _, err := ParseLink(Input{Config: config{"topic": "a b", "hosts": "http://x", "acks": "2",
		"dead_letter_topic": "?"}})
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("%T: %v", err, err)
	}
	var keys []string
	for _, one := range all {
		keys = append(keys, one.Key)
	}
	if want := []string{"hosts", "topic", "dead_letter_topic", "acks"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("errors about %v, want %v", keys, want)
	}
	if got := strings.Count(err.Error(), "; "); got < 3 {
		t.Errorf("not all in one line: %v", err)
	}
	if unwrapped := all.Unwrap(); len(unwrapped) != 4 || unwrapped[3] != error(all[3]) {
		t.Errorf("unwraps to %v", unwrapped)
	}
}

func TestWhatFollowsFromOtherSettings(t *testing.T) {
	for sentence, c := range map[string]struct {
		in   Input
		got  func(Link) any
		want any
	}{
		"a dead-letter topic limits the attempts":             {Input{Config: config{"topic": "a", "dead_letter_topic": "d"}}, func(l Link) any { return l.Delivery.MaxAttempts }, 5},
		"an explicit number of attempts stays":                {Input{Config: config{"topic": "a", "dead_letter_topic": "d", "max_attempts": "0"}}, func(l Link) any { return l.Delivery.MaxAttempts }, 0},
		"acks=1 makes the producer not idempotent":            {Input{Config: config{"acks": "1"}}, func(l Link) any { return l.Producer.Client.Idempotent }, false},
		"acks=1 on the link beats a default of idempotent":    {Input{Defaults: config{"idempotent": "true"}, Config: config{"acks": "1"}}, func(l Link) any { return l.Producer.Client.Idempotent }, false},
		"a long session makes for long rebalances":            {Input{Config: config{"topic": "a", "session_timeout": "2m"}}, func(l Link) any { return l.Consumer.RebalanceTimeout }, 2 * time.Minute},
		"short rebalances make for a short session":           {Input{Config: config{"topic": "a", "rebalance_timeout": "10s", "handle_timeout": "5s"}}, func(l Link) any { return l.Consumer.SessionTimeout }, 10 * time.Second},
		"a long backoff raises its maximum":                   {Input{Config: config{"topic": "a", "retry_backoff": "1m"}}, func(l Link) any { return l.Delivery.RetryBackoffMax }, time.Minute},
		"a small buffer makes for small fetches":              {Input{Config: config{"topic": "a", "max_buffer": "1MiB"}}, func(l Link) any { return l.Consumer.FetchMaxBytes }, int32(1 << 20)},
		"none takes a dead-letter topic away":                 {Input{Defaults: config{"dead_letter_topic": "d"}, Config: config{"topic": "a", "dead_letter_topic": "None"}}, func(l Link) any { return l.Delivery.DeadLetterTopic }, ""},
		"without dead letters attempts are without end again": {Input{Defaults: config{"dead_letter_topic": "d"}, Config: config{"topic": "a", "dead_letter_topic": "none"}}, func(l Link) any { return l.Delivery.MaxAttempts }, 0},
		"none means no reply topic":                           {Input{Config: config{"topic": "a", "reply_topic": "none"}}, func(l Link) any { return l.Delivery.ReplyTopic }, ""},
		"defaults of the provider do not make a link a reader": {
			Input{Defaults: config{"topic": "a", "start": "earliest", "max_attempts": "3", "on_reject": "stop"}},
			func(l Link) any { return l.Consumer.Enabled() }, false},
		"a raw payload takes a default of the provider back": {Input{Defaults: config{"payload": "envelope", "tombstones": "envelope"}, Config: config{"topic": "a", "payload": "raw"}}, func(l Link) any { return l.Delivery.Tombstones }, TombstonesEmpty},
		"envelopes may go without tombstones":                {Input{Config: config{"topic": "a", "payload": "envelope", "tombstones": "skip"}}, func(l Link) any { return l.Delivery.Tombstones }, TombstonesSkip},
		"tombstones may be marked by name":                   {Input{Config: config{"topic": "a", "payload": "envelope", "tombstones": "envelope"}}, func(l Link) any { return l.Delivery.Payload }, PayloadEnvelope},
		"whole records have no use for a provider's default": {Input{Records: true,
			Defaults: config{"payload": "envelope", "key_from": "subject", "tombstones": "envelope"},
			Config:   config{"topic": "a"}}, func(l Link) any {
			return string(l.Delivery.Payload) + string(l.Delivery.Tombstones) + string(l.Producer.KeyFrom)
		}, "rawemptynone"},
		"a share group is without order":           {Input{Config: config{"topic": "a", "group_protocol": "share"}}, func(l Link) any { return l.Delivery.Order }, OrderNone},
		"a pattern takes the place of topics":      {Input{Config: config{"topic": "/a/"}}, func(l Link) any { return l.Consumer.Topics == nil && l.Consumer.Enabled() }, true},
		"a pattern that matches no reply is quiet": {Input{Config: config{"topic": "/a[0-9]+/"}}, func(l Link) any { return l.Consumer.TopicPattern.String() }, "^(?:a[0-9]+)$"},
		"KIP-848 keeps a static member":            {Input{Config: config{"topic": "a", "group_protocol": "consumer", "group_instance_id": "x"}}, func(l Link) any { return l.Consumer.InstanceID }, "x"},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := c.got(mustParse(t, c.in)); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAutomaticInstanceIDsAreStableAndDifferByHostAndLink(t *testing.T) {
	instance := func(id Identity, client string) string {
		link, _, err := ParseLink(Input{Config: config{"topic": "a", "group_instance_id": "AUTO", "client_id": client},
			Identity: id})
		if err != nil {
			t.Fatal(err)
		}
		return link.Consumer.InstanceID
	}
	other := func(change func(*Identity)) Identity {
		id := echo
		change(&id)
		return id
	}
	first := instance(echo, "shop")
	if !regexp.MustCompile(`^shop-[0-9a-f]{12}$`).MatchString(first) {
		t.Errorf("instance id %q", first)
	}
	if instance(echo, "shop") != first {
		t.Error("it is not stable")
	}
	for name, id := range map[string]Identity{
		"host":      other(func(id *Identity) { id.HostID = "NOTHER" }),
		"link":      other(func(id *Identity) { id.LinkName = "bills" }),
		"component": other(func(id *Identity) { id.Component = "other" }),
		"provider":  other(func(id *Identity) { id.ProviderKey = "VOTHER" }),
		"end":       other(func(id *Identity) { id.End = "source of wasmcloud:messaging" }),
		"border":    other(func(id *Identity) { id.HostID, id.ProviderKey = "NHOSTV", "KEY" }),
	} {
		if instance(id, "shop") == first {
			t.Errorf("another %s has the same instance id", name)
		}
	}
	if odd := instance(echo, "my shop/ü"+strings.Repeat("x", 240)); !record.IsTopicName(odd) {
		t.Errorf("%q is no instance id", odd)
	}
}

func TestTheProvidersOwnConfig(t *testing.T) {
	type result struct {
		provider      Provider
		warnings, err string
	}
	for sentence, c := range map[string]struct {
		config  config
		secrets map[string]Secret
		want    result
	}{
		"nothing given": {want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond}}},
		"its settings": {
			config: config{"Provider-Max.In_Flight": "7"}, secrets: secrets("admin_address", ":9464"),
			want: result{provider: Provider{MaxInFlight: 7, ShutdownTimeout: 250 * time.Millisecond, AdminAddress: ":9464"}}},
		"a bad one has the default in its place": {
			config: config{"provider_max_in_flight": "0", "admin_address": "127.0.0.1:1"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond,
				AdminAddress: "127.0.0.1:1"},
				err: `provider_max_in_flight: "0" is out of bounds: write a number from 1 to 1000000`}},
		"good defaults for links are quiet": {
			config:  config{"hosts": "a", "sasl_mechanism": "PLAIN", "sasl_username": "u"},
			secrets: secrets("sasl_password", hidden),
			want:    result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond}}},
		"a bad default for links is a warning": {
			config: config{"hosts": "http://a"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				warnings: `hosts: "http://a" is a URL, which Kafka does not use: write host:port only, as kafka-0.example.com:9092; links that do not set it themselves are refused`}},
		"a setting of a link": {
			config: config{"topic": "a"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				warnings: "topic: belongs on a link and is not used in the provider's own config"}},
		"an unknown key": {
			config: config{"admin_adress": "a"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				warnings: "admin_adress: is not a setting and is not used; the nearest known one is admin_address"}},
		"variables of OpenTelemetry are read elsewhere": {
			config:  config{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "otel_service_name": "b"},
			secrets: secrets("Otel_Exporter_OTLP_Headers", hidden),
			want:    result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond}}},
		"a password in plain config": {
			config: config{"sasl_password": hidden},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				warnings: "sasl_password: is sensitive and stands in plain config, where everyone in the lattice can read it; give it as a secret"}},
		"inboxes of one's own": {
			config: config{"provider_inbox_prefixes": "_INBOX_team, mine.inbox"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond,
				InboxPrefixes: []string{"_INBOX_team", "mine.inbox"}}}},
		"operators": {
			config: config{"provider_control_tokens": "alice:0123456789abcdef, bob:fedcba9876543210,alice:0123456789abcdeF", "provider_control_lattice": "true",
				"provider_pauses_file": "/var/lib/pauses.json"},
			want: result{provider: Provider{
				MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond, ControlLattice: true,
				PausesFile: "/var/lib/pauses.json",
				ControlTokens: []ControlToken{
					{"alice", NewSecret("0123456789abcdef")}, {"bob", NewSecret("fedcba9876543210")},
					{"alice", NewSecret("0123456789abcdeF")},
				}},
				warnings: "provider_control_tokens: is sensitive and stands in plain config, where everyone in the lattice can read it; give it as a secret"}},
		"an operator's token that can be guessed": {
			config: config{"provider_control_tokens": "alice:0123456789abcde"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				warnings: "provider_control_tokens: is sensitive and stands in plain config, where everyone in the lattice can read it; give it as a secret",
				err:      `provider_control_tokens: the value has a token of fewer than 16 characters, which can be guessed`}},
		"a token of nobody": {
			config: config{"provider_control_tokens": "0123456789abcdef"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				warnings: "provider_control_tokens: is sensitive and stands in plain config, where everyone in the lattice can read it; give it as a secret",
				err:      `provider_control_tokens: the value has no name before its token: write NAME:TOKEN`}},
		"a file of pauses that is somewhere": {
			config: config{"provider_pauses_file": "pauses.json"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				err: `provider_pauses_file: "pauses.json" is not an absolute path`}},
		"inboxes where the lattice speaks": {
			config: config{"provider_inbox_prefixes": "_INBOX_team,wasmbus.rpc"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				err: `provider_inbox_prefixes: "wasmbus.rpc" cannot be a beginning of inboxes: write tokens with dots between them, without wildcards, that are neither NATS's own ($…) nor the lattice's (wasmbus)`}},
		"a key given twice": {
			config: config{"admin_address": ":1", "admin.address": ":2"},
			want: result{provider: Provider{MaxInFlight: 1024, ShutdownTimeout: 250 * time.Millisecond},
				err: `admin_address: is given twice, as "admin.address" and as "admin_address"; leave one`}},
	} {
		t.Run(sentence, func(t *testing.T) {
			provider, warnings, err := ParseProvider(c.config, c.secrets)
			got := result{provider: provider, warnings: lines(warnings)}
			if err != nil {
				got.err = err.Error()
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestEqualSettingsMakeEqualLinks(t *testing.T) {
	in := func() Input {
		return Input{
			Config: config{"topic": `/orders\.(eu|us)/`, "oauth_extensions": "a=b", "sasl_mechanism": "oauthbearer",
				"start": "2026-01-31T08:00:00Z", "oauth_client_id": "c", "oauth_token_endpoint": "https://a/"},
			Secrets: secrets("oauth_client_secret", strings.Clone(hidden)),
		}
	}
	one, firstWarnings, err := ParseLink(in())
	if err != nil {
		t.Fatal(err)
	}
	same, secondWarnings, err := ParseLink(in())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(one, same) || !reflect.DeepEqual(firstWarnings, secondWarnings) {
		t.Error("equal input, different links")
	}
	changed := in()
	changed.Secrets = secrets("oauth_client_secret", "new")
	other, _, err := ParseLink(changed)
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(one, other) {
		t.Error("a changed secret makes no difference")
	}
}

func TestALinkInTheLogShowsWhatMattersAndNoSecret(t *testing.T) {
	for sentence, c := range map[string]struct {
		config config
		want   string
	}{
		"a reader":    {config{"topic": "a,b", "hosts": "k1,k2", "sasl_mechanism": "PLAIN", "sasl_username": "u", "dead_letter_topic": "d", "request_reply_topic": "r", "group_instance_id": "i"}, `link.hosts=k1:9092,k2:9092 link.security_protocol=SASL_SSL link.sasl_mechanism=PLAIN link.topic=a,b link.consumer_group=wasmcloud.default.echo.orders link.group_protocol=classic link.order=key link.max_in_flight=64 link.group_instance_id=i link.dead_letter_topic=d link.request_reply_topic=r`},
		"a pattern":   {config{"topic": "/x[0-9]/", "sasl_mechanism": "PLAIN", "sasl_username": "u"}, "link.topic=/x[0-9]/ "},
		"a publisher": {config{"sasl_mechanism": "PLAIN", "sasl_username": "u"}, `link.topic="none, publishes only"`},
	} {
		t.Run(sentence, func(t *testing.T) {
			link, _, err := ParseLink(Input{Config: c.config, Secrets: secrets("sasl_password", hidden), Identity: echo})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			slog.New(slog.NewTextHandler(&out, nil)).Info("hello", "link", link)
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("logged %s, want %s", out.String(), c.want)
			}
			mustNotShow(t, "the log", out.String())
		})
	}
}

func TestValuesAreToldWholeOrNotAtAll(t *testing.T) {
	for name, in := range map[string]func(string) Input{
		"a value":      func(s string) Input { return Input{Config: config{"order": s}} },
		"a key":        func(s string) Input { return Input{Config: config{s: "x"}} },
		"a key of two": func(s string) Input { return Input{Config: config{s: "x", strings.ToUpper(s): "y"}} },
	} {
		t.Run(name, func(t *testing.T) {
			testkit.NeverCut(t, func(s string) string {
				_, warnings, err := ParseLink(in(s))
				return lines(warnings) + errors.Join(errors.New(""), err).Error()
			})
		})
	}
}
