package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// faults are the patches that bring a fault back, one each.
const faults = "test/simulation/faults"

// knownFaults brings back faults one at a time, counts seeds until each is found, and prints that as a table.
func knownFaults(ctx context.Context, folder, only string, most, workers int) error {
	patches, err := filepath.Glob(filepath.Join(faults, "*.patch"))
	if err != nil {
		return err
	}
	fmt.Printf("| fault | seeds until it is found | invariant |\n| --- | --- | --- |\n")
	var missed []string
	for _, patch := range patches {
		name := strings.TrimSuffix(filepath.Base(patch), ".patch")
		if only != "" && name != only {
			continue
		}
		seeds, invariant, err := find(ctx, filepath.Join(folder, name), patch, most, workers)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if invariant == "" {
			missed = append(missed, name)
			invariant = "none"
		}
		fmt.Printf("| %s | %d | %s |\n", name, seeds, invariant)
	}
	if len(missed) > 0 {
		return fmt.Errorf("no invariant finds %s: one is missing", strings.Join(missed, ", "))
	}
	return nil
}

// find counts the seeds until one fails in a copy of what was committed last, with a patch. The invariant is "" where
// none fails.
func find(ctx context.Context, folder, patch string, most, workers int) (seeds int, invariant string, err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return 0, "", err
	}
	tree := filepath.Join(folder, "tree")
	if err := git(ctx, "", "worktree", "add", "--quiet", "--detach", tree, "HEAD"); err != nil {
		return 0, "", err
	}
	defer func() {
		err = errors.Join(err, git(context.WithoutCancel(ctx), "", "worktree", "remove", "--force", tree))
	}()
	absolute, err := filepath.Abs(patch)
	if err != nil {
		return 0, "", err
	}
	if err := git(ctx, tree, "apply", absolute); err != nil {
		return 0, "", err
	}
	program, err := build(ctx, folder, tree)
	if err != nil {
		return 0, "", err
	}
	next := uint64(0)
	s := newSearch(program, func() uint64 { next++; return next }, workers)
	s.most, s.twice = most, most+1 // none is repeated
	failed, err := s.run(ctx)
	if err != nil || failed == nil {
		return s.runs, "", err
	}
	return s.runs, failed.result.Failures[0].Invariant, nil
}

func git(ctx context.Context, folder string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}
