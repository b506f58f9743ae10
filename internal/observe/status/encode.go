package status

import (
	"encoding/json"
	"fmt"
)

// Encode writes a status as JSON of at most limit bytes; 0 is no limit. Where it would be longer, it leaves out what is
// missed least, and says so in Omitted: events first, then partitions, then links from the end of the list.
func Encode(p Provider, limit int) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil || limit <= 0 || len(text) <= limit {
		return text, err
	}
	omitted := Omitted{}
	p.Omitted = &omitted
	p.Links = append([]Link(nil), p.Links...) // the caller's own stay as they are
	leaveOut := []func(*Link){
		func(l *Link) {
			omitted.Events += len(l.RecentErrors) + len(l.RecentDeadLetters) + len(l.DeadLetterReasons)
			l.RecentErrors, l.RecentDeadLetters, l.DeadLetterReasons = nil, nil, nil
		},
		func(l *Link) {
			omitted.Partitions += len(l.Partitions)
			l.Partitions = nil
		},
	}
	for _, leave := range leaveOut {
		for i := range p.Links {
			leave(&p.Links[i])
		}
		if text, err = json.Marshal(p); err != nil || len(text) <= limit {
			return text, err
		}
	}
	for len(p.Links) > 0 {
		keep := len(p.Links) / 2
		omitted.Links += len(p.Links) - keep
		p.Links = p.Links[:keep]
		if text, err = json.Marshal(p); err != nil || len(text) <= limit {
			return text, err
		}
	}
	return nil, fmt.Errorf("encoding the status: even alone it is longer than %d bytes", limit)
}
