// Package pemtext reads certificates and private keys as people have them: PEM text that a shell, a YAML file, a secret
// store or a form has put on one line, indented, quoted or encoded once more, and the bytes of DER. What cannot change
// the meaning is undone without a word: whatever comes out has been read as a certificate or key in full. All else is
// an error that says what is wrong and how to mend it, and that never shows what it is about.
package pemtext
