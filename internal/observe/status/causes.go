package status

// Cause is a problem that several links have in the same words.
type Cause struct {
	Problem
	// Links are those that have it, by their names; see [Link.ID].
	Links []string `json:"links"`
}

// Causes are the problems that more than one of the links has, in the order in which they first come.
func Causes(links []Link) []Cause {
	var all []Cause
	at := make(map[Problem]int)
	for i := range links {
		for _, p := range links[i].Problems {
			if p.Kind == ProblemStarting {
				continue // it will be over by itself
			}
			n, there := at[p]
			if !there {
				n = len(all)
				at[p] = n
				all = append(all, Cause{Problem: p})
			}
			all[n].Links = append(all[n].Links, links[i].ID())
		}
	}
	several := all[:0]
	for _, c := range all {
		if len(c.Links) > 1 {
			several = append(several, c)
		}
	}
	if len(several) == 0 {
		return nil
	}
	return several
}

// Own are the problems of a link that causes do not tell.
func (l *Link) Own(causes []Cause) Problems {
	var own Problems
	for _, p := range l.Problems {
		told := false
		for i := range causes {
			told = told || causes[i].Problem == p
		}
		if !told {
			own = append(own, p)
		}
	}
	return own
}
