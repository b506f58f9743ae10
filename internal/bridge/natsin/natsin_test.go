package natsin

import "testing"

func TestTopicsThatSubjectsName(t *testing.T) {
	for _, test := range []struct{ pattern, subject, want string }{
		{"orders", "orders", "orders"},
		{"shop.orders", "shop.orders", "shop.orders"},
		{"kafka.>", "kafka.orders", "orders"},
		{"kafka.>", "kafka.orders.created", "orders.created"},
		{"a.b.*", "a.b.orders", "orders"},
		{"a.*.c", "a.orders.c", "orders.c"},
		{"*.orders", "eu.orders", "eu.orders"},
		{"kafka.>", "kafka.orders?key=a.b", "orders?key=a.b"},
	} {
		if got := topicOf(test.pattern, test.subject); got != test.want {
			t.Errorf("%s by %s is the topic %q, want %q", test.subject, test.pattern, got, test.want)
		}
	}
}
