package settings

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/base/pemtext"
)

// parseCertificates reads one or more certificates of a chain. It never shows what it refuses: a key may have been put
// in the place of a certificate.
func parseCertificates(text string) (string, error) {
	certs, err := readCertificates(text)
	if err != nil {
		return "", err
	}
	if len(certs.Skipped) > 0 {
		return "", refuse("", "holds a certificate that is damaged (number %d)", certs.Skipped[0])
	}
	return string(certs.PEM()), nil
}

// authorities makes a setting of certificates of authorities, of which those that cannot be read are left out as long
// as there are others.
func authorities(key string, place func(*draft) *string) value {
	v := into(kindPEM, parseCertificates, place)
	v.set = func(d *draft, text string) error {
		certs, err := readCertificates(text)
		if err != nil {
			return err
		}
		*place(d) = string(certs.PEM())
		for _, number := range certs.Skipped {
			d.remark(key, "has a certificate that cannot be read and is left out (number %d)", number)
		}
		return nil
	}
	return v
}

func readCertificates(text string) (*pemtext.Certificates, error) {
	certs, err := pemtext.ReadCertificates([]byte(text))
	if errors.Is(err, pemtext.ErrNoCertificate) && isFilePath(text) {
		return nil, refuse("", "is no PEM text; to name a file, use the setting that ends in _file")
	}
	if err != nil {
		return nil, refuse("", "%s", err.Error())
	}
	if certs.HasKey {
		return nil, refuse("", "holds a private key, which belongs in the setting for the key")
	}
	return certs, nil
}

// parsePrivateKey reads a private key. One that is encrypted stays so until its password is known.
func parsePrivateKey(text string) (Secret, error) {
	key, err := pemtext.ReadKey([]byte(text), "")
	switch {
	case errors.Is(err, pemtext.ErrNoKey) && isFilePath(text):
		return Secret{}, refuse("", "is no PEM text; to name a file, use tls_key_file")
	case errors.Is(err, pemtext.ErrEncrypted):
		return NewSecret(text), nil
	case err != nil:
		return Secret{}, refuse("", "%s", err.Error())
	}
	return NewSecret(string(key.PEM())), nil
}

// pairNames are the settings of a certificate that is shown, its key and the password of that.
type pairNames struct{ cert, key, password string }

// pairRules open a key, which is not encrypted from then on, and put the certificates of its chain in order. Whoever
// has given the key has given its password.
func (p *parse) pairRules(n pairNames, cert *string, key, password *Secret) {
	if p.level(n.password) < p.level(n.key) {
		*password = Secret{}
	}
	read, err := pemtext.ReadKey([]byte(key.Reveal()), password.Reveal())
	switch {
	case errors.Is(err, pemtext.ErrEncrypted):
		p.fail(n.key, "is an encrypted key: its password goes into %s", n.password)
		return
	case errors.Is(err, pemtext.ErrPassword):
		p.fail(n.password, "does not open the key in %s", n.key)
		return
	case err != nil:
		p.fail(n.key, "the value %s", err.Error()) // the password has shown more of it
		return
	}
	if !read.WasEncrypted {
		p.unused("the key in "+n.key+" is not encrypted", n.password)
	}
	*key, *password = NewSecret(string(read.PEM())), Secret{}
	certs, err := pemtext.ReadCertificates([]byte(*cert))
	if err != nil {
		p.fail(n.cert, "the value %s", err.Error())
		return
	}
	moved, is := certs.InOrder(read.Private.Public())
	if !is {
		p.fail(n.key, "does not belong to a certificate in %s", n.cert)
		return
	}
	if moved {
		p.warn(n.cert, "is not in order, the certificate of the key first and behind each the one that has signed it; it is used in that order")
		*cert = string(certs.PEM())
	}
}

func isFilePath(text string) bool {
	text = strings.TrimSpace(text)
	return !strings.Contains(text, "\n") &&
		(strings.HasPrefix(text, "/") || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "file:") ||
			strings.HasSuffix(text, ".pem") || strings.HasSuffix(text, ".crt") || strings.HasSuffix(text, ".key"))
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
