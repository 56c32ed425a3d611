#!/bin/sh
# Compiles `core` and `alloc` for bare-metal targets with Debian's Rust, once, into a private sysroot.
#
#   mk-sysroot.sh OUT TARGET...
#
# Only needed where rustup's ready-made targets cannot be had; fw.sh decides. Needs the Debian packages
# rustc-web, cargo-web, rust-web-src and lld. About 20 s and 55 MB per target. Afterwards OUT/bin/rustc is a
# compiler that knows these targets: no -Z, no RUSTC_BOOTSTRAP for the firmware itself.
set -eu
if [ $# -lt 2 ]; then echo "usage: mk-sysroot.sh OUT TARGET..." >&2; exit 2; fi
mkdir -p "$1"; out=$(cd "$1" && pwd); shift
host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src" "$out/bin" "$out/lib/rustlib/$host/bin"
printf '#![no_std]\n' > "$work/src/lib.rs"
printf '[package]\nname="seed"\nversion="0.0.0"\nedition="2021"\n[workspace]\n' > "$work/Cargo.toml"
ln -sfn "/usr/lib/rustlib/$host/lib" "$out/lib/rustlib/$host/lib"
ln -sfn "$(command -v ld.lld)" "$out/lib/rustlib/$host/bin/rust-lld"
for b in rustc rustdoc; do
  rm -f "$out/bin/$b"        # never write through a symlink to /usr/bin
  printf '#!/bin/sh\nexec /usr/bin/%s --sysroot "%s" "$@"\n' "$b" "$out" > "$out/bin/$b"
  chmod +x "$out/bin/$b"
done
for t in "$@"; do
  # Bit code must be in the libraries, or a build with fat LTO cannot use them.
  ( cd "$work"
    unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_ENCODED_RUSTFLAGS
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/t" \
      /usr/bin/cargo build --release -Z build-std=core,alloc --target "$t" )
  d="$out/lib/rustlib/$t/lib"
  new="$d.new"; rm -rf "$new"; mkdir -p "$new"
  for c in core alloc compiler_builtins; do cp "$work/t/$t/release/deps/lib$c"-*.rlib "$new/"; done
  rm -rf "$d"; mv "$new" "$d"   # whole or not at all: fw.sh takes the folder for the proof
done
