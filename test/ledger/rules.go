package ledger

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Row is the word on one rule.
type Row struct {
	Rule string
	// Found says what was seen, Allowed what may be.
	Found, Allowed string
	Breaches
}

// Breaches are the ways in which a rule was broken. The zero value is none: the rule holds.
type Breaches struct {
	N int
	// Details tell of the first ones, for somebody who looks for the cause.
	Details []string
}

// detailsShown bounds what is told of a broken rule.
const detailsShown = 10

// Add counts a breach. tell is called for the first ones only, since it may take a look at every call.
func (b *Breaches) Add(tell func() string) {
	b.N++
	if len(b.Details) < detailsShown {
		b.Details = append(b.Details, tell())
	}
}

// Addf counts a breach.
func (b *Breaches) Addf(format string, args ...any) {
	b.Add(func() string { return fmt.Sprintf(format, args...) })
}

// Each makes a breach of each text.
func Each(texts []string) Breaches {
	return Breaches{N: len(texts), Details: texts[:min(len(texts), detailsShown)]}
}

// Unless is no breach where a rule holds, and else one that the row tells.
func Unless(holds bool) Breaches {
	if holds {
		return Breaches{}
	}
	return Breaches{N: 1}
}

// Never makes a row of a rule that allows nothing.
func Never(rule string, broken Breaches) Row {
	return Row{Rule: rule, Found: fmt.Sprint(broken.N), Allowed: "0", Breaches: broken}
}

// Hold tells whether all rules hold.
func Hold(rows []Row) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool { return r.N > 0 })
}

// Print writes the rows as a table, with the details of broken rules below.
func Print(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RULE\tVERDICT\tALLOWED\tFOUND")
	for _, r := range rows {
		verdict := "holds"
		if r.N > 0 {
			verdict = "BROKEN"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Rule, verdict, r.Allowed, r.Found)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the rules: %w", err)
	}
	for _, r := range rows {
		if err := r.PrintDetails(w, r.Rule); err != nil {
			return err
		}
	}
	return nil
}

// PrintDetails writes what is told of the breaches of something.
func (b Breaches) PrintDetails(w io.Writer, of string) error {
	lines := b.Details
	if more := b.N - len(b.Details); len(lines) > 0 && more > 0 {
		lines = append(slices.Clone(lines), fmt.Sprintf("and %d more", more))
	}
	for _, text := range lines {
		if _, err := fmt.Fprintf(w, "  %s: %s\n", of, text); err != nil {
			return fmt.Errorf("printing what broke a rule: %w", err)
		}
	}
	return nil
}
