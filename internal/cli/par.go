package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/base/version"
	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
)

// parFlags are the flags of par as they were typed.
type parFlags struct {
	binaries              []string
	out                   string
	name, vendor, version string
	revision              int32
	issuerKey, subjectKey string
	issuedAt              string
	compress              bool
}

func newPar() *cobra.Command {
	var flags parFlags
	command := &cobra.Command{
		Use:   "par",
		Short: "Build the provider archive that a wasmCloud host loads",
		Long: `Build the provider archive (PAR) that a wasmCloud host loads: one binary for each kind of machine, with a token
that the issuer's key signs.

Keys are Ed25519 seeds as wash and nk write them. A key file that does not exist is made. Keep both: the provider
key is the provider's identity, and the issuer key is what a policy can trust.

The same binaries, keys and flags make the same archive, byte for byte. Its issue time is that of --issued-at, else
of SOURCE_DATE_EPOCH, else of the newest commit that Go recorded in the binaries, else 0, which means not known.`,
		Example: `  messaging-kafka par
  messaging-kafka par --binary linux/amd64=dist/amd64 --binary linux/arm64=dist/arm64 \
    --issuer-key issuer.nk --subject-key provider.nk`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if !command.Flags().Changed("compress") {
				flags.compress = strings.HasSuffix(flags.out, ".gz")
			}
			return flags.build(command)
		},
	}
	set := command.Flags()
	set.StringArrayVar(&flags.binaries, "binary", nil,
		"pack `TARGET=PATH`, such as x86_64-linux=… or linux/amd64=…; repeatable (default this program)")
	set.StringVar(&flags.out, "out", "messaging-kafka.par.gz", "write the archive to `FILE`")
	set.StringVar(&flags.name, "name", "messaging-kafka", "`NAME` of the provider for people")
	set.StringVar(&flags.vendor, "vendor", "messaging-kafka", "`NAME` of who publishes it")
	set.StringVar(&flags.version, "version", "", "`VERSION` of the provider (default that of this program)")
	set.Int32Var(&flags.revision, "revision", 0, "`NUMBER` that grows with each release, for machines")
	set.StringVar(&flags.issuerKey, "issuer-key", "",
		"`FILE` of the account seed that signs (default issuer.nk in the user's configuration folder)")
	set.StringVar(&flags.subjectKey, "subject-key", "",
		"`FILE` of the service seed that names the provider (default provider.nk beside it)")
	set.StringVar(&flags.issuedAt, "issued-at", "", "issue `TIME`: RFC 3339, or seconds since 1970")
	set.BoolVar(&flags.compress, "compress", false, "compress with gzip (default: when FILE of --out ends in .gz)")
	command.AddCommand(newParInspect(), newParSign(), newParVerify())
	return command
}

func (f parFlags) build(command *cobra.Command) error {
	binaries, err := f.parseBinaries()
	if err != nil {
		return err
	}
	issued, err := issueTime(f.issuedAt, os.Getenv("SOURCE_DATE_EPOCH"), binaries)
	if err != nil {
		return err
	}
	if f.name == "" || f.out == "" {
		return usagef("--name and --out need a text")
	}
	if f.revision < 0 {
		return usagef("--revision %d is below zero", f.revision)
	}
	if f.version == "" {
		f.version = version.Get().Version
	}
	out := command.OutOrStdout()
	issuer, err := loadKey(out, par.RoleAccount, "issuer", "--issuer-key", f.issuerKey)
	if err != nil {
		return err
	}
	subject, err := loadKey(out, par.RoleService, "provider", "--subject-key", f.subjectKey)
	if err != nil {
		return err
	}
	options := par.Options{
		Name: f.name, Vendor: f.vendor, Version: f.version, Revision: f.revision, Binaries: binaries,
		Issuer: issuer, Subject: subject, IssuedAt: issued, Compress: f.compress,
	}
	if len(binaries) > 1 { // they take seconds
		options.Packed = func(target string, size int64) {
			fmt.Fprintf(command.ErrOrStderr(), "packed %s, %s\n", target, megabytes(size))
		}
	}
	if err := par.BuildFile(command.Context(), f.out, options); err != nil {
		return err
	}
	// Read it back: what is printed is what a host will find, not what was meant.
	contents, size, err := verifyFile(command, f.out)
	if err != nil {
		return fmt.Errorf("verifying %s: %w", f.out, err)
	}
	return describeArchive(out, f.out, size, contents)
}

