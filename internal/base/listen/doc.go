// Package listen has what servers of HTTP have in common.
//
// [Address] makes an address to listen at of a setting: one without a host is the loopback's, so that nothing is
// reachable from outside unless somebody asked for it. [Hosts] are the names under which a server answers: its own
// address, and those that a setting adds. A request under another name is refused, or a page in somebody's browser
// could reach the server by a name that leads to it (DNS rebinding).
//
// The admin address and the bridge's address for callers use it. It opens no socket and starts no goroutine.
package listen
