package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The embedded Kafka writes dataMark first of all; claimFile is ours.
const (
	dataMark  = "meta.json"
	claimFile = "in-use.lock"
)

// errInUse says that another process has the data directory.
var errInUse = errors.New("another process uses it")

// claimData makes sure that the directory is there, holds nothing but the data of an embedded Kafka, and is used by
// this process alone until release is called: the embedded Kafka itself would write over everything.
func claimData(directory string) (release func(context.Context) error, err error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	if err := checkData(directory); err != nil {
		return nil, err
	}
	path := filepath.Join(directory, claimFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("claiming the data directory %s: %w", directory, err), file.Close())
	}
	// The file stays: removing it would let a process that has it open lock one that nobody else finds any more.
	return func(context.Context) error { return file.Close() }, nil
}

func checkData(directory string) error {
	if _, err := os.Stat(filepath.Join(directory, dataMark)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != claimFile {
			return fmt.Errorf("the data directory %s holds something else already, such as %s", directory, entry.Name())
		}
	}
	return nil
}
