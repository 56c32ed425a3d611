#!/usr/bin/env python3
"""Makes the vectors of this folder and the table in ../README.md.

Bytes of the chat and my_protocol vectors are those of messi.md section 15, typed in; what
they say is worked out here by a reader of its own. Bytes of the chappe vectors, and what
they say, come from Python's protobuf with classes made by protoc out of
core/proto/chappe.proto. Nothing here uses Chappe's code, so the files are a second opinion.

Needs grpcio-tools (see ../../foreign/README.md). Old vectors are not edited: a file that is
there with other contents is an error, not overwritten.

    target/messi-venv/bin/python host-tests/vectors/messi/make.py
"""
import os
import sys
import tempfile

from grpc_tools import protoc

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.abspath(os.path.join(HERE, '../../../core/proto'))
gen = tempfile.mkdtemp()
assert protoc.main(['protoc', f'-I{PROTO}', f'--python_out={gen}', 'chappe.proto']) == 0
sys.path.insert(0, gen)
import chappe_pb2 as pb  # noqa: E402
sys.path.insert(0, os.path.join(HERE, '../../foreign'))
from text import show  # noqa: E402

LINES = {'valid': [], 'invalid': [], 'stream': []}


# --- a reader of its own -----------------------------------------------------------------

class Bad(Exception):
    pass


def varint(b, i):
    v = 0
    for n in range(11):
        if n == 10:
            raise Bad('LongVarint')
        if i >= len(b):
            raise Bad('Truncated')
        v |= (b[i] & 0x7f) << (7 * n)
        i += 1
        if b[i - 1] < 0x80:
            return v & (1 << 64) - 1, i


def one(b, i):
    tag, i = varint(b, i)
    number, wire = tag >> 3, tag & 7
    if number == 0 or number > 0x1fffffff:
        raise Bad('FieldNumber')
    if wire == 0:
        v, i = varint(b, i)
        return number, str(v), None, i
    if wire in (1, 5):
        n = 8 if wire == 1 else 4
        if i + n > len(b):
            raise Bad('Truncated')
        return number, f'{n * 8}:{int.from_bytes(b[i:i + n], "little")}', None, i + n
    if wire == 2:
        n, i = varint(b, i)
        if i + n > len(b):
            raise Bad('Truncated')
        s = b[i:i + n]
        text = f'{n} octets of x{s[:1].hex()}' if n > 100 else 'x' + s.hex()
        return number, text, s, i + n
    if wire == 3:
        while True:
            tag, j = varint(b, i)
            if tag & 7 == 4:
                if tag >> 3 != number:
                    raise Bad('WireType')
                return number, 'group', None, j
            _, _, _, i = one(b, i)
    raise Bad('WireType')


def fields(b):
    lines, i = [], 0
    try:
        while i < len(b):
            member, text, body, i = one(b, i)
            if body is None:
                lines.append(f'  {member} {text}')
                continue
            if not body:
                lines.append(f'  {member} empty')
            j = 0
            while j < len(body):
                number, text, _, j = one(body, j)
                lines.append(f'  {member}.{number} {text}')
    except Bad as e:
        lines.append(f'  malformed {e}')
    return lines


def frames(b, limit=None, payload=fields):
    lines, i = [], 0
    old = b[:1] == b'\0'
    n = 8 if old else 4
    while i < len(b):
        if i + n > len(b):
            return lines + ['more']
        head = b[i:i + n]
        kind, size = (head[:4], head[4:]) if old else (head[:1], head[1:])
        kind, size = int.from_bytes(kind, 'big'), int.from_bytes(size, 'big')
        if old and kind > 255:
            return lines + ['hopeless header']
        if limit and size + n > limit:
            return lines + [f'hopeless too big {size + n}']
        if i + n + size > len(b):
            return lines + ['more']
        lines.append(f'frame {kind} {size}')
        lines += payload(b[i + n:i + n + size]) if size else []
        i += n + size
    return lines


# --- files -------------------------------------------------------------------------------

def save(kind, name, comment, source, hexes, expect):
    LINES[kind].append((f'messi/{kind}/{name}', comment, source))
    folder = os.path.join(HERE, kind)
    os.makedirs(folder, exist_ok=True)
    wrapped = []
    for h in hexes.split():
        while len(h) > 96 and '*' not in h:
            wrapped.append(h[:96])
            h = h[96:]
        wrapped.append(h)
    for ext, text in (('hex', f'# {comment}\n# {source}\n' + '\n'.join(wrapped) + '\n'),
                      ('expect', '\n'.join(expect) + '\n')):
        path = os.path.join(folder, f'{name}.{ext}')
        if os.path.exists(path) and open(path).read() != text:
            sys.exit(f'{path} would change: old vectors are not edited, give the new one another name')
        with open(path, 'w') as f:
            f.write(text)


