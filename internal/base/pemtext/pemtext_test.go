package pemtext

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// authority signs certificates; the zero one is of nobody.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate, one of an authority where ca is set.
func (a authority) issue(name string, ca bool) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: ca,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return authority{cert, key}
}

func (a authority) pem() string { return toPEM("CERTIFICATE", a.cert.Raw) }

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// The chain of the tests, made anew for each run.
var (
	rootCA  = authority{}.issue("root", true)
	middle  = rootCA.issue("middle", true)
	leaf    = middle.issue("leaf", false)
	other   = authority{}.issue("other", true)
	pkcs8DE = func() []byte {
		der, err := x509.MarshalPKCS8PrivateKey(leaf.key)
		if err != nil {
			panic(err)
		}
		return der
	}()
	keyPEM = toPEM("PRIVATE KEY", pkcs8DE)
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func utf16le(s string) string {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func utf16be(s string) string {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return string(out)
}

func base(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// harmless are the ways in which a text is mangled and that change nothing of what it says.
var harmless = map[string]func(string) string{
	"as it is":                        func(s string) string { return s },
	"without a break at the end":      func(s string) string { return strings.TrimRight(s, "\n") },
	"line breaks of Windows":          crlf,
	"line breaks of old Macs":         func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
	`line breaks written as \n`:       func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) },
	`line breaks written as \r\n`:     func(s string) string { return strings.ReplaceAll(s, "\n", `\r\n`) },
	`line breaks written as \\n`:      func(s string) string { return strings.ReplaceAll(s, "\n", `\\n`) },
	`breaks, and those written as \n`: func(s string) string { return strings.ReplaceAll(s, "\n", "\\n\n") },
	`lines that go on by \`:           func(s string) string { return strings.ReplaceAll(s, "\n", "\\\n") },
	"spaces for line breaks":          func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
	"tabs for line breaks":            func(s string) string { return strings.ReplaceAll(s, "\n", "\t") },
	"hard spaces for line breaks":     func(s string) string { return strings.ReplaceAll(s, "\n", "\u00a0") },
	"no line breaks":                  func(s string) string { return strings.ReplaceAll(s, "\n", "") },
	"breaks twice":                    func(s string) string { return strings.ReplaceAll(s, "\n", "\n\n") },
	"indented":                        func(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") },
	"in quotes":                       func(s string) string { return `"` + s + `"` },
	"as lines of a program": func(s string) string {
		return `"` + strings.ReplaceAll(s, "\n",
			"\\n\",\n\"") + `"`
	},
	"a byte order mark":           func(s string) string { return "\ufeff" + s },
	"UTF-16 of Windows":           utf16le,
	"UTF-16, the other way round": utf16be,
	"talk around it": func(s string) string {
		return "Bag Attributes\n    friendlyName: a\nsubject=CN = x\n" + s + "the end\n"
	},
	"base64 of all":          base,
	"base64 of all in lines": func(s string) string { return strings.Join(chunks(base(s), 60), "\n") },
	"base64 of all, twice":   func(s string) string { return base(base(s)) },
	"base64 in quotes":       func(s string) string { return `"` + base(s) + `"` },
	"base64 without its end": func(s string) string { return strings.TrimRight(base(s), "=") },
	"escaped as in a URL":    url.PathEscape,
	"escaped as in a form":   url.QueryEscape,
	"escaped, hyphens too": func(s string) string {
		return strings.ReplaceAll(url.PathEscape(s), "-", "%2D")
	},
}

func chunks(s string, size int) []string {
	var parts []string
	for len(s) > size {
		parts, s = append(parts, s[:size]), s[size:]
	}
	return append(parts, s)
}

