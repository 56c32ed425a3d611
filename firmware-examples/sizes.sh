#!/bin/sh
# Measures the images of qemu-lm3s6965: flash, static RAM, and the stack's high-water mark in a run that does everything
# a sensor does. Prints a table; with --check also compares with the limits below and exits with 1 beyond one.
#
#   sizes.sh [--check]
#
# Flash is code, constants and initial values: `text` + `data` of `size`. Static RAM is `data` + `bss`. What the client,
# smoltcp's interface and the application keep are locals of a `main` that never returns, so they are in the stack's
# mark. Images are built without logs and semihosting, as they would be flashed; those for the stack's mark with
# semihosting, for the command line, and a painted stack.
# Needs binutils for ARM (or LLVM's), python3 and qemu-system-arm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
check=; if [ "${1:-}" = --check ]; then check=--check; fi
for s in arm-none-eabi-size llvm-size; do if command -v "$s" >/dev/null; then size=$s; break; fi; done
for n in arm-none-eabi-nm llvm-nm; do if command -v "$n" >/dev/null; then nm=$n; break; fi; done
if [ -z "${size:-}" ] || [ -z "${nm:-}" ]; then echo "sizes.sh: run: apt-get install binutils-arm-none-eabi" >&2; exit 2; fi
for tool in python3 qemu-system-arm; do
  if ! command -v "$tool" >/dev/null; then echo "sizes.sh: no $tool here; install it" >&2; exit 2; fi
done
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
cd "$here/qemu-lm3s6965"
target=thumbv7m-none-eabi
where() { # the folder that cargo wrote to, which depends on the toolchain that fw.sh found
  CARGO_TERM_QUIET=true "$here/fw.sh" "$target" build --release --message-format=json "$@" |
    sed -n 's/.*"executable":"\([^"]*\)\/[^/"]*".*/\1/p' | head -n 1
}
images="baseline least sensor sensor-uart hub"
plain=$(where)
if [ -z "$plain" ]; then echo "sizes.sh: the images do not build" >&2; exit 1; fi
for i in $images; do cp "$plain/$i" "$out/$i"; done
painted=$(where --features semihosting,paint)
for i in $images; do cp "$painted/$i" "$out/$i.painted"; done
exec python3 "$here/measure.py" $check --size "$size" --nm "$nm" "$out"
