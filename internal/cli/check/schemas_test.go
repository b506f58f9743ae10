package check

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

func TestSchemaRegistries(t *testing.T) {
	k := testkit.Kfake(t)
	k.Topic("in", 1)
	k.Topic("out", 1)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	if _, _, err := registry.RegisterSchema("out-value", sr.Schema{Schema: `"string"`, Type: sr.TypeAvro}); err != nil {
		t.Fatal(err)
	}
	const password = "sesame-sesame"
	registry.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if user, shown, ok := req.BasicAuth(); ok && user == "bad" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error_code":401,"message":"not ` + shown + `"}`))
			return true
		}
		return false
	})
	for name, c := range map[string]struct {
		config map[string]string
		want   []Finding
	}{
		"no registry": {nil, nil},
		"one that has it": {map[string]string{"schema_registry": registry.URL(), "allowed_topics": "out,x*"}, []Finding{
			{StepSchemas, "in-value", OK, "", "the registry answers; does not know subject in-value"}, {StepSchemas, "out-value", OK, "", "its latest schema can be used"}}},
		"a topic without a schema": {map[string]string{"schema_registry": registry.URL(), "allowed_topics": "in"}, []Finding{
			{StepSchemas, "in-value", Warn, "", "publishes that are written by it would be refused"}}},
		"topics without schemas": {map[string]string{"schema_registry": registry.URL(), "schema_topics": "z"}, []Finding{
			{StepSchemas, "", Skipped, "", "schema_topics has none of the topics"}}},
		"nobody there":        {map[string]string{"schema_registry": "http://127.0.0.1:1"}, []Finding{{StepSchemas, "schema_registry", Fail, "", "refused"}}},
		"another user's":      {map[string]string{"schema_registry": registry.URL(), "schema_registry_username": "bad"}, []Finding{{StepSchemas, "schema_registry", Fail, "", "status 401, not [redacted]: check schema_registry_username"}}},
		"an unusable address": {map[string]string{"schema_registry": "registry"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := link(map[string]string{"hosts": k.Brokers()[0], "topic": "in", "consumer_group": "g"})
			l.Role = role.Messaging
			maps.Copy(l.Input.Config, c.config)
			if c.config["schema_registry_username"] != "" {
				l.Input.Secrets = map[string]settings.Secret{"schema_registry_password": settings.NewSecret(password)}
			}
			r := Run(t.Context(), l, Options{})
			found := find(r, StepSchemas)
			if len(found) != len(c.want) {
				t.Fatalf("%s", dump(r))
			}
			for i, f := range found {
				want := c.want[i]
				if f.Target != want.Target || f.Status != want.Status || !strings.Contains(f.Text, want.Text) ||
					strings.Contains(dump(r), password) {
					t.Errorf("%+v, want %+v", f, want)
				}
			}
		})
	}
}
