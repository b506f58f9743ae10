package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// entry is a key of a mapping with what stands behind it.
type entry struct {
	key  string
	line int
	// value is the text of a scalar, or the texts of a list with commas between them.
	value string
	parts []string // those texts; nil for a scalar
	// inner are the entries of a mapping; nil for a scalar or a list.
	inner []entry
	// mapping tells that there is a mapping, an empty one included.
	mapping bool
	// problem says why the value cannot be used, whatever its key is; with unkeyed, why the key cannot.
	problem string
	unkeyed bool
}

// parseYAML reads the one mapping that a file is.
func parseYAML(path string, content []byte) ([]entry, error) {
	whole := func(format string, args ...any) Errors {
		return Errors{{File: path, Problem: fmt.Sprintf(format, args...)}}
	}
	file, err := parser.ParseBytes(content, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Errors{yamlError(path, err)}
	}
	switch {
	case len(file.Docs) == 0 || len(file.Docs) == 1 && isEmpty(file.Docs[0].Body):
		return nil, whole("is empty: a bridge needs routes")
	case len(file.Docs) > 1:
		return nil, whole("holds %d YAML documents: a bridge is one", len(file.Docs))
	}
	root := entryOf("", 0, file.Docs[0].Body)
	if root.problem == "" && !root.mapping {
		root.problem = "is no mapping of keys to values"
	}
	if root.problem != "" {
		return nil, whole("%s", root.problem)
	}
	return root.inner, nil
}

func isEmpty(n ast.Node) bool {
	if n == nil {
		return true
	}
	_, null := n.(*ast.NullNode)
	return null
}

// yamlError says what the library found. Its own text shows the lines around the error, in which a secret may stand.
func yamlError(path string, err error) *Error {
	e := &Error{File: path, Problem: "is not YAML"}
	var at yaml.Error
	if !errors.As(err, &at) {
		return e
	}
	if t := at.GetToken(); t != nil && t.Position != nil {
		e.Line = t.Position.Line
	}
	return e
}

const noAnchors = "has an anchor or an alias, which are not taken: what routes have in common stands above them"

// entryOf reads a value.
func entryOf(key string, line int, n ast.Node) entry {
	e := entry{key: key, line: line}
	switch n := n.(type) {
	case *ast.MappingNode:
		e.mapping = true
		lines := make(map[string]int, len(n.Values)) // of the keys
		for _, v := range n.Values {
			one := pairOf(v)
			if first, twice := lines[one.key]; twice && !one.unkeyed {
				one = entry{key: one.key, line: one.line, problem: fmt.Sprintf("is given twice, first on line %d", first)}
			} else {
				lines[one.key] = one.line
			}
			e.inner = append(e.inner, one)
		}
	case *ast.MappingValueNode:
		e.mapping = true
		e.inner = []entry{pairOf(n)}
	case *ast.SequenceNode:
		parts := make([]string, 0, len(n.Values))
		for _, item := range n.Values {
			part, ok := scalar(item)
			if !ok {
				e.problem = "is a list of something else than texts and numbers"
			}
			parts = append(parts, part)
		}
		e.value, e.parts = strings.Join(parts, ","), parts
	case *ast.NullNode:
		e.problem = "is empty: give it a value, or leave it out"
	case *ast.AnchorNode, *ast.AliasNode:
		e.problem = noAnchors
	default:
		text, ok := scalar(n)
		if !ok {
			e.problem = "is neither text nor a number, a list or a mapping"
		}
		e.value = text
	}
	return e
}

func pairOf(v *ast.MappingValueNode) entry {
	line := 0
	if t := v.Key.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	if _, merge := v.Key.(*ast.MergeKeyNode); merge {
		return entry{key: "<<", line: line, problem: noAnchors, unkeyed: true}
	}
	name, ok := scalar(v.Key)
	if !ok {
		return entry{key: "?", line: line, problem: "is not a plain key", unkeyed: true}
	}
	return entryOf(name, line, v.Value)
}

// scalar is the text of a scalar as it was written: 007 stays 007.
func scalar(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}
