package attacks

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// TestAttacksStayBelowTheLimit makes one attack after another on one process.
func TestAttacksStayBelowTheLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("the attacks take minutes")
	}
	w := newWorld(t)
	w.attack("nothing", "", func() {})
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodec
	}{{"zstd", kgo.ZstdCompression()}, {"gzip", kgo.GzipCompression()}, {"lz4", kgo.Lz4Compression()}, {"snappy",
		kgo.SnappyCompression()}} {
		w.bomb(c.name, c.codec)
	}
	w.flood("text", 1, 1024, kgo.ZstdCompression(),
		kmsg.Record{Value: bytes.Repeat([]byte(`{"id":1,"name":"a","ok":true}`), 1<<20/29)})
	w.flood("zeros", 1, 480, kgo.GzipCompression(), kmsg.Record{Value: make([]byte, 1<<20)})
	w.flood("small records", 100, 11, kgo.NoCompression(), repeat(1000, kmsg.Record{Value: []byte("v")})...)
	headers := make([]kmsg.Header, 100)
	for i := range headers {
		headers[i].Key = "k"
	}
	w.flood("headers", 1, 400, kgo.NoCompression(), repeat(100, kmsg.Record{Value: []byte("v"), Headers: headers})...)
	w.callsThatNeverEnd()
	w.callsThatWait()
	w.largeLinks()
	w.largeConfigs()
	w.manyTopics()
	w.linksThatComeAndGo()
	if r := w.provider.Shutdown(); !r.Replied {
		t.Errorf("shutdown was not answered: %+v", r)
	}
}

func repeat(n int, r kmsg.Record) []kmsg.Record {
	all := make([]kmsg.Record, n)
	for i := range all {
		all[i] = r
	}
	return all
}

// bomb is a batch that becomes 256 MiB, before readers of every kind.
func (w *world) bomb(name string, codec kgo.CompressionCodec) {
	topic := "bomb-" + name
	w.topic(topic, 1)
	batch := testkit.CompressedBatch(w.t, codec, kmsg.Record{Value: make([]byte, 256<<20)})
	w.attack("bomb/"+name, fmt.Sprintf("%d KiB, by 5 links", len(batch)>>10), func() {
		var links []testkit.Link
		read := func(kind string, pairs ...string) {
			id := kind + "-" + name
			w.component(id, nil)
			links = append(links, testkit.SourceLink(providerKey, id, w.config(append([]string{"topic", topic}, pairs...)...)))
		}
		read("classic", "group_protocol", "classic")
		read("consumer", "group_protocol", "consumer")
		read("share", "group_protocol", "share", "order", "none")
		read("transactions", "transactions", "true", "group_protocol", "classic")
		processor := &links[3]
		processor.Namespace, processor.Package, processor.Interfaces = "messaging-kafka", "records", []string{"processor"}
		links = append(links, testkit.TargetLink("asker-"+name, providerKey, w.config("request_reply_topic", topic)))
		var named []string
		for _, l := range links {
			w.host.PutLink(l)
			id := l.Target
			if id == providerKey {
				id = l.Source
			}
			named = append(named, id)
		}
		w.append(topic, 1, 1, batch)
		// The reader of answers begins at the end of the topic, whenever that is.
		appended := time.Now()
		testkit.Eventually(w.t, 2*testkit.DefaultTimeout, func() error {
			health, err := w.provider.Health(w.t.Context())
			if err != nil {
				return err
			}
			for _, part := range append(named, topic, "max_buffer", "max_message_bytes") {
				if !strings.Contains(health.Message, part) {
					if time.Since(appended) > 2*time.Second {
						w.append(topic, 1, 1, batch)
						appended = time.Now()
					}
					return fmt.Errorf("health does not name %s: %s", part, health.Message)
				}
			}
			return nil
		})
		w.settle()
		for _, l := range links {
			w.host.DeleteLink(l)
		}
		w.provider.WaitHealthy()
	})
}

// flood is so many batches of the same records for each partition, before a component that answers no call.
func (w *world) flood(name string, partitions, batches int, codec kgo.CompressionCodec, records ...kmsg.Record) {
	topic := "flood-" + strings.ReplaceAll(name, " ", "-")
	w.topic(topic, int32(partitions))
	batch := testkit.CompressedBatch(w.t, codec, records...)
	w.append(topic, partitions, batches, batch)
	sent := fmt.Sprintf("%d partitions, %d records", partitions, partitions*batches*len(records))
	w.attack("stuck/"+name, sent, func() {
		c := w.stuck(topic)
		link := testkit.SourceLink(providerKey, topic, w.config("topic", topic))
		w.host.PutLink(link)
		testkit.Eventually(w.t, testkit.DefaultTimeout, func() error {
			if c.InFlight() == 0 {
				return fmt.Errorf("no call of %s runs", topic)
			}
			return nil
		})
		w.settle()
		w.host.DeleteLink(link)
		w.provider.WaitHealthy()
	})
}

func (w *world) callsThatNeverEnd() {
	const calls, parts, size = 60, 30, 512 << 10
	w.host.PutLink(testkit.TargetLink("endless", providerKey, w.config()))
	w.attack("calls that never end", fmt.Sprintf("%d calls of %d MiB", calls, parts*size>>20), func() {
		nc := w.nats.Connect()
		part := make([]byte, size)
		w.meanwhile(func() {
			for range calls {
				if err := dribble(nc, "endless", parts, part); err != nil {
					w.t.Error(err)
					return
				}
			}
		})
		w.settle()
		nc.Close()
	})
}

