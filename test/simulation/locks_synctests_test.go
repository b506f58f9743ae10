//go:build synctests

package simulation

const locksPass = true
