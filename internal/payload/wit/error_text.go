package wit

import "github.com/messaging-kafka/messaging-kafka/internal/base/text"

// maxErrorText bounds the text of an error that goes to a guest or comes from one, in bytes.
const maxErrorText = 4 << 10

// ErrorText makes of s a text that a guest can be given and a log can take: valid UTF-8 of 4 KiB at most.
func ErrorText(s string) string { return text.Clip(s, maxErrorText) }
