package httpin

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// handshakes is how long connections may take to be made that had begun to be, on a machine that is busy, and
	// queueTimeout what all that have been made may take to be accepted.
	handshakes   = 250 * time.Millisecond
	queueTimeout = 5 * time.Second
)

// acceptLast has no further connection begin at a listener, and returns when those that have are accepted, as whoever
// accepts them does meanwhile: the kernel resets what is left when a listener is closed, although requests may have
// been sent by it. Who asks for a connection meanwhile is not answered, and asks again (after a second).
func acceptLast(l *net.TCPListener) {
	raw, err := l.SyscallConn()
	if err != nil {
		return // it is closed
	}
	// Of a TCP header, the flags: SYN without ACK begins a connection.
	const flags, syn, synAck = 13, 0x02, 0x12
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: synAck},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	_ = raw.Control(func(fd uintptr) { // without it, a connection that begins in the last moment is reset
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	time.Sleep(handshakes)
	for end := time.Now().Add(queueTimeout); waiting(raw.Control) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// waiting is how many connections of a listener wait to be accepted.
func waiting(control func(func(uintptr)) error) (n uint32) {
	_ = control(func(fd uintptr) { // a listener that is closed has none
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Unacked // which is that, of a listener
		}
	})
	return n
}
