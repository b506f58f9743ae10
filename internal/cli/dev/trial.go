package dev

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/bridge"
	"github.com/messaging-kafka/messaging-kafka/internal/bridge/config"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/telemetry"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// trialRoute is the name of the route, and of the bridge, by which a component is tried.
const trialRoute = "dev"

// trial is one run with a component.
type trial struct {
	*runner
	component Component
	plan      plan
	read      stamp  // of the component's file, before it was read for the first time
	folder    string // what is written goes here
	serving   *serving
	link      settings.Link
	topic     string // to which lines go
	since     time.Time
	admin     string        // where the bridge tells how it is
	ended     chan struct{} // closed when the bridge has ended
	endErr    error         // how; valid once ended is closed
}

// RunComponent starts a Kafka, a component (or finds the program that is given instead) and a bridge between them,
// sends the lines of opts.In to the topic of the route, and shows what is produced to other topics, until In ends and
// all records are handled, or ctx ends. Then it stops everything in order and waits until it is gone.
//
// It returns nil where every record was handled or given up by rule. The end of ctx alone is no error. What cannot be
// tried at all is an [ErrComponent].
func RunComponent(ctx context.Context, opts Options, component Component) (err error) {
	opts = opts.withDefaults()
	if opts.Hosts != "" && opts.Data != "" {
		return ErrHostsAndData
	}
	read, _ := stampOf(component.Path)
	how, err := component.plan()
	if err != nil {
		return err
	}
	if err := component.present(how); err != nil {
		return err
	}
	if err := opts.checkPorts(ctx); err != nil {
		return err
	}
	s := newScreen(opts.Out, opts.Err)
	s.quiet = opts.Quiet
	defer s.sayEarly("starting Kafka, the component and the bridge\n")()
	t := &trial{runner: &runner{opts: opts, screen: s}, component: component,
		plan: how, read: read, since: time.Now()}
	t.log = telemetry.NewLogger(s, t.level(), false)
	defer func() { err = errors.Join(err, t.stop(context.WithoutCancel(ctx))) }()
	if err := t.start(ctx); err != nil {
		if ctx.Err() != nil {
			s.say("interrupted while starting\n")
			return nil
		}
		return err
	}
	return t.exchange(ctx)
}

// start brings everything up and tells of each part as soon as it is there.
func (t *trial) start(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "messaging-kafka-dev-")
	if err != nil {
		return err
	}
	t.folder = folder
	t.onStop("what was written for the run", func(context.Context) error { return os.RemoveAll(folder) })
	hosts := t.opts.Hosts
	if hosts == "" {
		if hosts, err = t.startEmbeddedKafka(); err != nil {
			return fmt.Errorf("starting a Kafka: %w", err)
		}
	}
	url, listen, token := t.component.URL, "", rand.Text()
	if url == "" {
		address, err := freeAddress()
		if err != nil {
			return err
		}
		url = "http://" + address + "/"
		t.serving = &serving{screen: t.screen, name: t.component.name(), wasmtime: t.component.Wasmtime, address: address}
	}
	if t.serving != nil {
		t.serving.env = slices.Clone(t.component.Env)
	}
	if t.plan.publishes {
		if listen, err = freeAddress(); err != nil {
			return err
		}
		t.serving.env = append(t.serving.env,
			"MESSAGING_KAFKA_URL=http://"+listen, "MESSAGING_KAFKA_TOKEN="+token, "MESSAGING_KAFKA_ROUTE="+trialRoute)
	}
	path, err := t.writeConfig(hosts, url, listen, token)
	if err != nil {
		return err
	}
	if err := t.openTopics(ctx); err != nil {
		return err
	}
	if t.serving != nil {
		if err := t.serve(ctx); err != nil {
			return err
		}
	}
	t.startBridge(path)
	return t.awaitStart(ctx)
}

// serve composes the component and serves it.
func (t *trial) serve(ctx context.Context) error {
	made, err := t.component.compose(ctx, t.plan, t.folder)
	if err != nil {
		return err
	}
	t.onStop("the component", func(context.Context) error { t.serving.stop(); return nil })
	if err := t.serving.start(ctx, made); err != nil {
		return fmt.Errorf("serving %s: %w", t.component.Path, err)
	}
	t.screen.say("Component  %s, as %s, at %s\n", t.component.Path, t.plan.way.export, t.serving.address)
	return nil
}

