// Package archtest holds the rules of the project's structure, as tests. It has no code that runs.
//
//   - Imports go downwards, from wing to wing, and each package keeps to its side (imports_test.go, modules_test.go).
//   - Files stay short, and copies of the WIT package are copies (files_test.go).
//   - Every package has a doc.go that introduces it (docs_test.go).
//   - The tables of goroutines, timers, callbacks and locks in DESIGN.md name those of the code (design_test.go).
//   - Keys and messages of the log are of one form and in the table for operators (log_test.go).
//
// A rule that is in the way is either wrong, and changes here with a reason, or right. DESIGN.md says why the rules
// are as they are.
package archtest
