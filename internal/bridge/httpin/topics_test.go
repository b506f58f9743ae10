package httpin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/payload/wit"
)

// stored are what an answer says of records: "partition", or an error's code.
func stored(t *testing.T, a answer) []string {
	t.Helper()
	var body struct {
		Offsets []struct {
			Partition *int32
			Offset    *int64
			ErrorCode int `json:"error_code"`
			Error     string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != http.StatusOK {
		t.Fatalf("answered %d %s (%v)", a.status, a.body, err)
	}
	var list []string
	for _, o := range body.Offsets {
		if o.Error != "" {
			list = append(list, fmt.Sprint("error ", o.ErrorCode))
			continue
		}
		if o.Offset == nil || *o.Offset < 0 {
			t.Errorf("no offset in %s", a.body)
		}
		list = append(list, fmt.Sprint("partition ", *o.Partition))
	}
	return list
}

func TestRecordsComeInTheFormsOfRESTProxies(t *testing.T) {
	for _, c := range []struct {
		name, media, path, body, answer string
		want                            []string // key, value, headers, timestamp where they are not what is usual
	}{
		{"JSON, whose numbers keep every digit", mediaJSON, "/topics/orders",
			`{"records":[{"value":{"b" : 1.10000000000000000000001, "a":[ 12345678901234567890 ], "b":{"B":1,"B":2}}, "partition":1},{"key":"k","value":"text","partition":1}]}`,
			mediaAnswer, []string{`null {"b":1.10000000000000000000001,"a":[12345678901234567890],"b":{"B":1,"B":2}} []`, `"k" "text" []`}},
		{"JSON as it is called elsewhere", "application/json; charset=UTF-8", "/topics/orders",
			`{"records":[{"key":{"id" : 7},"value":null,"partition":1}]}`, mediaPlain, []string{`{"id":7} null []`}},
		{"base64", mediaBinary, "/topics/orders",
			`{"records":[{"key":"a2V5","value":"/w==","partition":1},{"value":"","partition":1,"headers":[{"key":"a","value":"aGk="},{"name":"a","text":"ü"},{"key":"n","value":null}],"timestamp":1767225600123}]}`,
			mediaAnswer, []string{"key \xff []", `null  [a="hi" a="ü" n=null] 1767225600123`}},
		{"text", mediaText, "/topics/orders", `{"records":[{"key":"k","value":"a \"b\"","partition":1}]}`, mediaAnswer, []string{`k a "b" []`}},
		{"one record of text", "text/plain", "/topics/orders?key=a%20b&partition=1&timestamp=5", "hello", mediaPlain, []string{"a b hello [] 5"}},
		{"one record of bytes", "application/octet-stream", "/topics/orders?partition=1", "\x00\xff", mediaPlain, []string{"null \x00\xff []"}},
		{"one record of no bytes", "application/octet-stream", "/topics/orders?key=&partition=1", "", mediaPlain, []string{"  []"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, nil, nil)
			a := b.post(c.path, c.media, c.body)
			if a.header.Get("Content-Type") != c.answer {
				t.Errorf("the answer is %s", a.header.Get("Content-Type"))
			}
			for i, got := range stored(t, a) {
				if got != "partition 1" {
					t.Errorf("record %d: %s", i, got)
				}
			}
			for i, r := range b.kc.Read("orders", len(c.want)) {
				key, value := string(r.Key), string(r.Value)
				if r.Key == nil {
					key = "null"
				}
				if r.Value == nil {
					value = "null"
				}
				var headers []string
				for _, h := range r.Headers {
					headers = append(headers, h.Key+"="+show(h.Value))
				}
				got := fmt.Sprintf("%s %s %s", key, value, fmt.Sprint(headers))
				if strings.Contains(c.path+c.body, "timestamp") && strings.HasSuffix(c.want[i], fmt.Sprint(r.Timestamp.UnixMilli())) {
					got += fmt.Sprint(" ", r.Timestamp.UnixMilli())
				}
				if got != c.want[i] {
					t.Errorf("record %d is %q, want %q", i, got, c.want[i])
				}
			}
		})
	}
}

func TestEachRecordThatIsNotStoredHasItsError(t *testing.T) {
	b := newBench(t, map[string]string{"allowed_topics": "orders,missing", "publish_timeout": "5s"}, func(o *Options) {
		o.Callers[0].AllowedTopics = []string{"ord*", "missing", "secret"}
	})
	got := stored(t, b.post("/topics/orders", mediaText, `{"records":[{"value":"a","partition":0},{"value":"b","partition":77},{"value":"c","partition":2}]}`))
	if fmt.Sprint(got) != "[partition 0 error 400 partition 2]" {
		t.Errorf("got %v", got)
	}
	b.post("/topics/elsewhere", "text/plain", "x").want(t, 403, "caller shop may not publish to the topic: its allowed_topics are ord*, missing, secret")
	b.post("/topics/secret", "text/plain", "x").want(t, 403, "the topic may not be published to")
	b.post("/topics/missing", "text/plain", "x").want(t, 404, "missing")
	if got := stored(t, b.post("/topics/missing", mediaText, `{"records":[{"value":"a"}]}`)); fmt.Sprint(got) != "[error 404]" {
		t.Errorf("got %v", got)
	}
}

func TestABodyThatCannotBeReadIsRefusedWhole(t *testing.T) {
	b := newBench(t, nil, nil)
	for _, c := range []struct {
		name, media, path, body string
		status                  int
		mention                 string
	}{
		{"no JSON", mediaJSON, "", "x", 400, "no JSON"},
		{"half of it", mediaJSON, "", `{"records":[`, 400, "not complete"},
		{"two values", mediaJSON, "", `{"records":[{"value":1}]} {}`, 400, "more behind"},
		{"no records", mediaJSON, "", `{}`, 400, `no \"records\"`},
		{"none in the list", mediaJSON, "", `{"records":[]}`, 400, `no \"records\"`},
		{"a member that nobody knows", mediaJSON, "", `{"records":[{"value":1,"valeu":2}]}`, 400, "valeu"},
		{"records twice", mediaJSON, "", `{"records":[{"value":1},{"value":2}],"records":[{"value":3}]}`, 400, "records: is there twice"},
		{"records in another case", mediaJSON, "", `{"records":[{"value":1}],"Records":[{"value":2}]}`, 400, "Records: is not known: its name is records"},
		{"a value twice", mediaJSON, "", `{"records":[{"value":1,"value":2}]}`, 400, "record 0: malformed data: value: is there twice"},
		{"a key twice in a header", mediaText, "", `{"records":[{"value":"a","headers":[{"key":"a","key":"b","text":""}]}]}`, 400, "headers[0].key: is there twice"},
		{"a forgotten value", mediaJSON, "", `{"records":[{"value":1},{"key":1}]}`, 400, `record 1: there is no \"value\"`},
		{"a partition that is text", mediaJSON, "", `{"records":[{"value":1,"partition":"1"}]}`, 400, "partition: a JSON string does not fit"},
		{"a partition below 0", mediaJSON, "", `{"records":[{"value":1,"partition":-1}]}`, 400, "below 0"},
		{"a time before 1970", mediaJSON, "", `{"records":[{"value":1,"timestamp":-1}]}`, 400, "before 1970"},
		{"a value that is no base64", mediaBinary, "", `{"records":[{"value":"?"}]}`, 400, "value: is not base64"},
		{"a value that is no text", mediaText, "", `{"records":[{"value":1}]}`, 400, "value: is not a string"},
		{"a header without a name", mediaText, "", `{"records":[{"value":"a","headers":[{"text":"b"}]}]}`, 400, "header 0"},
		{"JSON that is not UTF-8", mediaText, "", "{\"records\":[{\"value\":\"\xff\"}]}", 400, "UTF-8"},
		{"text that is not UTF-8", "text/plain", "", "\xff", 400, "octet-stream"},
		{"a parameter that nobody knows", "text/plain", "?kye=1", "x", 400, "key, partition, timestamp"},
		{"a parameter twice", "text/plain", "?key=1&key=2", "x", 400, "twice"},
		{"a partition that is no number", "text/plain", "?partition=x", "x", 400, "partition"},
		{"a parameter beside records", mediaJSON, "?key=1", `{"records":[{"value":1}]}`, 400, "no parameters"},
		{"another charset", "text/plain; charset=latin1", "", "x", 415, "UTF-8"},
		{"another media type", "application/xml", "", "x", 415, "application/vnd.kafka.json.v2+json"},
		{"no media type", "", "", "x", 415, "Content-Type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.post("/topics/orders"+c.path, c.media, c.body).want(t, c.status, c.mention)
		})
	}
	b.t = t
	b.post("/v1/records/send", wit.RecordsTypeJSON, `[{"topic":"returns","topic":"orders"}]`).want(t, 400, "record 0: malformed data: topic: is there twice")
	b.post("/v1/messages/publish", wit.MessagesTypeJSON, `{"subject":"orders","Subject":"orders","body":""}`).want(t, 400, "Subject: is not known")
	for partition, end := range b.kc.EndOffsets("orders") {
		if end != 0 {
			t.Errorf("partition %d has records", partition)
		}
	}
}
