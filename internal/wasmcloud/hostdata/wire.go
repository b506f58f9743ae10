package hostdata

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/messaging-kafka/messaging-kafka/internal/observe/otlp"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// The wire types are the JSON as it is. They are never handed out, since they would show everything.

type wireData struct {
	HostID              string                `json:"host_id"`
	Lattice             string                `json:"lattice_rpc_prefix"`
	LinkName            string                `json:"link_name"`
	LatticeUserJWT      string                `json:"lattice_rpc_user_jwt"`
	LatticeUserSeed     string                `json:"lattice_rpc_user_seed"`
	LatticeURL          string                `json:"lattice_rpc_url"`
	ProviderKey         string                `json:"provider_key"`
	EnvValues           map[string]string     `json:"env_values"`
	InstanceID          string                `json:"instance_id"`
	Links               []wireLink            `json:"link_definitions"`
	ClusterIssuers      []string              `json:"cluster_issuers"`
	Config              map[string]string     `json:"config"`
	Secrets             map[string]wireSecret `json:"secrets"`
	HostXKeyPublic      string                `json:"host_xkey_public_key"`
	ProviderXKeyPrivate string                `json:"provider_xkey_private_key"`
	DefaultRPCTimeoutMS *uint64               `json:"default_rpc_timeout_ms,omitempty"`
	StructuredLogging   bool                  `json:"structured_logging"`
	LogLevel            string                `json:"log_level,omitempty"`
	OTel                otlp.HostConfig       `json:"otel_config"`
}

type wireLink struct {
	SourceID      string            `json:"source_id"`
	Target        string            `json:"target"`
	Name          string            `json:"name"`
	WITNamespace  string            `json:"wit_namespace"`
	WITPackage    string            `json:"wit_package"`
	Interfaces    []string          `json:"interfaces"`
	SourceConfig  map[string]string `json:"source_config"`
	TargetConfig  map[string]string `json:"target_config"`
	SourceSecrets byteArray         `json:"source_secrets"`
	TargetSecrets byteArray         `json:"target_secrets"`
}

type wireSecret struct {
	Kind  string          `json:"kind"`
	Value json.RawMessage `json:"value"`
}

// byteArray is written as an array of numbers, which is what serde makes of a Vec<u8>. Reading goes by
// encoding/json's own rule for bytes, which takes such an array and base64 alike.
type byteArray []byte

func (b byteArray) MarshalJSON() ([]byte, error) {
	if b == nil {
		return []byte("null"), nil
	}
	numbers := make([]uint16, len(b)) // a []uint8 would become base64
	for i, v := range b {
		numbers[i] = uint16(v)
	}
	return json.Marshal(numbers)
}

func (w *wireLink) link() Link {
	return Link{
		SourceID: w.SourceID, Target: w.Target, Name: w.Name,
		WITNamespace: w.WITNamespace, WITPackage: w.WITPackage, Interfaces: w.Interfaces,
		SourceConfig: w.SourceConfig, TargetConfig: w.TargetConfig,
		SourceSecrets: Sealed(w.SourceSecrets), TargetSecrets: Sealed(w.TargetSecrets),
	}
}

func wireLinkOf(l Link) wireLink {
	return wireLink{
		SourceID: l.SourceID, Target: l.Target, Name: l.Name,
		WITNamespace: l.WITNamespace, WITPackage: l.WITPackage, Interfaces: orEmpty(l.Interfaces),
		SourceConfig: orEmptyMap(l.SourceConfig), TargetConfig: orEmptyMap(l.TargetConfig),
		SourceSecrets: byteArray(l.SourceSecrets), TargetSecrets: byteArray(l.TargetSecrets),
	}
}

func (w *wireData) data() (*Data, error) {
	d := &Data{
		HostID: w.HostID, Lattice: w.Lattice, ProviderKey: w.ProviderKey, InstanceID: w.InstanceID,
		LinkName: w.LinkName, LatticeURL: w.LatticeURL,
		LatticeUserJWT:  settings.NewSecret(w.LatticeUserJWT),
		LatticeUserSeed: settings.NewSecret(w.LatticeUserSeed),
		Config:          w.Config, EnvValues: w.EnvValues, ClusterIssuers: w.ClusterIssuers,
		HostXKeyPublic:      w.HostXKeyPublic,
		ProviderXKeyPrivate: settings.NewSecret(w.ProviderXKeyPrivate),
		StructuredLogging:   w.StructuredLogging, LogLevel: w.LogLevel, OTel: w.OTel,
	}
	if ms := w.DefaultRPCTimeoutMS; ms != nil {
		if *ms > math.MaxInt64/uint64(time.Millisecond) {
			return nil, errors.New(`field "default_rpc_timeout_ms" is out of range`)
		}
		d.DefaultRPCTimeout = time.Duration(*ms) * time.Millisecond
	}
	for i := range w.Links {
		d.Links = append(d.Links, w.Links[i].link())
	}
	var err error
	if d.Secrets, err = openWireSecrets(w.Secrets); err != nil {
		return nil, fmt.Errorf(`field "secrets": %w`, err)
	}
	return d, nil
}

