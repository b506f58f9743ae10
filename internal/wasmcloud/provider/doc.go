// Package provider is the capability provider for hosts of wasmCloud 1.x: it joins the lattice, keeps a route of the
// engine for each link, and passes calls between components and Kafka.
//
// [Run] is its life, from the host's data to the host's shutdown. Links that the lattice puts become routes (link.go);
// records become calls of handle-message (messages.go) or of a handler or processor of records (records.go), each by a
// [record.Receiver]; calls of publish, request and send find the route of the component and the link that they came
// by. Health, status and shutdown are those of the process and its routes.
//
// Run owns all that it starts, and ends it in order: reading stops first, what components hold is finished, then
// publishing ends, then calls of components are not served any more. The package imports no Kafka client: what it
// knows of Kafka is route's and produce's words.
package provider
