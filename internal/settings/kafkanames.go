package settings

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// keyProperties is the setting that has a whole properties file.
const keyProperties = "kafka_properties"

// translation is what a setting of Kafka's own clients is here.
type translation struct {
	// to are the settings that get the value.
	to []string
	// value makes ours of theirs; nil takes it as it is.
	value func(string) (string, error)
	// sensitive tells that the value is a secret although none of to is.
	sensitive bool
	// unused says why the setting is of no use here, with to empty; "" for one that says what is so anyway.
	unused string
}

// as is a translation by another name alone.
func as(to ...string) translation { return translation{to: to} }

// millis makes a duration of Kafka's number.
func millis(text string) (string, error) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return text, nil // with a unit it is one of ours; all else is refused there
	}
	return text + "ms", nil
}

// words translates some words and leaves others alone.
func words(pairs ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		for i := 0; i < len(pairs); i += 2 {
			if strings.EqualFold(text, pairs[i]) {
				return pairs[i+1], nil
			}
		}
		return text, nil
	}
}

// onlyPEM refuses the kinds of key stores that hold no PEM.
func onlyPEM(text string) (string, error) {
	if !strings.EqualFold(text, "PEM") {
		return "", refuse("", "is for a key store that is not PEM: keytool -list -rfc -keystore FILE > cert.pem makes PEM of its certificates, and openssl pkcs12 -in FILE -nocerts -noenc -out key.pem of the key in a PKCS#12 store")
	}
	return "", nil
}

const (
	javasOwn   = "it says how a Java program is put together, and records are handed over as they are"
	noMeaning  = "there is nothing like it here"
	committed  = "offsets are committed when records are done"
	noPassword = "PEM has no password around its certificates; the one of a key is tls_key_password"
)

// foreign are names of settings of Kafka's Java clients and of librdkafka, in canonical form, besides those that the
// declarations have.
var foreign = map[string]translation{
	"metadata_broker_list":     as(keyHosts),
	"sasl_mechanisms":          as(keyMechanism),
	"ssl_ca_location":          as("tls_ca_file"),
	"ssl_ca_pem":               as("tls_ca"),
	"ssl_certificate_location": as("tls_cert_file"),
	"ssl_certificate_pem":      as("tls_cert"),
	"ssl_key_location":         as("tls_key_file"),
	"ssl_key_pem":              as("tls_key"),
	"ssl_truststore_location":  as("tls_ca_file"),
	"ssl_keystore_location":    as("tls_cert_file", "tls_key_file"),
	"ssl_truststore_type":      {value: onlyPEM},
	"ssl_keystore_type":        {value: onlyPEM},
	"ssl_truststore_password":  {sensitive: true, unused: noPassword},
	"ssl_keystore_password":    {sensitive: true, unused: noPassword},
	"enable_ssl_certificate_verification": {to: []string{"tls_insecure_skip_verify"}, value: words("false", "true",
		"true", "false")},
	"ssl_endpoint_identification_algorithm": {value: func(text string) (string, error) {
		if text != "" && !strings.EqualFold(text, "https") {
			return "", refuse("", "switches the check of the brokers' names off, which goes with that of their certificates here: leave it out and set tls_server_name to a name that the certificates have, or tls_insecure_skip_verify=true for experiments")
		}
		return "", nil
	}},
	"ssl_enabled_protocols": {to: []string{"tls_min_version"}, value: oldestTLS},
	"ssl_protocol":          {unused: "tls_min_version says which versions of TLS are taken"},
	"ssl_provider":          {unused: javasOwn},

	"sasl_oauthbearer_client_id":     as("oauth_client_id"),
	"sasl_oauthbearer_client_secret": as("oauth_client_secret"),
	"sasl_oauthbearer_extensions":    as("oauth_extensions"),
	"sasl_oauthbearer_method":        {unused: "tokens are fetched from oauth_token_endpoint"},

	"compression_codec":                  as("compression"),
	"message_max_bytes":                  as("max_message_bytes"),
	"request_required_acks":              as("acks"),
	"queue_buffering_max_ms":             {to: []string{"linger"}, value: millis},
	"message_timeout_ms":                 {to: []string{"publish_timeout"}, value: millis},
	"socket_timeout_ms":                  {to: []string{"request_timeout"}, value: millis},
	"topic_metadata_refresh_interval_ms": {to: []string{"metadata_max_age"}, value: millis},
	"fetch_wait_max_ms":                  {to: []string{"fetch_max_wait"}, value: millis},

	"key_serializer":                        {unused: javasOwn},
	"value_serializer":                      {unused: javasOwn},
	"key_deserializer":                      {unused: javasOwn},
	"value_deserializer":                    {unused: javasOwn},
	"interceptor_classes":                   {unused: javasOwn},
	"sasl_client_callback_handler_class":    {unused: javasOwn},
	"sasl_login_callback_handler_class":     {unused: javasOwn},
	"sasl_login_class":                      {unused: javasOwn},
	"enable_auto_commit":                    {unused: committed},
	"enable_auto_offset_store":              {unused: committed},
	"partition_assignment_strategy":         {unused: "group_protocol says how partitions are shared out"},
	"heartbeat_interval_ms":                 {unused: "it follows from session_timeout"},
	"max_poll_records":                      {unused: "max_in_flight and batch_max_records bound what is handed over at once"},
	"max_in_flight_requests_per_connection": {unused: noMeaning},
	"buffer_memory":                         {unused: "max_buffer bounds what waits"},
	"retry_backoff_ms":                      {unused: noMeaning},
	"reconnect_backoff_ms":                  {unused: noMeaning},
	"reconnect_backoff_max_ms":              {unused: noMeaning},
	"connections_max_idle_ms":               {unused: noMeaning},
	"client_dns_lookup":                     {unused: noMeaning},
	"security_providers":                    {unused: javasOwn},
	"allow_auto_create_topics":              {unused: "create_topics says whether topics are created"},
	"api_version_request":                   {unused: noMeaning},
	"broker_address_family":                 {unused: noMeaning},
	"statistics_interval_ms":                {unused: noMeaning},
	"debug":                                 {unused: noMeaning},
}

