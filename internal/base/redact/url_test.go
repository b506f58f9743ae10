package redact

import "testing"

func TestNoURLIsShownWithItsSecret(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                              unreadable,
		"nats://127.0.0.1:4222":         "nats://127.0.0.1:4222",
		"127.0.0.1:4222":                "127.0.0.1:4222",
		"nats://user:hunter2@host:4222": "nats://user:xxxxx@host:4222",
		"nats://hunter2@host:4222":      "nats://xxxxx@host:4222",
		"nats://hunter2:@host:4222":     "nats://xxxxx@host:4222",
		"user:hunter2@host:4222":        "user:xxxxx@host:4222",
		"hunter2@host":                  "xxxxx@host",
		"nats://user:hunter2@one:4222, nats://hunter2@two,user:hunter2@three": "nats://user:xxxxx@one:4222,nats://xxxxx@two,user:xxxxx@three",
		"ws://user:hunter2@host/path?token=hunter2#hunter2":                   "ws://user:xxxxx@host/path",
		"nats://host:not a port/hunter2":                                      unreadable,
		"nats://user:hun/ter2@host:4222":                                      unreadable,
		"nats://user:80/hunter2@host:4222":                                    unreadable,
		"//user:hunter2@host:4222":                                            unreadable,
		"nats:user:hunter2@host:4222":                                         "nats:xxxxx@host:4222",
	} {
		if got := URLs(address); got != want {
			t.Errorf("%q is shown as %q, want %q", address, got, want)
		}
	}
}
