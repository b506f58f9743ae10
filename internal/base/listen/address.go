package listen

import (
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
