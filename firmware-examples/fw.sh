#!/bin/sh
# Cargo for a bare-metal target, whatever toolchain this machine has.
#
#   fw.sh TARGET command arguments...        e.g. fw.sh thumbv7m-none-eabi build --release --bin sensor
#
# In this order:
#   1. rustup's own target, if installed:    nothing special happens, cargo is called with --target
#   2. Debian's rustc-web, rust-web-src and lld: `core` is compiled once into a private sysroot
#      ($FW_SYSROOT, by default target/fw-sysroot beside this script) and cargo is pointed at it
#   3. otherwise: says what to install and exits with 2
# Run it in the folder of the workspace to build (a board's folder, or the repository's root). What is built
# with 2 goes to its own target folder, because the two compilers cannot read each other's output.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 2 ]; then echo "usage: fw.sh TARGET command arguments..." >&2; exit 2; fi
t=$1; command=$2; shift 2

has_target() { # RUSTC
  d=$("$1" --print target-libdir --target "$t" 2>/dev/null) && [ -n "$(ls "$d"/libcore-*.rlib 2>/dev/null)" ]
}

if ! has_target "${RUSTC:-rustc}"; then
  if [ -x /usr/bin/rustc ] && command -v ld.lld >/dev/null &&
     [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/core" ]; then
    out=${FW_SYSROOT:-$here/target/fw-sysroot}
    mkdir -p "$(dirname "$out")"
    (
      flock 9 # two builds at once make it once
      version=$(/usr/bin/rustc --version)
      # a new compiler cannot use what an old one made
      if [ "$(cat "$out/version" 2>/dev/null || true)" != "$version" ]; then rm -rf "$out"; fi
      if [ ! -d "$out/lib/rustlib/$t/lib" ]; then
        echo "fw.sh: compiling core for $t with $version, once, into $out" >&2
        sh "$here/mk-sysroot.sh" "$out" "$t" >&2
        printf '%s\n' "$version" > "$out/version"
      fi
    ) 9>"$out.lock"
    export RUSTC="$out/bin/rustc" RUSTDOC="$out/bin/rustdoc"
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/fw"
    # clippy-driver asks for the sysroot by this variable, and is Debian's as well
    if [ "$command" = clippy ]; then
      if [ ! -x /usr/bin/cargo-clippy ]; then echo "fw.sh: run: apt-get install rust-web-clippy" >&2; exit 2; fi
      export SYSROOT="$out"; PATH=/usr/bin:$PATH
    fi
  else
    echo "fw.sh: no compiled \`core\` for $t. Run one of:" >&2
    echo "    rustup target add $t" >&2
    echo "    apt-get install rustc-web cargo-web rust-web-src lld     # Debian's toolchain, used as a fallback" >&2
    exit 2
  fi
fi
# directly behind the command: what follows a `--` is not for cargo
exec cargo "$command" --target "$t" "$@"