func (w *world) callsThatWait() {
	const calls, size = 6000, 128 << 10
	w.attack("calls that wait", fmt.Sprintf("%d calls with %d KiB", calls, size>>10), func() {
		nc := w.nats.Connect()
		first := append(promise(size*2), make([]byte, size)...)
		w.meanwhile(func() {
			for n := range calls {
				if _, err := invoke(nc, fmt.Sprint("caller", n%100), first); err != nil {
					w.t.Error(err)
					return
				}
			}
			if err := nc.FlushTimeout(testkit.DefaultTimeout); err != nil {
				w.t.Error(err)
			}
		})
		w.settle()
		nc.Close()
	})
}

// put publishes a link as an author of links has it published, as fast as it goes.
func (w *world) put(component string, config string) error {
	return w.host.Conn().Publish("wasmbus.rpc.default."+w.xkey+".linkdefs.put", fmt.Appendf(nil,
		`{"source_id":%q,"target":%q,"name":"default","wit_namespace":"wasmcloud","wit_package":"messaging","interfaces":["consumer"],"source_config":{},"target_config":%s,"source_secrets":null,"target_secrets":null}`,
		component, providerKey, config))
}

func (w *world) largeLinks() {
	const puts, size = 600, 900 << 10
	for _, way := range []struct {
		name, key string
		slowly    bool
	}{{"at once", "topic", false}, {"one by one", "topic", true}, {"of no setting", "nothing_known", true}} {
		w.attack("large links/"+way.name, fmt.Sprintf("%d puts of %d KiB", puts, size>>10), func() {
			config := fmt.Sprintf(`{"hosts":%q,%q:%q}`, w.kafka.Brokers()[0], way.key, strings.Repeat("x", size))
			put := func() {
				for n := range puts {
					if err := w.put(fmt.Sprint("large", n), config); err != nil {
						w.t.Error(err)
						return
					}
					if way.slowly && n%4 == 0 {
						w.serve(1)
					}
				}
				if err := w.host.Conn().FlushTimeout(testkit.DefaultTimeout); err != nil {
					w.t.Error(err)
				}
			}
			if way.slowly {
				put()
			} else {
				w.meanwhile(put)
			}
			w.settle()
			w.provider.WaitUnhealthy()
		})
		w.restart()
	}
}

// largeConfigs are configs of the provider's own, each other than the one before.
func (w *world) largeConfigs() {
	const updates, size = 400, 900 << 10
	w.attack("large configs", fmt.Sprintf("%d updates of %d KiB", updates, size>>10), func() {
		text := strings.Repeat("x", size)
		w.meanwhile(func() {
			for n := range updates {
				err := w.host.Conn().Publish("wasmbus.rpc.default."+providerKey+".config.update",
					fmt.Appendf(nil, `{"provider_max_memory":"%d","client_id":"c%d","nothing_known":%q}`, lid, n, text))
				if err != nil {
					w.t.Error(err)
					return
				}
			}
			if err := w.host.Conn().FlushTimeout(testkit.DefaultTimeout); err != nil {
				w.t.Error(err)
			}
		})
		w.settle()
	})
	w.restart()
}

// manyTopics is an answer about topics of some 80 MiB, before a link that reads a pattern.
func (w *world) manyTopics() {
	w.topic("pattern-1", 1)
	var asked atomic.Int64
	w.kafka.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		if req.(*kmsg.MetadataRequest).Topics != nil {
			return nil, nil, false
		}
		asked.Add(1)
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		partitions := make([]kmsg.MetadataResponseTopicPartition, 10_000)
		for p := range partitions {
			partitions[p] = kmsg.NewMetadataResponseTopicPartition()
			partitions[p].Partition, partitions[p].Replicas, partitions[p].ISR = int32(p), []int32{0, 1, 2}, []int32{0, 1, 2}
		}
		for n := range 150 {
			topic := kmsg.NewMetadataResponseTopic()
			topic.Topic, topic.Partitions = new(fmt.Sprint("many", n)), partitions
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	w.attack("many topics", "an answer of 60 MiB", func() {
		w.component("pattern", nil)
		link := testkit.SourceLink(providerKey, "pattern", w.config("topic", "/pattern.*/", "metadata_max_age", "1s"))
		w.host.PutLink(link)
		w.provider.WaitUnhealthy("pattern", "holds no records")
		w.settle()
		if asked.Load() == 0 {
			w.t.Error("nobody asked for all topics")
		}
		w.host.DeleteLink(link)
	})
}

func (w *world) linksThatComeAndGo() {
	const links = 1200
	w.topic("passing", 1)
	w.attack("links that come and go", fmt.Sprint(links, " links, 3 times"), func() {
		link := func(n int) testkit.Link {
			id := fmt.Sprint("passing", n)
			if n%20 == 0 { // reads
				return testkit.SourceLink(providerKey, id, w.config("topic", "passing"))
			}
			return testkit.TargetLink(id, providerKey, w.config())
		}
		for range 3 {
			w.meanwhile(func() {
				for n := range links {
					w.host.PutLink(link(n))
				}
				for n := range links {
					w.host.DeleteLink(link(n))
				}
			})
		}
		w.provider.WaitHealthy()
	})
}
