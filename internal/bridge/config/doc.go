// Package config reads the file of a bridge: settings of the bridge itself, who may publish by it, and its routes.
//
// [Read] takes nothing for granted and drops nothing in silence: a key that is unknown, given twice or in the wrong
// place, a value that cannot be used, a variable that is not set and a file that cannot be read are [Errors], each with
// the line it is about and, for a key, the known one that is nearest. Neither errors nor warnings hold what came from a
// variable or a file, or the value of a setting that is sensitive.
//
// A [Config] has a [Route] for each entry, with the same settings.Link that a link of a lattice has, and the [Caller]s
// that may publish. bridge reads the file with it at its start and when it changes. The package connects to nothing.
package config
