package redact

import (
	"net/url"
	"strings"
)

// unreadable stands for an address of which nobody knows where in it a password is.
const unreadable = "[unreadable URL]"

// URLs returns an address as it may be shown, without passwords, tokens and queries: one or more URLs or host:port,
// separated by commas, as NATS's clients take them.
func URLs(address string) string {
	parts := strings.Split(address, ",")
	for i, part := range parts {
		parts[i] = shownURL(strings.TrimSpace(part))
	}
	return strings.Join(parts, ",")
}

func shownURL(address string) string {
	whole := address
	if !strings.Contains(address, "://") {
		whole = "nats://" + address // else the host, or the user, would be taken for the scheme
	}
	u, err := url.Parse(whole)
	// A slash in a password ends the host too early: the rest of it is in the path then, with the @.
	if err != nil || u.Host == "" || strings.Contains(u.Path, "@") {
		return unreadable
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.User != nil {
		shown.User = url.User("xxxxx") // a user without a password is a token to NATS
		if password, _ := u.User.Password(); password != "" {
			shown.User = url.UserPassword(u.User.Username(), "xxxxx")
		}
	}
	if whole != address {
		return strings.TrimPrefix(shown.String(), "nats://")
	}
	return shown.String()
}
