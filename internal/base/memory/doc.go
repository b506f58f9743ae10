// Package memory bounds what all parts of the provider hold at once: records that were read, calls, changes of links.
// A [Budget] has so many bytes, an [Account] is what one part draws from it: a link, or the calls of all components.
// [FindProcessLimit] finds out what the process may take at all, and what of that the budget is.
//
// The budget is fair. Half of it is divided among the accounts, and nobody else can take an account's part of it: a
// link whose records pile up takes nothing from the others. The other half is for whoever needs more, and no account
// may hold more of it than it leaves free. So one account alone gets half of it, two a third each, and there is always
// some left for the next.
//
// Bytes are estimates of what things cost, headers of slices and structs included, and are taken and given back in
// large portions: nothing here is called for each record. Whoever gets none waits or refuses; the package itself
// starts no goroutine.
package memory
