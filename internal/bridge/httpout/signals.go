package httpout

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/redact"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

func isSuccess(status int) bool { return status >= 200 && status < 300 }

// judge says what the status of an answer that is no success means for a request of n records. reason is what its body
// says of that, "" for nothing.
//
// Statuses that speak of the one who answers and not of the records (nobody there, credentials, a redirect) hold the
// records. Of a request with several records a failure says nothing of the single ones: each goes alone then, and gets
// a status of its own.
func judge(status int, header http.Header, reason string, n int, now time.Time) record.Outcome {
	o := record.Outcome{After: retryAfter(header, now)}
	said := strconv.Itoa(status) + " " + http.StatusText(status)
	if reason != "" {
		said += ": " + reason
	}
	switch {
	case status >= 300 && status < 400:
		o.Kind = record.Unavailable
		o.Err = &record.Refusal{Reason: record.Redirected, Err: fmt.Errorf(
			"the application answers %s: redirects are refused, so set url to where it leads", said)}
		return o
	case status == http.StatusUnauthorized:
		o.Kind = record.Unavailable
		o.Err = &record.Refusal{Reason: record.BadCredentials, Err: fmt.Errorf(
			"the application does not take the route's credentials (http_bearer_token, http_hmac_key, http_tls_cert_file): it answers %s", said)}
		return o
	case status == http.StatusProxyAuthRequired:
		o.Kind = record.Unavailable
		o.Err = &record.Refusal{Reason: record.ProxyAsks, Err: fmt.Errorf(
			"a proxy between the bridge and the application answers %s: the bridge has no credentials for proxies, so let its requests through, or set url to where no proxy is in between", said)}
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
	o.Err = fmt.Errorf("the application answers %s", said)
	return o
}

// reason is what the body of an answer says in text, without the route's secrets, and closes it. A body that breaks off
// says what has come of it: the status counts whatever the body is. It is not cut to size here, but where all secrets
// are known: of one that is cut the rest would not be found any more.
func (c *client) reason(resp *http.Response) string {
	defer resp.Body.Close()
	if resp.StatusCode < 200 {
		return "" // another protocol follows, which nobody ends
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, reasonMost))
	t := mediaType(resp.Header)
	if err != nil && len(body) == 0 || t != "" && t != "text/plain" && !strings.HasSuffix(t, "json") {
		return ""
	}
	said := strings.TrimSpace(string(body))
	if err != nil {
		said = c.secrets.CutOff(said)
	}
	return redact.OneLine(c.secrets.Secrets(said))
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

func wrongType(got, want string) error {
	return fmt.Errorf("it is of type %q where %s was asked for", got, want)
}
