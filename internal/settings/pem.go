package settings

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// isPEM tells whether text is meant to be PEM.
func isPEM(text string) bool { return strings.Contains(text, "-----BEGIN ") }

// normalPEM undoes what environments that take one line only make of PEM: line breaks written as \n.
func normalPEM(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if isPEM(text) && !strings.Contains(strings.TrimSpace(text), "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	return strings.TrimSpace(text) + "\n"
}

// parseCertificates checks that text is one or more certificates and nothing that no TLS library would take. It never
// shows what it refuses: a key may have been put in the place of a certificate.
func parseCertificates(text string) (string, error) {
	text = normalPEM(text)
	rest, count := []byte(text), 0
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return "", refuse("", "holds a private key, which belongs in tls_key")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", refuse("", "holds a certificate that is damaged (number %d)", count+1)
		}
		count++
	}
	if count == 0 {
		if isFilePath(text) {
			return "", refuse("", "is no PEM text; to name a file, use the setting that ends in _file")
		}
		return "", refuse("", "holds no certificate: PEM text with -----BEGIN CERTIFICATE----- is needed")
	}
	return text, nil
}

// parsePrivateKey checks that text is a private key that is not encrypted.
func parsePrivateKey(text string) (Secret, error) {
	text = normalPEM(text)
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if strings.HasPrefix(block.Type, "ENCRYPTED") || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return Secret{}, refuse("", "is an encrypted key: give it decrypted, the secret is protection enough")
		}
		if !isPrivateKey(block.Bytes) {
			return Secret{}, refuse("", "holds a key that is damaged or of a kind that TLS does not use")
		}
		return NewSecret(text), nil
	}
	if isFilePath(text) {
		return Secret{}, refuse("", "is no PEM text; to name a file, use tls_key_file")
	}
	return Secret{}, refuse("", "holds no private key: PEM text with -----BEGIN PRIVATE KEY----- is needed")
}

func isPrivateKey(der []byte) bool {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch key.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
			return true
		}
		return false
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return true
	}
	_, err := x509.ParseECPrivateKey(der)
	return err == nil
}

// isPair tells whether the key belongs to the first certificate.
func isPair(cert string, key Secret) bool {
	_, err := tls.X509KeyPair([]byte(cert), []byte(key.Reveal()))
	return err == nil
}

func isFilePath(text string) bool {
	text = strings.TrimSpace(text)
	return !strings.Contains(text, "\n") &&
		(strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasSuffix(text, ".pem"))
}

// parseEndpoint reads the URL of a token endpoint.
func parseEndpoint(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "":
		// The text may hold a password, so it is not shown.
		return "", refuse("", "is not a URL: write https://host/path")
	case u.User != nil:
		return "", refuse("", "holds a user: user and password go to oauth_client_id and oauth_client_secret")
	case u.Fragment != "":
		return "", refuse("", "holds a # with something behind it, which is never sent")
	}
	return text, nil
}

// crossesInClear tells whether a request to the endpoint can be read on the network.
func crossesInClear(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" {
		return false
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		return !ip.IsLoopback()
	}
	return !strings.EqualFold(u.Hostname(), "localhost")
}

// The characters of OAuth scopes (RFC 6749, section 3.3), and of the names and values of SASL extensions (RFC 7628,
// section 3.1).
var (
	scopeText     = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)
	extensionName = regexp.MustCompile(`^[A-Za-z]+$`)
	extensionText = regexp.MustCompile(`^[\t\x20-\x7e]+$`)
)

// parseScopes reads OAuth scopes, which OAuth itself separates by spaces.
func parseScopes(text string) ([]string, error) {
	scopes := list(strings.Join(strings.Fields(text), ","))
	if len(scopes) == 0 {
		return nil, refuse(text, "names no scope")
	}
	for _, scope := range scopes {
		if !scopeText.MatchString(scope) {
			return nil, refuse(scope, "holds a character that no OAuth scope has")
		}
	}
	return scopes, nil
}

// parseExtensions reads SASL extensions.
func parseExtensions(text string) (map[string]string, error) {
	extensions := make(map[string]string)
	for _, part := range list(text) {
		name, content, found := strings.Cut(part, "=")
		name, content = strings.TrimSpace(name), strings.TrimSpace(content)
		if !found || !extensionName.MatchString(name) || !extensionText.MatchString(content) {
			// The part behind the = may be a key to something.
			return nil, refuse("", "is not a list of name=value, with names of letters only")
		}
		if strings.EqualFold(name, "auth") {
			return nil, refuse("", "names the extension auth, which is the token itself")
		}
		if _, twice := extensions[name]; twice {
			return nil, refuse("", "names an extension twice")
		}
		extensions[name] = content
	}
	if len(extensions) == 0 {
		return nil, refuse("", "names no extension")
	}
	return extensions, nil
}
