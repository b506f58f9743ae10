package letters

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// groupPrefix begins the names of the groups in whose offsets redrives keep their notes, and of their transactional
// ids.
const groupPrefix = "messaging-kafka.redrive."

// Group is the group in whose offsets the redrives of a topic keep their notes, and the transactional id by which there
// is one of them at a time. A round that has a name is apart from all others.
func Group(topic, round string) string {
	group := groupPrefix + topic
	if round != "" {
		group += "." + round
	}
	return group
}

// notesVersion is that of the form of notes.
const notesVersion = 1

// notes are what is known of a partition's letters. They stand as JSON in the metadata of its offset.
type notes struct {
	Version int `json:"v"`
	// Topic is the id of the topic: of one that was made anew nothing is known.
	Topic string `json:"topic,omitempty"`
	Done  []done `json:"done"`
}

// done says that all letters that a selection means and that are below an offset were sent back, or had been before.
type done struct {
	Below int64     `json:"below"`
	Of    Selection `json:"of"`
}

// readNotes reads the notes of a partition. An offset without any is somebody's word that all letters below it are done
// with.
func readNotes(o kadm.OffsetResponse, topic string) (notes, error) {
	n := notes{Version: notesVersion, Topic: topic}
	if o.At < 0 {
		return n, nil
	}
	if o.Metadata == "" {
		n.Done = []done{{Below: o.At}}
		return n, nil
	}
	var read notes
	if err := json.Unmarshal([]byte(o.Metadata), &read); err != nil || read.Version != notesVersion {
		return n, fmt.Errorf("partition %d has notes of another version of this program: use --round to begin anew", o.Partition)
	}
	if read.Topic != topic {
		return n, nil
	}
	for i := range read.Done {
		if err := read.Done[i].Of.Check(); err != nil {
			return n, fmt.Errorf("partition %d has notes that cannot be read: %w", o.Partition, err)
		}
	}
	return read, nil
}

// below is the offset below which all letters of a selection are done with.
func (n *notes) below(of *Selection) int64 {
	for i := range n.Done {
		if n.Done[i].Of.text() == of.text() {
			return n.Done[i].Below
		}
	}
	return 0
}

// knows tells whether a letter was sent back before, by whatever selection.
func (n *notes) knows(l *Letter) bool {
	return slices.ContainsFunc(n.Done, func(d done) bool { return l.Offset < d.Below && d.Of.Matches(l) })
}

// with returns the notes with those of a selection moved to an offset. What says nothing more is left out: what is
// below the start of the log, and selections that others include.
func (n *notes) with(of Selection, below, start int64) notes {
	next := notes{Version: n.Version, Topic: n.Topic}
	all := append(slices.Clone(n.Done), done{Below: below, Of: of})
	all = slices.DeleteFunc(all[:len(all)-1], func(d done) bool { return d.Below <= start || d.Of.text() == of.text() })
	all = append(all, done{Below: below, Of: of})
	for i := range all {
		included := false
		for j := range all {
			if i != j && all[i].Of.within(&all[j].Of) && all[i].Below <= all[j].Below {
				included = true
			}
		}
		// Its own place is kept, or the next run would not find it.
		if !included || i == len(all)-1 {
			next.Done = append(next.Done, all[i])
		}
	}
	slices.SortStableFunc(next.Done, func(a, b done) int { return cmp.Compare(a.Of.text(), b.Of.text()) })
	return next
}

func (n *notes) text() (string, error) {
	b, err := json.Marshal(n)
	if err != nil {
		return "", fmt.Errorf("writing notes: %w", err)
	}
	return string(b), nil
}
