package admin

import (
	"bufio"
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/messaging-kafka/messaging-kafka/internal/base/listen"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// FuzzRequest has the server answer whatever somebody sends: nobody is answered with content under a foreign name or by
// a method that could change something, and what was asked is not sent back.
func FuzzRequest(f *testing.F) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"POST /links HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Length: 1\r\n\r\nx",
		"GET /metrics HTTP/1.1\r\nHost: [::1]:80\r\nAccept-Encoding: gzip\r\n\r\n",
		"HEAD /history?<script> HTTP/1.0\r\n\r\n", "GET //links/../links HTTP/1.1\r\nHost: 1\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://evil.example/links HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		f.Add([]byte(request))
	}
	s := &Server{cfg: Config{Source: &fake{p: status.Provider{Healthy: true}}, Gatherer: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler)}, hosts: listen.NewHosts(nil, "127.0.0.1:1")}
	handler := s.handler()
	f.Fuzz(func(t *testing.T, raw []byte) {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return // the library's to answer
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		reads := request.Method == http.MethodGet || request.Method == http.MethodHead
		switch code := answer.Code; {
		case !reads && code != http.StatusMethodNotAllowed:
			t.Errorf("%s was answered with %d", request.Method, code)
		case reads && !s.hosts.Allow(request.Host) && code != http.StatusMisdirectedRequest:
			t.Errorf("host %q was answered with %d", request.Host, code)
		case !slices.Contains([]int{200, 301, 307, 308, 400, 404, 405, 421, 503}, code):
			t.Errorf("%q was answered with %d", raw, code)
		}
		if answer.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%q was answered without the headers of every answer", raw)
		}
	})
}
