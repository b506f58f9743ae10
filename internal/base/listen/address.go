package listen

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address puts the loopback where an address (host:port, :port or port) has no host.
func Address(address string) string {
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		address = ":" + address
	}
	if strings.HasPrefix(address, ":") {
		return "127.0.0.1" + address
	}
	return address
}

// Clash tells whether two addresses cannot be listened on by one process: they have a port in common, and a host.
func Clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(Address(a))
	hostB, portB, errB := net.SplitHostPort(Address(b))
	if errA != nil || errB != nil {
		return false // which whoever listens says better
	}
	// They are numbers, which may have zeros before them.
	numberA, errA := strconv.ParseUint(portA, 10, 16)
	numberB, errB := strconv.ParseUint(portB, 10, 16)
	if errA != nil || errB != nil || numberA != numberB || numberA == 0 {
		return false
	}
	return meet(hostA, hostB)
}

// meet tells whether two hosts are, or have, the same address. Of names nothing is known but that of the loopback.
func meet(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	ipA, knownA := addressOf(a)
	ipB, knownB := addressOf(b)
	switch {
	case knownA && ipA.IsUnspecified(), knownB && ipB.IsUnspecified():
		return true
	default:
		return knownA && knownB && ipA == ipB
	}
}

func addressOf(host string) (ip netip.Addr, known bool) {
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	return ip.Unmap(), err == nil
}