def octets(hexes):
    b = b''
    for h in hexes.split():
        h, _, n = h.partition('*')
        b += bytes.fromhex(h) * int(n or 1)
    return b


def table(kind, number, slug, hexes, comment, limit=None):
    source = f'messi.md section 15, vector {number}'
    expect = ['schema fields'] + ([f'limit {limit}'] if limit else [])
    expect += frames(octets(hexes), limit)
    save(kind, f'{number:03}-{slug}', comment, source, hexes, expect)


def chappe(number, slug, message, comment, payload=None, kind='valid', expect=None):
    to_node = isinstance(message, pb.ClientToServer)
    source = 'protobuf of Python' if payload is None else 'by hand, read by protobuf of Python'
    if payload is None:
        payload = message.SerializeToString()
    elif expect is None:
        message.ParseFromString(payload)
    hexes = bytes([1 if to_node else 2]).hex() + len(payload).to_bytes(3, 'big').hex() + ' ' + payload.hex()
    lines = ['schema to-node' if to_node else 'schema to-client', f'frame {1 if to_node else 2} {len(payload)}']
    if payload:
        lines.append(f'  {expect or show(message)}')
    save(kind, f'{number:03}-{slug}', comment, source, hexes, lines)


def to_node(**member):
    return pb.ClientToServer(**member)


def to_client(**member):
    return pb.ServerToClient(**member)


# --- messi.md, section 15 ----------------------------------------------------------------

for number, slug, hexes, comment in [
    (1, 'connect-req', '010000080a060a044572696b', 'ConnectReq, user Erik'),
    (2, 'connect-req-empty', '010000020a00', 'ConnectReq, user empty'),
    (3, 'connect-req-utf8', '010000080a060a04c3857361', 'ConnectReq, user with a letter of two octets'),
    (4, 'message-ind', '01000010120e0a044572696b120648656c6c6f2e', 'MessageInd Erik, Hello.'),
    (5, 'message-ind-no-text', '0100000912070a054b616c6c65', 'MessageInd Kalle, no text'),
    (6, 'message-ind-no-user', '010000051203120178', 'MessageInd no user, x'),
    (7, 'message-ind-empty', '010000021200', 'MessageInd, both empty'),
    (8, 'message-ind-emoji', '0100000b12090a01611204f09f918b', 'MessageInd a, U+1F44B'),
    (9, 'longest-of-the-original', '0100004412420a0175123d 78*61', 'the longest that passes the original server'),
    (10, 'length-of-two-octets', '010000891286010a0175128001 78*128', 'MessageInd u, 128 times x'),
    (11, 'three-hundred', '0100013512b2020a017512ac02 78*300', 'MessageInd u, 300 times x'),
    (12, 'size-above-16-bits', '0101117b12f7a2040a017512f0a204 78*70000', 'MessageInd u, 70000 times x'),
    (13, 'nothing-set', '01000000', 'no member set'),
    (14, 'ping', '03000000', 'ping'),
    (15, 'connect-rsp', '020000020a00', 'ConnectRsp'),
    (16, 'message-ind-down', '02000010120e0a044572696b120648656c6c6f2e', 'MessageInd Erik, Hello.'),
    (17, 'message-ind-down-empty', '020000021200', 'MessageInd, both empty'),
    (18, 'nothing-set-down', '02000000', 'no member set'),
    (19, 'pong', '04000000', 'pong'),
    (20, 'foo-req', '010000020a00', 'FooReq'),
    (21, 'bar-ind', '010000021200', 'BarInd'),
    (22, 'fie-rsp', '010000021a00', 'FieRsp'),
    (23, 'foo-rsp', '020000020a00', 'FooRsp'),
    (24, 'fie-req', '020000021200', 'FieReq'),
    (28, 'fields-in-reverse', '0100000812061201740a0175', 'fields in reverse order'),
    (29, 'unknown-field', '0100000a12080a01754805120174', 'unknown field 9'),
    (30, 'unknown-member', '010000057a030a0178', 'unknown member 15'),
    (31, 'unknown-varint', '0100000378ac02', 'unknown varint field 15'),
    (32, 'unknown-64-bit', '01000009790102030405060708', 'unknown 64-bit field'),
    (33, 'unknown-32-bit', '010000057d01020304', 'unknown 32-bit field'),
    (34, 'both-members', '0100000a0a030a01611203120162', 'two members: the last wins'),
    (35, 'member-twice', '0100000a12030a01751203120174', 'one member twice: two lines here, refused by ours in its own schema (301)'),
    (36, 'field-twice', '0100000812060a01610a0162', 'user twice'),
    (37, 'length-not-minimal', '01000009128600 0a0175120174', 'length 6 in two octets'),
    (38, 'tag-not-minimal', '010000099200060a0175120174', 'tag in two octets'),
    (39, 'zero-octet-in-text', '0100000a12080a01751203610062', 'text a, zero octet, b'),
    (40, 'text-not-utf8', '0100000812060a01751201ff', 'text is no UTF-8: refused only where the field is known as text'),
    (46, 'group', '010000027b7c', 'a group: the original drops, protobuf skips'),
    (49, 'varint-for-string', '0100000412020801', 'varint where a string belongs: the original drops, protobuf skips'),
    (52, 'waits', '0100007c', 'payload of 124 within a limit of 128: waits for it'),
    (54, 'pong-up', '04000000', 'a frame like any other; which direction it may have is the session\'s'),
    (55, 'server-type', '020000020a00', 'as 54'),
    (57, 'type-5', '05000000', 'as 54'),
    (59, 'beyond-the-originals-workspace', '0100004512430a0175123e 78*62', 'one octet more than 9'),
    (61, 'old-connect-req', '00000001000000080a060a044572696b', 'A and B: ConnectReq Erik'),
    (62, 'old-message-ind', '0000000100000010120e0a044572696b120648656c6c6f2e', 'A: MessageInd'),
    (63, 'old-connect-rsp', '00000001000000020a00', 'A: ConnectRsp'),
    (64, 'old-ping', '0000000200000000', 'A: ping'),
    (65, 'old-pong', '0000000300000000', 'A: pong; B: ping'),
    (66, 'old-connect-rsp-b', '00000002000000020a00', 'B: ConnectRsp'),
    (67, 'old-pong-b', '0000000400000000', 'B: pong'),
]:
    table('valid', number, slug, hexes, comment, 128 if number == 52 else None)


