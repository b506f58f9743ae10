package lattice

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/messaging-kafka/messaging-kafka/internal/base/memory"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/hostdata"
)

// links turns what the host says about links and config into calls of the Handler. It belongs to the link worker;
// no other goroutine may use it.
type links struct {
	providerKey string
	opener      opener
	handler     Handler
	log         *slog.Logger

	putSubject, deleteSubject, configSubject string

	known  map[LinkID]*Link // nil: rejected
	config map[string]string

	account *memory.Account
	held    int64            // what the known links take
	costs   map[LinkID]int64 // of each that takes something
}

const (
	// maxLinkBytes bounds what is kept of links that are large; each of the others is kept in any case.
	maxLinkBytes = 32 << 20
	largeLink    = 16 << 10
)

func newLinks(s *Session, h Handler) *links {
	return &links{
		providerKey: s.data.ProviderKey,
		opener:      s.opener,
		handler:     h,
		log:         s.log,
		known:       map[LinkID]*Link{},
		config:      s.data.Config,
		account:     s.options.Memory,
		costs:       map[LinkID]int64{},
	}
}

// work is the link worker: first the links of the host data, then whatever the subscriptions brought since.
func (r *run) work() {
	defer close(r.worked)
	var collecting sync.WaitGroup
	collecting.Go(r.collect)
	defer collecting.Wait()
	ended := func() bool {
		select {
		case <-r.quit:
			return true
		default:
			return false
		}
	}
	for _, l := range r.data.Links {
		if ended() {
			return
		}
		r.links.put(l, nil)
	}
	for {
		select {
		case <-r.quit:
			return
		case <-r.changes.some:
		}
		for msg := r.changes.take(); msg != nil; msg = r.changes.take() {
			// A change that waits when the session ends is not begun any more.
			if ended() {
				return
			}
			r.links.handle(msg)
		}
	}
}

func (ls *links) handle(msg *nats.Msg) {
	switch msg.Subject {
	case ls.putSubject:
		ls.put(hostdata.DecodeLink(msg.Data))
	case ls.deleteSubject:
		ls.delete(hostdata.DecodeLink(msg.Data))
	case ls.configSubject:
		ls.updateConfig(msg.Data)
	}
}

// put handles a link of which err says what of it could not be read.
func (ls *links) put(l hostdata.Link, err error) {
	sides := ls.sides(&l)
	if len(sides) == 0 {
		if err != nil {
			ls.log.Error("a link put by the host cannot be read", "error", err)
			return
		}
		ls.log.Warn("ignoring a link that has the provider at neither end", "link", l)
		return
	}
	if bad := checkNames(&l); bad != nil {
		ls.log.Error("a link is ignored", "error", bad)
		return
	}
	for _, side := range sides {
		if err != nil {
			ls.reject(side.id, err)
			continue
		}
		link := &Link{ID: side.id, Interfaces: slices.Compact(slices.Sorted(slices.Values(l.Interfaces))),
			Config: side.config}
		var openErr error
		if link.Secrets, openErr = ls.opener.open(side.secrets); openErr != nil {
			ls.reject(side.id, openErr)
			continue
		}
		if before := ls.known[side.id]; before != nil && before.equal(link) {
			ls.log.Debug("link is put again unchanged", "link", side.id.String())
			continue
		}
		if err := ls.keep(link); err != nil {
			ls.reject(side.id, err)
			continue
		}
		ls.known[side.id] = link
		ls.log.Debug("link is put", "link", side.id.String(), "interfaces", link.Interfaces)
		ls.handler.PutLink(*link)
	}
}

// keep counts what a link takes in place of what was there of it before. Only what is far larger than links are is
// refused: the settings of the others are worth more than the memory that they take.
func (ls *links) keep(l *Link) error {
	n := l.bytes()
	if n > largeLink {
		if ls.held+n > maxLinkBytes || !ls.account.Take(n) {
			return fmt.Errorf("its config and secrets take %d bytes, and there is no memory for as much: make them smaller, or raise provider_max_memory", n)
		}
	} else {
		ls.account.Must(n)
	}
	ls.release(l.ID)
	ls.held += n
	ls.costs[l.ID] = n
	return nil
}

// release gives back what was kept of a link.
func (ls *links) release(id LinkID) {
	n := ls.costs[id]
	ls.held -= n
	ls.account.Give(n)
	delete(ls.costs, id)
}

func (ls *links) reject(id LinkID, err error) {
	ls.release(id)
	ls.known[id] = nil
	ls.log.Error("a link cannot be used", "link", id.String(), "error", err)
	ls.handler.RejectLink(id, err)
}

func (ls *links) delete(l hostdata.Link, err error) {
	sides := ls.sides(&l)
	if len(sides) == 0 && err != nil {
		ls.log.Error("the deletion of a link cannot be read", "error", err)
		return
	}
	if checkNames(&l) != nil {
		return // it was ignored when it was put
	}
	for _, side := range sides {
		// Every copy of the provider hears of every deletion, and those of links with itself come twice.
		if _, ok := ls.known[side.id]; !ok {
			ls.log.Debug("ignoring the deletion of a link that is not known", "link", side.id.String())
			continue
		}
		ls.release(side.id)
		delete(ls.known, side.id)
		ls.log.Debug("link is deleted", "link", side.id.String())
		ls.handler.DeleteLink(side.id)
	}
}

func (ls *links) updateConfig(b []byte) {
	// Pointers tell null from an empty text. encoding/json takes null for a map without entries and for an empty text,
	// either of which would throw settings away that nobody wanted to be without.
	var texts map[string]*string
	err := json.Unmarshal(b, &texts)
	config := make(map[string]string, len(texts))
	for key, value := range texts {
		if value == nil {
			err = errNull
			break
		}
		config[key] = *value
	}
	if err != nil || texts == nil {
		// The error of encoding/json may quote a value.
		ls.log.Error("a config update cannot be read and is ignored: it is no JSON object of texts", "bytes", len(b))
		return
	}
	if maps.Equal(config, ls.config) {
		ls.log.Debug("config is sent again unchanged")
		return
	}
	added, removed, changed := difference(ls.config, config)
	ls.log.Warn("the provider's own config has changed: it holds for all links that do not set these themselves",
		"added", logged(added), "removed", logged(removed), "changed", logged(changed))
	ls.config = config
	ls.handler.UpdateConfig(maps.Clone(config))
}

var errNull = errors.New("null is no text")

// side is what of a link concerns the provider at one of its ends.
type side struct {
	id      LinkID
	config  map[string]string
	secrets hostdata.Sealed
}

// sides are the ends of a link at which the provider is: none, one, or both where it is linked to itself.
func (ls *links) sides(l *hostdata.Link) []side {
	id := LinkID{Namespace: l.WITNamespace, Package: l.WITPackage, Name: l.Name}
	var sides []side
	if l.Target == ls.providerKey {
		id.Direction, id.Peer = AsTarget, l.SourceID
		sides = append(sides, side{id, l.TargetConfig, l.TargetSecrets})
	}
	if l.SourceID == ls.providerKey {
		id.Direction, id.Peer = AsSource, l.Target
		sides = append(sides, side{id, l.SourceConfig, l.SourceSecrets})
	}
	return sides
}
