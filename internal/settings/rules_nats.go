package settings

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// Settings that say something with some ways of delivery only, and those of the connection.
var (
	natsDeliverOnly = []string{keyNATSSubject, keyNATSStream, keyNATSAdvisoryStream, keyNATSMaxWait}
	natsPublishOnly = []string{keyNATSPublishTopic, keyNATSQueue}
	natsConnection  = []string{
		keyNATSCreds, keyNATSSeed, keyNATSToken, keyNATSUser, keyNATSPassword, keyNATSCAFile, keyNATSCertFile, keyNATSKeyFile,
	}
)

// natsRules see that a route that has to do with NATS says with which, and as whom.
func (p *parse) natsRules() {
	n, deliver := &p.link.NATS, p.link.HTTP.Deliver
	if p.anyFailed(keyDeliver, keyNATSURL, keyNATSPublishSubject) {
		return
	}
	publishes := len(n.PublishSubjects) > 0
	switch {
	case deliver.OverNATS() && !n.Server.Given():
		p.fail(keyNATSURL, "is missing: deliver=%s needs it", deliver)
	case publishes && !n.Server.Given():
		p.fail(keyNATSURL, "is missing: nats_publish_subject needs it")
	case !deliver.OverNATS() && !publishes && n.Server.Given():
		p.fail(keyNATSURL, "says which NATS, and nothing what for: set deliver to one of %s, %s and %s, or nats_publish_subject",
			DeliverNATSReply, DeliverJetStream, DeliverNATS)
	}
	if !deliver.OverNATS() {
		p.withdraw("the route hands no records over by NATS (deliver)", natsDeliverOnly...)
	}
	if !publishes {
		p.withdraw("the route takes nothing from NATS (nats_publish_subject)", natsPublishOnly...)
	} else if n.Queue == "" {
		n.Queue = p.identity.group(true)
	}
	if !n.Server.Given() {
		p.withdraw("the route has no nats_url", natsConnection...)
		return
	}
	p.natsDelivery()
	p.natsLoop()
	if publishes && n.PublishTopic == "" && len(p.link.Producer.AllowedTopics) == 0 && !p.anyFailed("allowed_topics") &&
		slices.ContainsFunc(n.PublishSubjects, hasWildcard) {
		p.warn(keyNATSPublishSubject, "lets whoever may publish on it name any topic: set allowed_topics or nats_publish_topic")
	}
	p.natsCredentials()
}

// natsLoop looks for records that would be published again by the route that hands them over.
func (p *parse) natsLoop() {
	n := &p.link.NATS
	if !p.link.HTTP.Deliver.OverNATS() {
		return
	}
	topics := p.link.Consumer.Topics
	if len(topics) == 0 {
		topics = []string{">"} // a pattern: how many tokens a topic has is not known
	}
	for _, topic := range topics {
		sent := strings.ReplaceAll(n.Subject, NATSTopic, topic)
		for _, placeholder := range NATSPlaceholders {
			sent = strings.ReplaceAll(sent, placeholder, "*")
		}
		if slices.ContainsFunc(n.PublishSubjects, func(s string) bool { return overlap(s, sent) }) {
			p.fail(keyNATSPublishSubject, "matches the subject that the route's own records go to (%s): they would go round without end", n.Subject)
			return
		}
	}
}

