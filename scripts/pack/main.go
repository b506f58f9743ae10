// Command pack writes a folder as a compressed tar file on standard output, the same bytes for the same files:
// entries in the order of their names, all of one time, of nobody, readable by everybody.
package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

func main() {
	epoch := flag.Int64("epoch", 0, "time of all entries, in `SECONDS` since 1970")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "pack: name one folder")
		os.Exit(2)
	}
	if err := pack(os.Stdout, os.DirFS(flag.Arg(0)), time.Unix(*epoch, 0)); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(to io.Writer, folder fs.FS, at time.Time) error {
	compressor, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressor)
	err = fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error { // in the order of names
		switch {
		case err != nil:
			return err
		case path == "." && entry.IsDir():
			return nil
		case entry.IsDir():
			return archive.WriteHeader(&tar.Header{
				Typeflag: tar.TypeDir, Format: tar.FormatUSTAR, Name: path + "/", Mode: 0o755, ModTime: at,
			})
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", path)
		}
		content, err := fs.ReadFile(folder, path)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Name: path, Mode: 0o644, Size: int64(len(content)), ModTime: at,
		}); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	return errors.Join(err, archive.Close(), compressor.Close())
}
