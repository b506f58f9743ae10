package settings

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// httpOnly are the settings that say nothing on a route that hands nothing over.
var httpOnly = []string{
	keyHTTPHost, keyHTTPConnections, keyHTTPProtocol, keyHTTPFormat, keyHTTPMode, keyHTTPMaxAnswer,
	keyHTTPCA, keyHTTPCert, keyHTTPKey,
	keyBearerToken, keyHMACKey,
}

// routeDrain is the drain_timeout of routes that set none.
const routeDrain = 5 * time.Second

// By HTTP/2 a connection takes many requests: servers allow a hundred or more. A few connections are opened all the
// same, since a balancer spreads connections and not requests.
const (
	sharedConnections     = 4
	requestsPerConnection = 32
)

// shapeRoute settles what of the settings depends on how a route hands records over. It comes before all rules.
func (p *parse) shapeRoute() {
	h := &p.link.HTTP
	d := h.Deliver
	one := d == DeliverMessages && !p.given("batch_max_records") || d == DeliverCloudEvents && h.Mode != ModeBatched ||
		d.OverNATS()
	if one {
		p.link.Delivery.Batch.MaxRecords = 1
	}
	if !p.given("drain_timeout") {
		p.link.Delivery.DrainTimeout = routeDrain // no host kills a bridge after 300 ms
	}
	p.batches = d != "" && !one
	p.records = d == DeliverRecords || d == DeliverCloudEvents
	if (d == DeliverCloudEvents || d == DeliverNATSReply) && !p.given(keyReplyTopic) {
		p.link.Delivery.ReplyTopic = "" // or whatever an application says by habit would be produced
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
	// In batched mode nobody can tell whose answer one is.
	outputs := h.Deliver == DeliverRecords || h.Deliver == DeliverNATSReply ||
		h.Deliver == DeliverCloudEvents && h.Mode != ModeBatched
	if p.link.Delivery.Transactions && h.Deliver != "" && !outputs {
		p.fail("transactions", "needs answers that are records (deliver=%s, %s, or %s with another http_mode than %s): there are no outputs to commit with the offsets",
			DeliverRecords, DeliverNATSReply, DeliverCloudEvents, ModeBatched)
	}
	if !h.Deliver.OverHTTP() {
		p.withdraw("the route hands no records over by HTTP (deliver)", httpOnly...)
		return
	}
	if h.Connections == 0 {
		h.Connections = p.link.Delivery.MaxInFlight
		if h.Protocol == HTTP2 {
			h.Connections = min(h.Connections, max(sharedConnections, h.Connections/requestsPerConnection))
		}
	}
	if h.Deliver == DeliverCloudEvents {
		p.withdraw("deliver=http-cloudevents has forms of its own (http_mode)", keyHTTPFormat)
		if h.Mode != ModeBatched {
			p.unused("with http_mode="+string(h.Mode)+" a request has one event",
				"batch_max_records", "batch_max_bytes", "batch_max_wait")
		}
	} else {
		p.withdraw("it is for deliver=http-cloudevents", keyHTTPMode)
	}
	p.routeTLSRules()
	if !h.BearerToken.Empty() && crossesInClear(h.URL) {
		p.warn(keyBearerToken, "crosses the network in clear text, since url is not https")
	}
}

func (p *parse) routeTLSRules() {
	h := &p.link.HTTP
	if p.anyFailed(keyHTTPCA, keyHTTPCert, keyHTTPKey, keyHTTPKeyPassword) {
		return
	}
	switch {
	case !strings.HasPrefix(h.URL, "https:"):
		p.withdraw("url is not https", keyHTTPCA, keyHTTPCert, keyHTTPKey, keyHTTPKeyPassword)
	case h.TLSCert != "" && h.TLSKey.Empty():
		p.fail(keyHTTPKey, "is missing: http_tls_cert needs the private key that belongs to it")
	case h.TLSCert == "" && !h.TLSKey.Empty():
		p.fail(keyHTTPCert, "is missing: http_tls_key needs the certificate that belongs to it")
	case h.TLSCert != "":
		p.pairRules(pairNames{keyHTTPCert, keyHTTPKey, keyHTTPKeyPassword}, &h.TLSCert, &h.TLSKey, &h.TLSKeyPassword)
	default:
		p.withdraw("there is no http_tls_key", keyHTTPKeyPassword)
	}
}

// parseHeaderSecret reads a secret that goes into a header.
func parseHeaderSecret(text string) (Secret, error) {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Secret{}, refuse("", "holds a line break or another control character, which no header can have")
	}
	return NewSecret(text), nil
}

// parseURL reads where records are posted.
func parseURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "",
		strings.ContainsAny(text, " \t"):
		// The text may hold a password, so it is not shown.
		return "", refuse("", "is not a URL: write https://host/path or http://host:port/path")
	case !canBePort(u.Port()):
		return "", refuse("", "has a port that is none from 1 to 65535")
	case u.User != nil:
		return "", refuse("", "holds a user: a token goes to http_bearer_token")
	case u.Fragment != "":
		return "", refuse("", "holds a # with something behind it, which is never sent")
	}
	return text, nil
}

// canBePort tells whether the port of a URL can be asked; "" is the one of its scheme.
func canBePort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// parseHTTPHost reads the text of a Host header.
func parseHTTPHost(text string) (string, error) {
	u, err := url.Parse("http://" + text)
	if err != nil || u.Host != text || u.Hostname() == "" {
		return "", refuse(text, "is not the name of a host: write shop.example.com or shop.example.com:8080")
	}
	return text, nil
}
