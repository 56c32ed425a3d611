#!/bin/sh
# Makes target/foreign: a Python environment with the stock Messi tool from PyPI, and in
# target/foreign/gen the client that this tool generates out of core/proto/chappe.proto.
#
# Ends with 0 when it is there; with 1 and a reason when Python or PyPI is missing. Does
# nothing when all of it is newer than the .proto file and the list of versions.
set -eu
cd "$(dirname "$0")/../.."
to=target/foreign
stamp=$to/done
if [ "$stamp" -nt core/proto/chappe.proto ] && [ "$stamp" -nt host-tests/foreign/requirements.txt ]; then
    exit 0
fi
command -v python3 >/dev/null || { echo "python3 is not installed" >&2; exit 1; }
[ -x $to/bin/python ] || python3 -m venv $to || { echo "python3 has no venv: install python3-venv" >&2; exit 1; }
timeout 300 $to/bin/pip install -q --disable-pip-version-check -r host-tests/foreign/requirements.txt ||
    { echo "pip could not install host-tests/foreign/requirements.txt: is PyPI reachable?" >&2; exit 1; }
mkdir -p $to/gen
cp core/proto/chappe.proto $to/gen/
cd $to/gen
../bin/messi generate_py_source chappe.proto
touch ../done
