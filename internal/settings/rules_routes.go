package settings

import (
	"net/url"
	"strings"
	"time"
)

// httpOnly are the settings that say nothing on a route that hands nothing over.
var httpOnly = []string{
	keyHTTPHost, keyHTTPConnections, keyHTTPProtocol, keyHTTPFormat, keyHTTPMaxAnswer, keyBearerToken, keyHMACKey,
}

// routeDrain is the drain_timeout of routes that set none.
const routeDrain = 5 * time.Second

// shapeRoute settles what of the settings depends on how a route hands records over. It comes before all rules.
func (p *parse) shapeRoute() {
	d := p.link.HTTP.Deliver
	one := d == DeliverMessages && !p.given("batch_max_records") || d.OverNATS()
	if one {
		p.link.Delivery.Batch.MaxRecords = 1
	}
	if !p.given("drain_timeout") {
		p.link.Delivery.DrainTimeout = routeDrain // no host kills a bridge after 300 ms
	}
	p.batches = d != "" && !one
	p.records = d == DeliverRecords
	if d == DeliverNATSReply && !p.given(keyReplyTopic) {
		p.link.Delivery.ReplyTopic = "" // or whatever a service says by habit would be produced
	}
}

// routeRules see that a route names where its records go.
func (p *parse) routeRules() {
	p.natsRules()
	h, reads := &p.link.HTTP, p.link.Consumer.Enabled()
	if p.anyFailed(keyDeliver, keyURL, "topic") {
		return
	}
	switch {
	case h.Deliver == "" && h.URL != "":
		p.fail(keyDeliver, "is missing: url says where records are posted, and deliver in which form (%s)",
			strings.Join(declared[keyDeliver].value.words, ", "))
	case h.Deliver.OverNATS() && h.URL != "":
		p.fail(keyURL, "is where records are posted over HTTP, and deliver=%s goes to nats_url: leave it out", h.Deliver)
	case h.Deliver == "" && reads:
		p.fail(keyDeliver, "is missing: the route reads topics, and nothing says where their records go; set deliver and url, or leave topic out")
	case h.Deliver.OverHTTP() && h.URL == "":
		p.fail(keyURL, "is missing: deliver=%s needs it", h.Deliver)
	case h.Deliver != "" && !reads:
		p.fail("topic", "is missing: deliver=%s needs topics whose records it hands over", h.Deliver)
	}
	if !h.Deliver.OverHTTP() {
		p.withdraw("the route hands no records over by HTTP (deliver)", httpOnly...)
	}
	if h.Deliver == "" {
		return
	}
	if h.Deliver.OverHTTP() && h.Connections == 0 {
		h.Connections = p.link.Delivery.MaxInFlight
	}
	if p.link.Delivery.Transactions && h.Deliver != DeliverRecords {
		p.fail("transactions", "needs deliver=%s: with %s there are no outputs to commit with the offsets", DeliverRecords, h.Deliver)
	}
	if !h.BearerToken.Empty() && crossesInClear(h.URL) {
		p.warn(keyBearerToken, "crosses the network in clear text, since url is not https")
	}
}

// parseURL reads where records are posted.
func parseURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "":
		// The text may hold a password, so it is not shown.
		return "", refuse("", "is not a URL: write https://host/path or http://host:port/path")
	case u.User != nil:
		return "", refuse("", "holds a user: a token goes to http_bearer_token")
	case u.Fragment != "":
		return "", refuse("", "holds a # with something behind it, which is never sent")
	}
	return text, nil
}

// parseHTTPHost reads the text of a Host header.
func parseHTTPHost(text string) (string, error) {
	u, err := url.Parse("http://" + text)
	if err != nil || u.Host != text || u.Hostname() == "" {
		return "", refuse(text, "is not the name of a host: write shop.example.com or shop.example.com:8080")
	}
	return text, nil
}
