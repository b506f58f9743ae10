// Package process has what surrounds routes in a process, whoever they are for: a log without secrets, telemetry and
// its export, the bound on the memory of the process, the process's own settings, and the address at which all of that
// is to be seen.
//
// A front-end calls [Start], opens routes in [Process.Routes], has itself shown by [Process.Serve], and calls
// [Process.Close] last of all. [Process.Configure] takes a change of the process's own config, [Process.Defaults]
// gives it to links as their defaults, and [Process.Problems] is what is wrong with it.
//
// provider and bridge use it, and nothing of it knows which of the two it is for. It starts no goroutine itself; Close
// ends those of the parts that it has started, within its context.
package process
