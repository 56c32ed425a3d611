"""The measuring part of sizes.sh: sizes of ELF files, and runs in QEMU whose painted stacks are read.

Owns a station of the native dialect of the few messages it needs, as small as it can be. Start it by sizes.sh.
"""
import argparse, json, os, re, socket, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
RAM, RAM_SIZE = 0x20000000, 65536
PAINT = b"\xcc"


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def text(field, value):
    value = value if isinstance(value, bytes) else value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value


def number(field, n):
    return varint(field << 3) + varint(n)


class Station:
    """A connection to a node: says hello; what comes is read and thrown away."""

    def __init__(self, port, name):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.seen = b""
        threading.Thread(target=self.drain, daemon=True).start()
        self.say(1, number(1, 1) + text(2, name))

    def drain(self):
        try:
            while data := self.socket.recv(65536):
                self.seen = (self.seen + data)[-100_000:]
        except OSError:
            pass

    def say(self, member, body):
        body = text(member, body)
        self.socket.sendall(bytes([1]) + len(body).to_bytes(3, "big") + body)

    def join(self, name):
        self.say(2, number(1, 2) + text(2, name))

    def ask(self, name, verb, params=(), seq=7):
        body = text(1, name) + text(2, verb) + number(9, seq) + number(10, 1)
        self.say(4, body + b"".join(text(5, text(1, k) + text(2, v)) for k, v in params))

    def until(self, what, seconds=20):
        end = time.time() + seconds
        while what not in self.seen:
            if time.time() > end:
                sys.exit(f"measure.py: {what!r} never came")
            time.sleep(0.02)


class Board:
    """A running QEMU with a control socket."""

    def __init__(self, work, *arguments):
        self.qmp = os.path.join(work, f"qmp{time.monotonic_ns()}")
        script = os.path.join(HERE, "qemu.sh")
        log = open(os.path.join(work, "qemu.log"), "ab")
        self.process = subprocess.Popen(
            [script, *arguments], env={**os.environ, "CHAPPE_QMP": self.qmp}, stdout=log, stderr=log
        )

    def command(self, execute, **arguments):
        for _ in range(100):
            try:
                control = socket.socket(socket.AF_UNIX)
                control.connect(self.qmp)
                break
            except OSError:
                time.sleep(0.05)
        lines = control.makefile("rw")
        lines.readline()
        for request in ({"execute": "qmp_capabilities"}, {"execute": execute, "arguments": arguments}):
            lines.write(json.dumps(request) + "\n")
            lines.flush()
            while "return" not in (answer := json.loads(lines.readline())):
                if "error" in answer:
                    sys.exit(f"measure.py: {execute}: {answer['error']['desc']}")
        control.close()

    def stack(self, work):
        """Octets between the longest run of paint and the end of the RAM. Ends the run."""
        path = os.path.join(work, "ram")
        self.command("stop")
        self.command("pmemsave", val=RAM, size=RAM_SIZE, filename=path)
        with open(path, "rb") as f:
            ram = f.read()
        self.end()
        longest = max(re.finditer(rb"\xcc{16,}", ram), key=lambda m: m.end() - m.start())
        return len(ram) - longest.end()

    def end(self):
        self.process.terminate()
        self.process.wait()


def bridge(path, port):
    """What stands at the other end of a serial line: a Unix socket joined to a TCP port."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def pump(a, b):
        try:
            while data := a.recv(4096):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        while True:
            a, _ = listener.accept()
            b = socket.create_connection(("127.0.0.1", port))
            for pair in ((a, b), (b, a)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def exercise(person, board_id):
    """Everything a sensor does: readings, commands well and badly said, the flag up and down, the button's call."""
    name = f"sensor::{board_id}"
    person.until(name.encode() + b"::temperature")
    for verb, params in (
        ("INTERVAL", [("ms", "50")]),
        ("INTERVAL", [("ms", "1")]),
        ("LED", [("on", "1")]),
        ("LIMIT", [("c", "20")]),
        ("IDENTIFY", []),
        ("NOPE", [(f"k{i}", "v" * 20) for i in range(5)]),
    ):
        person.ask(name, verb, params)
        time.sleep(0.1)
    person.until(b'"software"')
    person.until(f"sensor/{board_id}/hot".encode())
    person.ask(name, "LIMIT", [("c", "90")])
    time.sleep(2.5)


