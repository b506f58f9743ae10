package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/kafka"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// expiresSoon is how long before its end a certificate is worth a warning.
const expiresSoon = 14 * 24 * time.Hour

// hostReport is how far the way to one bootstrap address goes.
type hostReport struct {
	findings []Finding
	usable   bool
	versions *kversion.Versions
}

// reach tries all bootstrap addresses at once and returns those that lead to a Kafka. Where there is one, the failures
// of others are warnings: clients go on with the next.
func (r *run) reach(ctx context.Context) []string {
	hosts := r.settings.Cluster.Hosts
	reports := make([]hostReport, len(hosts))
	var trying sync.WaitGroup
	for i, host := range hosts {
		trying.Go(func() { reports[i] = r.reachHost(ctx, host) })
	}
	trying.Wait()
	r.checkOwnCertificate()
	var usable []string
	for i, report := range reports {
		if report.usable {
			usable = append(usable, hosts[i])
			if r.versions == nil {
				r.versions = report.versions
			}
		}
	}
	for _, report := range reports {
		for _, f := range report.findings {
			if f.Status == Fail && len(usable) > 0 {
				f.Status = Warn
				f.Text += " (clients go on with the other addresses in hosts)"
			}
			r.add(f)
		}
	}
	if r.versions != nil {
		r.checkFeatures()
	}
	return usable
}

func (r *run) reachHost(ctx context.Context, host string) hostReport {
	h := hostTrial{run: r, host: host}
	h.try(ctx)
	return h.report
}

// hostTrial is the try of one bootstrap address.
type hostTrial struct {
	*run
	host   string
	access *kafka.Access
	report hostReport
}

func (h *hostTrial) add(step Step, status Status, text string) {
	h.report.findings = append(h.report.findings, Finding{step, h.host, status, "", text})
}

// fail notes why a step failed, and that those after it up to versions cannot run.
func (h *hostTrial) fail(step Step, err error) {
	h.report.findings = append(h.report.findings, failedBy(h.access, step, h.host, err))
	for _, later := range steps[slices.Index(steps, step)+1 : slices.Index(steps, StepVersions)+1] {
		h.add(later, Skipped, fmt.Sprintf("%s failed", step))
	}
}

func (h *hostTrial) try(ctx context.Context) {
	cluster := h.settings.Cluster
	cluster.Hosts = []string{h.host}
	access, err := kafka.NewAccess(cluster, h.opts.Logger)
	h.access = h.run.access
	if err != nil {
		h.fail(StepName, err)
		return
	}
	access.Redact(&h.secrets)
	h.access = access
	ips, err := access.Resolve(ctx, h.host)
	if err != nil {
		h.fail(StepName, err)
		return
	}
	if text := fmt.Sprint(ips[0]); len(ips) == 1 && strings.Contains(h.host, text) {
		h.add(StepName, OK, "is an address, no name to resolve")
	} else {
		h.add(StepName, OK, "resolves to "+strings.Trim(fmt.Sprint(ips), "[]"))
	}
	conn, err := access.Connect(ctx, h.host)
	if err != nil {
		h.fail(StepTCP, err)
		return
	}
	defer conn.Close()
	h.add(StepTCP, OK, "connected to "+conn.RemoteAddr().String())
	security := cluster.Security
	if security.Protocol.UsesTLS() {
		state, err := access.Secure(ctx, conn, h.host)
		if err != nil {
			h.fail(StepTLS, err)
			return
		}
		h.describeTLS(state)
	} else {
		h.add(StepTLS, Skipped, "not used: security_protocol is "+string(security.Protocol))
	}
	h.authenticate(ctx)
}

// describeTLS tells whom the broker presented itself as.
func (h *hostTrial) describeTLS(state *tls.ConnectionState) {
	if len(state.PeerCertificates) == 0 {
		h.add(StepTLS, Warn, tls.VersionName(state.Version)+", the broker showed no certificate")
		return
	}
	cert := state.PeerCertificates[0]
	status, text := OK, fmt.Sprintf("%s, certificate %s", tls.VersionName(state.Version), describeCertificate(cert))
	if time.Until(cert.NotAfter) < expiresSoon {
		status, text = Warn, text+": renew it"
	}
	if h.settings.Cluster.Security.TLSInsecureSkipVerify {
		status, text = Warn, text+"; it was not verified (tls_insecure_skip_verify)"
	}
	h.add(StepTLS, status, text)
}

func describeCertificate(cert *x509.Certificate) string {
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	text := fmt.Sprintf("of %s", orNone(cert.Subject.String()))
	if len(names) > 0 {
		text += " for " + strings.Join(names, ", ")
	}
	days := int(time.Until(cert.NotAfter) / (24 * time.Hour))
	return text + fmt.Sprintf(", issued by %s, valid until %s (%d days)", orNone(cert.Issuer.String()),
		cert.NotAfter.UTC().Format(time.DateOnly), days)
}

