package settings

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// defaultPort is Kafka's.
const defaultPort = "9092"

// parseHosts reads a list of bootstrap addresses into "host:port" form.
func parseHosts(text string) ([]string, error) {
	var hosts []string
	seen := make(map[string]bool)
	for _, part := range list(text) {
		host, err := parseHost(part)
		if err != nil {
			return nil, err
		}
		if !seen[host] {
			seen[host] = true
			hosts = append(hosts, host)
		}
	}
	if len(hosts) == 0 {
		return nil, refuse(text, "names no host")
	}
	return hosts, nil
}

func parseHost(part string) (string, error) {
	if strings.Contains(part, "@") {
		// The part before the @ may be a password.
		return "", refuse("", "holds an @: write host:port only; user and password go to sasl_username and sasl_password")
	}
	if scheme, _, found := strings.Cut(part, "://"); found {
		switch Protocol(strings.ToUpper(scheme)) {
		case Plaintext, TLS, SASLPlaintext, SASLTLS:
			return "", refuse(part, "begins with the name of a listener: write host:port only, and security_protocol=%s",
				strings.ToUpper(scheme))
		}
		return "", refuse(part, "is a URL, which Kafka does not use: write host:port only, as kafka-0.example.com:9092")
	}
	host, port := part, defaultPort
	switch {
	case strings.HasPrefix(part, "["):
		inner, after, closed := strings.Cut(part[1:], "]")
		if !closed || (after != "" && !strings.HasPrefix(after, ":")) {
			return "", refuse(part, "is not an address: write [2001:db8::1]:9092")
		}
		if addr, err := netip.ParseAddr(inner); err != nil || !addr.Is6() {
			return "", refuse(part, "holds no IPv6 address between its brackets")
		}
		host = inner
		if after != "" {
			port = after[1:]
		}
	case strings.Count(part, ":") > 1:
		// Brackets are missing, so there is no telling a port from a last group: it is all address.
		if _, err := netip.ParseAddr(part); err != nil {
			return "", refuse(part, "is not an address: write host:port, and an IPv6 address in brackets")
		}
	default:
		if before, after, found := strings.Cut(part, ":"); found {
			host, port = before, after
		}
		if !isHostName(host) {
			return "", refuse(part, "is not an address: write host:port")
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", refuse(part, "has no port from 1 to 65535 behind the colon")
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(n, 10)), nil
}

// hostName is lax about what resolvers take (underscores occur in container networks), strict about what makes one name
// two things.
var hostName = regexp.MustCompile(`^[a-zA-Z0-9._\x{80}-\x{10ffff}-]+$`)

func isHostName(host string) bool { return len(host) <= 253 && hostName.MatchString(host) }

// parseListenAddress checks an address to listen on. The host may be missing, and then the colon too.
func parseListenAddress(text string) (string, error) {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		text = ":" + text
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", refuse(text, "is not an address to listen on: write 9464 for the loopback alone, or host:port, such as 0.0.0.0:9464 for all interfaces")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", refuse(text, "has no port from 0 to 65535 behind the colon")
	}
	return text, nil
}
