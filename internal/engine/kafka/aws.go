package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// awsSource holds the credentials for AWS_MSK_IAM: the ones given in the settings, else what the SDK's default
// chain finds (environment, shared files, web identity, container and instance roles), and the role that those take on.
type awsSource struct {
	security *settings.Security
	region   string
	timeout  time.Duration
	static   aws.CredentialsProvider // nil: the default chain
	// stsEndpoint and httpClient are for tests; without them it is AWS's own.
	stsEndpoint string
	httpClient  sts.HTTPClient

	mu     sync.Mutex
	loaded *aws.Config
	asRole aws.CredentialsProvider // once it was asked for
}

func newAWSSource(s settings.Security, timeout time.Duration) *awsSource {
	return &awsSource{security: &s, region: s.AWSRegion, timeout: timeout, static: givenAWS(&s)}
}

// chain returns the default configuration, read once: the credentials in it renew themselves.
func (s *awsSource) chain(ctx context.Context) (*aws.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded == nil {
		config, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, &AWSError{Err: fmt.Errorf("reading the AWS configuration of the environment: %w", err)}
		}
		s.loaded = &config
	}
	return s.loaded, nil
}

// AWSError is a failure to get what AWS_MSK_IAM authenticates with.
type AWSError struct{ Err error }

func (e *AWSError) Error() string { return e.Err.Error() }

// Is is as [TokenError.Is].
func (e *AWSError) Is(target error) bool {
	return target == context.Canceled && errors.Is(e.Err, target)
}

// Temporary tells the Kafka client to try again, as [TokenError.Temporary] does: the credentials of containers and
// machines come from services that may be away for a while.
func (*AWSError) Temporary() bool { return true }

var errNoAWSRegion = errors.New("the AWS region is not known: it is neither in the broker's name nor in the environment; set aws_region")

// signingInput returns the credentials and the region for a broker.
func (s *awsSource) signingInput(ctx context.Context, host string) (aws.Credentials, string, error) {
	provider, region := s.static, s.region
	if region == "" {
		region = regionOf(host)
	}
	byWeb := s.security.AWSWebIdentityTokenFile != ""
	if provider == nil && !byWeb || region == "" {
		config, err := s.chain(ctx)
		if err != nil {
			return aws.Credentials{}, "", err
		}
		if provider == nil {
			provider = config.Credentials
		}
		if region == "" {
			region = config.Region
		}
	}
	if region == "" {
		return aws.Credentials{}, "", errNoAWSRegion
	}
	if s.security.AWSRoleARN != "" {
		var err error
		if provider, err = s.role(region, provider); err != nil {
			return aws.Credentials{}, "", &AWSError{Err: err}
		}
	}
	creds, err := provider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, "", &AWSError{Err: fmt.Errorf("getting AWS credentials: %w", err)}
	}
	return creds, region, nil
}

var awsRegion = regexp.MustCompile(`^[a-z]{2,}(-[a-z0-9]+)+-[0-9]+$`)

// regionOf finds the region in a broker's name, as in b-1.demo.abcde.c2.kafka.eu-west-1.amazonaws.com; "" where
// there is none.
func regionOf(host string) string {
	labels := strings.Split(strings.ToLower(host), ".")
	for i := len(labels) - 1; i > 0; i-- {
		if strings.HasPrefix(labels[i], "amazonaws") {
			for j := i - 1; j >= 0; j-- {
				if awsRegion.MatchString(labels[j]) {
					return labels[j]
				}
			}
		}
	}
	return ""
}

// awsMechanism is Amazon MSK's SASL mechanism AWS_MSK_IAM (aws-msk-iam-auth, "version 2020_10_22"): a presigned
// request for kafka-cluster:Connect, sent as JSON. franz-go has the mechanism as well, but takes the region from
// the broker's name or the process environment only, which links to clusters of several regions, or behind names of
// their own, cannot use.
type awsMechanism struct{ source *awsSource }

// Name implements [sasl.Mechanism].
func (awsMechanism) Name() string { return string(settings.AWSMSKIAM) }

// Authenticate implements [sasl.Mechanism].
func (m awsMechanism) Authenticate(ctx context.Context, addr string) (sasl.Session, []byte, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.source.timeout)
	defer cancel()
	creds, region, err := m.source.signingInput(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	first, err := awsPayload(ctx, creds, region, host, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("signing the AWS_MSK_IAM request: %w", err)
	}
	return awsSession{}, first, nil
}

// emptyPayloadHash is the SHA-256 of nothing, the body of the presigned request.
const emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func awsPayload(ctx context.Context, creds aws.Credentials, region, host string, now time.Time) ([]byte, error) {
	query := url.Values{
		"Action":        {"kafka-cluster:Connect"},
		"X-Amz-Expires": {"900"}, // seconds; the most that brokers accept
	}
	target := url.URL{Scheme: "https", Host: host, Path: "/", RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, creds, request, emptyPayloadHash, "kafka-cluster", region, now)
	if err != nil {
		return nil, err
	}
	parsed, err := url.Parse(signed)
	if err != nil {
		return nil, err
	}
	payload := map[string]string{
		"version":    "2020_10_22",
		"host":       host,
		"user-agent": softwareName + "/" + softwareVersion(),
	}
	for key, values := range parsed.Query() {
		payload[strings.ToLower(key)] = values[0]
	}
	return json.Marshal(payload)
}

type awsSession struct{}

// Challenge implements [sasl.Session]: brokers answer a good request with a few words of JSON.
func (awsSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) == 0 {
		return false, nil, errors.New("the broker gave an empty answer to AWS_MSK_IAM authentication")
	}
	return true, nil, nil
}