func orNone(name string) string {
	if name == "" {
		return "(no name)"
	}
	return name
}

// checkOwnCertificate looks at the link's client certificate: brokers refuse one that has expired with few words.
func (r *run) checkOwnCertificate() {
	const target = "client certificate"
	cert, err := r.access.ClientCertificate()
	for _, remark := range r.access.CertificateRemarks() {
		r.add(Finding{StepTLS, remark.Setting, Warn, "", remark.Text})
	}
	switch {
	case err != nil:
		r.add(Finding{StepTLS, target, Fail, kafka.ClassTLSClientCert, err.Error()})
	case cert == nil:
	case time.Now().After(cert.NotAfter) || time.Now().Before(cert.NotBefore):
		r.add(Finding{StepTLS, target, Fail, kafka.ClassTLSClientCert,
			fmt.Sprintf("%s has expired or is not valid yet (valid from %s): renew tls_cert", describeCertificate(cert),
				cert.NotBefore.UTC().Format(time.DateOnly))})
	case time.Until(cert.NotAfter) < expiresSoon:
		r.add(Finding{StepTLS, target, Warn, "", describeCertificate(cert) + ": renew it"})
	default:
		r.add(Finding{StepTLS, target, OK, "", describeCertificate(cert)})
	}
}

// authenticate does what a client does with a new connection, and asks for the versions of the broker.
func (h *hostTrial) authenticate(ctx context.Context) {
	security := h.settings.Cluster.Security
	first := StepVersions // the step that the first words on the connection belong to
	if security.Protocol.UsesSASL() {
		first = StepSASL
	} else {
		h.add(StepSASL, Skipped, "not used: security_protocol is "+string(security.Protocol))
	}
	client, err := kgo.NewClient(h.access.Options()...)
	if err != nil {
		h.fail(first, err)
		return
	}
	defer client.Close()
	broker := client.SeedBrokers()[0]
	// Brokers answer to the question for versions, and to no other, before a client has authenticated.
	if _, err := ask[*kmsg.MetadataResponse](ctx, broker, noTopics()); err != nil {
		h.fail(first, err)
		return
	}
	if security.Protocol.UsesSASL() {
		h.add(StepSASL, OK, "authenticated by "+string(security.Mechanism)+as(security))
	}
	resp, err := ask[*kmsg.ApiVersionsResponse](ctx, broker, versionsRequest())
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		h.fail(StepVersions, err)
		return
	}
	h.report.versions, h.report.usable = kversion.FromApiVersionsResponse(resp), true
	h.add(StepVersions, OK, "Kafka "+strings.TrimPrefix(h.report.versions.VersionGuess(), "v")+
		", as far as its API versions tell")
}

func as(security settings.Security) string {
	switch security.Mechanism {
	case settings.Plain, settings.ScramSHA256, settings.ScramSHA512:
		return fmt.Sprintf(" as %q", security.Username)
	case settings.OAuthBearer:
		return fmt.Sprintf(" with a token for %q", security.OAuthClientID)
	default:
		return ""
	}
}

// noTopics asks for the brokers only. Without topics nothing can be created by the question.
func noTopics() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	return req
}

func versionsRequest() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "messaging-kafka", "check"
	return req
}

// checkFeatures compares what the link asks for with what the broker knows.
func (r *run) checkFeatures() {
	tooOld := func(text string) { r.add(Finding{StepVersions, "", Fail, kafka.ClassBrokerTooOld, text}) }
	if v, ok := r.versions.LookupMaxKeyVersion(int16(kmsg.Produce)); !ok || v < 3 {
		tooOld("the broker is older than Kafka 0.11, whose records have no headers: update it")
	}
	if c := &r.settings.Consumer; c.Enabled() {
		switch {
		case c.GroupProtocol == settings.GroupConsumer && !r.featured(kmsg.ConsumerGroupHeartbeat, "group.version"),
			c.GroupProtocol == settings.GroupShare && !r.featured(kmsg.ShareGroupHeartbeat, "share.version"):
			tooOld(r.access.Explain(kerr.UnsupportedVersion).Text)
		}
	}
	if v, ok := r.versions.LookupMaxKeyVersion(int16(kmsg.Produce)); ok && v < 7 &&
		r.settings.Producer.Client.Compression == settings.CompressionZstd {
		tooOld(r.access.Explain(kerr.UnsupportedCompressionType).Text)
	}
}

// featured tells whether brokers know a request and the cluster has switched its feature on.
func (r *run) featured(key kmsg.Key, feature string) bool {
	if !r.versions.HasKey(int16(key)) {
		return false
	}
	known, on := false, false
	r.versions.EachFinalizedFeature(func(name string, level int16) {
		known = true
		on = on || (name == feature && level > 0)
	})
	return on || !known // a cluster that tells of no features cannot be asked
}
