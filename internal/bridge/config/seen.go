package config

import "crypto/sha256"

// Seen remembers what files held when a configuration was last read, that one and those of its secrets. Whether they
// have changed is told by their content: mounted secrets and editors exchange files in ways that times do not show. It
// is used by one goroutine at a time.
type Seen struct {
	sums map[string][sha256.Size]byte
}

// begin forgets what was there before.
func (s *Seen) begin() {
	if s == nil {
		return
	}
	s.sums = make(map[string][sha256.Size]byte)
}

// read reads a file and remembers it.
func (s *Seen) read(path string, most int64) ([]byte, error) {
	content, err := readFile(path, most)
	if s == nil {
		return content, err
	}
	if s.sums == nil {
		s.sums = make(map[string][sha256.Size]byte)
	}
	s.sums[path] = sum(content, err)
	return content, err
}

// Changed tells whether a file holds something else now, or can be read where it could not before, or the other way
// round.
func (s *Seen) Changed() bool {
	for path, before := range s.sums {
		if sum(readFile(path, maxFile)) != before {
			return true
		}
	}
	return false
}

// sum is that of a file's content, and zero for one that cannot be read.
func sum(content []byte, err error) [sha256.Size]byte {
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(content)
}