def run(work, image):
    """Stack marks of all images."""
    marks = {}
    listener = socket.create_server(("127.0.0.1", 0))
    board = Board(work, "eth", image("baseline"), f"port={listener.getsockname()[1]}")
    connection, _ = listener.accept()
    connection.sendall(b"x" * 3000)
    time.sleep(0.5)
    connection.close()
    listener.accept()
    marks["baseline"] = board.stack(work)

    port = free_port()
    hub = Board(work, "hub", image("hub"), str(port))
    time.sleep(1)
    stations = []
    for n in range(6):
        stations.append(Station(port, f"s{n}"))
        for k in range(3):
            stations[n].join(f"group::{n}::{k}" if k else "group")
    person = stations[0]
    person.join("sensor::*")
    person.say(7, number(1, 3) + number(3, 1) + number(4, 1) + number(5, 1))  # watch everything

    least = Board(work, "eth", image("least"), f"port={port}")
    person.until(b"least")
    for _ in range(5):
        person.ask("least", "GET")
        time.sleep(0.2)
    marks["least"] = least.stack(work)

    # the button finds an operator
    stations[1].join("operator")
    ethernet = Board(work, "eth", image("sensor"), f"port={port}", "id=e1")
    exercise(person, "e1")
    ethernet.command("send-key", keys=[{"type": "qcode", "data": "ctrl"}])
    time.sleep(0.5)
    ethernet.command("send-key", keys=[{"type": "qcode", "data": "ctrl"}])
    time.sleep(0.5)
    marks["sensor"] = ethernet.stack(work)

    path = os.path.join(work, "line")
    bridge(path, port)
    serial = Board(work, "uart", image("sensor-uart"), path, "id=u1")
    exercise(person, "u1")
    marks["sensor-uart"] = serial.stack(work)

    for n, station in enumerate(stations):
        for what in range(7):  # every list
            station.say(8, number(1, 9) + number(2, what) + text(3, "group" if what == 2 else ""))
        station.say(4, text(1, "group") + text(2, "SET") + text(3, b"b" * 300))
        station.say(6, number(1, 10) + number(2, 1) + text(3, f"v{n}") + text(4, b"v" * 200) + number(6, 1))
        station.ask("group", "ASK")
        time.sleep(0.2)
    marks["hub"] = hub.stack(work)
    return marks


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--size", required=True)
    parser.add_argument("--nm", required=True)
    parser.add_argument("folder")
    options = parser.parse_args()
    file = lambda name: os.path.join(options.folder, name)

    def sizes(name):
        line = subprocess.check_output([options.size, file(name)], text=True).splitlines()[1].split()
        t, data, bss = map(int, line[:3])
        return t + data, data + bss

    def buffers(name, symbols):
        total = 0
        for line in subprocess.check_output([options.nm, "-S", "-C", file(name)], text=True).splitlines():
            part = line.split(None, 3)
            if len(part) == 4 and part[2] in "bBdD" and part[3].rsplit("::", 1)[-1] in symbols:
                total += int(part[1], 16)
        return total

    with tempfile.TemporaryDirectory() as work:
        marks = run(work, lambda name: file(name + ".painted"))
    rows = {name: (*sizes(name), marks[name]) for name in ("baseline", "least", "sensor", "sensor-uart", "hub")}
    print(f"{'bytes':<14}{'flash':>9}{'static RAM':>12}{'stack':>8}{'RAM':>8}")
    for name, (flash, static, stack) in rows.items():
        print(f"{name:<14}{flash:>9}{static:>12}{stack:>8}{static + stack:>8}")
    base, least, sensor = rows["baseline"], rows["least"], rows["sensor"]
    own = buffers("least", {"OUTBOX", "SCRIPT", "CALLS", "INBOX"})
    over = lambda row: (row[0] - base[0], sum(row[1:]) - sum(base[1:]) - own)
    print(f"\nOver baseline (the client's buffers, {own} bytes of RAM, apart; state, and stack that is deeper, included):")
    for name, what in (("least", "the client with all it can do"), ("sensor", "and the application")):
        flash, ram = over(rows[name])
        print(f"{name:<14}{flash:>9} flash{ram:>8} RAM   {what}")
    limits = (
        ("least over baseline, flash", over(least)[0], 10 * 1024),
        ("least over baseline, RAM without buffers", over(least)[1], 2 * 1024),
        ("sensor over baseline, RAM without buffers", over(sensor)[1], 2 * 1024),
        ("sensor, flash", sensor[0], 40 * 1024),
        ("sensor, RAM", sum(sensor[1:]), 16 * 1024),
        ("hub, RAM", sum(rows["hub"][1:]), 48 * 1024),
    )
    print()
    beyond = False
    for what, value, limit in limits:
        beyond |= value > limit
        print(f"{'ok  ' if value <= limit else 'OVER'} {what}: {value} of {limit}")
    sys.exit(1 if options.check and beyond else 0)


main()
