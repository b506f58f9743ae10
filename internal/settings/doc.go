// Package settings declares what can be set for a link and for the provider, each setting once: its name, what it may
// be, its default, its text in docs/settings.md and what people call it by mistake (declare_*.go). Rules about several
// settings together are in rules_*.go.
//
// [ParseLink] makes a [Link] of what stands in a link's config and secrets, with the provider's own as defaults, and
// [ParseProvider] a [Provider] of those. Both name everything that is wrong, as [Errors], and tell what is set in vain
// as a [Warning]; nothing is dropped in silence. A Link has typed values in it that need no further check, grouped by
// who uses them: [Cluster] to connect, [Consumer] and [Delivery] to read and hand over, [Producer] and [Request] to
// publish.
//
// A [Secret] shows nothing of itself, however it is printed. [Link.Clash] says what is wrong with two links together.
//
// A new setting is a declaration, a field of one of these types, a test and "make docs".
package settings
