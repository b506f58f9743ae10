package settings

import (
	"path/filepath"
	"strings"
	"unicode"
)

// minControlToken is the length of the shortest token that is hard enough to guess.
const minControlToken = 16

func parseControlTokens(text string) ([]ControlToken, error) {
	var tokens []ControlToken
	for _, part := range list(text) {
		name, token, ok := strings.Cut(part, ":")
		name, token = strings.TrimSpace(name), strings.TrimSpace(token)
		switch {
		case !ok || name == "":
			return nil, refuse(part, "has no name before its token: write NAME:TOKEN")
		case len(name) > maxControlName || strings.ContainsFunc(name, unicode.IsControl) ||
			strings.ContainsFunc(name, unicode.IsSpace):
			return nil, refuse(part, "has a name that is longer than %d bytes, or with spaces", maxControlName)
		case len(token) < minControlToken:
			return nil, refuse(part, "has a token of fewer than %d characters, which can be guessed", minControlToken)
		case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, refuse(part, "has a token with characters that a header of HTTP cannot carry")
		}
		tokens = append(tokens, ControlToken{name, NewSecret(token)})
	}
	return tokens, nil
}

// maxControlName bounds what is in each line of the log about an operator.
const maxControlName = 64

// controlSecrets are the tokens alone of a list of them, so that none is told without its name either.
func controlSecrets(key, text string) (tokens []string) {
	if canonical(key) != keyControlTokens {
		return nil
	}
	for _, part := range list(text) {
		if _, token, ok := strings.Cut(part, ":"); ok {
			tokens = append(tokens, strings.TrimSpace(token))
		}
	}
	return tokens
}

func parseAbsolute(text string) (string, error) {
	if !filepath.IsAbs(text) {
		return "", refuse(text, "is not an absolute path")
	}
	return filepath.Clean(text), nil
}
