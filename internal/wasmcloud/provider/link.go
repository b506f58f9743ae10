package provider

import (
	"fmt"

	"github.com/messaging-kafka/messaging-kafka/internal/engine/route"
	"github.com/messaging-kafka/messaging-kafka/internal/record"
	"github.com/messaging-kafka/messaging-kafka/internal/settings"
	"github.com/messaging-kafka/messaging-kafka/internal/settings/role"
	"github.com/messaging-kafka/messaging-kafka/internal/wasmcloud/lattice"
)

// idOf is the id of a link's route. Its variants are in the order of directions, then of packages.
func idOf(id lattice.LinkID) route.ID {
	return route.ID{Peer: id.Peer, Name: id.Name, Variant: fmt.Sprintf("%d %s:%s", id.Direction, id.Namespace, id.Package)}
}

// PutLink implements lattice.Handler.
func (p *Provider) PutLink(l lattice.Link) {
	if r := p.open(l.ID); r != nil {
		p.keep(l.ID, &l)
		r.Hide(settings.SecretValues(l.Config, l.Secrets))
		p.apply(r, &l)
	}
}

// RejectLink implements lattice.Handler.
func (p *Provider) RejectLink(id lattice.LinkID, err error) {
	if r := p.open(id); r != nil {
		p.keep(id, nil)
		r.Refuse(err)
	}
}

// DeleteLink implements lattice.Handler.
func (p *Provider) DeleteLink(id lattice.LinkID) {
	p.mu.Lock()
	if _, there := p.links[id]; there && id.Direction == lattice.AsTarget {
		if p.callers[id.Peer]--; p.callers[id.Peer] == 0 {
			delete(p.callers, id.Peer)
		}
	}
	delete(p.links, id)
	p.mu.Unlock()
	p.Routes.Drop(idOf(id))
}

// open returns the route of a link, nil once the provider stops.
func (p *Provider) open(id lattice.LinkID) *route.Route {
	return p.Routes.Open(idOf(id), route.Label{Package: id.Namespace + ":" + id.Package, Direction: id.Direction.String()})
}

// keep remembers what was put last.
func (p *Provider) keep(id lattice.LinkID, l *lattice.Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.links[id]; !there && id.Direction == lattice.AsTarget {
		p.callers[id.Peer]++
	}
	p.links[id] = l
}

// apply has a route do what its link asks for.
func (p *Provider) apply(r *route.Route, l *lattice.Link) {
	wanted, err := p.parse(r, l)
	if err != nil {
		r.Log().Error("the link is refused", "error", err)
		r.Refuse(err)
		return
	}
	r.Apply(*wanted)
}

// parse reads the settings of a link.
func (p *Provider) parse(r *route.Route, l *lattice.Link) (*route.Wanted, error) {
	does, err := role.Of(l.ID.Direction == lattice.AsSource, l.ID.Namespace+":"+l.ID.Package, l.Interfaces)
	if err != nil {
		return nil, err
	}
	defaults, secrets := p.Defaults()
	parsed, warnings, err := settings.ParseLink(settings.Input{
		Defaults: defaults, DefaultSecrets: secrets,
		Config: l.Config, Secrets: l.Secrets, Batches: does.Batches(), Records: does.Records(),
		Identity: settings.Identity{
			Lattice: p.data.Lattice, Component: l.ID.Peer, LinkName: l.ID.Name,
			HostID: p.data.HostID, ProviderKey: p.data.ProviderKey,
			End: l.ID.Direction.String() + " of " + l.ID.Namespace + ":" + l.ID.Package,
		},
	})
	for _, w := range warnings {
		r.Log().Warn(w.Text, "setting", w.Key)
	}
	if err != nil {
		return nil, err
	}
	if err := does.Check(&parsed); err != nil {
		return nil, err
	}
	peer, name := l.ID.Peer, l.ID.Name
	return &route.Wanted{Role: does, Settings: parsed, Receiver: func(d route.Delivery) record.Receiver {
		if does.Batches() {
			return p.batches(peer, name, does == role.Process, d)
		}
		return &messageReceiver{Delivery: d, component: p.calls.Component(peer, name)}
	}}, nil
}

// batches makes what hands the records of a reading over in batches.
func (p *Provider) batches(component, link string, process bool, d route.Delivery) record.Receiver {
	calls := p.records
	if d.Settings.Delivery.Batch.Binary == settings.BinaryBase64 {
		calls = calls.WithBase64()
	}
	return &batchReceiver{calls: calls, component: component, link: link, process: process, trace: d.Trace}
}
