package httpout

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/text"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// judge says what an answer's status means for a request of n records: Done where its body has to be looked at.
//
// Statuses that speak of the one who answers and not of the records (nobody there, credentials, a redirect) hold the
// records. Of a request with several records a failure says nothing of the single ones: each goes alone then, and gets
// a status of its own.
func judge(a *answer, n int, now time.Time) record.Outcome {
	o := record.Outcome{After: retryAfter(a.header, now)}
	switch status := a.status; {
	case status >= 200 && status < 300:
		return record.Outcome{Kind: record.Done}
	case status >= 300 && status < 400:
		o.Kind = record.Unavailable
		o.Err = fmt.Errorf("the application answers %s: redirects are refused, so set url to where it leads", statusText(a))
		return o
	case status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired:
		o.Kind = record.Unavailable
		o.Err = fmt.Errorf("the application answers %s: it does not take the route's credentials", statusText(a))
		return o
	case status == http.StatusNotFound || status == http.StatusServiceUnavailable:
		o.Kind = record.Unavailable
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests:
		o.Kind = record.Retry
	case n > 1:
		o.Kind = record.Unanswered
	case status >= 500:
		o.Kind = record.Retry
	case status >= 400:
		o.Kind = record.Reject
	default:
		o.Kind = record.Unanswered // a status below 200 is no end of an answer
	}
	o.Err = fmt.Errorf("the application answers %s", statusText(a))
	return o
}

// statusText is the status of an answer, with the reason that its body gives in text.
func statusText(a *answer) string {
	s := strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	if t := a.mediaType(); t != "" && !strings.HasPrefix(t, "text/plain") && !strings.HasSuffix(t, "json") {
		return s
	}
	if reason := strings.TrimSpace(text.Clip(string(a.body[:min(len(a.body), keptText)]), keptText)); reason != "" {
		return s + ": " + reason
	}
	return s
}

// retryAfter is how long an answer asks to be left alone: seconds, or until a date (RFC 9110, section 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(v, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), maxAfter)) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxAfter*time.Second)
}

// maxAfter bounds what an answer may ask for, in seconds; the engine has a bound of its own below.
const maxAfter = 24 * 60 * 60
