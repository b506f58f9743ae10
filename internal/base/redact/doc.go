// Package redact takes secrets out of texts that others have written: a broker, a token endpoint, a collector or a
// NATS server that repeats in an error what it was sent would otherwise have it put into the log, the status, health,
// and errors to components. A type that cannot be printed does not help there, since the text comes from outside.
//
// A [Redactor] knows the secrets of the process: [Redactor.Add] adds some until they are taken back, which a route
// does while it is there. [Redactor.Secrets], [Redactor.Value] and [Redactor.Err] clean a text, an attribute and an
// error; [Redactor.Logger] is the handler around the log. Each secret is found in the forms that programs print it in:
// quoted, base64, hexadecimal, escaped for JSON and URLs.
//
// There is one Redactor for each process. Its methods may be called by many goroutines at once; it starts none.
package redact
