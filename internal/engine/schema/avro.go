package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/avro"
)

// avroType is a type of Avro with all names resolved, so that values can be gone through along it.
type avroType struct {
	kind string
	// name is what the type is called in a union: the kind, or the full name of a record, an enum or a fixed.
	name     string
	fields   []avroField
	items    *avroType   // of an array or a map
	branches []*avroType // of a union
	symbols  []string
	size     int
	// decimal tells that bytes are a number with scale digits behind its point, and precision digits at most.
	decimal          bool
	scale, precision int
	// optional is the other branch of a union of null and one more; nil elsewhere. null is the place of null in a union,
	// -1 where there is none.
	optional *avroType
	null     int
}

type avroField struct {
	name       string
	of         *avroType
	hasDefault bool
	def        any
}

// compileAvro reads a schema of Avro. What it refers to comes first, in the order in which they refer to each other.
func compileAvro(text string, references []reference) (codec, error) {
	var cache avro.SchemaCache
	lax := avro.WithLaxNames(nil) // writers in other languages have names that Avro does not allow
	for _, r := range references {
		if _, err := cache.Parse(r.text, lax); err != nil {
			return nil, fmt.Errorf("reading the schema %s, to which it refers: %w", r.name, err)
		}
	}
	parsed, err := cache.Parse(text, lax)
	if err != nil {
		return nil, err
	}
	c := avroCompiler{named: map[string]*avroType{}}
	root, err := c.compile(parsed.Root(), "")
	if err != nil {
		return nil, err
	}
	return avroCodec{root}, nil
}

type avroCompiler struct{ named map[string]*avroType }

func (c *avroCompiler) compile(n *avro.SchemaNode, space string) (*avroType, error) {
	t := &avroType{kind: n.Type, name: n.Type, null: -1}
	var err error
	switch n.Type {
	case "null", "boolean", "int", "long", "float", "double", "string":
	case "bytes":
		c.decimal(t, n)
	case "array", "map":
		items := n.Items
		if n.Type == "map" {
			items = n.Values
		}
		if items == nil {
			return nil, fmt.Errorf("a type %s does not say of what", n.Type)
		}
		t.items, err = c.compile(items, space)
	case "union":
		err = c.union(t, n, space)
	case "fixed":
		t.size = n.Size
		c.decimal(t, n)
		c.define(t, n)
	case "enum":
		t.symbols = n.Symbols
		c.define(t, n)
	case "record", "error":
		t.kind = "record"
		err = c.record(t, n)
	default:
		if known := c.find(n.Type, space); known != nil {
			return known, nil
		}
		return nil, fmt.Errorf("the type %s is not known", n.Type)
	}
	return t, err
}

func (*avroCompiler) decimal(t *avroType, n *avro.SchemaNode) {
	if n.LogicalType == "decimal" && n.Precision > 0 {
		t.decimal, t.scale, t.precision = true, n.Scale, n.Precision
	}
}

// define gives a type its name, before what is in it can refer to it, and returns the namespace of that.
func (c *avroCompiler) define(t *avroType, n *avro.SchemaNode) (space string) {
	t.name, space = n.Name, n.Namespace
	if dot := strings.LastIndexByte(n.Name, '.'); dot >= 0 {
		space = n.Name[:dot]
	} else if space != "" {
		t.name = space + "." + n.Name
	}
	c.named[t.name] = t
	return space
}

func (c *avroCompiler) find(name, space string) *avroType {
	if space != "" && !strings.Contains(name, ".") {
		if t := c.named[space+"."+name]; t != nil {
			return t
		}
	}
	return c.named[strings.TrimPrefix(name, ".")]
}

func (c *avroCompiler) record(t *avroType, n *avro.SchemaNode) error {
	space := c.define(t, n)
	for i := range n.Fields {
		f := &n.Fields[i]
		of, err := c.compile(&f.Type, space)
		if err != nil {
			return err
		}
		t.fields = append(t.fields, avroField{name: f.Name, of: of, hasDefault: f.HasDefault, def: f.Default})
	}
	return nil
}

func (c *avroCompiler) union(t *avroType, n *avro.SchemaNode, space string) error {
	for i := range n.Branches {
		branch, err := c.compile(&n.Branches[i], space)
		if err != nil {
			return err
		}
		if branch.kind == "null" {
			t.null = i
		}
		t.branches = append(t.branches, branch)
	}
	if len(t.branches) == 2 && t.null >= 0 {
		t.optional = t.branches[1-t.null]
	}
	return nil
}

// branch is the place of a branch of a union, by what it is called there.
func (t *avroType) branch(name string) int {
	return slices.IndexFunc(t.branches, func(b *avroType) bool { return b.name == name })
}

// maxDepth bounds how deep values are nested within each other.
const maxDepth = 500

// avroCodec is a schema of Avro.
type avroCodec struct{ root *avroType }
