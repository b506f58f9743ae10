// Package archtest holds the rules of the project's structure, as tests: which package may import which, and how long a
// file may be. DESIGN.md says why they are as they are.
package archtest
