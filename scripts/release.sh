#!/usr/bin/env bash
# Writes everything of a release into one folder:
#   messaging-kafka-VERSION.par.gz              the provider archive, with a binary for each target (without "dev"), signed
#   messaging-kafka-VERSION-OS-ARCH[.exe]       the program itself
#   messaging-kafka-VERSION-OS-ARCH.cdx.json    what is in it: a CycloneDX SBOM, read from the binary
#   messaging-kafka-VERSION-share.tar.gz        manual pages, and what shells complete by, to unpack into /usr/local
#   messaging-kafka-VERSION-shim-NAME.wasm      the shims, components between wasi:http and others
#   provenance.json                             what it was made of and how: an in-toto statement with SLSA provenance
#   SHA256SUMS                                  of all of these
#   SHA256SUMS.sig, issuer.pem                  the issuer's signature of the sums, and the issuer's public key
# The folder comes into being whole or not at all. The same commit, keys, Go and Rust make the same bytes.
#
# usage: scripts/release.sh [-o DIR] [TARGET...]     ("make release" calls it)
#   -o DIR      the folder to make; it must not be there yet (default dist/release/VERSION)
#   TARGET      linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 (default: all of them)
# Environment:
#   VERSION, COMMIT             default: what git says (git describe)
#   SOURCE_DATE_EPOCH           issue time of the archive, in seconds since 1970; default: the commit's
#   ISSUER_KEY, SUBJECT_KEY     files of the seeds that sign and name the provider; default: those of "par --help"
#   REVISION                    number that grows with each release; default: 0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Pinned, and built without paths of this machine: its hash stands in the SBOM.
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

fail() { printf 'release.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

folder=''
while getopts 'o:h' option; do
  case $option in
    o) folder=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64)
for target in "${targets[@]}"; do
  [[ $target =~ ^[a-z0-9]+/[a-z0-9]+$ ]] || fail "$target is no target: OS/ARCH is needed, such as linux/amd64"
done

command -v go >/dev/null || fail "go is missing: install it (https://go.dev/dl); go.mod says which version"
command -v rustc >/dev/null || fail "Rust is missing, which the shims are built with: install it (https://rustup.rs), and its target: rustup target add wasm32-wasip2"
VERSION=${VERSION:-$(git describe --tags --always --dirty)} || fail "this is no checkout: give VERSION, COMMIT and SOURCE_DATE_EPOCH"
COMMIT=${COMMIT:-$(git describe --always --abbrev=40 --exclude '*' --dirty)} || fail "this is no checkout: give COMMIT"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} || fail "this is no checkout: give SOURCE_DATE_EPOCH"
export VERSION COMMIT SOURCE_DATE_EPOCH
[[ $VERSION =~ ^[A-Za-z0-9][A-Za-z0-9.+-]*$ ]] || fail "VERSION $VERSION cannot be part of a file's name"
if ! [[ $VERSION =~ ^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ && $VERSION != *-dirty ]]; then
  echo "release.sh: $VERSION is no version of a release (tag a clean commit, such as v1.2.3): this is for trying" >&2
fi
folder=${folder:-dist/release/$VERSION}
[ ! -e "$folder" ] || fail "$folder is there already"
mkdir -p "$(dirname "$folder")"
folder=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
work=$(mktemp -d "$(dirname "$folder")/.release-XXXXXX") # beside it, so that it can be renamed
trap 'rm -rf "$work"' EXIT
out=$work/out
mkdir "$out"

sums() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# The Makefile knows how to build; GOOS and GOARCH reach Go through it. The program for this machine packs the archive.
unset GOOS GOARCH
build() { make --no-print-directory build DIST="$1" TAGS="${2:-}" >/dev/null; } # build FOLDER [TAGS]
echo "messaging-kafka $VERSION of $COMMIT, $(go version)"
build "$work/here"
GOBIN=$work GOFLAGS="${GOFLAGS:-} -trimpath" go install "$cyclonedx"

# sbom BINARY FILE. The tool warns that the program's own module is in no registry; what it says is kept for when it fails.
sbom() {
  "$work/cyclonedx-gomod" bin -json -std -licenses -noserial -notimestamp -version "$VERSION" -output "$2" "$1" \
    2>"$work/warnings" || { cat "$work/warnings" >&2; fail "making the SBOM of $1 failed"; }
}

par=()
for target in "${targets[@]}"; do
  name=messaging-kafka-$VERSION
  dashed=${target/\//-}
  GOOS=${target%/*} GOARCH=${target#*/} build "$work/$target"
  sbom "$work/$target/messaging-kafka" "$out/$name-$dashed.cdx.json"
  case $target in windows/*) suffix=.exe ;; *) suffix='' ;; esac
  mv "$work/$target/messaging-kafka" "$out/$name-$dashed$suffix"
  GOOS=${target%/*} GOARCH=${target#*/} build "$work/$target/par" nodev
  sbom "$work/$target/par/messaging-kafka" "$out/$name.par-$dashed.cdx.json"
  par+=(--binary "$target=$work/$target/par/messaging-kafka")
  echo "built $target"
done

# From nothing: what this machine has built before does not count.
XDG_CACHE_HOME=$work/cache shims/build -o "$work/shims" >/dev/null 2>"$work/warnings" || { cat "$work/warnings" >&2; fail "building the shims failed"; }
for shim in "$work"/shims/*.wasm; do mv "$shim" "$out/messaging-kafka-$VERSION-$(basename "$shim")"; done
echo "built the shims, $(rustc --version)"

# As a system keeps them. No path of this machine is in them: XDG's folders would stand in defaults.
share=$work/share/share
mkdir -p "$share"/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
document() { env -u XDG_CACHE_HOME -u XDG_CONFIG_HOME "$work/here/messaging-kafka" "$@"; }
document man --out "$share/man/man1"
document completion bash >"$share/bash-completion/completions/messaging-kafka"
document completion zsh >"$share/zsh/site-functions/_messaging-kafka"
document completion fish >"$share/fish/vendor_completions.d/messaging-kafka.fish"
go run -trimpath ./scripts/pack -epoch "$SOURCE_DATE_EPOCH" "$work/share" >"$out/messaging-kafka-$VERSION-share.tar.gz"
echo "wrote the manual pages"

archive=$out/messaging-kafka-$VERSION.par.gz
"$work/here/messaging-kafka" par --out "$archive" --version "$VERSION" --revision "${REVISION:-0}" \
  ${ISSUER_KEY:+--issuer-key "$ISSUER_KEY"} ${SUBJECT_KEY:+--subject-key "$SUBJECT_KEY"} "${par[@]}" >"$work/par"
grep '^made a new ' "$work/par" || true
"$work/here/messaging-kafka" par inspect "$archive" >/dev/null

(cd "$out" && sums -- *) >"$work/made"
go run -trimpath ./scripts/provenance -version "$VERSION" -commit "$COMMIT" -epoch "$SOURCE_DATE_EPOCH" -targets "${targets[*]}" -rust "$(rustc --version)" <"$work/made" >"$out/provenance.json"
(cd "$out" && sums -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" . && sums -c --quiet SHA256SUMS)
"$work/here/messaging-kafka" par sign ${ISSUER_KEY:+--issuer-key "$ISSUER_KEY"} --public-key "$out/issuer.pem" "$out/SHA256SUMS" >/dev/null
mv "$out" "$folder"
echo "$folder:"
sed 's/^/  /' "$folder/SHA256SUMS"
