package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/messaging-kafka/messaging-kafka/internal/settings"
)

// shape is the keys of one place of a manifest that say something about links, with the shapes of what stands below
// them; nil is for what is not looked at. A list has the shape of each of its parts.
type shape map[string]shape

// The shapes of the places of a manifest.
var (
	configShape = shape{"name": nil, "properties": nil}
	secretShape = shape{"name": nil, "properties": {"policy": nil, "key": nil, "field": nil, "version": nil}}
	endShape    = shape{"name": nil, "config": configShape, "secrets": secretShape}
	linkShape   = shape{"name": nil, "namespace": nil, "package": nil, "interfaces": nil, "target": endShape,
		"source": endShape, "source_config": configShape, "target_config": configShape}
	traitShape      = shape{"type": nil, "properties": linkShape}
	propertiesShape = shape{"image": nil, "id": nil, "application": {"name": nil, "component": nil}, "config": configShape,
		"secrets": secretShape}
	componentShape = shape{"name": nil, "type": nil, "properties": propertiesShape, "traits": nil}
	specShape      = shape{"components": nil, "policies": nil}
	// documentShape has the status that Kubernetes adds.
	documentShape = shape{"apiVersion": nil, "kind": nil, "metadata": nil, "spec": nil, "status": nil}
)

// fields are the notes on keys that are not known: those on links by the places of their components and traits, and all
// others.
type fields struct {
	links  map[[2]int][]Finding
	others []Finding
}

// unknownFields looks for keys of a document that say nothing, which is how a setting or a secret gets lost.
func unknownFields(document any) fields {
	f := fields{links: make(map[[2]int][]Finding)}
	root, _ := document.(map[string]any)
	f.others = append(f.others, unknownIn(root, documentShape, nil, "")...)
	spec, _ := root["spec"].(map[string]any)
	f.others = append(f.others, unknownIn(spec, specShape, documentShape, "spec")...)
	components, _ := spec["components"].([]any)
	for i, one := range components {
		component, _ := one.(map[string]any)
		name := nameOf(component, i)
		f.others = append(f.others, unknownBelow(component, componentShape, specShape, name)...)
		traits, _ := component["traits"].([]any)
		for j, one := range traits {
			if trait, _ := one.(map[string]any); trait["type"] == "link" {
				f.links[[2]int{i, j}] = unknownBelow(trait, traitShape, componentShape, "")
			}
		}
	}
	return f
}

// nameOf tells a part of a list from the others.
func nameOf(part map[string]any, i int) string {
	if name, ok := part["name"].(string); ok && name != "" {
		return name
	}
	return fmt.Sprint(i + 1)
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

// unknownBelow is unknownIn for a mapping and all that stands below it.
func unknownBelow(in map[string]any, known, above shape, path string) []Finding {
	found := unknownIn(in, known, above, path)
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if known[key] == nil {
			continue
		}
		switch value := in[key].(type) {
		case map[string]any:
			found = append(found, unknownBelow(value, known[key], known, join(path, key))...)
		case []any:
			for i, one := range value {
				if part, ok := one.(map[string]any); ok {
					found = append(found, unknownBelow(part, known[key], known, join(path, key)+"."+nameOf(part, i))...)
				}
			}
		}
	}
	return found
}

// unknownIn tells of the keys of a mapping that are not known. One that is meant for another key, or for another place,
// is a failure: what stands there does not arrive.
func unknownIn(in map[string]any, known, above shape, path string) []Finding {
	var found []Finding
	for _, key := range slices.Sorted(maps.Keys(in)) {
		if _, ok := known[key]; ok {
			continue
		}
		status, text := unknown(key, known, above)
		found = append(found, Finding{StepSettings, join(path, key), status, "", text})
	}
	return found
}

func unknown(key string, known, above shape) (Status, string) {
	const lost = "is not known here, and what stands there is lost: "
	if _, isLink := known["interfaces"]; isLink && key == "values" {
		return Fail, lost + "links had values before wasmCloud 1.0; now they are the properties of a config below target (or source)"
	}
	if best := nearKey(key, known); best != "" {
		return Fail, lost + "the key is " + best
	}
	var below []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if _, ok := known[name][key]; ok {
			below = append(below, name)
		}
	}
	_, properties := known["properties"]
	if properties && len(known) == len(configShape) && known["properties"] == nil && settings.IsSetting(key) {
		below = []string{"properties"}
	}
	if len(below) > 0 {
		slices.Reverse(below) // a link's target before its source
		return Fail, lost + "it belongs one level deeper, below " + strings.Join(below, " or ")
	}
	if _, ok := above[key]; ok {
		return Fail, lost + "it belongs one level higher"
	}
	return Warn, "is not known here, and is not looked at"
}

// nearKey is the known key that somebody meant who wrote another, "" where none is near.
func nearKey(key string, known shape) string {
	const most = 2 // changes of one letter
	best, distance := "", most+1
	if len(key) <= most || len(key) > 100 {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if d := levenshtein.ComputeDistance(strings.ToLower(key), strings.ToLower(name)); d < distance && d < len(name)-1 {
			best, distance = name, d
		}
	}
	return best
}
