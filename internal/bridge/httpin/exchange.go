package httpin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/payload"
	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// exchange is one request and its answer.
type exchange struct {
	*Server
	w      http.ResponseWriter
	r      *http.Request
	caller *caller // nil until it is known
	sender Sender
	held   memory.Share
	topic  string // in the path
	media  string // of the body, in lower case, without parameters
	params map[string]string

	// What is counted.
	endpoint string
	began    time.Time
	read     int // bytes of the body
	status   int
}

// unknownEndpoint is what is asked for at other paths than those that are served.
const unknownEndpoint = "unknown"

// end counts what was done, and gives back what it held.
func (x *exchange) end() {
	x.held.Release()
	name := ""
	if x.caller != nil {
		name = x.caller.Name
	}
	x.o.Observer.Ended(name, x.endpoint, x.status, x.read, time.Since(x.began))
}

// endpoint is one thing that can be asked for.
type endpoint struct {
	name   string // as it is in metrics
	method string
	serve  func(*exchange) error
	open   bool // it needs no caller
}

var endpoints = map[string]*endpoint{
	"/v1/records/send":     {name: "records_send", method: http.MethodPost, serve: (*exchange).recordsSend},
	"/v1/records/request":  {name: "records_request", method: http.MethodPost, serve: (*exchange).recordsRequest},
	"/v1/messages/publish": {name: "messages_publish", method: http.MethodPost, serve: (*exchange).messagesPublish},
	"/v1/messages/request": {name: "messages_request", method: http.MethodPost, serve: (*exchange).messagesRequest},
	"/openapi.json":        {name: "openapi", method: http.MethodGet, serve: (*exchange).describe, open: true},
}

var topicEndpoint = &endpoint{name: "topics", method: http.MethodPost, serve: (*exchange).topics}

// find is the endpoint for a path, which is taken as it stands: nothing is cleaned and nobody redirected.
func find(r *http.Request) (at *endpoint, topic string, ok bool) {
	rest, below := strings.CutPrefix(r.URL.EscapedPath(), "/topics/")
	if !below {
		at, ok = endpoints[r.URL.EscapedPath()]
		return at, "", ok
	}
	segment, err := url.PathUnescape(rest)
	return topicEndpoint, segment, err == nil && rest != "" && !strings.Contains(rest, "/")
}

// answer answers a request.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	open := s.gate.enter()
	defer s.gate.leave()
	defer listen.Answering(r)()
	x := &exchange{Server: s, w: w, r: r, endpoint: unknownEndpoint, began: time.Now()}
	s.o.Observer.Began()
	defer x.end()
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	// The body has its time from here on, also where it is read by nobody but net/http, to its end.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // what cannot have a deadline is no connection
	var err error
	if !open {
		err = &failure{status: http.StatusServiceUnavailable, text: "the bridge is stopping", after: soon, end: true}
	} else {
		err = x.serve()
	}
	if err == nil {
		return
	}
	f := failureOf(err)
	_ = control.SetReadDeadline(time.Now().Add(refusalTimeout))
	x.fail(f)
}

// serve does what is asked. Who asks is known before anything of the body is read.
func (x *exchange) serve() error {
	if f := x.fromElsewhere(); f != nil {
		return f
	}
	at, topic, ok := find(x.r)
	if !ok {
		return &failure{status: http.StatusNotFound, text: "there is nothing at this path: GET /openapi.json tells what there is", end: true}
	}
	x.topic, x.endpoint = topic, at.name
	if x.r.Method != at.method {
		x.w.Header().Set("Allow", at.method)
		return &failure{status: http.StatusMethodNotAllowed, text: "this path takes " + at.method, end: true}
	}
	if at.open {
		return at.serve(x)
	}
	var f *failure
	if x.caller, f = x.callers.Load().who(x.r); f != nil {
		x.w.Header().Set("WWW-Authenticate", `Bearer realm="messaging-kafka"`)
		f.audit = true
		return f
	}
	if !x.caller.places.TryAcquire(1) {
		return busy(fmt.Sprintf("%d requests of caller %s run already", x.caller.MaxInFlight, x.caller.Name))
	}
	defer x.caller.places.Release(1)
	x.held = x.caller.memory.Share()
	if f := x.findRoute(); f != nil {
		return f
	}
	if f := x.findMedia(); f != nil {
		return f
	}
	return at.serve(x)
}