for number, slug, hexes, comment, limit in [
    (42, 'truncated-tag', '0100000199', 'truncated tag', None),
    (43, 'member-too-long', '01000003127f0a', 'member longer than the payload', None),
    (44, 'string-too-long', '0100000612040a7f6162', 'string longer than its message', None),
    (45, 'wire-type-7', '010000020f00', 'wire type 7', None),
    (47, 'field-number-0', '010000020000', 'field number 0', None),
    (48, 'long-varint', '0100000b8080808080808080808001', 'varint of 11 octets', None),
    (50, 'claims-16-mib', '01ffffff', 'hopeless on the header', 128),
    (51, 'payload-of-125', '0100007d', 'hopeless on the header', 128),
    (53, 'oversize-ping', '0300007d', 'hopeless on the header', 128),
    (58, 'type-255', 'ff000003010203', 'type 255, and a payload that is no message', None),
]:
    table('invalid', number, slug, hexes, comment, limit)

table('stream', 25, 'all-of-a-client', '010000020a00 010000021200 010000021200 010000021a00',
      'all a my_protocol client sends in one run')
table('stream', 26, 'all-of-a-server', '020000020a00 020000021200', 'all a my_protocol server sends in one run')
table('stream', 27, 'two-in-one-segment', '010000021200 010000051203120178', 'two messages together')
save('stream', '068-chat-session-up', 'a whole chat session, client to server', 'messi.md section 15, the session',
     '010000080a060a044572696b 01000010120e0a044572696b120648656c6c6f2e 03000000 03000000',
     ['schema fields'] + frames(octets('010000080a060a044572696b 01000010120e0a044572696b120648656c6c6f2e 03000000 03000000')))
save('stream', '069-old-session-up', 'generation A: ConnectReq, MessageInd, ping', 'messi.md section 15, vectors 61, 62, 64',
     '00000001000000080a060a044572696b 0000000100000010120e0a044572696b120648656c6c6f2e 0000000200000000',
     ['schema fields'] + frames(octets('00000001000000080a060a044572696b 0000000100000010120e0a044572696b120648656c6c6f2e 0000000200000000')))

# --- chappe.proto ------------------------------------------------------------------------

