package par

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const claimsEntry = "claims.jwt"

// Binary is one executable to pack.
type Binary struct {
	Target string // as [ParseTarget] returns it
	Path   string
}

// Options says what to build. Nothing in it has a default but the zero times.
type Options struct {
	Name, Vendor, Version string
	Revision              int32
	Binaries              []Binary  // at least one, one per target, in any order
	Issuer                Key       // in role account: signs
	Subject               Key       // in role service: is signed for; its public text is the provider's identity
	IssuedAt              time.Time // zero = not known; whole seconds count
	Compress              bool
	// Packed, if not nil, is called when a binary has been packed, with its size in bytes.
	Packed func(target string, size int64)
}

func (o Options) validate() error {
	switch {
	case o.Name == "":
		return errors.New("building an archive: the provider needs a name")
	case len(o.Binaries) == 0:
		return errors.New("building an archive: no binary given")
	case o.Revision < 0:
		return fmt.Errorf("building an archive: the revision is %d, below zero", o.Revision)
	case o.Issuer.private == nil || o.Issuer.role != RoleAccount:
		return errors.New("building an archive: the issuer needs an account key")
	case o.Subject.private == nil || o.Subject.role != RoleService:
		return errors.New("building an archive: the subject needs a service key")
	case !o.IssuedAt.IsZero() && (o.IssuedAt.Unix() < 0 || o.IssuedAt.Unix() > math.MaxUint32):
		// The mtime of a ustar header ends not far beyond; nobody means a time outside.
		return fmt.Errorf("building an archive: the issue time %s is out of range", o.IssuedAt.Format(time.RFC3339))
	}
	seen := make(map[string]bool)
	for _, binary := range o.Binaries {
		if !knownTarget(binary.Target) {
			return fmt.Errorf("building an archive: %w %q", ErrTarget, binary.Target)
		}
		if seen[binary.Target] {
			return fmt.Errorf("building an archive: two binaries for %s", binary.Target)
		}
		seen[binary.Target] = true
	}
	return nil
}

// digest is what the first reading of a binary found. The claims come before the binaries, so each is read twice: once
// to hash and once to pack, and never held in memory.
type digest struct {
	Binary
	size int64
	hash string
}

// Build writes an archive. A binary that changes while it is read is an error, for the claims would be false.
func Build(ctx context.Context, to io.Writer, options Options) error {
	if err := options.validate(); err != nil {
		return err
	}
	digests := make([]digest, 0, len(options.Binaries))
	hashes := make(map[string]string)
	for _, binary := range options.Binaries {
		d, err := digestBinary(ctx, binary)
		if err != nil {
			return err
		}
		digests = append(digests, d)
		hashes[binary.Target] = d.hash
	}
	slices.SortFunc(digests, func(a, b digest) int { return strings.Compare(a.Target, b.Target) })

	var issued int64
	if !options.IssuedAt.IsZero() {
		issued = options.IssuedAt.Unix()
	}
	token, err := signClaims(Claims{IssuedAt: issued, Provider: Provider{
		Name: options.Name, Vendor: options.Vendor, Revision: options.Revision, Version: options.Version, Hashes: hashes,
	}}, options.Issuer, options.Subject)
	if err != nil {
		return err
	}
	if !options.Compress {
		return writeTar(ctx, to, token, digests, issued, options.Packed)
	}
	// The header stays empty: a name or time in it would make equal archives differ.
	compressor, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compressing the archive: %w", err)
	}
	if err := writeTar(ctx, compressor, token, digests, issued, options.Packed); err != nil {
		return err
	}
	if err := compressor.Close(); err != nil {
		return fmt.Errorf("compressing the archive: %w", err)
	}
	return nil
}

func writeTar(ctx context.Context, to io.Writer, token string, digests []digest, issued int64,
	packed func(string, int64)) error {
	archive := tar.NewWriter(to)
	add := func(name string, mode, size int64, from io.Reader) error {
		// Hosts read ustar, and panic on anything that is not a regular file.
		if err := archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Name: name, Mode: mode, Size: size, ModTime: time.Unix(issued, 0),
		}); err != nil {
			return fmt.Errorf("writing %s to the archive: %w", name, err)
		}
		if _, err := io.Copy(archive, from); err != nil {
			return fmt.Errorf("writing %s to the archive: %w", name, err)
		}
		return nil
	}
	if err := add(claimsEntry, 0o644, int64(len(token)), strings.NewReader(token)); err != nil {
		return err
	}
	for _, d := range digests {
		if err := d.pack(ctx, add); err != nil {
			return err
		}
		if packed != nil {
			packed(d.Target, d.size)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return nil
}

func digestBinary(ctx context.Context, binary Binary) (digest, error) {
	file, err := openBinary(binary)
	if err != nil {
		return digest{}, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	size, err := io.Copy(hash, reader{ctx, file})
	if err != nil {
		return digest{}, fmt.Errorf("reading the binary for %s: %w", binary.Target, err)
	}
	if size == 0 {
		return digest{}, fmt.Errorf("reading the binary for %s: %s is empty", binary.Target, binary.Path)
	}
	return digest{binary, size, hexUpper(hash.Sum(nil))}, nil
}

func (d digest) pack(ctx context.Context, add func(name string, mode, size int64, from io.Reader) error) error {
	file, err := openBinary(d.Binary)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	hash := sha256.New()
	err = add(d.Target+".bin", 0o755, d.size, io.TeeReader(reader{ctx, file}, hash))
	grew := errors.Is(err, tar.ErrWriteTooLong)
	if err != nil && !grew {
		return err
	}
	if grew || hexUpper(hash.Sum(nil)) != d.hash {
		return fmt.Errorf("packing the binary for %s: %s changed while it was read", d.Target, d.Path)
	}
	return nil
}

func openBinary(binary Binary) (*os.File, error) {
	file, err := os.Open(binary.Path)
	if err != nil {
		return nil, fmt.Errorf("opening the binary for %s: %w", binary.Target, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		// Anything else may read differently the second time, or never end.
		err = errors.New("not a regular file")
	}
	if err != nil {
		_ = file.Close() // it was only looked at
		return nil, fmt.Errorf("opening the binary for %s: %s: %w", binary.Target, binary.Path, err)
	}
	return file, nil
}

// BuildFile writes an archive to path, whole or not at all: an existing file is replaced only by a complete one.
func BuildFile(ctx context.Context, path string, options Options) error {
	temporary, err := temporaryBeside(path)
	if err != nil {
		return fmt.Errorf("creating the archive: %w", err)
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // it fails once the file is renamed, as it should
	err = Build(ctx, temporary, options)
	if err == nil {
		// Archives are for everybody to read, unlike the private files that temporaryBeside makes.
		err = temporary.Chmod(0o644)
	}
	if err := errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("creating the archive: %w", err)
	}
	return nil
}

// temporaryBeside makes a file that only its owner can read, in the folder of path so that it can take path's place.
func temporaryBeside(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
}

func hexUpper(sum []byte) string { return strings.ToUpper(hex.EncodeToString(sum)) }

// reader ends a long copy when its context does.
type reader struct {
	ctx  context.Context
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}
