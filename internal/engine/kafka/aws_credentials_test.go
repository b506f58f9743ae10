package kafka

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// stsStub answers as AWS's STS does, and keeps what it was asked.
type stsStub struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // action, role, session, token, and whose key signed
}

func newSTS(t *testing.T, life time.Duration) *stsStub {
	t.Helper()
	s := new(stsStub)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		_, signer, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		signer, _, _ = strings.Cut(signer, "/")
		action := r.Form.Get("Action")
		s.mu.Lock()
		s.asked = append(s.asked, strings.Join([]string{action, r.Form.Get("RoleArn"), r.Form.Get("RoleSessionName"),
			r.Form.Get("WebIdentityToken"), signer}, " "))
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>rolesecret</SecretAccessKey><SessionToken>roletoken</SessionToken><Expiration>%[2]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, time.Now().Add(life).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stsStub) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

const awsRole = "arn:aws:iam::123456789012:role/kafka"

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARoleIsTakenOnByAWebIdentityOrByKeys(t *testing.T) {
	t.Parallel()
	const file = "# of the team\n[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key=s\n\n[ kafka ]\naws_access_key_id=AKIAFILE\naws_secret_access_key = filesecret\n"
	for name, test := range map[string]struct {
		security settings.Security
		want     string // the key that brokers see
		asked    string // of STS, "" for nothing
	}{
		"keys in a file": {settings.Security{AWSCredentialsFile: writeFile(t, "credentials", file)}, "AKIADEFAULT", ""},
		"a profile":      {settings.Security{AWSCredentialsFile: writeFile(t, "credentials", file), AWSProfile: "kafka"}, "AKIAFILE", ""},
		"a role by keys": {settings.Security{AWSAccessKeyID: "AKIASTATIC", AWSSecretAccessKey: settings.NewSecret("s"), AWSRoleARN: awsRole},
			"ASIAROLE", "AssumeRole " + awsRole + " messaging-kafka  AKIASTATIC"},
		"a role by keys in a file": {settings.Security{AWSCredentialsFile: writeFile(t, "config", strings.ReplaceAll(file, "[ kafka ]", "[profile kafka]")),
			AWSProfile: "kafka", AWSRoleARN: awsRole, AWSRoleSessionName: "orders"}, "ASIAROLE", "AssumeRole " + awsRole + " orders  AKIAFILE"},
		"a web identity": {settings.Security{AWSWebIdentityTokenFile: writeFile(t, "token", "jwt.of.pod\n"), AWSRoleARN: awsRole},
			"ASIAROLE", "AssumeRoleWithWebIdentity " + awsRole + " messaging-kafka jwt.of.pod "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sts := newSTS(t, time.Hour)
			test.security.AWSRegion = "eu-central-1"
			source := newAWSSource(test.security, 10*time.Second)
			source.stsEndpoint = sts.URL
			for range 3 {
				creds, region, err := source.signingInput(t.Context(), "broker.example.com")
				if err != nil || creds.AccessKeyID != test.want || region != "eu-central-1" {
					t.Fatalf("got %s in %s, %v", creds.AccessKeyID, region, err)
				}
			}
			var want []string
			if test.asked != "" {
				want = []string{test.asked} // once for all connections
			}
			if got := sts.questions(); strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("STS was asked %q, want %q", got, want)
			}
		})
	}
}

func TestTheTokenOfAWebIdentityIsReadAnewWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	sts := newSTS(t, -time.Minute) // what it gives has ended already
	path := writeFile(t, "token", "first")
	source := newAWSSource(settings.Security{AWSRegion: "eu-central-1", AWSRoleARN: awsRole, AWSWebIdentityTokenFile: path}, 10*time.Second)
	source.stsEndpoint = sts.URL
	for _, token := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := source.signingInput(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(sts.questions(), "|"); !strings.Contains(got, " first ") || !strings.Contains(got, " second ") {
		t.Errorf("STS was asked %s", got)
	}
}

func TestFilesOfAWSThatAreNoGoodAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		security settings.Security
		want     string
	}{
		"no profile":       {settings.Security{AWSCredentialsFile: writeFile(t, "c", "[other]\naws_access_key_id=canary\n")}, "aws_credentials_file has no profile [default]: set aws_profile"},
		"no keys":          {settings.Security{AWSCredentialsFile: writeFile(t, "c", "[default]\ncredential_process = canary\n")}, "has no aws_access_key_id and aws_secret_access_key in the profile [default]"},
		"no file":          {settings.Security{AWSCredentialsFile: "/nowhere/credentials"}, "reading aws_credentials_file"},
		"a device":         {settings.Security{AWSCredentialsFile: "/dev/zero"}, "not a regular file"},
		"an empty token":   {settings.Security{AWSWebIdentityTokenFile: writeFile(t, "t", "\n"), AWSRoleARN: awsRole}, "aws_web_identity_token_file is empty"},
		"no token":         {settings.Security{AWSWebIdentityTokenFile: "/nowhere/token", AWSRoleARN: awsRole}, "reading aws_web_identity_token_file"},
		"a folder outside": {settings.Security{AWSWebIdentityTokenFile: writeFile(t, "t", "canary"), AWSRoleARN: awsRole, AllowedFolders: []string{"/var/empty"}}, "in none of the folders"},
	} {
		test.security.AWSRegion = "eu-central-1"
		source := newAWSSource(test.security, 10*time.Second)
		source.stsEndpoint = "http://127.0.0.1:1"
		_, _, err := source.signingInput(t.Context(), "b")
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
