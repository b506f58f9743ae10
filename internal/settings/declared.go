package settings

import "strings"

// Declared is what the declaration of a link's setting says of its values, for who draws some at random.
type Declared struct {
	Name string
	// Values are its default, its examples and, of a setting that takes a few words only, these.
	Values []string
}

// DeclaredForLinks are the settings that a link may have, in the order of the documentation.
func DeclaredForLinks() (list []Declared) {
	inOrder(func(s *setting) {
		if s.scope == scopeProvider {
			return
		}
		d := Declared{Name: s.name}
		for _, value := range append(strings.Split(s.example, "\n"), append(s.value.words, s.def)...) {
			if value != "" {
				d.Values = append(d.Values, value)
			}
		}
		list = append(list, d)
	})
	return list
}
