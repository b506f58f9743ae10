package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/observe/status"
)

// page is one file: its style and script stand in it, so that the page is whole or not there at all.
//
//go:embed page.html
var page string

// given is what the program tells the page of itself.
type given struct {
	// Page is where the runbook is, Sections are those of it that states and problems lead to.
	Page     string          `json:"page"`
	Sections status.Sections `json:"sections"`
	// LagWarn and LagFar are from how many seconds on a lag is told as one.
	LagWarn float64 `json:"lag_warn"`
	LagFar  float64 `json:"lag_far"`
}

// givenHere stands in the page for what is given.
const givenHere = `JSON.parse("{}")`

// servedPage is the page as it is served, and the policy that allows its own style and script, by their hashes, and
// requests to where it came from. Nothing that would be smuggled into it can run, and nothing can be told to anybody
// else.
var servedPage = sync.OnceValues(func() (text []byte, policy string) {
	// JSON has no < that could end the script.
	values, err := json.Marshal(given{
		Page: status.RunbookPage(version.Get().Version), Sections: status.Runbook(),
		LagWarn: status.LagWarnSeconds, LagFar: status.LagFarSeconds,
	})
	if err != nil || strings.Count(page, givenHere) != 1 {
		panic(fmt.Sprintf("the page cannot be given what it needs: %v", err))
	}
	whole := strings.Replace(page, givenHere, string(values), 1)
	return []byte(whole), fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		hashOf(whole, "script"), hashOf(whole, "style"))
})

// hashOf is the source expression of CSP for the text of a page's element of that name.
func hashOf(whole, element string) string {
	_, rest, _ := strings.Cut(whole, "<"+element+">")
	text, _, found := strings.Cut(rest, "</"+element+">")
	if !found {
		panic("the page has no " + element)
	}
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func servePage(w http.ResponseWriter, r *http.Request) {
	text, policy := servedPage()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}
