//go:build !linux

package httpin

import "net"

// acceptLast is for systems that tell nothing of connections that wait to be accepted: one that comes in the last
// moment is reset, and its caller connects anew.
func acceptLast(*net.TCPListener) {}
