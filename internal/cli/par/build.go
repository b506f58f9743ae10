// Package par writes and verifies provider archives: the files that a wasmCloud host loads a capability provider from.
//
// An archive is a tar file, gzip-compressed or not, with one binary for each kind of machine and a signed token that
// says whose they are and what their hashes are. The same inputs, keys and options always make the same bytes.
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
	// Progress, if not nil, is called by the goroutine of [Build] while it reads the binaries.
	Progress func(Progress)
}

// Progress is how far one binary is.
type Progress struct {
	Target      string
	Phase       Phase
	Done, Total int64 // bytes of the binary; Done is Total once for each phase that ends well
}

// Phase is what a binary is read for.
type Phase string

// The phases of each binary. All binaries are hashed before the first is packed.
const (
	PhaseHash Phase = "hashed"
	PhasePack Phase = "packed"
)

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
		d, err := digestBinary(ctx, binary, options.Progress)
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
		return writeTar(ctx, to, token, digests, issued, options.Progress)
	}
	// The header stays empty: a name or time in it would make equal archives differ.
	compressor, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compressing the archive: %w", err)
	}
	if err := writeTar(ctx, compressor, token, digests, issued, options.Progress); err != nil {
		return err
	}
	if err := compressor.Close(); err != nil {
		return fmt.Errorf("compressing the archive: %w", err)
	}
	return nil
}

func writeTar(ctx context.Context, to io.Writer, token string, digests []digest, issued int64, progress func(Progress)) error {
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
		if err := d.pack(ctx, add, progress); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return nil
}

func digestBinary(ctx context.Context, binary Binary, progress func(Progress)) (digest, error) {
	file, expected, err := openBinary(binary)
	if err != nil {
		return digest{}, err
	}
	defer file.Close()
	hash := sha256.New()
	tell := teller{progress, Progress{Target: binary.Target, Phase: PhaseHash, Total: expected}}
	size, err := io.Copy(hash, tell.around(reader{ctx, file}))
	if err != nil {
		return digest{}, fmt.Errorf("reading the binary for %s: %w", binary.Target, err)
	}
	if size == 0 {
		return digest{}, fmt.Errorf("reading the binary for %s: %s is empty", binary.Target, binary.Path)
	}
	tell.end(size)
	return digest{binary, size, hexUpper(hash.Sum(nil))}, nil
}

func (d digest) pack(ctx context.Context, add func(name string, mode, size int64, from io.Reader) error, progress func(Progress)) error {
	file, _, err := openBinary(d.Binary)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	tell := teller{progress, Progress{Target: d.Target, Phase: PhasePack, Total: d.size}}
	err = add(d.Target+".bin", 0o755, d.size, io.TeeReader(tell.around(reader{ctx, file}), hash))
	grew := errors.Is(err, tar.ErrWriteTooLong)
	if err != nil && !grew {
		return err
	}
	if grew || hexUpper(hash.Sum(nil)) != d.hash {
		return fmt.Errorf("packing the binary for %s: %s changed while it was read", d.Target, d.Path)
	}
	tell.end(d.size)
	return nil
}

// openBinary opens the file of a binary and returns its size as well.
func openBinary(binary Binary) (*os.File, int64, error) {
	file, err := os.Open(binary.Path)
	if err != nil {
		return nil, 0, fmt.Errorf("opening the binary for %s: %w", binary.Target, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		// Anything else may read differently the second time, or never end.
		err = errors.New("not a regular file")
	}
	if err != nil {
		file.Close()
		return nil, 0, fmt.Errorf("opening the binary for %s: %s: %w", binary.Target, binary.Path, err)
	}
	return file, info.Size(), nil
}

// BuildFile writes an archive to path, whole or not at all: an existing file is replaced only by a complete one.
func BuildFile(ctx context.Context, path string, options Options) error {
	temporary, err := temporaryBeside(path)
	if err != nil {
		return fmt.Errorf("creating the archive: %w", err)
	}
	defer os.Remove(temporary.Name()) // fails once it is renamed, as it should
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

// teller counts what is read of one binary in one phase, and tells of it.
type teller struct {
	tell func(Progress) // may be nil
	Progress
}

func (t *teller) around(from io.Reader) io.Reader {
	if t.tell == nil {
		return from
	}
	return telling{from, t}
}

// end tells that the phase has ended well. Only then is Done as large as Total.
func (t *teller) end(size int64) {
	if t.tell != nil {
		t.Done, t.Total = size, size
		t.tell(t.Progress)
	}
}

type telling struct {
	io.Reader
	*teller
}

func (t telling) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	// What grows while it is read has more than its Total, and is refused in the end.
	if t.Done += int64(n); n > 0 && t.Done < t.Total {
		t.tell(t.Progress)
	}
	return n, err
}