// oldestTLS makes the oldest version of a list of them.
func oldestTLS(text string) (string, error) {
	versions := list(text)
	switch {
	case slices.Contains(versions, "TLSv1.2"):
		return "1.2", nil
	case slices.Contains(versions, "TLSv1.3"):
		return "1.3", nil
	}
	return "", refuse(text, "has neither TLSv1.2 nor TLSv1.3, which are those that are spoken")
}

// valueOf are translations of values of settings that the declarations have by their name in Kafka.
var valueOf = map[string]func(string) (string, error){
	"auto_offset_reset": words("smallest", "earliest", "beginning", "earliest", "largest", "latest", "end", "latest"),
}

// translations are all names of Kafka's clients, in canonical form, that are no settings here.
var translations = func() map[string]translation {
	all := make(map[string]translation)
	maps.Copy(all, foreign)
	for i := range sections {
		for j := range sections[i].settings {
			s := &sections[i].settings[j]
			name := canonical(s.kafka)
			if s.kafka == "" || name == s.name {
				continue
			}
			t := as(s.name)
			if t.value = valueOf[name]; t.value == nil && strings.HasSuffix(s.kafka, ".ms") {
				t.value = millis
			}
			all[name] = t
		}
	}
	return all
}()

const keyJAAS = "sasl_jaas_config"

// translated are the settings that a value of Kafka's own clients means. It is false where the canonical name is none
// of theirs.
func (s *source) translated(name string, g given) ([]option, bool) {
	if name == keyJAAS {
		return s.fromJAAS(g), true
	}
	t, is := translations[name]
	if !is {
		return nil, false
	}
	text := strings.TrimSpace(g.text)
	if t.value != nil {
		ours, err := t.value(text)
		if err != nil {
			s.refuse(name, g, err)
			return nil, true
		}
		text = ours
	} else {
		text = g.text
	}
	if t.unused != "" {
		if t.sensitive && !g.secret {
			s.warn(g.spelling, "is sensitive and stands in plain config, where everyone in the lattice can read it")
		}
		s.warn(g.spelling, "is not used: %s", t.unused)
	}
	ours := make([]option, 0, len(t.to))
	for _, to := range t.to {
		ours = append(ours, option{to, text})
	}
	return ours, true
}

func (s *source) fromJAAS(g given) []option {
	entry, err := parseJAAS(g.text)
	var ours []option
	var unused []string
	if err == nil {
		ours, unused, err = entry.settings()
	}
	if err != nil {
		s.refuse(keyJAAS, g, err)
		return nil
	}
	for _, name := range unused {
		s.warn(g.spelling, "has the option %s, which is not used", shorten(name))
	}
	return ours
}

// refuse keeps an error about a value that has no setting of ours to be about.
func (s *source) refuse(name string, g given, err error) {
	show := !g.secret && name != keyJAAS && !translations[name].sensitive
	problem := err.Error()
	if bad, ok := errors.AsType[*badValue](err); ok {
		problem = bad.problem(show)
	}
	s.problems = append(s.problems, &Error{Key: strings.ReplaceAll(name, "_", "."), Problem: problem})
}

// properties puts what a whole file says, where it is not said by itself.
func (s *source) properties() {
	g, is := s.values[keyProperties]
	if !is || g.clash != nil {
		return
	}
	entries, err := parseProperties(g.text)
	if err != nil {
		s.problems = append(s.problems, &Error{Key: keyProperties, Problem: err.Error()})
		return
	}
	read := make(map[string]given)
	var strange []property
	for _, entry := range entries {
		if !entry.named && !Knows(entry.key) {
			strange = append(strange, entry)
			continue
		}
		s.put(read, entry.key, given{text: entry.value, secret: true})
	}
	if len(strange) > 0 {
		s.warn(keyProperties, "has lines without the name of a setting, which are not used (%d, the first is line %d): where a value goes on in the next line, each line but its last ends with a \\",
			len(strange), strange[0].line)
	}
	for name, one := range read {
		if _, itself := s.values[name]; !itself && name != keyProperties {
			s.values[name] = one
		}
	}
}

// foreignSecrets are the texts in settings of Kafka's clients that must not be shown.
func foreignSecrets(key, text string) []string {
	switch name := canonical(key); {
	case name == keyJAAS:
		entry, err := parseJAAS(text)
		if err != nil {
			return []string{text}
		}
		var values []string
		for _, o := range entry.options {
			if ProvesWho(o.name) {
				values = append(values, o.value)
			}
		}
		return values
	case name == keyProperties:
		entries, err := parseProperties(text)
		if err != nil {
			return []string{text}
		}
		var values []string
		for _, entry := range entries {
			values = append(values, foreignSecrets(entry.key, entry.value)...)
			if decl := declared[canonical(entry.key)]; decl != nil && decl.sensitive {
				values = append(values, entry.value)
			}
		}
		return values
	case translations[name].sensitive:
		return []string{text}
	default:
		for _, to := range translations[name].to {
			if declared[to].sensitive {
				return []string{text}
			}
		}
	}
	return nil
}

// Knows tells whether a name is that of a setting here, or of one of Kafka's clients that means one.
func Knows(name string) bool {
	name = canonical(name)
	_, theirs := translations[name]
	return declared[name] != nil || theirs || name == keyJAAS
}
