package pemtext

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
)

// foreign says what is in the place of PEM text, what to do about it, and nothing of what it has.
func foreign(data []byte, what, label string) error {
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		return errors.New("is empty")
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}), bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return fmt.Errorf("is a key store of Java (JKS) and not PEM: %s", fromStore(what, true))
	case isPKCS12(data):
		return fmt.Errorf("is a PKCS#12 store and not PEM: %s", fromStore(what, false))
	case isPKCS7(data):
		return errors.New("is PKCS#7 and not PEM: openssl pkcs7 -inform DER -in FILE -print_certs -out cert.pem")
	case isHTML(text):
		return errors.New("is a web page: what fetched it got an answer for people, such as a page to log in")
	case lineOf("BEGIN", label, text):
		return fmt.Errorf("has a damaged beginning: the line must be -----BEGIN %s-----, with five hyphens on each side", label)
	case lineOf("END", label, text):
		return fmt.Errorf("has its end and not its beginning: the line -----BEGIN %s----- is missing", label)
	case strings.HasPrefix(text, "${"), strings.HasPrefix(text, "{{"):
		return errors.New("is a placeholder that nothing has filled in")
	}
	if _, err := x509.ParseCertificates(data); err == nil && what != "certificate" {
		return errors.New("holds a certificate and no private key")
	}
	if isKey(data) && what == "certificate" {
		return errors.New("holds a private key and no certificate")
	}
	if size, known := derSize(data); known && size > len(data) {
		return fmt.Errorf("is cut off or lacks a part: %d of its %d bytes are there", len(data), size)
	}
	return none(what)
}

// Errors about texts in which there is nothing of what they are about.
var (
	ErrNoCertificate = errors.New("holds no certificate: PEM text with -----BEGIN CERTIFICATE----- is needed")
	ErrNoKey         = errors.New("holds no private key: PEM text with -----BEGIN PRIVATE KEY----- is needed")
)

func none(what string) error {
	if what == "certificate" {
		return ErrNoCertificate
	}
	return ErrNoKey
}

// fromStore is how PEM is made of a store, with the programs that come with Java and OpenSSL.
func fromStore(what string, jks bool) string {
	if what == "certificate" {
		return "keytool -list -rfc -keystore FILE > cert.pem makes PEM of its certificates"
	}
	const out = "openssl pkcs12 -in %s -nocerts -noenc -out key.pem makes PEM of its key"
	if jks {
		return "keytool -importkeystore -srckeystore FILE -destkeystore store.p12 -deststoretype PKCS12, then " + fmt.Sprintf(out, "store.p12")
	}
	return fmt.Sprintf(out, "FILE")
}

// isPKCS12 tells a store by its version, which is 3 ever, and by the kind of what comes then (RFC 7292, section 4).
func isPKCS12(data []byte) bool {
	var store struct {
		Version int
		Safe    struct {
			Kind asn1.ObjectIdentifier
			Rest asn1.RawValue `asn1:"optional"`
		}
		Rest asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(data, &store)
	return err == nil && store.Version == 3 && strings.HasPrefix(store.Safe.Kind.String(), "1.2.840.113549.1.7.")
}

func isPKCS7(data []byte) bool {
	var message struct {
		Kind asn1.ObjectIdentifier
		Rest asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(data, &message)
	return err == nil && strings.HasPrefix(message.Kind.String(), "1.2.840.113549.1.7.")
}

func isHTML(text string) bool {
	const beginning = 256 // bytes: comments and declarations come first
	text = strings.ToLower(text[:min(len(text), beginning)])
	return strings.HasPrefix(text, "<") && (strings.Contains(text, "<!doctype") || strings.Contains(text, "<html"))
}

// wrongBlock says what blocks there are in place of the one that is meant. Of labels it shows only those that it knows.
func wrongBlock(has, what string) error {
	switch has {
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return errors.New("holds a request for a certificate (CSR), and not what the authority made of it")
	case "CERTIFICATE", "X509 CERTIFICATE":
		return fmt.Errorf("holds a certificate and no %s", what)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return fmt.Errorf("holds a public key and no %s", what)
	case "TRUSTED CERTIFICATE":
		return errors.New("holds a certificate in a form of OpenSSL's own: openssl x509 -in FILE -out cert.pem makes PEM of it that others read")
	case "PKCS7", "CMS":
		return errors.New("holds PKCS#7: openssl pkcs7 -in FILE -print_certs -out cert.pem makes PEM of its certificates")
	case "X509 CRL":
		return errors.New("holds a list of revoked certificates (CRL) and none that is trusted")
	}
	return none(what)
}

// lineOf tells whether a text has what is left of a line that begins or ends a block.
func lineOf(word, label, text string) bool {
	_, behind, found := strings.Cut(text, word+" ")
	return found && strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(behind, "RSA "), "EC "), label)
}