func TestCertificatesThatAreMangledAreReadAsTheyWere(t *testing.T) {
	t.Parallel()
	want := leaf.pem() + middle.pem() + rootCA.pem()
	for name, mangle := range harmless {
		got, err := ReadCertificates([]byte(mangle(want)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if string(got.PEM()) != want {
			t.Errorf("%s: got other certificates", name)
		}
	}
}

func TestKeysThatAreMangledAreReadAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, mangle := range harmless {
		got, err := ReadKey([]byte(mangle(keyPEM)), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if string(got.PEM()) != keyPEM || !got.Private.(*ecdsa.PrivateKey).Equal(leaf.key) {
			t.Errorf("%s: got another key", name)
		}
	}
}

func TestOtherFormsOfTheSameAreTaken(t *testing.T) {
	t.Parallel()
	cert := leaf.pem()
	for name, text := range map[string]string{
		"DER":                      string(leaf.cert.Raw),
		"base64 of DER":            base(string(leaf.cert.Raw)),
		"a name of old":            toPEM("X509 CERTIFICATE", leaf.cert.Raw),
		"without its last line":    strings.Split(cert, "-----END")[0],
		"with its key before it":   keyPEM + cert,
		"without = at its end":     strings.ReplaceAll(cert, "=", ""),
		"with a space in its name": strings.ReplaceAll(cert, "-----BEGIN CERTIFICATE-----", "-----BEGIN  CERTIFICATE -----"),
	} {
		if got, err := ReadCertificates([]byte(text)); err != nil || string(got.PEM()) != cert {
			t.Errorf("%s: %v", name, err)
		}
	}
	sec1, err := x509.MarshalECPrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"DER":                     string(pkcs8DE),
		"base64 of DER":           base(string(pkcs8DE)),
		"a key of old":            toPEM("EC PRIVATE KEY", sec1),
		"a key of old in DER":     string(sec1),
		"its parameters first":    toPEM("EC PARAMETERS", sec1[:8]) + toPEM("EC PRIVATE KEY", sec1),
		"its certificate first":   cert + keyPEM,
		"a key of old, new label": toPEM("PRIVATE KEY", sec1),
	} {
		if got, err := ReadKey([]byte(text), ""); err != nil || !got.Private.(*ecdsa.PrivateKey).Equal(leaf.key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cut takes lines out of a block, its first and last ones not counted.
func cut(text string, from, to int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(append(append([]string(nil), lines[:from]...), lines[to:]...), "\n")
}

func TestCertificatesThatCannotBeMendedAreNamed(t *testing.T) {
	t.Parallel()
	cert := leaf.pem()
	lines := strings.Split(cert, "\n")
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                    {" \n", "is empty"},
		"a word":                     {"hello", "holds no certificate: PEM text with -----BEGIN CERTIFICATE----- is needed"},
		"a line is missing":          {cut(cert, 2, 3), "holds a certificate that is cut off or lacks a part: "},
		"the second is cut off":      {cert + strings.Join(lines[:3], "\n"), "bytes are there (number 2)"},
		"the first is cut off":       {strings.Join(lines[:3], "\n") + "\n" + cert, "bytes are there (number 1)"},
		"the second is cut at once":  {cert + "-----BEGIN CERTIFICATE-----\n", "holds a certificate that is empty (number 2)"},
		"dots for a part":            {strings.Join([]string{lines[0], lines[1], "...", lines[len(lines)-2]}, "\n"), "was shortened by somebody"},
		"an ellipsis for a part":     {lines[0] + lines[1] + "…" + lines[len(lines)-2], "was shortened by somebody"},
		"stars for a part":           {lines[0] + "\n********\n" + lines[len(lines)-2], "was shortened by somebody"},
		"a foreign character":        {strings.Replace(cert, lines[3], "#"+lines[3][1:], 1), "has a character in its line 4 that no base64 has (number 1)"},
		"two in one":                 {strings.Replace(cert+cert, lines[len(lines)-2]+"\n"+lines[0]+"\n", "", 1), "(number 1)"},
		"another end":                {strings.Replace(cert, "-----END CERTIFICATE", "-----END PUBLIC KEY", 1), "its BEGIN and END lines differ (number 1)"},
		"bytes that are none":        {toPEM("CERTIFICATE", []byte("x")), "holds a certificate that is damaged at its beginning (number 1)"},
		"a sequence that is none":    {toPEM("CERTIFICATE", []byte{0x30, 1, 0}), "holds a certificate that is damaged (number 1)"},
		"no beginning":               {strings.Join(lines[1:], "\n"), "has its end and not its beginning"},
		"four hyphens":               {cert[1:], "has a damaged beginning"},
		"dashes of a word processor": {strings.ReplaceAll(cert, "--", "–"), "has a damaged beginning"},
		"a beginning without end":    {"-----BEGIN CERTIFICATE", "has a damaged beginning"},
		"a request":                  {toPEM("CERTIFICATE REQUEST", leaf.cert.Raw), "holds a request for a certificate (CSR)"},
		"a public key":               {toPEM("PUBLIC KEY", leaf.cert.Raw), "holds a public key and no certificate"},
		"OpenSSL's own":              {toPEM("TRUSTED CERTIFICATE", leaf.cert.Raw), "openssl x509 -in FILE"},
		"PKCS#7 in PEM":              {toPEM("PKCS7", leaf.cert.Raw), "openssl pkcs7 -in FILE"},
		"a CRL":                      {toPEM("X509 CRL", leaf.cert.Raw), "list of revoked certificates"},
		"a key":                      {keyPEM, "holds a private key and no certificate"},
		"a key in DER":               {string(pkcs8DE), "holds a private key and no certificate"},
		"another thing":              {toPEM("CANARY", leaf.cert.Raw), "holds no certificate: PEM text"},
		"DER that is cut off":        {string(leaf.cert.Raw[:100]), "is cut off or lacks a part: 100 of its"},
		"a store of Java":            {"\xfe\xed\xfe\xed\x00\x00\x00\x02more", "is a key store of Java (JKS) and not PEM: keytool -list -rfc -keystore FILE > cert.pem"},
		"a store of Java in base64":  {base("\xfe\xed\xfe\xed" + strings.Repeat("\x00", 60)), "is a key store of Java (JKS)"},
		"a web page":                 {"<!DOCTYPE html><title>Log in</title>", "is a web page"},
		"a placeholder":              {"${KAFKA_CA}", "is a placeholder that nothing has filled in"},
	} {
		_, err := ReadCertificates([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "MII")) {
			t.Errorf("%s: shows what it is about: %v", name, err)
		}
	}
}

func TestKeysThatCannotBeMendedAreNamed(t *testing.T) {
	t.Parallel()
	x25519 := []byte{0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20}
	x25519 = append(x25519, make([]byte, 32)...)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":                 {"", "is empty"},
		"a word":                  {"canary", "holds no private key: PEM text with -----BEGIN PRIVATE KEY----- is needed"},
		"a line is missing":       {cut(keyPEM, 2, 3), "holds a private key that is cut off or lacks a part: "},
		"bytes that are none":     {toPEM("PRIVATE KEY", []byte("x")), "holds a private key that is damaged at its beginning"},
		"a sequence that is none": {toPEM("PRIVATE KEY", []byte{0x30, 1, 0}), "holds a private key that is damaged or of a kind that TLS does not use"},
		"of a kind without use":   {toPEM("PRIVATE KEY", x25519), "holds a private key of a kind that TLS does not use"},
		"a certificate":           {leaf.pem(), "holds a certificate and no private key"},
		"a certificate in DER":    {string(leaf.cert.Raw), "holds a certificate and no private key"},
		"a public key":            {toPEM("PUBLIC KEY", leaf.cert.Raw), "holds a public key and no private key"},
		"of OpenSSH":              {toPEM("OPENSSH PRIVATE KEY", leaf.cert.Raw), "ssh-keygen -p -m PKCS8"},
		"no beginning":            {strings.SplitN(keyPEM, "\n", 2)[1], "has its end and not its beginning"},
		"four hyphens":            {keyPEM[1:], "has a damaged beginning"},
		"four hyphens, of old":    {"----BEGIN RSA PRIVATE KEY----", "has a damaged beginning"},
		"a store of Java":         {"\xfe\xed\xfe\xedmore", "keytool -importkeystore -srckeystore FILE"},
	} {
		_, err := ReadKey([]byte(test.text), "canary")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: shows what it is about: %v", name, err)
		}
	}
}

func TestACertificateThatGoCannotReadIsLeftOutByNumber(t *testing.T) {
	t.Parallel()
	whole := toPEM("CERTIFICATE", []byte{0x30, 3, 2, 1, 0})
	got, err := ReadCertificates([]byte(rootCA.pem() + whole + other.pem()))
	if err != nil || len(got.List) != 2 || len(got.Skipped) != 1 || got.Skipped[0] != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAChainIsPutInOrderByTheKey(t *testing.T) {
	t.Parallel()
	want := leaf.pem() + middle.pem() + rootCA.pem()
	for name, test := range map[string]struct {
		text  string
		moved bool
		want  string
	}{
		"in order":          {want, false, want},
		"backwards":         {rootCA.pem() + middle.pem() + leaf.pem(), true, want},
		"authorities mixed": {leaf.pem() + rootCA.pem() + middle.pem(), true, want},
		"one of another":    {other.pem() + leaf.pem(), true, leaf.pem() + other.pem()},
		"alone":             {leaf.pem(), false, leaf.pem()},
		"itself twice":      {leaf.pem() + leaf.pem(), false, leaf.pem() + leaf.pem()},
	} {
		certs, err := ReadCertificates([]byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		moved, is := certs.InOrder(leaf.key.Public())
		if !is || moved != test.moved || string(certs.PEM()) != test.want {
			t.Errorf("%s: moved %v, is %v", name, moved, is)
		}
	}
	certs, err := ReadCertificates([]byte(rootCA.pem()))
	if err != nil {
		t.Fatal(err)
	}
	if _, is := certs.InOrder(leaf.key.Public()); is {
		t.Error("a chain of another key is taken for one of this")
	}
}

func TestRSAKeysOfOldAreRead(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text := toPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	got, err := ReadKey([]byte(text), "")
	if err != nil || string(got.PEM()) != text {
		t.Errorf("got %v", err)
	}
}

// TestWhoeverTrustsAuthoritiesIsToldOfThoseThatAreLeftOut, with where they stand.
func TestWhoeverTrustsAuthoritiesIsToldOfThoseThatAreLeftOut(t *testing.T) {
	t.Parallel()
	got, err := ReadCertificates([]byte(rootCA.pem() + toPEM("CERTIFICATE", []byte{0x30, 3, 2, 1, 0})))
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	got.Pool(slog.New(slog.NewTextHandler(&said, nil)).With("setting", "ca_file"))
	if want := `level=WARN msg="certificates that cannot be read are left out" setting=ca_file numbers=[2]`; !strings.Contains(said.String(), want) {
		t.Errorf("the log has %q, without %q", said.String(), want)
	}
	said.Reset()
	(&Certificates{List: got.List}).Pool(slog.New(slog.NewTextHandler(&said, nil)))
	if said.Len() > 0 {
		t.Errorf("the log has %q where nothing is left out", said.String())
	}
}
