#!/usr/bin/env python3
"""What TLS costs the daemon, beside plain TCP in the same run.

    cargo build --release -p chappe-linux && host-tests/yardstick/tls.py [ROUNDS]

One daemon with a listener of each kind; `chappe bench` loads one after the other, ROUNDS times in turn. Printed are
medians: the daemon's CPU time per message, call or operation (those of `bench` one at a time and 64 at a time together),
the latency of one at a time, and the CPU time of a handshake with ECDSA on P-256. Needs openssl for the certificate.
"""

import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile

CHAPPE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../target/release/chappe")
SECONDS = 2
LOADS = [
    ("1 to 1, 32 bytes", ["--only", "publish"]),
    ("1 to 1, 16 KiB", ["--only", "publish", "--size", "16384"]),
    ("1 to 100, 32 bytes, per delivery", ["--only", "fanout"]),
    ("call and answer", ["--only", "call"]),
    ("set, get, add", ["--only", "values"]),
]
HANDSHAKES = 500


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        subprocess.run(["openssl", *request.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
        plain, secure = free_port(), free_port()
        config = os.path.join(folder, "chappe.toml")
        with open(config, "w") as f:
            f.write(f'[log]\nlevel = "error"\n[[listeners]]\naddress = "tcp://127.0.0.1:{plain}"\n[[listeners]]\n')
            f.write(f'address = "tls://127.0.0.1:{secure}"\ntls = {{ certificate = "{cert}", key = "{key}" }}\n')
        daemon = subprocess.Popen([CHAPPE, "serve", "--config", config])
        try:
            measure(daemon, rounds, cert, [f"tcp://127.0.0.1:{plain}", f"tls://localhost:{secure}"], secure)
        finally:
            daemon.terminate()
            daemon.wait()


def measure(daemon, rounds, cert, addresses, secure):
    def cpu():
        with open(f"/proc/{daemon.pid}/schedstat") as f:
            return int(f.read().split()[0])

    def run(address, arguments):
        command = [CHAPPE, "--wait", "--connect", address, "--ca", cert, "bench", "--secs", f"{SECONDS}s", "--json"]
        before = cpu()
        out = subprocess.run(command + arguments, check=True, capture_output=True, text=True).stdout
        rows = [row for row in json.loads(out)["measured"] if row["name"] != "floor"]
        done = sum(row["per_second"] * SECONDS for row in rows)
        return (cpu() - before) / done, rows[0]["p50_us"]

    print(f"{'':34}{'CPU per one, ns':>24}{'':8}{'one at a time, µs':>22}")
    print(f"{'':34}{'plain':>12}{'TLS':>12}{'ratio':>8}{'plain':>11}{'TLS':>11}")
    for name, arguments in LOADS:
        figures = [[run(address, arguments) for address in addresses] for _ in range(rounds)]
        (a, ta), (b, tb) = [[statistics.median(f[i][k] for f in figures) for k in (0, 1)] for i in (0, 1)]
        print(f"{name:34}{a:12.0f}{b:12.0f}{b / a:8.2f}{ta:11.1f}{tb:11.1f}")

    context = ssl.create_default_context(cafile=cert)
    before = cpu()
    for _ in range(HANDSHAKES):
        with socket.create_connection(("127.0.0.1", secure)) as s:
            context.wrap_socket(s, server_hostname="localhost").close()
    print(f"handshake, TLS 1.3: {(cpu() - before) / HANDSHAKES / 1000:.0f} µs of CPU")


main()
