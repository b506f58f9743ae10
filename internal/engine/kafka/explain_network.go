package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

func sprintf(class Class, format string, args ...any) (Diagnosis, bool) {
	return Diagnosis{class, fmt.Sprintf(format, args...)}, true
}

// explainTLS knows failed handshakes, and connections that broke because one side spoke TLS and the other did not.
func explainTLS(err error, in situation) (Diagnosis, bool) {
	dial, dialling := errors.AsType[*DialError](err)
	inHandshake := dialling && dial.TLS
	where := in.place(addressOf(err))

	// x509 errors arrive by value inside *tls.CertificateVerificationError.
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return sprintf(ClassTLSServerName,
			"the certificate of %s is for %s, not for %q: set tls_server_name to a name that it holds, or use such a name in hosts and in the broker's advertised.listeners",
			where, strings.Join(namesOf(e.Certificate), ", "), e.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return sprintf(ClassTLSUnknownCA,
			"the certificate of %s is signed by a certificate authority that is not trusted: put that authority's certificate in tls_ca", where)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return sprintf(ClassTLSExpired,
				"the certificate of %s has expired or is not valid yet (valid from %s to %s): renew it, or set this machine's clock",
				where, e.Cert.NotBefore.UTC().Format("2006-01-02 15:04 MST"), e.Cert.NotAfter.UTC().Format("2006-01-02 15:04 MST"))
		}
		return sprintf(ClassTLSOther, "the certificate of %s is not acceptable: %v", where, e)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return sprintf(ClassTLSToPlaintext,
			"%s does not speak TLS on this port: set security_protocol to PLAINTEXT or SASL_PLAINTEXT, or connect to the port of a TLS listener", where)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "appear to be a tls alert record"):
		return plaintextToTLS(where)
	case strings.Contains(text, "remote error: tls: "):
		return explainAlert(text, where, in)
	case inHandshake && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return sprintf(ClassTLSToPlaintext,
			"%s closed the connection during the TLS handshake, as brokers do on a port without TLS: set security_protocol to PLAINTEXT or SASL_PLAINTEXT, or connect to the port of a TLS listener", where)
	case inHandshake && strings.Contains(text, "protocol version"):
		return sprintf(ClassTLSOther, "%s and this client have no TLS version in common: %v; check tls_min_version",
			where, dial.Err)
	case inHandshake && !isTimeout(err):
		return sprintf(ClassTLSOther, "making a TLS connection to %s: %v", where, dial.Err)
	}
	return Diagnosis{}, false
}

func plaintextToTLS(where string) (Diagnosis, bool) {
	return sprintf(ClassPlaintextToTLS,
		"%s expects TLS on this port: set security_protocol to SSL or SASL_SSL, or connect to the port of a listener without TLS", where)
}

// explainAlert knows what the other side of TLS complained about. A TLS 1.3 server checks the client's certificate
// after the handshake, so this can come as the error of the first read.
func explainAlert(text, where string, in situation) (Diagnosis, bool) {
	_, alert, _ := strings.Cut(text, "remote error: tls: ")
	switch {
	case strings.HasPrefix(alert, "certificate required") && in.hasCert:
		// A client keeps back a certificate of none of the authorities that the other side names.
		return sprintf(ClassTLSClientCert,
			"%s does not accept the client certificate: tls_cert is not signed by an authority that the broker trusts", where)
	case strings.HasPrefix(alert, "certificate required"),
		(strings.HasPrefix(alert, "bad certificate") || strings.HasPrefix(alert, "handshake failure")) &&
			in.known && !in.hasCert:
		return sprintf(ClassTLSClientCert, "%s wants a client certificate: set tls_cert and tls_key", where)
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "unknown certificate authority"):
		return sprintf(ClassTLSClientCert,
			"%s does not accept the client certificate (%s): check tls_cert and tls_key, and that the broker trusts the authority that signed it", where, alert)
	case strings.Contains(alert, "protocol version"):
		return sprintf(ClassTLSOther,
			"%s accepts none of the TLS versions offered: lower tls_min_version, or update the broker", where)
	case strings.Contains(alert, "unrecognized name"):
		return sprintf(ClassTLSServerName, "%s does not know the server name it was asked for: set tls_server_name", where)
	}
	return sprintf(ClassTLSOther, "%s ended the TLS connection: %s", where, alert)
}

// namesOf lists what a certificate is for.
func namesOf(cert *x509.Certificate) []string {
	names := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"no name at all"}
	}
	return names
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// explainNetwork knows names, ports and connections that break.
func explainNetwork(err error, in situation) (Diagnosis, bool) {
	dial, dialling := errors.AsType[*DialError](err)
	where := in.place(addressOf(err))
	if dialling && !dial.Seed && !dial.TLS {
		// The bootstrap address worked, or this one would not be known.
		return sprintf(ClassAdvertised,
			"a broker told clients to connect to %s, and that address cannot be reached from here (%s): set the broker's advertised.listeners to an address that can, or make this one reachable",
			where, reason(dial.Err))
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return sprintf(ClassDNS, "the name of %s cannot be resolved (%s): check hosts and the DNS of this machine",
			where, reason(err))
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return sprintf(ClassRefused, "nothing listens at %s (connection refused): check hosts, and that Kafka is up", where)
	case dialling && isTimeout(err) && dial.TLS:
		return sprintf(ClassTimeout,
			"%s accepted the connection and then did not answer the TLS handshake in time, as a port without TLS may do: check that security_protocol is the one of this port", where)
	case dialling && isTimeout(err):
		return sprintf(ClassTimeout,
			"connecting to %s took too long: check hosts and the firewalls on the way, or raise dial_timeout", where)
	case dialling && (errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)):
		return sprintf(ClassNetwork, "there is no route to %s: check hosts and the network", where)
	case dialling:
		return sprintf(ClassNetwork, "connecting to %s: %v", where, dial.Err)
	}
	if _, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		return explainFirstRead(err.Error(), where, in)
	}
	if !isClosed(err) {
		return Diagnosis{}, false
	}
	// A connection that broke before it was usable broke at its first words, unless it uses SASL: then those were
	// answered (the client reports them as above), and what broke it came after.
	if isInit(err) && in.known && in.protocol.UsesSASL() &&
		(errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return sprintf(ClassAuthentication,
			"%s closed the connection during authentication: it may not accept the credentials of %s (sasl_username, sasl_password, or the settings of the sasl_mechanism in use, which is %s)",
			where, in.who(), in.mechanism)
	}
	if isInit(err) && in.known && !in.protocol.UsesTLS() {
		return explainFirstRead(err.Error(), where, in)
	}
	return sprintf(ClassClosed, "%s closed the connection%s", where, in.closedHint())
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isInit tells whether the error is one of a connection that never came to be usable.
func isInit(err error) bool {
	_, ok := errors.AsType[*BrokerError](err)
	return ok
}

