package hostdata

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"secrets":{"pw":{"kind":"Bytes","value":[300]}}}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		d, err := Decode(encode64(string(plain)))
		if err != nil {
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, plain); err != nil {
			t.Fatalf("what was read is no JSON: %v", err)
		}
		again, err := Decode(encode64(compact.String()))
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("white space makes a difference (%v)", err)
		}
	})
}

func FuzzDecodeLine(f *testing.F) {
	f.Add(encode64(full))
	f.Add([]byte(" e30=\r\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, _ = Decode(line)
	})
}

// FuzzErrorsHoldNoSecret puts the fuzzed JSON wherever a secret may stand. Values shorter than eight characters are
// part of ordinary words.
func FuzzErrorsHoldNoSecret(f *testing.F) {
	f.Add("1234567890", "String")
	f.Add(`"hunter2hunter2"`, "Bytes")
	f.Add(`["hunter2hunter2"]`, "hunter2hunter2")
	f.Fuzz(func(t *testing.T, value, kind string) {
		quotedKind, err := json.Marshal(kind)
		if err != nil {
			return
		}
		bare := strings.Trim(value, `"[]{} `)
		for _, plain := range []string{
			`{"secrets":{"pw":{"kind":` + string(quotedKind) + `,"value":` + value + `}}}`,
			`{"secrets":{"pw":` + value + `}}`,
			`{"lattice_rpc_user_seed":` + value + `}`,
			`{"provider_xkey_private_key":` + value + `}`,
			`{"link_definitions":[{"target_secrets":` + value + `}]}`,
			`{"config":{"password":` + value + `}}`,
		} {
			_, err := Decode([]byte(base64.StdEncoding.EncodeToString([]byte(plain))))
			if err == nil || len(bare) < 8 {
				continue
			}
			// The texts of errors are fixed but for names of fields and secrets, which are no values.
			if strings.Contains(err.Error(), bare) && !strings.Contains(ownWords, bare) {
				t.Fatalf("%q holds %q", err, bare)
			}
		}
	})
}

const ownWords = `field "secrets": secret "pw" of kind String of kind Bytes: is neither of kind String nor of kind Bytes ` +
	`field "lattice_rpc_user_seed" "provider_xkey_private_key" "link_definitions.target_secrets" "config" is or holds a JSON ` +
	`string number array object where an object is wanted no valid JSON, from byte on no valid value a byte an array`
