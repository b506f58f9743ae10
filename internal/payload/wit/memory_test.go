package wit

import (
	"errors"
	"testing"
)

// counted is a source that counts what is made of its parts.
type counted struct {
	parts
	now, most, limit int64
}

func (c *counted) Hold(n int64) error {
	if n > 0 && c.limit > 0 && c.now+n > c.limit {
		return ErrTooLarge
	}
	c.now += n
	c.most = max(c.most, c.now)
	return nil
}

func TestADecoderCountsWhatItMakes(t *testing.T) {
	body := make([]byte, 1<<20)
	c := &counted{parts: parts{b: AppendBytes(nil, body), sizes: []int{200}}}
	if b, err := NewDecoder(c, 2<<20).Bytes(); err != nil || len(b) != len(body) {
		t.Fatal(len(b), err)
	}
	if c.most != 1<<20 || c.now != 0 {
		t.Errorf("a value of 1 MiB in many parts: %d bytes were counted, %d stay so", c.most, c.now)
	}
	c = &counted{parts: parts{b: AppendString(nil, string(body)), sizes: []int{200}}}
	if _, err := NewDecoder(c, 2<<20).String(); err != nil || c.now != 1<<20 {
		t.Errorf("a text of 1 MiB: %v, %d bytes stay counted", err, c.now)
	}
	list := AppendCount(nil, 1<<16)
	for range 1 << 16 {
		list = append(list, 1)
	}
	c = &counted{parts: parts{b: list, sizes: []int{200}}}
	type large [16]uint64
	elem := func(d *Decoder) (l large, err error) { _, err = d.U8(); return l, err }
	if _, err := DecodeList(NewDecoder(c, 2<<20), 1<<17, elem); err != nil || c.now < 1<<16*128-64*128 {
		t.Errorf("a list of 65536 elements of 128 bytes: %v, %d bytes stay counted", err, c.now)
	}
	c = &counted{parts: parts{b: list, sizes: []int{200}}, limit: 1 << 20}
	if _, err := DecodeList(NewDecoder(c, 2<<20), 1<<17, elem); !errors.Is(err, ErrTooLarge) || c.now > 1<<20 {
		t.Errorf("the same where there is 1 MiB: %v, %d bytes are counted", err, c.now)
	}
}