func (f parFlags) parseBinaries() ([]par.Binary, error) {
	if len(f.binaries) == 0 {
		target, err := par.ThisTarget()
		if err != nil {
			return nil, fmt.Errorf("packing this program: %w", err)
		}
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("packing this program: %w", err)
		}
		return []par.Binary{{Target: target, Path: path}}, nil
	}
	var binaries []par.Binary
	seen := make(map[string]bool)
	for _, text := range f.binaries {
		name, path, ok := strings.Cut(text, "=")
		if !ok || path == "" {
			return nil, usagef("--binary %q is not of the form TARGET=PATH", text)
		}
		target, err := par.ParseTarget(name)
		if err != nil {
			return nil, usagef("--binary %q: %w", text, err)
		}
		if seen[target] {
			return nil, usagef("--binary names %s twice", target)
		}
		seen[target] = true
		binaries = append(binaries, par.Binary{Target: target, Path: path})
	}
	return binaries, nil
}

// issueTime prefers what somebody said to what the binaries know. The time of the clock or of a file would make an
// archive that nobody can build again.
func issueTime(flag, epoch string, binaries []par.Binary) (time.Time, error) {
	if flag != "" {
		if at, err := time.Parse(time.RFC3339, flag); err == nil {
			return at, nil
		}
		at, err := parseSeconds(flag)
		if err != nil {
			return time.Time{}, usagef("--issued-at %q is neither an RFC 3339 time nor seconds since 1970", flag)
		}
		return at, nil
	}
	if epoch != "" {
		at, err := parseSeconds(epoch)
		if err != nil {
			return time.Time{}, fmt.Errorf("reading SOURCE_DATE_EPOCH: %q is no number of seconds since 1970", epoch)
		}
		return at, nil
	}
	at, _ := par.CommitTime(binaries)
	return at, nil
}

func parseSeconds(text string) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (seconds < 0 || seconds > math.MaxUint32) {
		err = strconv.ErrRange
	}
	return time.Unix(seconds, 0), err
}

// loadKey reads the key in file, or in the user's configuration folder where no file is named, and says so when it
// made a new one.
func loadKey(out io.Writer, role par.Role, name, flag, file string) (par.Key, error) {
	if file == "" {
		folder, err := os.UserConfigDir()
		if err != nil {
			return par.Key{}, fmt.Errorf("finding the %s key: %w: name its file with %s", name, err, flag)
		}
		folder = filepath.Join(folder, "messaging-kafka")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return par.Key{}, fmt.Errorf("making the folder of the %s key (another is named with %s): %w", name, flag, err)
		}
		file = filepath.Join(folder, name+".nk")
	}
	key, created, err := par.LoadKey(role, file)
	if err != nil {
		return par.Key{}, err
	}
	if others, err := par.OthersMayRead(file); err != nil {
		return par.Key{}, err
	} else if others {
		fmt.Fprintf(out, "warning: other users of this machine may read the %s key: chmod 600 %s\n", name, file)
	}
	if created {
		fmt.Fprintf(out, "made a new %s key, keep it: %s\n", name, file)
	}
	return key, nil
}

func newParInspect() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "inspect FILE",
		Short:   "Verify a provider archive and show what is in it",
		Long:    "Verify a provider archive, its hashes and its signature, and show what is in it. It fails when anything is wrong with it.",
		Example: "  messaging-kafka par inspect messaging-kafka.par.gz",
		Args:    oneFile("inspect"),
		RunE: func(command *cobra.Command, args []string) error {
			contents, size, err := verifyFile(command, args[0])
			if err != nil {
				return fmt.Errorf("inspecting %s: %w", args[0], err)
			}
			if asJSON {
				return printJSON(command.OutOrStdout(), contents)
			}
			return describeArchive(command.OutOrStdout(), args[0], size, contents)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return command
}

func verifyFile(command *cobra.Command, path string) (contents *par.Contents, size int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		// The path is in the caller's words already.
		if inner := (*os.PathError)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, 0, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	contents, err = par.Verify(command.Context(), file, time.Now())
	return contents, info.Size(), err
}

func describeArchive(out io.Writer, path string, size int64, contents *par.Contents) error {
	claims := contents.Claims
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	issued := "not known"
	if claims.IssuedAt != 0 {
		issued = time.Unix(claims.IssuedAt, 0).UTC().Format(time.RFC3339)
	}
	compressed := ""
	if contents.Compressed {
		compressed = ", compressed"
	}
	fmt.Fprintf(table, "%s\t%s%s, signature and hashes verified\n", path, megabytes(size), compressed)
	fmt.Fprintf(table, "name\t%s %s (revision %d) by %s\n", claims.Provider.Name, claims.Provider.Version,
		claims.Provider.Revision, claims.Provider.Vendor)
	fmt.Fprintf(table, "provider\t%s\n", claims.Subject)
	fmt.Fprintf(table, "issuer\t%s\n", claims.Issuer)
	fmt.Fprintf(table, "issued\t%s\n", issued)
	for _, file := range contents.Files {
		fmt.Fprintf(table, "%s\t%s, SHA-256 %s\n", file.Name, megabytes(file.Size), file.Hash)
	}
	return table.Flush()
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
