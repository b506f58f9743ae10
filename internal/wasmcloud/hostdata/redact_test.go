package hostdata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestNothingThatShowsValuesShowsSecrets(t *testing.T) {
	d := fullData()
	d.Links[0].TargetSecrets = Sealed("sealed-canary")
	for name, value := range map[string]any{
		"the data":               *d,
		"a pointer to the data":  d,
		"the data in a struct":   struct{ D *Data }{d},
		"a link":                 d.Links[0],
		"a pointer to a link":    &d.Links[0],
		"links":                  d.Links,
		"sealed bytes":           d.Links[0].TargetSecrets,
		"the seed":               d.LatticeUserSeed,
		"the JWT":                d.LatticeUserJWT,
		"the curve key":          d.ProviderXKeyPrivate,
		"secrets":                d.Secrets,
		"the data as an element": []any{d},
	} {
		t.Run(name, func(t *testing.T) {
			shown := map[string]string{}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				shown[verb] = fmt.Sprintf(verb, value)
			}
			asJSON, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			shown["JSON"] = string(asJSON)
			var text, structured bytes.Buffer
			slog.New(slog.NewTextHandler(&text, nil)).Info("m", "value", value)
			slog.New(slog.NewJSONHandler(&structured, nil)).Info("m", "value", value)
			shown["slog text"], shown["slog JSON"] = text.String(), structured.String()

			for how, s := range shown {
				if s == "" {
					t.Errorf("%s shows nothing at all", how)
				}
				sealedNumbers := strings.Trim(fmt.Sprint([]byte("sealed-canary")), "[]")
				if strings.Contains(s, "canary") || strings.Contains(s, sealedNumbers) ||
					strings.Contains(s, fmt.Sprintf("%x", "canary")) {
					t.Errorf("%s shows %s", how, s)
				}
			}
		})
	}
}

func TestNamesAreToldWholeOrNotAtAll(t *testing.T) {
	testkit.NeverCut(t, func(name string) string { return Link{Name: name}.String() })
	testkit.NeverCut(t, func(name string) string { return Link{Interfaces: []string{name}}.String() })
}
