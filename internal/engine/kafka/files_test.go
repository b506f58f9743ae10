//go:build unix

package kafka

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// fileTrouble makes the files that settings must not name.
func fileTrouble(t *testing.T) map[string]struct{ path, why string } {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", in("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	if err := os.WriteFile(in("large"), make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", in("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]struct{ path, why string }{
		"a device without end": {"/dev/zero", "not a regular file but a device"},
		"a link to one":        {in("link"), "not a regular file but a device"},
		"a pipe":               {in("pipe"), "not a regular file but a pipe"},
		"a socket":             {in("socket"), "not a regular file but a socket"},
		"a folder":             {dir, "not a regular file but a folder"},
		"a large file":         {in("large"), "larger than 1048576 bytes"},
		"a missing file":       {in("missing"), "no such file"},
		"an empty file":        {in("empty"), "PEM"},
	}
}

func TestFilesThatAreNoneAreNamedAndNotTheBroker(t *testing.T) {
	t.Parallel()
	for name, trouble := range fileTrouble(t) {
		for _, setting := range []string{"tls_ca_file", "tls_cert_file", "tls_key_file"} {
			security := settings.Security{Protocol: settings.TLS}
			cert, key := selfSigned(t)
			switch setting {
			case "tls_ca_file":
				security.TLSCAFile = trouble.path
			case "tls_cert_file":
				security.TLSCertFile, security.TLSKey = trouble.path, settings.NewSecret(key)
			case "tls_key_file":
				security.TLSCert, security.TLSKeyFile = cert, trouble.path
			}
			access := newAccess(t, clusterAt(security, "broker.example.com:9093"))
			_, err := access.Dial(t.Context(), "tcp", "broker.example.com:9093")
			if err == nil {
				t.Fatalf("%s as %s: no error", name, setting)
			}
			d := access.Explain(err)
			if name == "an empty file" {
				if d.Class != ClassFile {
					t.Errorf("%s as %s: %+v", name, setting, d)
				}
			} else if d.Class != ClassFile || !strings.Contains(d.Text, setting) || !strings.Contains(d.Text, trouble.why) {
				t.Errorf("%s as %s: %+v, want %q", name, setting, d, trouble.why)
			}
			if strings.Contains(d.Text, "broker.example.com") {
				t.Errorf("%s as %s: the broker is blamed: %s", name, setting, d.Text)
			}
		}
	}
}

func TestTheFileForATokenEndpointIsReadWithTheSameCare(t *testing.T) {
	t.Parallel()
	issuer := startIssuer(t, time.Hour, true)
	for name, trouble := range fileTrouble(t) {
		if name == "an empty file" {
			continue // has no certificate, which the endpoint's own trouble is
		}
		security := issuer.security()
		security.TLSCAFile = trouble.path
		access := newAccess(t, clusterAt(security, "127.0.0.1:1"))
		_, err := first(t, access)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		if d := access.Explain(err); d.Class != ClassFile || !strings.Contains(d.Text, trouble.why) {
			t.Errorf("%s: %+v, want %q", name, d, trouble.why)
		}
	}
}

