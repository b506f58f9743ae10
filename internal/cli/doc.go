// Package cli is the command line of messaging-kafka, and its life as a provider when a host starts it without any.
//
// [Main] parses the arguments, runs a command and returns the exit status. Without arguments, and with something on
// standard input, it is a provider: it reads the host's data and calls provider.Run. Otherwise a command does the work:
// dev, check, par, status, ctl, tail, dead-letters, bridge and version, each with its flags in a file of its own here
// and its work in a package of its own (cli/dev, cli/check, cli/par, cli/overview, cli/letters, bridge).
//
// Signals end the context that Main hands down; a second one ends the process. Output for people goes to standard
// output, the log to standard error, and --json is for scripts. Nothing here speaks to Kafka or NATS itself.
package cli