// fromElsewhere refuses what a browser sends for somebody else's page: under a name that is not the server's, where no
// token keeps it out, and across origins, which needs no right of CORS where nobody reads the answer.
func (x *exchange) fromElsewhere() *failure {
	if (x.loopback || x.callers.Load().anyone != nil) && !x.hosts.Allow(x.r.Host) {
		return &failure{status: http.StatusMisdirectedRequest, audit: true, end: true,
			text: "this address does not answer under that name: ask for it by its address, or name it in listen_hosts"}
	}
	if x.origins.Check(x.r) != nil {
		return &failure{status: http.StatusForbidden, text: "requests of other origins' pages are refused", audit: true, end: true}
	}
	return nil
}

// routeHeader names the route of a request, where its caller has several.
const routeHeader = "Messaging-Kafka-Route"

func (x *exchange) findRoute() *failure {
	name := x.r.Header.Get(routeHeader)
	switch {
	case name == "" && len(x.caller.Routes) == 1:
		name = x.caller.Routes[0]
	case name == "":
		return badRequest("name one of the routes %s in the header %s", strings.Join(x.caller.Routes, ", "), routeHeader)
	case !slices.Contains(x.caller.Routes, name):
		return &failure{status: http.StatusForbidden, audit: true, text: fmt.Sprintf("caller %s may publish by %s", x.caller.Name, strings.Join(x.caller.Routes, ", "))}
	}
	var ok bool
	if x.sender, ok = x.o.Routes(name); !ok {
		return &failure{status: http.StatusServiceUnavailable, text: fmt.Sprintf("there is no route %s at the moment", name), after: soon}
	}
	return nil
}

func (x *exchange) findMedia() *failure {
	if encoding := x.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return otherMedia("bodies are not compressed: what one becomes has no bound that is known before")
	}
	if x.inBinaryMode() {
		return nil // it is data of any type
	}
	var err error
	if x.media, x.params, err = mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil {
		return otherMedia("the Content-Type cannot be read")
	}
	switch strings.ToLower(x.params["charset"]) {
	case "", "utf-8", "utf8", "us-ascii":
		return nil
	}
	return otherMedia("texts are UTF-8")
}

func otherMedia(text string) *failure {
	return &failure{status: http.StatusUnsupportedMediaType, text: text, end: true}
}

// takes answers which of two forms a body has: the value encoding, or JSON of the same shape.
func (x *exchange) takes(value, json string) (isJSON bool, _ error) {
	switch x.media {
	case value:
		return false, nil
	case json:
		return true, nil
	}
	return false, otherMedia(fmt.Sprintf("the body is %s or %s", value, json))
}

// firstRead is how much room a body is given before anything of it has come.
const firstRead = 4 << 10

// body reads the whole body. What has come of it is counted; what is announced is believed by nobody.
func (x *exchange) body() ([]byte, error) {
	announced := x.r.ContentLength
	if announced > x.o.MaxBody {
		return nil, x.tooLarge()
	}
	if announced == 0 && x.r.ProtoMajor == 1 && x.r.Header.Get("Content-Length") == "" {
		return nil, &failure{status: http.StatusLengthRequired, text: "a body has a Content-Length, or is sent in chunks"}
	}
	most := x.o.MaxBody + 1 // one byte more tells that it is too large
	if announced >= 0 {
		most = announced + 1 // which has its end told
	}
	var b []byte
	for {
		if len(b) == cap(b) {
			var err error
			if b, err = x.held.Grow(b, min(most, max(firstRead, 2*int64(cap(b))))); err != nil {
				return nil, err
			}
		}
		n, err := x.r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		x.read = len(b)
		if int64(len(b)) > x.o.MaxBody {
			return nil, x.tooLarge()
		}
		if err != nil {
			if err = bodyEnd(err); err != nil {
				return nil, err
			}
			// Whether the caller goes away is looked at without a bound of time.
			_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{}) // see answer
			return b, nil
		}
	}
}

