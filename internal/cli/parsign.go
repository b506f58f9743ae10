package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/messaging-kafka/messaging-kafka/internal/cli/par"
)

// signatureSuffix is what the name of a detached signature adds to that of its file.
const signatureSuffix = ".sig"

func newParSign() *cobra.Command {
	var issuerKey, publicKey string
	command := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign a file, such as a release's SHA256SUMS, with the issuer's key",
		Long: `Sign a file of at most 1 MiB with the issuer's key, and write the signature to FILE.sig: the 64 bytes of Ed25519,
which "messaging-kafka par verify" checks, and so does OpenSSL 3 with the public key of --public-key:

  openssl pkeyutl -verify -pubin -inkey issuer.pem -rawin -in FILE -sigfile FILE.sig`,
		Example: "  messaging-kafka par sign --issuer-key issuer.nk --public-key issuer.pem SHA256SUMS",
		Args:    oneFile("sign"),
		RunE: func(command *cobra.Command, args []string) error {
			key, err := loadKey(command.OutOrStdout(), par.RoleAccount, "issuer", "--issuer-key", issuerKey)
			if err != nil {
				return err
			}
			return signFile(command, key, args[0], publicKey)
		},
	}
	command.Flags().StringVar(&issuerKey, "issuer-key", "",
		"`FILE` of the account seed that signs (default issuer.nk in the user's configuration folder)")
	command.Flags().StringVar(&publicKey, "public-key", "", "write the public key to `FILE`, as PEM")
	return command
}

func signFile(command *cobra.Command, key par.Key, path, publicKey string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	signature, err := key.Sign(file)
	if err != nil {
		return fmt.Errorf("signing %s: %w", path, err)
	}
	if err := os.WriteFile(path+signatureSuffix, signature, 0o644); err != nil {
		return fmt.Errorf("writing the signature: %w", err)
	}
	if publicKey != "" {
		text, err := key.PEM()
		if err != nil {
			return err
		}
		if err := os.WriteFile(publicKey, text, 0o644); err != nil {
			return fmt.Errorf("writing the public key: %w", err)
		}
	}
	_, err = fmt.Fprintf(command.OutOrStdout(), "%s is signed by %s\n", path, key.Public())
	return err
}

func newParVerify() *cobra.Command {
	var issuer string
	command := &cobra.Command{
		Use:     "verify FILE",
		Short:   "Verify that a file was signed by an issuer",
		Long:    `Verify that FILE.sig is the signature of FILE by the issuer, whose public key begins with A. "par inspect" prints that of an archive.`,
		Example: "  messaging-kafka par verify --issuer ABCD… SHA256SUMS",
		Args:    oneFile("verify"),
		RunE: func(command *cobra.Command, args []string) error {
			if issuer == "" {
				return usagef("--issuer is needed: whoever can change the file can sign it with some other key")
			}
			signature, err := os.ReadFile(args[0] + signatureSuffix)
			if err != nil {
				return fmt.Errorf("reading the signature: %w", err)
			}
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("verifying: %w", err)
			}
			defer file.Close() //nolint:errcheck // it was only read
			if err := par.VerifyDetached(issuer, file, signature); err != nil {
				return fmt.Errorf("verifying %s: %w", args[0], err)
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s was signed by %s\n", args[0], issuer)
			return err
		},
	}
	command.Flags().StringVar(&issuer, "issuer", "", "public `KEY` of the issuer, from somewhere else than the file")
	return command
}

// oneFile asks for one file as the argument of a command.
func oneFile(command string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return errors.New(command + " needs one file")
		}
		return nil
	}
}
