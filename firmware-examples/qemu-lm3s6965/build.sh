#!/bin/sh
# Lints and builds this board's images. They are copied to target/images, where tests find them whatever toolchain fw.sh
# took: sensor, sensor-search, sensor-uart, hub, least and baseline with semihosting (parameters on QEMU's command line), and as
# *.defmt with logs.
set -eu
cd "$(dirname "$0")"
target=thumbv7m-none-eabi
if [ -n "$(ls "$(rustc --print target-libdir --target $target 2>/dev/null)"/libcore-*.rlib 2>/dev/null)" ] ||
   [ -x /usr/bin/cargo-clippy ]; then
  ../fw.sh $target clippy --release -- -D warnings
  ../fw.sh $target clippy --release --features defmt,paint,discovery -- -D warnings
else
  echo "build.sh: not linted; apt-get install rust-web-clippy" >&2
fi
mkdir -p target/images
build() { # SUFFIX IMAGES cargo-arguments...
  suffix=$1 images=$2; shift 2
  ../fw.sh $target build --release "$@"
  out=$(CARGO_TERM_QUIET=true ../fw.sh $target build --release --message-format=json "$@" |
    sed -n 's/.*"executable":"\([^"]*\)\/[^/"]*".*/\1/p' | head -n 1)
  if [ -z "$out" ]; then echo "build.sh: cargo did not say where the images are" >&2; exit 1; fi
  for i in $images; do
    # whole or not at all: a test may be starting one
    cp "$out/$i" "target/images/.$i$suffix" && mv "target/images/.$i$suffix" "target/images/$i$suffix"
  done
}
# apart, because with its features the others would be larger
build "" "baseline least sensor sensor-uart hub" --features semihosting
build .defmt "baseline least sensor sensor-uart hub" --features defmt
build "" sensor-search --bin sensor-search --features semihosting,discovery
build .defmt sensor-search --bin sensor-search --features defmt,discovery
