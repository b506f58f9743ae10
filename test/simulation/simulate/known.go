package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// faults are the patches that bring a fault back, one each.
const faults = "test/simulation/faults"

// knownFaults brings back faults one at a time, counts seeds until each is found, and prints that as a table.
func knownFaults(ctx context.Context, folder, only string, most, workers int) error {
	patches, err := filepath.Glob(filepath.Join(faults, "*.patch"))
	if err != nil {
		return err
	}
	k := &knownFault{folder: folder, most: most, workers: workers}
	if k.without, err = k.build(ctx, "none", ""); err != nil {
		return err
	}
	fmt.Printf("| fault | seeds until it is found | invariant | the seed |\n| --- | --- | --- | --- |\n")
	var missed []string
	for _, patch := range patches {
		name := strings.TrimSuffix(filepath.Base(patch), ".patch")
		if only != "" && !slices.Contains(strings.Split(only, ","), name) {
			continue
		}
		seeds, found, err := k.find(ctx, name, patch)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if found == nil {
			missed = append(missed, name)
			fmt.Printf("| %s | not in %d | none | |\n", name, seeds)
			continue
		}
		fmt.Printf("| %s | %d | %s | %d |\n", name, seeds, found.result.Failures[0].Invariant, found.run.Seed)
	}
	if len(missed) > 0 {
		return fmt.Errorf("no invariant finds %s: one is missing", strings.Join(missed, ", "))
	}
	return nil
}

// knownFault looks for faults that were brought back.
type knownFault struct {
	folder        string
	most, workers int
	without       *program // of what was committed last, as it is
}

// build builds what was committed last, with a patch if there is one, in a folder that is removed.
func (k *knownFault) build(ctx context.Context, name, patch string) (p *program, err error) {
	folder := filepath.Join(k.folder, name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	tree := filepath.Join(folder, "tree")
	if err := git(ctx, "", "worktree", "add", "--quiet", "--detach", tree, "HEAD"); err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, git(context.WithoutCancel(ctx), "", "worktree", "remove", "--force", tree))
	}()
	if patch != "" {
		absolute, err := filepath.Abs(patch)
		if err != nil {
			return nil, err
		}
		if err := git(ctx, tree, "apply", absolute); err != nil {
			return nil, err
		}
	}
	return build(ctx, folder, tree)
}

// find counts the seeds until one fails with a patch, and fails in the same way when it is repeated, that does not do
// so without it; nil is that none does.
func (k *knownFault) find(ctx context.Context, name, patch string) (seeds int, found *outcome, err error) {
	program, err := k.build(ctx, name, patch)
	if err != nil {
		return 0, nil, err
	}
	var next atomic.Uint64
	for seeds < k.most {
		s := newSearch(program, func() uint64 { return next.Add(1) }, k.workers)
		s.most, s.twice = k.most-seeds, k.most+1 // none is repeated
		failed, err := s.run(ctx)
		seeds += s.runs
		if err != nil || failed == nil {
			return seeds, nil, err
		}
		invariant := failed.result.Failures[0].Invariant
		again, err := program.do(ctx, failed.run)
		if err != nil {
			return seeds, nil, err
		}
		without, err := k.without.do(ctx, failed.run)
		if err != nil {
			return seeds, nil, err
		}
		switch {
		case !again.result.Failed(invariant):
			fmt.Fprintf(os.Stderr, "%s: run %s broke %s once and not again: it does not count\n", name, failed.run, invariant)
		case !without.result.Failed(invariant):
			return seeds, failed, nil
		}
	}
	return seeds, nil, nil
}

func git(ctx context.Context, folder string, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return nil
}