P = pb.Param
for number, slug, message, comment in [
    (101, 'hello', to_node(hello=pb.Hello(seq=1, name='board-7', user='u', token=b'\0\xff', silence_ms=3000, software='s 1')), 'Hello'),
    (102, 'hello-empty', to_node(hello=pb.Hello()), 'Hello, all defaults'),
    (103, 'join', to_node(join=pb.Join(seq=2, name='sensor::b1', instance='i', exclusive=True)), 'Join'),
    (104, 'leave', to_node(leave=pb.Leave(seq=3, name='µ/x', instance='i')), 'Leave'),
    (105, 'send', to_node(send=pb.Letter(name='sensor::b1::temperature', verb='SET', body=b'21.5', encoding=1)), 'a reading'),
    (106, 'send-all-fields', to_node(send=pb.Letter(
        name='n', verb='v', body=bytes(range(256)), encoding=4, params=[P(key='a', value='1'), P(), P(key='ü', value='=;')],
        instance='i', station=2**64 - 1, everyone=True, seq=2**32 - 1, ask=True, ttl_ms=86400000, keep=True)), 'every field of a letter'),
    (107, 'answer', to_node(answer=pb.Answer(ask_id=2**40, code=15, text='t', body=b'{}', encoding=2, params=[P(key='k', value='v')])), 'Answer'),
    (108, 'answer-unknown-code', to_node(answer=pb.Answer(ask_id=1, code=12345, encoding=99)), 'codes that this version does not know'),
    (109, 'store-set', to_node(store=pb.Store(seq=1, op=1, name='x', value=b'5', announce=True)), 'Store SET'),
    (110, 'store-add-negative', to_node(store=pb.Store(seq=1, op=3, name='x', amount=-1)), 'zigzag of -1'),
    (111, 'store-add-least', to_node(store=pb.Store(op=3, amount=-2**63)), 'zigzag of the least number'),
    (112, 'store-add-greatest', to_node(store=pb.Store(op=3, amount=2**63 - 1)), 'zigzag of the greatest number'),
    (113, 'watch', to_node(watch=pb.Watch(seq=9, name='x', stations=True, members=True, flags=True, off=True)), 'Watch'),
    (114, 'list', to_node(list=pb.List(seq=9, what=4, name='p', after='17')), 'List'),
    (115, 'flag', to_node(flag=pb.Flag(seq=9, **{'raise': True}, unit='u', section='s', name='n', description='d', priority=100, tags='a,b', manual_down=True, by_hand=True)), 'Flag'),
    (116, 'declare', to_node(declare=pb.Declare(seq=9, name='box', forget=True)), 'Declare'),
    (117, 'goodbye', to_node(goodbye=pb.Goodbye(seq=9, text='bye')), 'Goodbye'),
    (118, 'nothing', to_node(), 'no member set'),
    (119, 'send-each', to_node(send=pb.Letter(name='sensors', verb='READ', ask=True, each=True, seq=3)), 'asks each member'),
    (120, 'store-flush', to_node(store=pb.Store(seq=5, op=4)), 'Store FLUSH has no name'),
    (121, 'flag-origin', to_node(flag=pb.Flag(seq=9, **{'raise': True}, unit='u', section='s', name='n', source_file='a.c', function='f', line=7)), 'where in which program a flag is raised'),
    (151, 'welcome', to_client(welcome=pb.Welcome(seq=1, station=129, node='n', version='1', max_frame=4096, silence_ms=10000, max_name=128, max_value=4096)), 'Welcome'),
    (152, 'outcome', to_client(outcome=pb.Outcome(seq=1, code=9, text='t', next='12', count=3)), 'Outcome'),
    (153, 'message', to_client(message=pb.Letter(name='n', verb='V', body=b'b', **{'from': 130}, ask_id=77)), 'a letter with what the node adds'),
    (154, 'reply', to_client(reply=pb.Answer(seq=7, code=1, **{'from': 1})), 'Reply'),
    (155, 'value', to_client(value=pb.Value(seq=1, name='x', value=b'', age_ms=2**63, idle_ms=1)), 'an empty value'),
    (156, 'item', to_client(item=pb.Item(seq=1, what=2, name='n', station=3, instance='i', text='t', value=b'v', count=4, age_ms=5, exclusive=True, tags='g', manual=True)), 'every field of an item'),
    (157, 'presence', to_client(presence=pb.Presence(change=2, station=3, station_name='s', name='n', instance='i', reason=18)), 'Presence'),
    (158, 'flag-change', to_client(flag_change=pb.FlagChange(raised=True, name='u/s/n', description='d', priority=1, tags='t', manual_down=True, station=2)), 'FlagChange'),
    (159, 'closing', to_client(closing=pb.Closing(code=19, text='bye')), 'Closing'),
    (161, 'outcome-not-stored', to_client(outcome=pb.Outcome(seq=5, code=22, text='t')), 'the disk fails'),
    (162, 'item-flag', to_client(item=pb.Item(seq=1, what=4, name='u/s/n', count=5, age_ms=9, last_ms=3, times=2**32, source_file='a.c', function='f', line=7)), 'a flag with what daemons say of it'),
    (160, 'reply-about', to_client(reply=pb.Answer(seq=3, body=b'21.5', station=2**40 + 1, **{'from': 2**40 + 1})), 'one of the answers to each'),
]:
    chappe(number, slug, message, comment)

