// Package page looks at the provider's page in a browser.
package page

import (
	"flag"
	"testing"

	"github.com/messaging-kafka/messaging-kafka/internal/testkit"
)

// pictures has the tests take the pictures of the documentation anew.
var pictures = flag.Duration("pictures", 0,
	"take the pictures in docs/images anew, after records have flowed for `TIME` (15m fills the charts; go test's -timeout must be longer)")

func TestMain(m *testing.M) {
	flag.Parse()
	testkit.Main(m)
}
