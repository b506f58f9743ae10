package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// page is one file: its style and script stand in it, so that the page is whole or not there at all.
//
//go:embed page.html
var page []byte

// pagePolicy allows the page's own style and script, by their hashes, and requests to where it came from. Nothing that
// would be smuggled into it can run, and nothing can be told to anybody else.
var pagePolicy = fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	hashOf("script"), hashOf("style"))

// hashOf is the source expression of CSP for the text of the page's element of that name.
func hashOf(element string) string {
	_, rest, _ := strings.Cut(string(page), "<"+element+">")
	text, _, found := strings.Cut(rest, "</"+element+">")
	if !found {
		panic("the page has no " + element)
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page))
}