// writeConfig writes the file of the bridge, and reads from it what the run needs to know.
func (t *trial) writeConfig(hosts, url, listen, token string) (path string, err error) {
	route := map[string]any{"hosts": hosts, "topic": Topic, "deliver": t.plan.way.deliver, "url": url}
	if t.opts.Hosts == "" {
		// Nobody else uses this Kafka: everything in it is for the component.
		route["start"], route["create_topics"] = "earliest", "true"
	}
	file := map[string]any{
		"name": trialRoute, "admin_address": t.opts.Admin, "provider_shutdown_timeout": "3s",
		"routes": map[string]any{trialRoute: route},
	}
	if listen != "" {
		file["listen"] = listen
		// In a file of its own: of a token in the file itself a warning would be due.
		const tokenFile = "token"
		if err := os.WriteFile(filepath.Join(t.folder, tokenFile), []byte(token), 0o600); err != nil {
			return "", err
		}
		file["callers"] = map[string]any{"component": map[string]any{"token_file": tokenFile, "routes": []string{trialRoute}}}
	}
	above := make(map[string]bool)
	for _, d := range settings.Describe() {
		above[d.Name] = d.Place == settings.Above
	}
	for _, one := range t.component.Set {
		key, value, _ := strings.Cut(one, "=")
		if above[key] {
			file[key] = value
		} else {
			route[key] = value
		}
	}
	content, err := yaml.Marshal(file)
	if err != nil {
		return "", fmt.Errorf("writing the file of the bridge: %w", err)
	}
	path = filepath.Join(t.folder, "bridge.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return "", err
	}
	read, err := config.Read(config.Options{Path: path, Lookup: os.LookupEnv, Host: trialRoute})
	if err != nil {
		return "", fmt.Errorf("%w: its settings: %w", ErrComponent, err)
	}
	t.link = read.Routes[0].Settings
	switch c := &t.link.Consumer; {
	case c.TopicPattern != nil:
		return "", fmt.Errorf("%w: topic is a pattern, and lines go to one topic: name it", ErrComponent)
	case c.GroupProtocol == settings.GroupShare:
		return "", fmt.Errorf("%w: nobody can tell when a share group has handled everything: leave group_protocol=share out here", ErrComponent)
	}
	t.group, t.topic = t.link.Consumer.Group, t.link.Consumer.Topics[0]
	return path, nil
}

// openTopics makes the topics that the route names, and the client that produces and shows.
func (t *trial) openTopics(ctx context.Context) error {
	log, end := telemetry.Limit(t.log)
	t.onStop("the log of Kafka's client", func(context.Context) error { end(); return nil })
	access, err := kafka.NewAccess(t.link.Cluster, log)
	if err != nil {
		return err
	}
	if t.opts.Hosts != "" {
		t.screen.say("Kafka      %s\n", strings.Join(access.Seeds(), ", "))
	}
	opts := append(access.Options(),
		kgo.FetchMaxWait(time.Second), kgo.DefaultProduceTopic(t.topic), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(MaxLine+4096), kgo.MaxBufferedBytes(64<<20),
		kgo.RecordDeliveryTimeout(max(t.opts.EchoTimeout, time.Second)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), // ends of transactions have offsets, too
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(t.since.UnixMilli())),
		kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond),
	)
	if t.opts.Hosts == "" {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^[^_].*"))
		if t.opts.Data == "" {
			opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		}
	} else {
		opts = append(opts, kgo.ConsumeTopics(t.shown()...))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	t.kafka, t.access = client, access
	t.onStop("the Kafka client", func(context.Context) error { client.Close(); return nil })
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := t.makeTopics(ctx, kadm.NewClient(client)); err != nil {
		return fmt.Errorf("preparing the topics: %s", access.Explain(err).Text)
	}
	return nil
}

// shown are the topics of somebody else's Kafka that are shown: where the route says that something is produced.
func (t *trial) shown() []string {
	topics := []string{cmp.Or(t.link.Delivery.ReplyTopicFor(t.topic), t.topic+".reply")}
	if dead := t.link.Delivery.DeadLetterTopic; dead != "" {
		topics = append(topics, dead)
	}
	return topics
}

// makeTopics makes the missing ones of the topics that are read and, in the embedded Kafka, of those of retries and
// dead letters.
func (t *trial) makeTopics(ctx context.Context, admin *kadm.Client) error {
	names := append([]string(nil), t.link.Consumer.Topics...)
	if dead := t.link.Delivery.DeadLetterTopic; dead != "" && t.opts.Hosts == "" {
		names = append(names, dead)
	}
	if t.opts.Hosts == "" {
		names = append(names, t.link.Delivery.RetryTopicNames()...)
	}
	known, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return err
	}
	largest := topicMaxBytes
	for _, name := range names {
		if known.Has(name) {
			continue
		}
		err := kafka.MakeTopic(ctx, admin, name, 1, -1, map[string]*string{"max.message.bytes": &largest})
		if errors.Is(err, kerr.TopicAlreadyExists) {
			continue
		}
		if err != nil {
			return fmt.Errorf("creating topic %s: %w", name, err)
		}
		t.screen.say("Kafka      topic %s created, with one partition\n", name)
	}
	return nil
}

// startBridge runs the bridge until everything stops.
func (t *trial) startBridge(path string) {
	ctx, cancel := context.WithCancel(context.Background())
	t.ended = make(chan struct{})
	admin := make(chan string, 1)
	go func() {
		defer close(t.ended)
		t.endErr = bridge.Run(ctx, bridge.Options{
			Path: path, Log: t.log, Lookup: os.LookupEnv, OnAdmin: func(at net.Addr) { admin <- at.String() },
		})
	}()
	t.onStop("the bridge", func(context.Context) error {
		cancel()
		<-t.ended // within provider_shutdown_timeout
		return t.endErr
	})
	select {
	case t.admin = <-admin:
		t.screen.say("Page       http://%s/\n", t.admin)
	case <-t.ended:
	}
}

// awaitStart waits until no record that is produced from now on can be missed.
func (t *trial) awaitStart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.opts.StartTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for t.link.Consumer.Start.Kind != settings.StartEarliest {
		if t.begun(ctx, t.link.Consumer.Topics...) {
			return nil
		}
		select {
		case <-t.ended:
			return fmt.Errorf("the bridge has ended: %w", t.endErr)
		case <-ctx.Done():
			return fmt.Errorf("the bridge does not read %s: %w; it says: %s", t.topic, ctx.Err(), t.health())
		case <-tick.C:
		}
	}
	return nil
}
