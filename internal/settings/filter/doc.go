// Package filter decides by an expression of CEL which records a link hands over.
//
// [Compile] checks an expression, and says at which place of it something is wrong; [Filter.Match] evaluates it at one
// record. An expression reads no clock and nothing else besides the record, so that a record matches at each of its
// deliveries or at none.
//
// Evaluation is bounded: by CEL's cost, and in what it reads of a value, whose JSON is not made into a tree but looked
// through where the expression asks for it. Fields are found in the bytes of the record, so that a small record cannot
// take much memory.
package filter
