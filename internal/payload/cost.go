package payload

// JSONCost is about how much memory is taken for a moment by what is made of JSON, without the JSON itself. Its values
// are structs of up to a hundred bytes where the JSON has two: what comes from a stranger is counted by this before it
// is read.
func JSONCost(text []byte) int64 {
	const perValue = 256 // the largest struct that stands for one, with the room that a list has for more
	values, inString := int64(0), false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inString = !inString
		case inString:
			if c == '\\' {
				i++
			}
		case c == ',' || c == '{' || c == '[':
			values++
		}
	}
	return values*perValue + 3*int64(len(text))
}
