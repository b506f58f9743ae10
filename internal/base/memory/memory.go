package memory

import (
	"math"
	"sync"
	"time"
)

// Budget is a number of bytes that accounts share. Its methods, and those of its accounts, may be called by many
// goroutines at once. A nil Budget is without a limit, as are its accounts.
type Budget struct {
	alone sync.Mutex // held for work that takes much memory for a moment

	mu       sync.Mutex
	limit    int64
	accounts map[*Account]struct{}
	waiting  map[*Account]struct{}
	used     int64
	shared   int64 // what accounts hold beyond their own parts
	most     int64 // the most that was used at once
	refused  int64
}

// New makes a Budget of so many bytes.
func New(limit int64) *Budget {
	return &Budget{limit: limit, accounts: make(map[*Account]struct{}), waiting: make(map[*Account]struct{})}
}

// Account is what one part holds. A nil Account refuses nothing.
type Account struct {
	b     *Budget
	name  string
	freed chan struct{}

	// b.mu protects these.
	used  int64
	since time.Time // since when it has been refused; zero where it has not
}

// Open makes an account. The name is for people.
func (b *Budget) Open(name string) *Account {
	if b == nil {
		return nil
	}
	a := &Account{b: b, name: name, freed: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[a] = struct{}{}
	b.recount()
	return a
}

// Close gives back all that the account holds. Nothing that is taken from it afterwards counts.
func (a *Account) Close() {
	if a == nil {
		return
	}
	b := a.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open := b.accounts[a]; !open {
		return
	}
	b.used -= a.used
	a.used = 0
	delete(b.accounts, a)
	delete(b.waiting, a)
	b.recount()
	b.wake()
}

// own is the part of the budget that each account has for itself. b.mu is held.
func (b *Budget) own() int64 { return b.limit / 2 / max(int64(len(b.accounts)), 1) }

// recount finds what the accounts hold beyond their own parts, which have changed. b.mu is held.
func (b *Budget) recount() {
	own := b.own()
	b.shared = 0
	for a := range b.accounts {
		b.shared += max(0, a.used-own)
	}
}

// add changes what an account holds. b.mu is held.
func (b *Budget) add(a *Account, n int64) {
	if _, open := b.accounts[a]; !open {
		return
	}
	own := b.own()
	n = max(n, -a.used)
	b.shared += max(0, a.used+n-own) - max(0, a.used-own)
	a.used += n
	b.used += n
	b.most = max(b.most, b.used)
}

// Take takes n bytes, or none where they are not to be had now.
func (a *Account) Take(n int64) bool {
	if a == nil || n <= 0 {
		return true
	}
	b := a.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fits(a, n) {
		b.refused++
		if a.since.IsZero() {
			a.since = time.Now()
		}
		b.waiting[a] = struct{}{}
		return false
	}
	a.since = time.Time{}
	delete(b.waiting, a)
	b.add(a, n)
	return true
}

// fits tells whether an account may have n bytes more. b.mu is held.
func (b *Budget) fits(a *Account, n int64) bool {
	if _, open := b.accounts[a]; !open {
		return true
	}
	own := b.own()
	if a.used+n <= own {
		return true
	}
	had, want := max(0, a.used-own), a.used+n-own
	return want <= b.limit/2-(b.shared-had)-want
}

// Must takes n bytes, to be had or not: what is there already is counted whatever the limit says, and others, or the
// account itself, get the less. A negative n gives bytes back.
func (a *Account) Must(n int64) {
	if a == nil || n == 0 {
		return
	}
	b := a.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(a, n)
	if n < 0 {
		b.wake()
	}
}

// Give gives n bytes back.
func (a *Account) Give(n int64) { a.Must(-n) }

// wake tells accounts that were refused that there may be room. b.mu is held.
func (b *Budget) wake() {
	for a := range b.waiting {
		select {
		case a.freed <- struct{}{}:
		default:
		}
		delete(b.waiting, a)
	}
}

// Freed has a token when bytes were given back after the account was refused some. It is nil for a nil Account.
func (a *Account) Freed() <-chan struct{} {
	if a == nil {
		return nil
	}
	return a.freed
}

// Room tells whether n bytes more could be taken now.
func (a *Account) Room(n int64) bool {
	if a == nil {
		return true
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	if a.b.fits(a, n) {
		return true
	}
	a.b.waiting[a] = struct{}{}
	return false
}

// FitsEver tells whether n bytes could be taken at all, if nobody else held more than its own part.
func (a *Account) FitsEver(n int64) bool {
	if a == nil {
		return true
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	return n <= a.b.own()+a.b.limit/4
}

// Largest is how much one thing may take: a quarter of the budget, so that what is made of it for a moment, which may
// be three times as much, has room beside all that is counted.
func (b *Budget) Largest() int64 {
	if b == nil {
		return math.MaxInt64
	}
	return b.limit / 4
}

// Largest is [Budget.Largest].
func (a *Account) Largest() int64 {
	if a == nil {
		return math.MaxInt64
	}
	return a.b.Largest()
}

// Alone waits until nobody else of the budget does work that takes much memory for a moment, and counts n bytes until
// done is called. Others are refused the more meanwhile.
func (a *Account) Alone(n int64) (done func()) {
	if a == nil {
		return func() {}
	}
	a.b.alone.Lock()
	a.Must(n)
	return func() {
		a.Give(n)
		a.b.alone.Unlock()
	}
}

// Waits returns since when the account has been refused what it wants, the zero time where it has not.
func (a *Account) Waits() time.Time {
	if a == nil {
		return time.Time{}
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	return a.since
}

// Used is what the account holds.
func (a *Account) Used() int64 {
	if a == nil {
		return 0
	}
	a.b.mu.Lock()
	defer a.b.mu.Unlock()
	return a.used
}

// Status is a snapshot of a budget.
type Status struct {
	// Limit is the budget, Used what is taken of it, Most the most that was taken at once.
	Limit, Used, Most int64
	// Refused counts the times that there was no room.
	Refused int64
	// Parts are the names and bytes of the accounts that hold something.
	Parts map[string]int64
}

// Status returns a snapshot.
func (b *Budget) Status() Status {
	if b == nil {
		return Status{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Status{Limit: b.limit, Used: b.used, Most: b.most, Refused: b.refused,
		Parts: make(map[string]int64, len(b.accounts))}
	for a := range b.accounts {
		if a.used > 0 {
			s.Parts[a.name] += a.used
		}
	}
	return s
}