def member(number, body):
    """A payload of one member, by hand."""
    body = bytes.fromhex(body)
    length = len(body)
    head = [number << 3 | 2] + ([length] if length < 128 else [length & 0x7f | 0x80, length >> 7])
    return bytes(head) + body


for number, slug, payload, comment in [
    (201, 'unusual-params-between', member(4, '2a060a0161120131 0a016e 2a060a0162120132'), 'parameters before and behind another field'),
    (202, 'unusual-last-field-wins', member(2, '120161 120162'), 'a name twice: the last counts'),
    (203, 'unusual-unknown-fields', member(2, '0801 12016e f80607 fa06020000 fd0601020304'), 'fields above 100 of three wire types'),
    (204, 'unusual-two-members', member(1, '0801') + member(3, '0802'), 'of two members the last counts'),
    (205, 'unusual-wrong-wire-type', member(2, '0a0161 12016e'), 'seq as text is an unknown field'),
    (206, 'unusual-long-varints', member(2, '08818000 1281006e'), 'lengths and numbers in more octets than needed'),
    (207, 'unusual-seq-cut-to-32-bits', member(2, '088180808010'), 'seq of 33 bits: the low 32 count'),
    (208, 'unusual-bool-of-two', member(2, '2002'), 'a truth that is 2'),
]:
    chappe(number, slug, to_node(), comment, payload)

for number, slug, payload, comment, why in [
    (301, 'member-twice', member(2, '0a0175') + member(2, '120174'), 'a member twice: protobuf merges, which cannot be done while borrowing', 'MemberTwice'),
    (302, 'name-not-utf8', member(2, '1201ff'), 'a name that is no UTF-8', 'NotUtf8'),
    (303, 'key-not-utf8', member(4, '2a030a01ff'), 'a key that is no UTF-8', 'NotUtf8'),
    (304, 'too-many-params', member(4, '2a00' * 65), '65 parameters', 'TooManyParams'),
    (305, 'truncated-param', member(4, '2a020a05'), 'a parameter longer than its frame', 'Truncated'),
    (306, 'unclosed-group', member(2, '0801fb06'), 'a group that does not end', 'Truncated'),
    (307, 'end-of-no-group', member(2, '0801fc06'), 'the end of a group that never began', 'WireType'),
]:
    chappe(number, slug, to_node(), comment, payload, 'invalid', f'malformed {why}')

session = [to_node(hello=pb.Hello(seq=1, name='s')), to_node(join=pb.Join(seq=2, name='a::*')), None,
           to_node(send=pb.Letter(name='a::b', verb='SET', body=b'1')), to_node(goodbye=pb.Goodbye())]
hexes, lines = [], ['schema to-node']
for m in session:
    if m is None:
        hexes.append('03000000')
        lines.append('frame 3 0')
    else:
        p = m.SerializeToString()
        hexes.append('01' + len(p).to_bytes(3, 'big').hex() + p.hex())
        lines += [f'frame 1 {len(p)}', f'  {show(m)}']
save('stream', '401-a-short-life', 'hello, join, ping, letter, goodbye', 'protobuf of Python', ' '.join(hexes), lines)

# --- the table ---------------------------------------------------------------------------

readme = os.path.join(HERE, '../README.md')
text = open(readme).read()
head = text[:text.index('<!-- table -->')]
rows = '\n'.join(f'| `{n}` | {c} | {s} |' for kind in LINES for n, c, s in LINES[kind])
with open(readme, 'w') as f:
    f.write(head + '<!-- table -->\n| vector | says | source |\n|---|---|---|\n' + rows + '\n')
