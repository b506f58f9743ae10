package httpin

import (
	_ "embed"
	"net/http"
)

// openAPI describes what can be asked for, and what is answered. A test holds it and the server to one another.
//
//go:embed openapi.json
var openAPI []byte

// Title is that of the document at /openapi.json, which tells a bridge from other servers.
const Title = "messaging-kafka bridge"

// describe is GET /openapi.json.
func (x *exchange) describe() error { return x.reply(http.StatusOK, mediaPlain, openAPI) }
