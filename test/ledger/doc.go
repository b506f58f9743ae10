// Package ledger is what the suites have in common that count what becomes of records while things break: the names of
// records and of their places, the marks of those that came, the table of rules with what broke them, and the search
// for secrets in all that was said.
package ledger