// explainFirstRead tells why a broker closes a connection at its first words. The client has three guesses, one for
// each point of the exchange; what protocol is in use decides which can be true.
func explainFirstRead(text, where string, in situation) (Diagnosis, bool) {
	switch {
	case strings.Contains(text, "SASL is required"):
		if in.known && in.protocol.UsesSASL() {
			return sprintf(ClassClosed, "%s closed the connection%s", where, in.closedHint())
		}
		return sprintf(ClassSASLNeeded,
			"%s closed the connection without a word after the first request, as brokers do where they require authentication: set security_protocol to SASL_SSL or SASL_PLAINTEXT, and sasl_mechanism", where)
	case in.known && in.protocol.UsesTLS() && !in.hasCert:
		return sprintf(ClassTLSClientCert,
			"%s closed the connection right after the TLS handshake: if it requires a client certificate, set tls_cert and tls_key", where)
	case in.known && in.protocol.UsesTLS():
		return sprintf(ClassClosed,
			"%s closed the connection right after the TLS handshake: it may not accept the client certificate in tls_cert, or not be a Kafka broker", where)
	default:
		return sprintf(ClassPlaintextToTLS,
			"%s closed the connection at the first request, as a port that expects TLS does: set security_protocol to SSL or SASL_SSL, or connect to the port of a listener without TLS (if the broker is restarting, this passes)", where)
	}
}

func (s situation) closedHint() string {
	if s.known && s.protocol == settings.SASLPlaintext {
		return ": the broker may be restarting, or this port may expect TLS (security_protocol SASL_SSL)"
	}
	return ": the broker may be restarting; if it persists, check that security_protocol is the one of this port"
}

// reason is the innermost text of a network error, without the addresses that are reported anyway.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case dns.IsNotFound:
			return "no such host"
		case dns.IsTimeout:
			return "the name server did not answer in time"
		}
		return dns.Err
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case isTimeout(err):
		return "no answer in time"
	}
	return err.Error()
}

// explainClient knows the errors that the client makes up itself.
func explainClient(err error, in situation) (Diagnosis, bool) {
	where := in.place(addressOf(err))
	if group, ok := errors.AsType[*kgo.ErrGroupSession](err); ok {
		return explain(group.Err, in), true
	}
	if large, ok := errors.AsType[*AnswerTooLargeError](err); ok {
		return sprintf(ClassOther, "%v", large)
	}
	switch {
	case errors.Is(err, kgo.ErrClientClosed):
		return sprintf(ClassShutDown, "the connection to Kafka is being shut down")
	case errors.Is(err, kgo.ErrRecordTimeout):
		return sprintf(ClassTimeout, "the record could not be sent within publish_timeout")
	case errors.Is(err, kgo.ErrRecordRetries):
		return sprintf(ClassTimeout, "the record could not be sent after several attempts")
	case errors.Is(err, kgo.ErrMaxBuffered):
		return sprintf(ClassThrottled, "too many records wait to be sent")
	case strings.Contains(err.Error(), "broker connection has died"), strings.Contains(err.Error(), "unknown broker"):
		return sprintf(ClassClosed, "the connection to %s is over, as when a broker goes or moves: a new one is made", where)
	case strings.Contains(err.Error(), "did not reply with that broker in the broker list"):
		return sprintf(ClassCoordinator,
			"%s names a broker for this that is not in its list of brokers: that broker may be starting or gone", where)
	case strings.Contains(err.Error(), "correlation ID mismatch"), strings.Contains(err.Error(),
		"invalid negative response size"):
		return sprintf(ClassOther, "%s sent an answer that is no Kafka answer: check that this is the port of a Kafka broker",
			where)
	case strings.Contains(err.Error(), "omitted a requested partition from an OffsetFetch"):
		return sprintf(ClassCoordinator, "the group's coordinator does not tell the partition's offset")
	case strings.Contains(err.Error(), "broker is too old"):
		return Diagnosis{ClassBrokerTooOld, brokerTooOldText}, true
	case strings.Contains(err.Error(), "response exceeds BrokerMaxReadBytes"):
		return sprintf(ClassOther,
			"%s sent an answer that is no Kafka answer or too large: check that this is the port of a Kafka broker, and fetch_max_bytes", where)
	case isTimeout(err):
		return sprintf(ClassTimeout,
			"%s did not answer in time: it may be overloaded or unreachable; request_timeout bounds the wait", where)
	case errors.Is(err, context.Canceled):
		return sprintf(ClassShutDown, "given up before Kafka answered")
	}
	return Diagnosis{}, false
}
