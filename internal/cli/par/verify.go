package par

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// worldHash is the key of the hash of world.wasm, the optional interface definition.
	worldHash = "world.wasm"
	// maxClaims bounds the one entry that is held in memory. Real ones have about 1 KiB, or some more with a schema.
	maxClaims = 1 << 20
	// maxEntries is far above what an archive can need, and keeps a crafted one from filling the memory with names.
	maxEntries = 64
)

// ErrHash is wrapped when a file in an archive is not the one that the claims are about.
var ErrHash = errors.New("the hash is not that of the claims")

// Contents is what a verified archive holds.
type Contents struct {
	Claims     Claims `json:"claims"`
	Files      []File `json:"files"` // in the order of the archive, without the claims
	Compressed bool   `json:"compressed"`
}

// File is one file of an archive.
type File struct {
	Name   string `json:"name"`
	Target string `json:"target,omitempty"` // "" for an interface definition
	Size   int64  `json:"bytes"`
	Hash   string `json:"sha256"` // upper-case hexadecimal
}

// Targets returns the targets that the archive has binaries for, sorted.
func (c *Contents) Targets() []string {
	var names []string
	for _, file := range c.Files {
		if file.Target != "" {
			names = append(names, file.Target)
		}
	}
	slices.Sort(names)
	return names
}

// Verify reads a whole archive and checks everything that a host relies on, and more: the claims are signed by the
// issuer they name and valid at the time now, every file has the hash of the claims and none is missing, and there is
// no entry that makes a host's loader fail. It holds no file in memory. Errors wrap [ErrSignature], [ErrHash] or
// [ErrKey] where one of them is the cause.
func Verify(ctx context.Context, from io.Reader, now time.Time) (*Contents, error) {
	buffered := bufio.NewReaderSize(reader{ctx, from}, 64<<10)
	contents := &Contents{}
	var plain io.Reader = buffered
	// The host looks at the first bytes, never at the name.
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		decompressor, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompressing the archive: %w", err)
		}
		contents.Compressed, plain = true, decompressor
	}
	token, err := contents.readEntries(tar.NewReader(plain))
	if err != nil {
		return nil, err
	}
	// The tar's end may come before the stream's: read on, so that a checksum of gzip at its very end counts.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return nil, fmt.Errorf("reading the end of the archive: %w", err)
	}
	if token == "" {
		return nil, fmt.Errorf("reading the archive: it has no %s", claimsEntry)
	}
	if contents.Claims, err = parseClaims(token); err != nil {
		return nil, err
	}
	if err := contents.Claims.validAt(now); err != nil {
		return nil, err
	}
	return contents, contents.checkHashes()
}

func (c *Contents) readEntries(archive *tar.Reader) (token string, err error) {
	seen := make(map[string]bool)
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return token, nil
		}
		if err != nil {
			return "", fmt.Errorf("reading the archive: %w", err)
		}
		name := entry.Name
		// As a host does: what counts is the name without its folder and its last extension.
		stem := strings.TrimSuffix(path.Base(name), path.Ext(name))
		switch {
		case entry.Typeflag != tar.TypeReg:
			return "", fmt.Errorf("reading the archive: %q is not a regular file, which no host can load", name)
		case seen[stem]:
			return "", fmt.Errorf("reading the archive: %q is there twice", name)
		case len(seen) == maxEntries:
			return "", fmt.Errorf("reading the archive: more than %d files", maxEntries)
		}
		seen[stem] = true
		if stem == "claims" {
			if token, err = readClaims(archive, entry.Size); err != nil {
				return "", err
			}
			continue
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, archive); err != nil {
			return "", fmt.Errorf("reading %q in the archive: %w", name, err)
		}
		file := File{Name: name, Target: stem, Size: entry.Size, Hash: hexUpper(hash.Sum(nil))}
		if stem == "world" {
			file.Target = ""
		}
		c.Files = append(c.Files, file)
	}
}

func readClaims(from io.Reader, size int64) (string, error) {
	if size == 0 || size > maxClaims {
		return "", fmt.Errorf("reading the claims: they have %d bytes, allowed are 1 to %d", size, maxClaims)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		return "", fmt.Errorf("reading the claims: %w", err)
	}
	return string(text), nil
}

func (c Claims) validAt(now time.Time) error {
	if c.Expires != 0 && now.Unix() >= c.Expires {
		return fmt.Errorf("verifying the claims: they expired at %s", time.Unix(c.Expires, 0).UTC().Format(time.RFC3339))
	}
	if c.NotBefore != 0 && now.Unix() < c.NotBefore {
		return fmt.Errorf("verifying the claims: they are not valid before %s",
			time.Unix(c.NotBefore, 0).UTC().Format(time.RFC3339))
	}
	return nil
}

// checkHashes compares files and claims in both directions.
func (c *Contents) checkHashes() error {
	if len(c.Targets()) == 0 {
		return errors.New("verifying the archive: it has no binary for any target")
	}
	missing := maps.Clone(c.Claims.Provider.Hashes)
	for _, file := range c.Files {
		key := file.Target
		if key == "" {
			key = worldHash
		}
		hash, ok := c.Claims.Provider.Hashes[key]
		if !ok {
			return fmt.Errorf("verifying %q: the claims have no hash for it", file.Name)
		}
		if hash != file.Hash {
			return fmt.Errorf("verifying %q: %w (it has %s, they say %s)", file.Name, ErrHash, file.Hash, hash)
		}
		delete(missing, key)
	}
	if len(missing) > 0 {
		return fmt.Errorf("verifying the archive: the claims name %q, which is not in it", slices.Sorted(maps.Keys(missing)))
	}
	return nil
}