func wireDataOf(d *Data) *wireData {
	w := &wireData{
		HostID: d.HostID, Lattice: d.Lattice, ProviderKey: d.ProviderKey, InstanceID: d.InstanceID,
		LinkName: d.LinkName, LatticeURL: d.LatticeURL,
		LatticeUserJWT: d.LatticeUserJWT.Reveal(), LatticeUserSeed: d.LatticeUserSeed.Reveal(),
		Config: orEmptyMap(d.Config), EnvValues: orEmptyMap(d.EnvValues), ClusterIssuers: orEmpty(d.ClusterIssuers),
		Secrets:        wireSecretsOf(d.Secrets),
		HostXKeyPublic: d.HostXKeyPublic, ProviderXKeyPrivate: d.ProviderXKeyPrivate.Reveal(),
		StructuredLogging: d.StructuredLogging, LogLevel: d.LogLevel, OTel: d.OTel,
		Links: make([]wireLink, 0, len(d.Links)),
	}
	w.OTel.AdditionalCAPaths = orEmpty(w.OTel.AdditionalCAPaths)
	if d.DefaultRPCTimeout > 0 {
		ms := uint64(d.DefaultRPCTimeout / time.Millisecond)
		w.DefaultRPCTimeoutMS = &ms
	}
	for _, l := range d.Links {
		w.Links = append(w.Links, wireLinkOf(l))
	}
	return w
}

// DecodeSecrets reads a map of secrets in the clear, as it stands in the host data and inside of what a link
// carries sealed: {"name":{"kind":"String","value":"…"},"other":{"kind":"Bytes","value":[1,2,3]}}. Its error names
// the secret that it could not read, never a value.
func DecodeSecrets(b []byte) (map[string]settings.Secret, error) {
	var w map[string]wireSecret
	if err := unmarshal(b, &w); err != nil {
		return nil, err
	}
	return openWireSecrets(w)
}

// EncodeSecrets writes a map of secrets in the clear as a host does before it seals it: as kind String where the
// secret is valid UTF-8, else as kind Bytes.
func EncodeSecrets(secrets map[string]settings.Secret) []byte {
	return mustMarshal(wireSecretsOf(secrets))
}

func openWireSecrets(w map[string]wireSecret) (map[string]settings.Secret, error) {
	if w == nil {
		return nil, nil
	}
	secrets := make(map[string]settings.Secret, len(w))
	for name, s := range w {
		var err error
		switch s.Kind {
		case "String":
			var text *string
			if err = unmarshal(s.Value, &text); err == nil && text != nil {
				secrets[name] = settings.NewSecret(*text)
				continue
			}
		case "Bytes":
			var bytes *[]byte
			if err = unmarshal(s.Value, &bytes); err == nil && bytes != nil {
				secrets[name] = settings.NewSecret(string(*bytes))
				continue
			}
		default:
			// The kind itself stays unsaid: in a map that is put together wrongly it could be the secret.
			return nil, fmt.Errorf("secret %q is neither of kind String nor of kind Bytes", name)
		}
		if err == nil {
			err = errors.New("no value")
		}
		return nil, fmt.Errorf("secret %q of kind %s: %w", name, s.Kind, err)
	}
	return secrets, nil
}

func wireSecretsOf(secrets map[string]settings.Secret) map[string]wireSecret {
	w := make(map[string]wireSecret, len(secrets))
	for name, s := range secrets {
		if text := s.Reveal(); utf8.ValidString(text) {
			w[name] = wireSecret{Kind: "String", Value: mustMarshal(text)}
		} else {
			w[name] = wireSecret{Kind: "Bytes", Value: mustMarshal(byteArray(text))}
		}
	}
	return w
}

// unmarshal is json.Unmarshal with errors that quote nothing of the input. Those of encoding/json hold numbers and
// single characters of it.
func unmarshal(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if err == nil {
		return nil
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		kind, _, _ := strings.Cut(wrongType.Value, " ") // "number 12" holds the number
		if wrongType.Field == "" {
			return fmt.Errorf("a JSON %s stands where %s is wanted", kind, describe(wrongType))
		}
		return fmt.Errorf("field %q is or holds a JSON %s where %s is wanted", wrongType.Field, kind, describe(wrongType))
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("no valid JSON, from byte %d on", syntax.Offset)
	}
	return errors.New("no valid value") // base64 of bytes, for one
}

func describe(e *json.UnmarshalTypeError) string {
	switch name := e.Type.Kind().String(); name {
	case "struct", "map":
		return "an object"
	case "slice":
		return "an array"
	case "uint8":
		return "a byte"
	case "uint64":
		return "a whole number"
	case "bool":
		return "true or false"
	default:
		return "a " + name
	}
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the wire types hold nothing that encoding/json refuses
	}
	return b
}

// serde refuses null where it wants a list or a map, so hosts never write it there, and neither do we.

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return slices.Clip(s)
}

func orEmptyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