// natsDelivery settles what belongs to one way of delivery.
func (p *parse) natsDelivery() {
	n, d, deliver := &p.link.NATS, &p.link.Delivery, p.link.HTTP.Deliver
	if !deliver.OverNATS() {
		n.MaxWait = 0
		return
	}
	if p.byLink("batch_max_records") {
		p.warn("batch_max_records", "is not used: by NATS each record is a message of its own")
	}
	if deliver == DeliverNATS {
		p.warn(keyDeliver, "is %s: a record counts as handled once the NATS server has it, and is LOST where nobody subscribes, a subscriber fails, or a server ends. This is at most once; %s and %s are at least once", DeliverNATS, DeliverNATSReply, DeliverJetStream)
	}
	if deliver != DeliverJetStream {
		p.withdraw("deliver is "+string(deliver), keyNATSStream, keyNATSAdvisoryStream)
	}
	if n.AdvisoryStream != "" {
		p.natsAdvisories()
	}
	n.AnswerTimeout = d.HandleTimeout
	if deliver != DeliverNATSReply {
		p.withdraw("deliver is "+string(deliver), keyNATSMaxWait)
		n.MaxWait = 0
		return
	}
	switch {
	case n.MaxWait >= d.HandleTimeout:
	case p.given(keyNATSMaxWait):
		p.fail(keyNATSMaxWait, "is shorter than handle_timeout (%s), so that no request would have its time", d.HandleTimeout)
	default:
		n.MaxWait = d.HandleTimeout
	}
	if p.byLink(keyNATSMaxWait) && n.MaxWait > p.link.Consumer.RebalanceTimeout {
		p.warn(keyNATSMaxWait,
			"is longer than rebalance_timeout (%s): a request that lasts longer than that is given up in a rebalance, and its record delivered again", p.link.Consumer.RebalanceTimeout)
	}
	d.HandleTimeout = n.MaxWait // how long the engine lets a call be; the receiver gives up a silent one earlier
}

// natsAdvisories sees that it is known whose messages are given up, and where their dead letters go.
func (p *parse) natsAdvisories() {
	n := &p.link.NATS
	if n.Stream == "" && !p.anyFailed(keyNATSStream) {
		p.fail(keyNATSStream, "is missing: nats_advisory_stream tells of messages of this stream")
	}
	if n.Stream == n.AdvisoryStream {
		p.fail(keyNATSAdvisoryStream, "is nats_stream itself: the advisories need a stream of their own")
	}
	if p.link.Delivery.DeadLetterTopic == "" && !p.anyFailed("dead_letter_topic") {
		p.fail("dead_letter_topic", "is missing: nats_advisory_stream has messages stored there that consumers give up")
	}
}

// natsCredentials sees that there is one way to say who comes, and that it is whole.
func (p *parse) natsCredentials() {
	s := &p.link.NATS.Server
	var ways []string
	for _, key := range []string{keyNATSCreds, keyNATSSeed, keyNATSToken, keyNATSUser} {
		if p.given(key) {
			ways = append(ways, key)
		}
	}
	if len(ways) > 1 {
		p.fail(ways[1], "is given as well as %s, and both say who comes: leave one", ways[0])
	}
	if (s.User == "") != s.Password.Empty() && !p.anyFailed(keyNATSUser, keyNATSPassword) {
		if s.User == "" {
			p.fail(keyNATSUser, "is missing: nats_password is the password of a user")
		} else {
			p.fail(keyNATSPassword, "is missing: nats_user needs it")
		}
	}
	if (s.TLSCertFile == "") != (s.TLSKeyFile == "") {
		if s.TLSCertFile == "" {
			p.fail(keyNATSCertFile, "is missing: nats_tls_key_file is the key of a certificate")
		} else {
			p.fail(keyNATSKeyFile, "is missing: nats_tls_cert_file needs it")
		}
	}
	if key, shown := s.showsSecret(); shown {
		p.warn(key, "crosses the network in clear text unless the server demands TLS: set nats_tls_ca_file, or write tls:// in nats_url")
	}
}

// showsSecret names the credentials that are sent as they are, to another machine and without TLS of our asking.
func (s *NATSServer) showsSecret() (key string, shown bool) {
	switch {
	case !s.Token.Empty():
		key = keyNATSToken
	case !s.Password.Empty():
		key = keyNATSPassword
	default:
		return "", false
	}
	if s.TLSCAFile != "" || s.TLSCertFile != "" {
		return "", false
	}
	for one := range strings.SplitSeq(s.URLs, ",") {
		u, err := url.Parse(one)
		if err != nil || u.Scheme == "tls" {
			continue
		}
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return key, true
		}
	}
	return "", false
}
