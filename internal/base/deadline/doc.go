// Package deadline gives contexts with a deadline to operations that mostly end long before it.
//
// A timer for each call of a component costs more than the call's own bookkeeping. So calls that begin about the same
// time share a context: [Shared] keeps the current one, [Shared.Take] hands out a [Lease] of it, and whoever is done
// calls [Lease.Release]. A lease lasts at least as long as was asked for, and up to a hundredth longer.
//
// The dispatcher takes one for each call, a share group for each record, the producer for each publish. The package
// starts no goroutine; timers are those of package context, and end with the last lease.
package deadline
