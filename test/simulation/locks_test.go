//go:build !synctests

package simulation

// locksPass tells whether the Kafka client's locks can be waited for in virtual time. They can by the build tag
// synctests of the client, which make and verify set.
const locksPass = false
