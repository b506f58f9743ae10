// Package route puts to work what links ask for. It is Kafka's side of a front-end: the front-end knows who is at the
// other end, and how records reach them; this package knows everything between that and Kafka.
//
// A front-end makes one [Set] for its process and opens a [Route] in it for each link (or entry of a file) that it has:
//
//	routes := route.NewSet(route.Options{Log: log, Metrics: metrics, Secrets: secrets})
//	r := routes.Open(route.ID{Peer: "echo", Name: "default"}, route.Label{Direction: status.Source})
//	r.Apply(route.Wanted{Role: role.Messages, Settings: settings, Receiver: receiver})
//
// [Route.Apply] is called again with each change. It returns at once: the route brings what runs in line with what was
// last asked for, in the background, and moves no more than it must. Other credentials are exchanged while all goes on;
// anything else is published by at once, and has the old reading end before the new one begins, or one process would be
// two members of a group.
// [Route.Refuse] says that a link cannot be carried out, [Set.Drop] that it is gone.
//
// Records go the way that [Wanted.Receiver] makes: a [record.Receiver] for each reading, made of what the reading lends
// to it (see [Delivery]). Two routes of one peer and name that ask for the same records share one reading, as links of
// wasmCloud in both directions do; two that would take them from each other are told apart by the order of their ids.
//
// Whoever publishes finds the route by [Set.Find] and calls [Route.Publish], [Route.Send] or [Route.Request].
//
// The set tells how all of that is: [Set.Problems] for health, [Set.Status] for the page and `messaging-kafka status`,
// and [Set.Snapshot] for metrics. [Set.Stop] ends it in two phases. First no route reads any more, and what is with
// receivers is finished, which may publish by any route; then the routes end.
//
// Nothing here speaks to a lattice or serves HTTP, and no front-end imports a Kafka client.
package route
