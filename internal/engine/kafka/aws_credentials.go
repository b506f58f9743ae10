package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// givenAWS are the credentials that the settings themselves lead to, nil where the default chain is asked: keys, or
// keys in a file.
func givenAWS(s *settings.Security) aws.CredentialsProvider {
	switch {
	case s.AWSAccessKeyID != "":
		return credentials.NewStaticCredentialsProvider(s.AWSAccessKeyID, s.AWSSecretAccessKey.Reveal(), s.AWSSessionToken.Reveal())
	case s.AWSCredentialsFile != "":
		return credentialsFile{s}
	}
	return nil
}

// credentialsFile reads a shared credentials file for each connection: it has some lines, and may change. Only keys are
// taken of it, so that nothing in it makes the program run another one or ask somebody else.
type credentialsFile struct{ s *settings.Security }

// Retrieve implements [aws.CredentialsProvider].
func (f credentialsFile) Retrieve(context.Context) (aws.Credentials, error) {
	data, err := readFile("aws_credentials_file", f.s.AWSCredentialsFile, f.s)
	if err != nil {
		return aws.Credentials{}, err
	}
	profile := f.s.AWSProfile
	if profile == "" {
		profile = "default"
	}
	keys, found := profileOf(string(data), profile)
	switch {
	case !found:
		return aws.Credentials{}, fmt.Errorf("aws_credentials_file has no profile [%s]: set aws_profile", profile)
	case keys["aws_access_key_id"] == "" || keys["aws_secret_access_key"] == "":
		return aws.Credentials{}, fmt.Errorf("aws_credentials_file has no aws_access_key_id and aws_secret_access_key in the profile [%s], and nothing else of it is used", profile)
	}
	return aws.Credentials{
		AccessKeyID: keys["aws_access_key_id"], SecretAccessKey: keys["aws_secret_access_key"],
		SessionToken: keys["aws_session_token"], Source: "aws_credentials_file",
	}, nil
}

// profileOf reads what a profile has, from a file as AWS's programs write it, be it credentials or config.
func profileOf(text, profile string) (keys map[string]string, found bool) {
	keys = make(map[string]string)
	within := false
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			name, _, _ := strings.Cut(line[1:], "]")
			name = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "profile "))
			within = name == profile
			found = found || within
		case within:
			name, value, _ := strings.Cut(line, "=")
			keys[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	return keys, found
}

// tokenFile reads the token of a web identity whenever it is needed: it is renewed while we run.
type tokenFile struct{ s *settings.Security }

// GetIdentityToken implements [stscreds.IdentityTokenRetriever].
func (f tokenFile) GetIdentityToken() ([]byte, error) {
	data, err := readFile("aws_web_identity_token_file", f.s.AWSWebIdentityTokenFile, f.s)
	if err != nil {
		return nil, err
	}
	if data = []byte(strings.TrimSpace(string(data))); len(data) == 0 {
		return nil, errors.New("aws_web_identity_token_file is empty")
	}
	return data, nil
}

// role takes on the role of the settings, once for all connections: its credentials renew themselves. base says who
// asks for it, where no web identity does.
func (s *awsSource) role(region string, base aws.CredentialsProvider) (aws.CredentialsProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asRole != nil {
		return s.asRole, nil
	}
	const attempts = 2 // the Kafka client tries again
	options := sts.Options{Region: region, HTTPClient: s.httpClient, RetryMaxAttempts: attempts}
	if s.stsEndpoint != "" {
		options.BaseEndpoint = &s.stsEndpoint
	}
	name := cmp.Or(s.security.AWSRoleSessionName, softwareName)
	if file := s.security.AWSWebIdentityTokenFile; file != "" {
		client := sts.New(options)
		s.asRole = aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(client, s.security.AWSRoleARN, tokenFile{s.security},
			func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = name }))
		return s.asRole, nil
	}
	if base == nil {
		return nil, errors.New("nobody is there who could take on aws_role_arn")
	}
	options.Credentials = base
	s.asRole = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.New(options), s.security.AWSRoleARN,
		func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = name }))
	return s.asRole, nil
}
