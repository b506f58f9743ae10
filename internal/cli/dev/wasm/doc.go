// Package wasm reads which interfaces a WebAssembly component imports and exports, so that `dev --component` knows how
// to serve it and names an import that nothing gives.
//
// [Read] reads a file and [Parse] its content; both return [Interfaces], with the names in the order of the file. A
// core module is [ErrModule], anything else than WebAssembly [ErrNotWasm]. Package dev is the only user.
//
// It looks at the outermost imports and exports alone, in the format of the component model's Binary.md. It runs
// nothing, starts no goroutine, and validates nothing else: a file that it can read may still be no component that a
// host takes.
package wasm
