// Package role tells what a link has the provider do.
//
// A [Role] follows from the WIT package and the interfaces that the link names, and from which end of it the provider
// is: whether records are handed over and in which way ([Role.Delivery]), and whether the component publishes. [Of]
// works it out, and refuses what cannot be: an interface that is not known, or one that is linked the wrong way round.
//
// The provider and `messaging-kafka check` use the same one, so that check refuses what the provider refuses. route
// takes a Role with each thing that it is to do. It keeps no state.
package role