// decoder reads a body of the value encoding, which has an end of its own: one that is too short is incomplete.
func (x *exchange) decoder(b []byte) *wit.Decoder { return wit.NewCountedDecoder(b, &x.held) }

// holdJSON counts what is about to be made of JSON.
func (x *exchange) holdJSON(b []byte) error { return x.held.Hold(payload.JSONCost(b)) }

// bodyEnd is what the end of a body means; nil is that all of it is there.
func bodyEnd(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &failure{status: http.StatusRequestTimeout, text: fmt.Sprintf("the body did not come within %v", bodyTimeout), end: true}
	}
	f := badRequest("the body cannot be read to its end")
	f.end = true
	return f
}

func (x *exchange) tooLarge() *failure {
	return &failure{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("a body has %d bytes at most", x.o.MaxBody), end: true}
}

// reply sends an answer.
func (x *exchange) reply(status int, media string, body []byte) error {
	x.status = status
	header := x.w.Header()
	header.Set("Content-Type", media)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if x.retiring.Load() || listen.Crowded(x.r) {
		header.Set("Connection", "close")
	}
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(writeTimeout)) // see answer
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // a caller that has gone needs no answer
	return nil
}

// fail answers with a failure.
func (x *exchange) fail(f *failure) {
	header := x.w.Header()
	if f.after > 0 {
		header.Set("Retry-After", strconv.Itoa(int((f.after+time.Second-1)/time.Second)))
	}
	if f.end {
		header.Set("Connection", "close")
	}
	if f.audit {
		name := ""
		if x.caller != nil {
			name = x.caller.Name
		}
		from, _, _ := net.SplitHostPort(x.r.RemoteAddr)
		x.o.Log.Warn("a request over HTTP was refused", "caller", name, "address", from, "status", f.status, "reason", f.text)
	}
	_ = x.reply(f.status, "application/json", f.body(x.o.Fit))
}

// deadline bounds what a request does.
func (x *exchange) deadline(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.r.Context(), min(d, maxCall))
}

// traceHeaders are those of W3C Trace Context and W3C Baggage.
var traceHeaders = [...]string{"traceparent", "tracestate", "baggage"}

// trace are the headers of the request that carry its trace.
func (x *exchange) trace() route.Trace {
	var t route.Trace
	for _, name := range traceHeaders {
		if v := x.r.Header.Get(name); v != "" {
			if t == nil {
				t = make(route.Trace, len(traceHeaders))
			}
			t[name] = []string{v}
		}
	}
	return t
}

// sendCost is about what sending a record takes besides the record, until its result is told.
const sendCost = 512

// send publishes records. The errors of the results are [*wit.SendError]s; an error of its own is that nothing was
// sent.
func (x *exchange) send(list []record.Outgoing) ([]record.Result, error) {
	if err := x.held.Hold(sendCost * int64(len(list))); err != nil {
		return nil, err
	}
	results := make([]record.Result, len(list))
	allowed, at := make([]record.Outgoing, 0, len(list)), make([]int, 0, len(list))
	for i := range list {
		if results[i].Err = x.notAllowed(list[i].Topic); results[i].Err == nil {
			allowed, at = append(allowed, list[i]), append(at, i)
		}
	}
	if len(allowed) == 0 {
		return results, nil
	}
	ctx, cancel := x.deadline(maxCall)
	defer cancel()
	sent := x.sender.Send(ctx, x.trace(), allowed)
	if len(sent) != len(allowed) {
		return nil, fmt.Errorf("sending %d records gave %d results", len(allowed), len(sent))
	}
	for i, result := range sent {
		if result.Err != nil {
			result.Err = x.sendError(result.Err)
		}
		results[at[i]] = result
	}
	return results, nil
}

// notAllowed is the error of a topic that the caller may not publish to, nil where it may as far as that is the
// caller's.
func (x *exchange) notAllowed(topic string) error {
	if x.caller.allows(topic) {
		return nil
	}
	return &wit.SendError{Case: wit.NotAuthorised, Text: fmt.Sprintf(
		"caller %s may not publish to the topic: its allowed_topics are %s", x.caller.Name, strings.Join(x.caller.AllowedTopics, ", "))}
}
