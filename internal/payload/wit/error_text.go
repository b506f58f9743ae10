package wit

import "github.com/messaging-kafka/messaging-kafka/internal/base/text"

// maxErrorText bounds the text of an error that goes to a guest, in bytes.
const maxErrorText = 4 << 10

// ErrorText makes of s a text that a guest can be given: valid UTF-8 of 4 KiB at most. Secrets have to be out of s
// before. Texts that guests give are not cut here: there may be secrets in them, of which one that is cut is not
// known for one any more.
func ErrorText(s string) string { return text.Clip(s, maxErrorText) }
