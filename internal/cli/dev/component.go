package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/dev/wasm"
)

// Component says what gets the records instead of the stand-in for echo: a component, which is served here, or a
// program that listens already.
type Component struct {
	// Path is the file of a component, URL where a program listens; one of them is given.
	Path, URL string
	// Interface is what the component exports, or what the program speaks; "" is found out: see [Interfaces].
	Interface string
	// Set are settings of the route as KEY=VALUE.
	Set []string
	// Env is the component's environment as NAME=VALUE, which is what wasi:config has, too.
	Env []string
	// Watch has the component served anew when its file changes.
	Watch bool
	// Wasmtime and Wac are the programs that serve and compose, by name or path. Shims is the folder of the shims.
	Wasmtime, Wac, Shims string
}

// ErrComponent says that what was asked about a component cannot be, before anything was started.
var ErrComponent = errors.New("this component cannot be tried")

// The interfaces that a component may export, as flags name them.
const (
	processor  = "processor"
	handler    = "handler"
	messages   = "messages"
	plainHTTP  = "http"
	httpExport = "wasi:http/incoming-handler"
)

// Interfaces are the values of --interface.
var Interfaces = []string{processor, handler, messages, plainHTTP}

// served is one way to hand records over to a component.
type served struct {
	name    string
	export  string // without its version
	shim    string // what stands before it; "" needs none
	deliver string
}

// ways are in the order in which a component that offers several is taken.
var ways = []served{
	{processor, "messaging-kafka:records/processor", "processor", "http-records"},
	{handler, "messaging-kafka:records/handler", "handler", "http-records"},
	{messages, "wasmcloud:messaging/handler", "messaging", "http-messages"},
	{plainHTTP, httpExport, "", "http-cloudevents"},
}

// behind says which shim gives a component what it imports.
var behind = map[string]string{
	"messaging-kafka:records/producer":  "producer",
	"messaging-kafka:records/requester": "producer",
	"wasmcloud:messaging/consumer":      "consumer",
	"wasi:config/store":                 "config",
}

// typesOnly are imports that have no functions.
var typesOnly = []string{"messaging-kafka:records/types", "wasmcloud:messaging/types"}

// plan is how a component is served.
type plan struct {
	way served
	// plugs are the shims behind it, in order.
	plugs []string
	// publishes tells whether it asks the bridge for anything.
	publishes bool
}

// wayOf finds the way by the name of an interface.
func wayOf(name string) (served, error) {
	for _, way := range ways {
		if way.name == name {
			return way, nil
		}
	}
	return served{}, fmt.Errorf("%w: the interface %q is not one of %s", ErrComponent, name,
		strings.Join(Interfaces, ", "))
}

// unversioned is an interface's name without its version.
func unversioned(name string) string {
	name, _, _ = strings.Cut(name, "@")
	return name
}

