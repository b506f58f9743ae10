// Package reply decides which reply subjects of peers are answered. What is published on one is published under this
// provider's rights and often with bytes that the peer has chosen, so whoever may ask it something could otherwise
// have it say anything to anybody: shut another provider down, put links, begin calls.
//
// [Inboxes] are the prefixes under which clients have their inboxes, _INBOX and those that provider_inbox_prefixes
// adds. [Inboxes.Answer] tells whether a subject is below one of them; only then may anything be published on it.
// [CheckPrefix] refuses prefixes that would let in more than inboxes.
//
// The lattice session uses it for health, status and shutdown, wrpc for calls. It connects to nothing and keeps no
// state.
package reply
