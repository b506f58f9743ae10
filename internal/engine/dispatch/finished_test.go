package dispatch

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/messaging-kafka/messaging-kafka/internal/record"
)

// of makes records at offsets, each with a key of its own, under one leader epoch.
func of(epoch int32, offsets ...int64) []*record.Record {
	rs := make([]*record.Record, len(offsets))
	for i, at := range offsets {
		rs[i] = &record.Record{Topic: "t", Offset: at, LeaderEpoch: epoch, Key: []byte{byte(at)}, Value: []byte("value")}
	}
	return rs
}

// failingAt is a component that fails with the records at some offsets.
func failingAt(offsets ...int64) *script {
	return &script{handle: func(_ context.Context, r *record.Record) (record.Kind, error) {
		if slices.Contains(offsets, r.Offset) {
			return record.Retry, errors.New("not yet")
		}
		return record.Done, nil
	}}
}

func TestWhatIsFinishedBeyondAnUnfinishedRecordIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		fail   []int64
		known  []Range
		do     func(p *Partition)
		offset int64
		want   []Range
	}{
		"nothing below it": {[]int64{10, 13}, nil, func(p *Partition) { p.Add(of(3, 10, 11, 12, 13, 14), first) }, -1,
			[]Range{{11, 13, 3}, {14, 15, 3}}},
		"something below it": {[]int64{11}, nil, func(p *Partition) { p.Add(of(3, 10, 11, 12), first) }, 11, []Range{{12, 13, 3}}},
		"all is finished":    {nil, nil, func(p *Partition) { p.Add(of(3, 10, 11, 12), first) }, 13, nil},
		"with holes of compaction": {[]int64{10, 30}, nil, func(p *Partition) { p.Add(of(3, 10, 15, 20, 30, 35), first) }, -1,
			[]Range{{15, 21, 3}, {35, 36, 3}}},
		"of two epochs": {[]int64{10}, nil, func(p *Partition) { p.Add(of(3, 10, 11), first); p.Add(of(4, 12, 13), first) }, -1,
			[]Range{{11, 12, 3}, {12, 14, 4}}},
		"with markers of transactions":  {[]int64{10}, nil, func(p *Partition) { p.Add(of(3, 10, 11), first); p.Skip(12, 3) }, -1, []Range{{11, 13, 3}}},
		"of an epoch that is not known": {[]int64{10}, nil, func(p *Partition) { p.Add(of(-1, 10, 11), first) }, -1, nil},
		"a log that was cut off and goes on": {[]int64{10}, nil, func(p *Partition) {
			p.Add(of(3, 10, 11, 12), first)
			p.StartAt(12)
			p.Add(of(4, 12, 13), first)
		}, -1, []Range{{11, 12, 3}, {12, 14, 4}}},
		"a log that was cut off twice": {[]int64{10}, nil, func(p *Partition) {
			p.Add(of(3, 10, 11, 12, 13, 14), first)
			p.StartAt(13)
			p.Add(of(4, 13, 14), first)
			p.StartAt(12)
			p.Add(of(5, 12, 13, 14, 15), first)
		}, -1, []Range{{11, 12, 3}, {12, 16, 5}}},
		"a log that was cut off at the unfinished record": {[]int64{10}, nil, func(p *Partition) {
			p.Add(of(3, 10, 11, 12), first)
			p.StartAt(11)
			p.Add(of(4, 11), first)
		}, -1, []Range{{11, 12, 4}}},
		"a log that goes on further on": {[]int64{10}, nil, func(p *Partition) {
			p.Add(of(3, 10, 11, 12), first)
			p.StartAt(20)
			p.Add(of(4, 20), first)
		}, -1, []Range{{11, 13, 3}, {20, 21, 4}}},
		"what an earlier owner has finished": {[]int64{10, 13}, []Range{{11, 13, 3}, {14, 20, 3}, {30, 40, 3}},
			func(p *Partition) { p.Add(of(3, 10, 11, 12, 13, 14, 15, 21), first) }, -1, []Range{{11, 13, 3}, {14, 22, 3}, {30, 40, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, _ := config(failingAt(c.fail...))
				d := New(cfg)
				p := d.Open("t", 0, NotYet)
				p.ResumeAt(10, c.known)
				check := func(when string) {
					t.Helper()
					at, _ := p.Position()
					if at.Offset != c.offset || !slices.Equal(at.Ahead, c.want) {
						t.Errorf("%s: at %d, finished beyond it %v, want %d, %v", when, at.Offset, at.Ahead, c.offset, c.want)
					}
				}
				c.do(p)
				synctest.Wait()
				check("at work")
				p.Close(t.Context())
				check("closed")
				p.Abandon()
				if at, ok := p.Position(); ok {
					t.Errorf("a lost partition tells of %+v", at)
				}
				d.Close(t.Context())
			})
		})
	}
}

func TestWhatAnEarlierOwnerHasFinishedIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := failingAt()
		cfg, _ := config(s)
		d := New(cfg)
		p := d.Open("t", 0, NotYet)
		p.ResumeAt(10, []Range{{11, 13, 3}, {14, 16, 3}, {17, 18, 3}})
		// The record at 14 is another one than the earlier owner had: a new leader has written it in its place.
		p.Add(of(3, 10, 11, 12, 13), first)
		p.Add(of(4, 14, 15), first)
		p.Add(of(3, 16, 17, 18), first)
		synctest.Wait()
		got := s.called()
		slices.Sort(got)
		if want := []string{"\n:10", "\r:13", "\x0e:14", "\x0f:15", "\x10:16", "\x12:18"}; !slices.Equal(got, want) {
			t.Errorf("called with %q, want %q", got, want)
		}
		mustCommit(t, p, 19)
		d.Close(t.Context())
	})
}

func TestARecordWithOutputsIsNotToldOfBeforeTheyAreStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &batchScript{handle: func(_ context.Context, batch []*record.Record) []record.Outcome {
			outcomes := make([]record.Outcome, len(batch))
			for i, r := range batch {
				switch outcomes[i].Kind = record.Done; r.Offset {
				case 10:
					outcomes[i] = record.Outcome{Kind: record.Retry, Err: errors.New("not yet")}
				case 12:
					outcomes[i].Outputs = []record.Outgoing{{Topic: "out"}}
				}
			}
			return outcomes
		}}
		cfg, _ := batchConfig(s)
		cfg.Transactional = true
		d := New(cfg)
		p := d.Open("t", 0, 10)
		p.Add(of(3, 10, 11, 12, 13), first)
		synctest.Wait()
		f, ok := p.TakeFinished()
		if want := []Range{{11, 12, 3}, {13, 14, 3}}; !ok || f.Offset != -1 || !slices.Equal(f.Ahead, want) || len(f.AppendOutputs(nil)) > 0 {
			t.Errorf("finished %+v, want %v", f, want)
		}
		d.Close(t.Context())
	})
}