// planFor decides how a component is served, by what it exports and imports.
func planFor(path string, found wasm.Interfaces, want string) (plan, error) {
	var p plan
	exports := func(way served) bool {
		return slices.ContainsFunc(found.Exports, func(name string) bool { return unversioned(name) == way.export })
	}
	switch i := slices.IndexFunc(ways, exports); {
	case want != "":
		way, err := wayOf(want)
		if err != nil {
			return p, err
		}
		if !exports(way) {
			return p, fmt.Errorf("%w: %s does not export %s, but %s", ErrComponent, path, way.export, listed(found.Exports))
		}
		p.way = way
	case i < 0:
		var known []string
		for _, way := range ways {
			known = append(known, way.export)
		}
		return p, fmt.Errorf("%w: %s exports %s, and none of %s", ErrComponent, path, listed(found.Exports), strings.Join(known, ", "))
	default:
		p.way = ways[i]
	}
	var missing []string
	for _, name := range found.Imports {
		plain := unversioned(name)
		shim, ok := behind[plain]
		switch {
		case ok && p.way.name == plainHTTP && shim != "config":
			missing = append(missing, name)
		case ok:
			if !slices.Contains(p.plugs, shim) {
				p.plugs = append(p.plugs, shim)
			}
			p.publishes = p.publishes || shim != "config"
		case strings.HasPrefix(plain, "wasi:"), slices.Contains(typesOnly, plain):
		default:
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return p, fmt.Errorf("%w: %s imports %s, which nothing here has", ErrComponent, path, strings.Join(missing, ", "))
	}
	return p, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// plan decides how the component is served.
func (c *Component) plan() (plan, error) {
	if err := errors.Join(checkPairs("--set", "KEY=VALUE", c.Set), checkPairs("--env", "NAME=VALUE", c.Env)); err != nil {
		return plan{}, err
	}
	switch {
	case (c.Path == "") == (c.URL == ""):
		return plan{}, fmt.Errorf("%w: give the file of a component, or the URL of a program", ErrComponent)
	case c.URL != "" && c.Watch:
		return plan{}, fmt.Errorf("%w: there is no file to watch behind a URL", ErrComponent)
	case c.URL != "":
		name := c.Interface
		if name == "" {
			name = processor
		}
		way, err := wayOf(name)
		return plan{way: way, publishes: false}, err
	}
	found, err := wasm.Read(c.Path)
	if err != nil {
		return plan{}, fmt.Errorf("%w: %w", ErrComponent, err)
	}
	return planFor(c.Path, found, c.Interface)
}

// checkPairs sees that each value of a flag is a pair, and each name is there once: nobody could tell which one counts.
func checkPairs(flag, form string, list []string) error {
	known := make(map[string]bool)
	for _, one := range list {
		name, _, ok := strings.Cut(one, "=")
		switch {
		case !ok || name == "":
			return fmt.Errorf("%w: %s takes %s, not %q", ErrComponent, flag, form, name)
		case known[name]:
			return fmt.Errorf("%w: %s gives %s twice", ErrComponent, flag, name)
		}
		known[name] = true
	}
	return nil
}

// compose makes one component of the shims and the component, in a folder, and returns its path.
func (c *Component) compose(ctx context.Context, p plan, folder string) (string, error) {
	at := c.Path
	for _, step := range p.steps() {
		socket, plugs := at, step.shims
		if step.before {
			socket, plugs = c.shim(step.shims[0]), []string{at}
		} else {
			for i, name := range plugs {
				plugs[i] = c.shim(name)
			}
		}
		out, err := os.CreateTemp(folder, "composed-*.wasm")
		if err != nil {
			return "", err
		}
		if err := out.Close(); err != nil {
			return "", err
		}
		args := []string{"plug", socket, "-o", out.Name()}
		for _, plug := range plugs {
			args = append(args, "--plug", plug)
		}
		if err := runProgram(ctx, c.Wac, args...); err != nil {
			return "", fmt.Errorf("composing %s: %w", c.Path, err)
		}
		at = out.Name()
	}
	return at, nil
}

type step struct {
	shims  []string
	before bool
}

// steps are what wac does: what stands behind the component first, then what stands before it.
func (p plan) steps() []step {
	var steps []step
	if len(p.plugs) > 0 {
		steps = append(steps, step{shims: slices.Clone(p.plugs)})
	}
	if p.way.shim != "" {
		steps = append(steps, step{shims: []string{p.way.shim}, before: true})
	}
	return steps
}

// shim is the path of a shim.
func (c *Component) shim(name string) string { return filepath.Join(c.Shims, "shim-"+name+".wasm") }

// present checks that the programs and shims which the plan needs are there.
func (c *Component) present(p plan) error {
	if c.URL != "" {
		return nil
	}
	if err := findProgram(&c.Wasmtime, "wasmtime", "https://wasmtime.dev, or --wasmtime PATH"); err != nil {
		return err
	}
	steps := p.steps()
	if len(steps) == 0 {
		return nil
	}
	if err := findProgram(&c.Wac, "wac", "cargo install wac-cli, or --wac PATH"); err != nil {
		return err
	}
	for _, step := range steps {
		for _, name := range step.shims {
			if _, err := os.Stat(c.shim(name)); err != nil {
				return fmt.Errorf("%w: it needs the shim %s: %w (shims/build %s makes it; --shims DIR says where it is)", ErrComponent, name, err, name)
			}
		}
	}
	return nil
}
