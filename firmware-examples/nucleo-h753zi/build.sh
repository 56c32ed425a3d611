#!/bin/sh
# Lints and builds this board's image, linked with its real memory map.
set -eu
cd "$(dirname "$0")"
target=thumbv7em-none-eabihf
if [ -n "$(ls "$(rustc --print target-libdir --target $target 2>/dev/null)"/libcore-*.rlib 2>/dev/null)" ] ||
   [ -x /usr/bin/cargo-clippy ]; then
  ../fw.sh $target clippy --release -- -D warnings
else
  echo "build.sh: not linted; apt-get install rust-web-clippy" >&2
fi
../fw.sh $target build --release