func TestNoFileOutsideOfTheAllowedFoldersIsRead(t *testing.T) {
	t.Parallel()
	allowed, other := t.TempDir(), t.TempDir()
	ca, _ := selfSigned(t)
	for _, dir := range []string{allowed, other} {
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte(ca), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// As Kubernetes mounts secrets: the name is a link within the folder.
	for name, to := range map[string]string{"inside": "ca.pem", "outside": filepath.Join(other, "ca.pem"),
		"up": "../" + filepath.Base(other) + "/ca.pem"} {
		if err := os.Symlink(to, filepath.Join(allowed, name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{
		filepath.Join(allowed, "ca.pem"): true, filepath.Join(allowed, "inside"): true, allowed + "/./ca.pem": true,
		filepath.Join(other, "ca.pem"): false, filepath.Join(allowed, "outside"): false, filepath.Join(allowed, "up"): false,
		allowed + "/../" + filepath.Base(other) + "/ca.pem": false, allowed: false, "ca.pem": false, allowed +
			"x/ca.pem": false,
	} {
		security := settings.Security{Protocol: settings.TLS, TLSCAFile: path,
			AllowedFolders: []string{filepath.Clean(allowed)}}
		source, err := newTLSSource(security,
			newAccess(t, clusterAt(settings.Security{Protocol: settings.Plaintext}, "127.0.0.1:1")).log)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.config(); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestAFileThatBecomesAPipeBlocksNobody reads files that a first look has taken for regular ones.
func TestAFileThatBecomesAPipeBlocksNobody(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ca.pem")
	ca, _ := selfSigned(t)
	if err := os.WriteFile(path, []byte(ca), 0o600); err != nil {
		t.Fatal(err)
	}
	access := newAccess(t, clusterAt(settings.Security{Protocol: settings.TLS, TLSCAFile: path}, "127.0.0.1:1"))
	if _, err := access.tlsConfig("127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := access.tlsConfig("127.0.0.1:1")
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("what was read before is not used any more: %v", err)
		}
	case <-ctx.Done():
		t.Error("reading a pipe blocks")
	}
}

// selfSigned returns a certificate and its key as PEM.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	return newAuthority(t, "files").issue(soon(), 2, "files.example.com")
}

// TestNothingOfAFileIsShown: a link may name any file, and what stands in the place of a PEM block's name is whatever
// is in it.
func TestNothingOfAFileIsShown(t *testing.T) {
	t.Parallel()
	const canary = "canary-of-another-file"
	cert, key := selfSigned(t)
	other, _ := selfSigned(t)
	block := "-----BEGIN " + canary + "-----\nQUJD\n-----END " + canary + "-----\n"
	for name, test := range map[string]struct{ cert, key, word string }{
		"for a key":           {cert, block, "the second holds no private key"},
		"for a certificate":   {block, key, "the first holds no certificate"},
		"text for a key":      {cert, canary, "the second holds no private key"},
		"a certificate twice": {cert, cert, "the second holds a certificate and no private key"},
		"a damaged key":       {cert, "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n" + canary, "damaged"},
		"a key of another":    {other, key, "is that of no certificate in the first"},
		"a key store":         {cert, "\xfe\xed\xfe\xed" + canary, "the second is a key store of Java (JKS)"},
		"a chain that is cut": {cert + cert[:100], key, "the first holds a certificate that is cut off or lacks a part"},
	} {
		dir := t.TempDir()
		security := settings.Security{Protocol: settings.TLS, TLSCertFile: filepath.Join(dir, "cert"),
			TLSKeyFile: filepath.Join(dir, "key")}
		for path, text := range map[string]string{security.TLSCertFile: test.cert, security.TLSKeyFile: test.key} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		access := newAccess(t, clusterAt(security, "broker.example.com:9093"))
		_, err := access.Dial(t.Context(), "tcp", "broker.example.com:9093")
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		if d := access.Explain(err); strings.Contains(d.Text+err.Error(), "canary") || !strings.Contains(d.Text, test.word) ||
			!strings.Contains(d.Text, "tls_cert_file") || !strings.Contains(d.Text, "tls_key_file") {
			t.Errorf("%s: %s", name, d.Text)
		}
	}
}

// TestFilesAreMendedAsTextsAre: what is mended is a matter of the text and not of how it gets here.
func TestFilesAreMendedAsTextsAre(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "files")
	cert, key := ca.issue(soon(), 2, "files.example.com")
	decoded, _ := pem.Decode([]byte(key))
	//lint:ignore SA1019 the way of old is what the standard library can write
	block, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", decoded.Bytes, []byte("opens"), x509.PEMCipherAES128) //nolint:staticcheck // see above
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ cert, key string }{
		"as they are":           {cert, key},
		"on one line":           {strings.ReplaceAll(cert, "\n", " "), strings.ReplaceAll(key, "\n", `\r\n`)},
		"base64 of all":         {base64.StdEncoding.EncodeToString([]byte(cert)), base64.StdEncoding.EncodeToString([]byte(key))},
		"both in both":          {key + cert, cert + key},
		"authority first":       {ca.pem + cert, key},
		"a key with a password": {cert, string(pem.EncodeToMemory(block))},
	} {
		dir := t.TempDir()
		security := settings.Security{Protocol: settings.TLS, TLSCertFile: filepath.Join(dir, "cert"), TLSKeyFile: filepath.Join(dir, "key"),
			TLSCAFile: filepath.Join(dir, "ca"), TLSKeyPassword: settings.NewSecret("opens")}
		for path, text := range map[string]string{security.TLSCertFile: test.cert, security.TLSKeyFile: test.key,
			security.TLSCAFile: strings.ReplaceAll(ca.pem, "\n", "\t")} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		source, err := newTLSSource(security, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		config, err := source.config()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if first := config.Certificates[0].Leaf.DNSNames; len(first) == 0 || first[0] != "files.example.com" {
			t.Errorf("%s: shows the certificate of %v", name, first)
		}
	}
}
