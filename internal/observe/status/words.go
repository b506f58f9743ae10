package status

// Words are what operators call what runs, by the front-end that has it run. In JSON they are told where they are not
// those of links.
type Words string

const (
	// OfLinks are those of a provider: its links, and the components that these are for.
	OfLinks Words = ""
	// OfRoutes are those of a bridge: its routes, and the applications behind these.
	OfRoutes Words = "routes"
)

// Pick returns what is said of a link, or what is said of a route.
func (w Words) Pick(ofLink, ofRoute string) string {
	if w == OfRoutes {
		return ofRoute
	}
	return ofLink
}

// Link is the word for one of them.
func (w Words) Link() string { return w.Pick("link", "route") }

// LogKeys are the keys and values by which lines of the log name the link of a component, or the route of a bridge.
func (w Words) LogKeys(name, owner string) []any {
	if w == OfRoutes {
		return []any{"route", name, "bridge", owner}
	}
	return []any{"link", name, "component", owner}
}

// Receiver names what takes the records of a link of a component.
func (w Words) Receiver(component string) string {
	return w.Pick("component "+component, "the application")
}
