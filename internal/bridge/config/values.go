package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// maxSecretFile bounds the files of secrets.
const maxSecretFile = 1 << 20

// given is a value with where it comes from.
type given struct {
	value string
	// hidden tells that it came from a variable or a file, so that nothing may repeat it.
	hidden bool
	// secrets are what of it must not be told.
	secrets []string
}

// variable is a reference to a variable of the environment; $${ stands for ${ itself.
var variable = regexp.MustCompile(`\$?\$\{([^}]*)\}?`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand puts variables of the environment in their places.
func expand(value string, lookup func(string) (string, bool)) (given, error) {
	t := given{}
	var failed error
	t.value = variable.ReplaceAllStringFunc(value, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		name, closed := strings.CutSuffix(ref[len("${"):], "}")
		switch content, set := lookup(name); {
		case !closed || !variableName.MatchString(name):
			failed = errors.New("has ${ without the name of a variable and } behind it; $${ stands for ${ itself")
		case !set:
			failed = fmt.Errorf("names the variable %s, which the environment does not have", name)
		default:
			t.hidden = true
			if settings.ProvesWho(name) {
				t.secrets = append(t.secrets, content)
			}
			return content
		}
		return ""
	})
	return t, failed
}

// readSecret reads the file that a …_file key names. Line breaks at its end do not belong to the secret.
func readSecret(seen *Seen, path string) (string, error) {
	content, err := seen.read(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// readFile reads a regular file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, err)
	case int64(len(content)) > most:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return content, nil
}
