package listen

import (
	"net"
	"net/netip"
	"strings"
)

// Hosts are the names under which the server answers, besides addresses and localhost. A page of somebody else's, in an
// operator's browser, can have its own name lead to the loopback address and read from there as from itself (DNS
// rebinding); its requests have that name, and no way around it.
type Hosts map[string]bool

// NewHosts takes the configured names, and the one in the address to listen on.
func NewHosts(names []string, address string) Hosts {
	h := Hosts{"localhost": true}
	for _, name := range names {
		h[canonicalHost(name)] = true
	}
	if name, _, err := net.SplitHostPort(address); err == nil && name != "" {
		h[canonicalHost(name)] = true
	}
	return h
}

// Allow tells whether a request for host is answered. HTTP/1.0 has requests without one, which no browser makes.
func (h Hosts) Allow(host string) bool {
	if host == "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	literal := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(literal); err == nil {
		return true
	}
	return h[canonicalHost(host)]
}

func canonicalHost(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
