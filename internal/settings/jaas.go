package settings

import (
	"slices"
	"strings"
)

// jaas is what sasl.jaas.config of Kafka's Java clients has: one login module and its options.
type jaas struct {
	module  string // without its package
	options []option
}

type option struct{ name, value string }

var errJAAS = refuse("", `is no entry of JAAS: write LoginModule required name="value" …;`)

// parseJAAS reads an entry as Java does. The error shows nothing of it.
func parseJAAS(text string) (jaas, error) {
	words, err := jaasWords(text)
	if last := len(words) - 1; last >= 0 && words[last] == (jaasWord{text: ";"}) {
		words = words[:last]
	}
	if err != nil || len(words) < 2 {
		return jaas{}, errJAAS
	}
	if slices.Contains(words, jaasWord{text: ";"}) {
		return jaas{}, refuse("", "has several login modules, and one is used")
	}
	if flag := strings.ToLower(words[1].text); !slices.Contains([]string{"required", "requisite", "sufficient",
		"optional"}, flag) {
		return jaas{}, errJAAS
	}
	j := jaas{module: words[0].text[strings.LastIndexByte(words[0].text, '.')+1:]}
	for words = words[2:]; len(words) > 0; words = words[3:] {
		if len(words) < 3 || words[1] != (jaasWord{text: "="}) || words[0].text == "" {
			return jaas{}, errJAAS
		}
		j.options = append(j.options, option{words[0].text, words[2].text})
	}
	return j, nil
}

// jaasWord is a word of an entry; what is in quotes is never a sign.
type jaasWord struct {
	text   string
	quoted bool
}

func jaasWords(text string) ([]jaasWord, error) {
	var words []jaasWord
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.IndexByte(" \t\r\n\f", c) >= 0:
			i++
		case c == '=' || c == ';':
			words = append(words, jaasWord{text: string(c)})
			i++
		case c == '"' || c == '\'':
			word, rest, ok := quotedWord(text[i+1:], c)
			if !ok {
				return nil, errJAAS
			}
			words = append(words, jaasWord{word, true})
			i = len(text) - len(rest)
		default:
			end := strings.IndexAny(text[i:], " \t\r\n\f=;\"'")
			if end < 0 {
				end = len(text) - i
			}
			words = append(words, jaasWord{text: text[i : i+end]})
			i += end
		}
	}
	return words, nil
}

// quotedWord reads up to the quote that closes, with the escapes of Java's source in it.
func quotedWord(text string, quote byte) (word, rest string, ok bool) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return out.String(), text[i+1:], true
		case c == '\n':
			return "", "", false
		case c == '\\' && i+1 < len(text):
			i++
			if at := strings.IndexByte("ntrf", text[i]); at >= 0 {
				out.WriteByte("\n\t\r\f"[at])
			} else {
				out.WriteByte(text[i])
			}
		default:
			out.WriteByte(c)
		}
	}
	return "", "", false
}

// settings are the entry's options as ours, and the names of those that say nothing here.
func (j jaas) settings() (ours []option, unused []string, err error) {
	names := jaasModules[j.module]
	switch {
	case j.module == "Krb5LoginModule":
		return nil, nil, refuse("", "is for Kerberos (Krb5LoginModule), which is not supported: use PLAIN, SCRAM or OAUTHBEARER")
	case names == nil:
		return nil, nil, refuse("", "has a login module that is not known here: PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule and IAMLoginModule are")
	}
	var extensions []string
	for _, o := range j.options {
		extension, is := strings.CutPrefix(o.name, "extension_")
		switch to := names[o.name]; {
		case is && j.module == "OAuthBearerLoginModule":
			extensions = append(extensions, extension+"="+o.value)
		case o.name == "tokenauth" && strings.EqualFold(o.value, "true"):
			return nil, nil, refuse("", "has a delegation token (tokenauth), which is not supported: give user and password")
		case strings.HasPrefix(o.name, "unsecuredLogin"):
			return nil, nil, refuse("", "makes unsecured tokens (unsecuredLogin…), which are for tests of Kafka itself: set oauth_token_endpoint")
		case to == "":
			unused = append(unused, o.name)
		case o.value != "":
			ours = append(ours, option{to, o.value})
		}
	}
	if len(extensions) > 0 {
		ours = append(ours, option{"oauth_extensions", strings.Join(extensions, ",")})
	}
	return ours, unused, nil
}

// jaasModules are login modules with the settings that their options are.
var jaasModules = map[string]map[string]string{
	"PlainLoginModule": {"username": "sasl_username", "password": "sasl_password"},
	"ScramLoginModule": {"username": "sasl_username", "password": "sasl_password"},
	"OAuthBearerLoginModule": {
		"clientId": "oauth_client_id", "clientSecret": "oauth_client_secret", "scope": "oauth_scope",
	},
	"IAMLoginModule": {
		"awsRoleArn": "aws_role_arn", "awsRoleSessionName": "aws_role_session_name", "awsProfileName": "aws_profile",
		"awsRoleAccessKeyId": "aws_access_key_id", "awsRoleSecretAccessKey": "aws_secret_access_key",
		"awsRoleSessionToken": "aws_session_token", "awsStsRegion": "aws_region",
	},
}
