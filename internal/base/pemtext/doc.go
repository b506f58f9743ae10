// Package pemtext reads certificates and private keys as people have them: PEM text that a shell, a YAML file, a secret
// store or a form has put on one line, indented, quoted or encoded once more, and the bytes of DER.
//
// What cannot change the meaning is undone without a word: whatever comes out has been read as a certificate or key in
// full, of the length that it says to have. What somebody has to decide, the order of a chain and certificates that Go
// cannot read, the caller learns and tells. All else is an error that says what is wrong and how to mend it, and that
// never shows what it is about: a link may name any file, and a key may stand in the place of a certificate.
//
// Encrypted keys are opened by the standard library's PBKDF2 and ciphers, with a bound on the rounds, since whoever
// gives the key chooses their number.
package pemtext
