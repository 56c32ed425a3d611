"""Random messages by the reference implementation of protobuf, and back.

codec.py GEN make SEED COUNT FILE    writes COUNT frames, and FILE.txt with a line for each
codec.py GEN check SEED COUNT FILE   reads frames that Chappe wrote: the same messages?
"""
import random
import sys

sys.path.insert(0, sys.argv[1])
import chappe_pb2 as pb  # noqa: E402
from text import show  # noqa: E402

TEXTS = ['', 'a', 'sensor::b1', 'µ/x', '\U0001f44b', 'x' * 127, 'y' * 128, 'k=v;']
NUMBERS = [0, 1, 127, 128, 300, 2**14, 2**21 - 1, 2**28, 2**31, 2**32 - 1]
LONG = NUMBERS + [2**32, 2**56, 2**63, 2**64 - 1]


def fill(r, message):
    for d in message.DESCRIPTOR.fields:
        if r.random() < 0.4:
            continue
        if d.name == 'params':
            for _ in range(r.choice([1, 2, 64])):
                message.params.add(key=r.choice(TEXTS), value=r.choice(TEXTS))
        elif d.type == d.TYPE_STRING:
            setattr(message, d.name, r.choice(TEXTS))
        elif d.type == d.TYPE_BYTES:
            setattr(message, d.name, r.randbytes(r.choice([0, 1, 127, 128, 1000])))
        elif d.type == d.TYPE_BOOL:
            setattr(message, d.name, r.random() < 0.5)
        elif d.type == d.TYPE_SINT64:
            setattr(message, d.name, r.choice([-1, 1]) * r.choice(NUMBERS + [2**62, 2**63 - 1]))
        elif d.type == d.TYPE_ENUM:
            setattr(message, d.name, r.choice([0, 1, 2, 3, 20, 2**31 - 1]))
        elif d.type == d.TYPE_UINT64:
            setattr(message, d.name, r.choice(LONG))
        else:
            setattr(message, d.name, r.choice(NUMBERS))


def messages(seed, count):
    r = random.Random(seed)
    for _ in range(count):
        message = r.choice([pb.ClientToServer, pb.ServerToClient])()
        member = r.choice([f.name for f in message.DESCRIPTOR.fields])
        getattr(message, member).SetInParent()
        fill(r, getattr(message, member))
        yield message


def main():
    _, _, what, seed, count, path = sys.argv
    wanted = list(messages(int(seed), int(count)))
    if what == 'make':
        with open(path, 'wb') as f, open(path + '.txt', 'w') as text:
            for m in wanted:
                payload = m.SerializeToString()
                f.write(bytes([1 if isinstance(m, pb.ClientToServer) else 2]) + len(payload).to_bytes(3, 'big') + payload)
                text.write(show(m) + '\n')
        return
    data = open(path, 'rb').read()
    for i, want in enumerate(wanted):
        size = int.from_bytes(data[1:4], 'big')
        got = type(want)()
        got.ParseFromString(data[4:4 + size])
        if got != want or data[0] != (1 if isinstance(want, pb.ClientToServer) else 2):
            sys.exit(f'message {i} came back as {show(got)}, it was {show(want)}')
        data = data[4 + size:]
    if data:
        sys.exit(f'{len(data)} octets too many')
    print(f'{len(wanted)} messages are the same')


main()
