// Package admin serves what operators look at over HTTP: metrics, probes, the state of every link, its last fifteen
// minutes, and a page that shows all of it. Whoever reaches its address may read it, and only read it: there is no
// authentication, and nothing that changes anything.
//
// [Start] listens and returns a [Server]; a [Source] tells the status, a Gatherer of Prometheus the metrics. Two
// goroutines belong to the server, which serve and record a point of the [History] every five seconds; [Server.Close]
// waits for both. A status takes long where there are thousands of links, so those who ask meanwhile share one answer.
//
// process starts it where admin_address is set. Connections, requests and their sizes are bounded, requests under
// foreign names are refused, and probes are answered when everything else is full.
package admin
