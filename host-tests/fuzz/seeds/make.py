#!/usr/bin/env python3
"""Makes the seeds out of the vectors and of a few operations by hand: see README.md.

    python3 host-tests/fuzz/seeds/make.py
"""
import glob
import os

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, '../../vectors/messi')


def octets(path):
    b = b''
    for line in open(path):
        for word in line.split('#')[0].split():
            h, _, n = word.partition('*')
            b += bytes.fromhex(h) * int(n or 1)
    return b


def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), 'wb') as f:
        f.write(data)


for kind in ('valid', 'invalid', 'stream'):
    for path in sorted(glob.glob(f'{VECTORS}/{kind}/*.hex')):
        data, name = octets(path), os.path.basename(path)[:-4]
        if len(data) > 250:
            continue
        save('frames', name, bytes([128, 200]) + data)
        if data[0] in (1, 2) and kind != 'stream':
            save('parse', name, data[4:])
        if data[0] == 1 and kind != 'stream':
            # a station that has said hello, and the payload as a frame of its own
            save('router', name, bytes([0, 0, 1, len(data) - 4]) + data[4:])
        if data[0] == 2 and kind != 'stream':
            # a client that is welcome, and the payload from its node
            save('client', name, bytes([0, 9, 1, len(data) - 4]) + data[4:])

save('frames', 'after-hopeless', bytes([200, 200]) + bytes.fromhex('010000020a000000000000000000'))
HELLO, JOIN, ASK, DEAF, GONE, TICK = 0, 7, 7 + 12, 8, 9, 10
save('router', 'two-ask-each-other', bytes([HELLO, 0, HELLO, 0, JOIN, 0, JOIN, 1, JOIN, 128, JOIN, 129, TICK, 1, TICK, 1]))
save('router', 'exclusive-then-gone', bytes([HELLO, 0, HELLO, 0, JOIN, 16, JOIN, 17, GONE, 0, JOIN, 16]))
save('router', 'deaf-until-closed', bytes([HELLO, 0, HELLO, 0, JOIN, 0, DEAF, 0] + [JOIN, 129] * 30 + [TICK, 255] * 40))
save('router', 'datagrams', bytes([HELLO, 1, HELLO, 1, JOIN, 0, JOIN, 129, TICK, 1]))
save('router', 'stopped-with-questions-open', bytes([HELLO, 0, HELLO, 0, JOIN, 0, JOIN, 129, 11, 255, TICK, 1]))
save('client', 'call-answered', bytes([0, 1, 7, 255, 4, 9, 7, 255, 5, 3, 6, 1]))
save('client', 'call-lost-with-its-connection', bytes([0, 1, 7, 255, 4, 9, 9, 2, 6, 1, 6, 1, 0, 1]))
save('client', 'silence', bytes([0, 1, 7, 255, 6, 1, 6, 1, 6, 1, 6, 1]))
save('store', 'set-remove-late-set', bytes([0, 1, 9, 3]) + b'abc' + bytes([2, 1, 10, 0, 0, 1, 9, 3]) + b'old')
save('store', 'full-then-tombstones-give-way', bytes([b for i in range(16) for b in (3, i, 5, 0)] + [0, 200, 6, 60]) + b'x' * 60)
save('store', 'merge-twice-then-stale-then-clear', bytes([6, 1, 9, 3]) + b'abc' + bytes([6, 1, 10, 3]) + b'abd' + bytes([17, 1, 11, 0, 7, 0, 90, 3, 10, 1, 1, 1, 9, 0, 0, 7]))
save('store', 'count', bytes([4, 1, 1, 5, 4, 1, 0, 250, 5, 1, 1, 1]))
save('timers', 'near-and-far', bytes([3, 0, 100, 0, 8, 1, 0, 80, 2, 0, 255, 3, 3, 200, 0, 83, 3, 0]))
save('timers', 'set-again-and-cleared', bytes([0, 0, 1, 16, 0, 1, 200, 1, 1, 16, 0, 2, 2, 0, 11, 255, 255]))

# --- MSGQ ---


def dialogue(path):
    """What each client says there, frame by frame."""
    for line in open(path, encoding='utf-8'):
        who, _, rest = line.rstrip('\n').partition(' -> ')
        if rest and not line.startswith('#') and not rest.startswith('('):
            raw = rest.encode()
            out, i = b'', 0
            while i < len(raw):
                if raw[i:i + 2] == b'\\x':
                    out, i = out + bytes.fromhex(raw[i + 2:i + 4].decode()), i + 4
                elif raw[i:i + 2] == b'\\\\':
                    out, i = out + b'\\', i + 2
                else:
                    out, i = out + raw[i:i + 1], i + 1
            yield who, out


for path in sorted(glob.glob(os.path.join(HERE, '../../vectors/msgq/*.txt'))):
    name = os.path.basename(path)[:-4]
    clients, ops = {}, b''
    for who, said in dialogue(path):
        if who not in clients:
            clients[who] = len(clients)
            ops += bytes([0, 0])
        head = int.from_bytes(said[4:6], 'big')
        if 6 + head <= len(said):
            save('msgq_json', f'{name}-{who}-header', said[6:6 + head])
            if said[6 + head:]:
                save('msgq_json', f'{name}-{who}-body', said[6 + head:])
        for i in range(0, len(said), 250):
            piece = said[i:i + 250]
            ops += bytes([2 + 16 * clients[who], len(piece)]) + piece
    if ops:
        save('msgq_session', name, ops)

for name, text in {
        'numbers': '[0, -0, 1.50, -1e-3, 2E+9, 123456789012345678901234567890, 9223372036854775807]',
        'not-finite': '{"a": NaN, "b": [Infinity, -Infinity]}',
        'escapes': r'{"\u0061\"": "\b\f\n\r\t\/\\ \ud83d\udc4b \u0001"}',
        'half-a-pair': r'{"a": "\ud83d"}',
        'raw-controls': '{"a": "\x01\t\n\x7f"}',
        'deep': '[' * 64 + ']' * 64,
        'too-deep': '{"a":' * 65 + '1' + '}' * 65,
        'doubled': '{"type":"stop","type":"send","to":1,"to":2}'}.items():
    save('msgq_json', name, text.encode())
MSGQ, NATIVE, SUB, SEND, ANSWER, WORD, READS, GOES, TIME = 0, 1, 7, 8, 10, 11, 12, 13, 14
named = [WORD, 0, WORD, 1]
save('msgq_session', 'two-ask-each-other', bytes([MSGQ, 0, MSGQ, 0] + named + [SUB, 0, SUB, 1, SEND, 32, SEND, 33, ANSWER, 0, ANSWER, 1]))
save('msgq_session', 'asked-and-gone', bytes([MSGQ, 0] * 3 + named + [SUB, 0, SUB, 1, SEND, 32, SUB, 33, GOES, 1, TIME, 9]))
save('msgq_session', 'deaf-until-closed', bytes([MSGQ, 0, MSGQ, 0] + named + [SUB, 0, READS, 0] + [SEND, 33] * 60 + [TIME + 160, 255] * 6))
save('msgq_session', 'watchers', bytes([MSGQ, 0, WORD, 0, SUB + 80, 0, SUB + 64, 0, MSGQ, 0, WORD, 1, SEND + 48, 1, SUB, 1, SUB, 33, GOES, 1]))
save('msgq_session', 'native-asks-each', bytes([MSGQ, 0, MSGQ, 0, NATIVE, 0] + named + [SUB, 0, SUB, 1, SEND, 32 + 16 + 2, ANSWER, 0, GOES, 1]))
save('msgq_session', 'before-its-name', bytes([MSGQ, 0, WORD, 0, SUB + 80, 0, MSGQ, 0, SEND, 16, SUB, 1, WORD, 1, WORD + 16, 1]))

# --- Clacks ---

for path in sorted(glob.glob(os.path.join(HERE, '../../vectors/clacks/*.txt'))):
    name = os.path.basename(path)[:-4]
    clients, lines, ops = {}, b'', b''
    for line in open(path, encoding='utf-8'):
        who, _, said = line.rstrip('\n').partition(': ')
        if not (len(who) == 2 and who[0] == 'C' and who[1].isdigit()):
            continue
        if who not in clients:
            clients[who] = len(clients)
            # a client that logs in as `l`
            ops += bytes([0, 0])
        said = said.replace('<sp>', ' ').encode() + b'\r\n'
        lines += said
        ops += bytes([3 + 16 * clients[who], len(said)]) + said
    if lines:
        save('clacks_lines', name, bytes([255, len(lines) // 2]) + lines)
        save('clacks_session', name, ops)

save('clacks_lines', 'odd-ends', b'\xff\x05' + b'a\rb\r\n\r\r\nSET x=1\r\r\n\n \nPING')
save('clacks_lines', 'names', b'\xff\x09' + b'*\n~\na::*\n\\x41\n\\x07\n\xff\xfe\n\x01\x7f\n\xc3\xa9\n')
save('clacks_lines', 'numbers', b'\xff\x03' + b' 7 \n5abc\n1e300\n-0\nInf\nNaN\n18446744073709551615\n0x10\n.5\n5.\n')
CLACKS, NATIVE, ROLE, RAW, WORD, SWITCH, AGAIN, VERDICT, READS, GOES, TIME = 0, 1, 2, 3, 6, 8, 9, 10, 11, 12, 14
save('clacks_session', 'link-and-listener', bytes([CLACKS, 0, CLACKS, 0, SWITCH, 6, WORD, 1, WORD + 16, 1, WORD, 5, TIME, 30, SWITCH, 2]))
save('clacks_session', 'master-locks-and-dies', bytes([CLACKS, 0, ROLE, 0, AGAIN, 1, SWITCH, 71, WORD, 0, GOES, 1, WORD, 10]))
save('clacks_session', 'password-under-way', bytes([CLACKS, 2, WORD, 0, WORD, 10, VERDICT, 0, CLACKS, 2, VERDICT, 65]))
save('clacks_session', 'deaf-until-closed', bytes([CLACKS, 0, CLACKS, 0, WORD, 11, READS, 0] + [15, 255, 6, 3] * 20 + [TIME, 61]))
save('clacks_session', 'list-within-list', bytes([CLACKS, 0, 15, 65, 31, 66, SWITCH, 80, SWITCH, 18, SWITCH, 2, READS, 0, SWITCH, 2, READS, 0]))

# --- Communicator ---

FOLDER = os.path.join(HERE, '../../vectors/communicator')


def plain(text):
    """Octets of a line of those vectors."""
    out, i, raw = b'', 0, text.encode()
    while i < len(raw):
        if raw[i:i + 2] == b'\\x':
            out, i = out + bytes.fromhex(raw[i + 2:i + 4].decode()), i + 4
        elif raw[i:i + 2] == b'\\\\':
            out, i = out + b'\\', i + 2
        else:
            out, i = out + raw[i:i + 1], i + 1
    return out


for table in ('valid', 'invalid', 'json'):
    name = ''
    for line in open(f'{FOLDER}/{table}.txt'):
        if line.startswith('== '):
            name = line[3:].strip()
        if line.startswith('in '):
            data = plain(line[3:].rstrip('\n'))
            save('communicator_lines', f'{table}-{name}', bytes([200, len(data) // 2]) + data + b'\n')
            save('communicator_lines', f'{table}-{name}-datagram', bytes([200, len(data) // 2]) + data)
every = [line for line in open(f'{FOLDER}/lines.txt', 'rb') if not line.startswith(b'#')]
save('communicator_lines', 'transcripts', bytes([255, 100]) + b''.join(every))
for name, data in {
        'datagram-with-lfs': b'./CMD a=x\nSTOP;b="y\n;"\n',
        'names-of-the-bus': b'a_x2f_b/SET name=a/b;value=1\n_x63_ommunicatord/X\n_xff_/X\na_x5f_x2f_b/_X67_\n',
        'signals': b'./SET name=s::x;value="a;b"\ns/SET name=s;value_base64=/w==\n./NOTIFY name=x\ns/MSG body={"a":1}\n',
        'json-escapes': rb'{"\u0063ommand":"\u0043","service":"s","parameters":{"a":"\\n\ud83d\udc4b","n":-1.5e3}}' + b'\n',
        'replies': b'x/REPLY reply_to=7;code=1;text=none;body=4\nx/GET reply_to=7;cache="no;reply"\n'}.items():
    save('communicator_lines', name, bytes([200, 9]) + data)

# what a client says of each dialogue, as lines of the first one and of the second by turns
COME, SAYS, NAMED, SAY, SERVER, GATE, DEAF, ENDS, CLOCK, MUCH, WORLD, LIFE = 0, 2, 4, 5, 8, 9, 10, 11, 140, 13, 14, 255
FOO, NATIVE_COMES, FIRST, SECOND, WRITES = 16, 32, 1, 2, 17
two = bytes([COME, 0, COME, 0])
every = [line.rstrip(b'\n') for line in every]
said = b''.join(bytes([SAYS + 16 * (1 + i % 2), len(line)]) + line for i, line in enumerate(every) if len(line) < 200)
for name, how, ops in (
        ('lines-of-the-transcripts', 0, two + said),
        ('the-same-in-json', 4, two + said),
        ('waits-asks-and-answers', 0, two + bytes([NAMED + FOO, FIRST, SAY, 7, NAMED, 5, SAY, 19, SAY + FOO, WRITES, ENDS, SECOND])),
        ('another-name-for-a-password', 0, two + bytes([NAMED + FOO, FIRST, NAMED, 10, NAMED + FOO, 5, SAY, 2])),
        ('password-under-way', 0, two + bytes([NAMED + 32, 10, SAY + 32, 5, GATE, 1, NAMED + 32, 10, GATE, 64 + 33])),
        ('deaf-until-closed', 0, two + bytes([NAMED, FIRST, DEAF, FIRST] + [MUCH, 254] * 40 + [CLOCK, 61])),
        ('memory-is-short', 1, two + bytes([MUCH, 254, MUCH, 253] * 12 + [DEAF, FIRST, NAMED, FIRST, SERVER, 13] + [MUCH, 254] * 9)),
        ('datagrams-with-the-secret', 8, bytes([SAY, 11, SAY, 7, SAY, 14, SAY, 15, COME, 0, NAMED, FIRST, SERVER, 0, SERVER, 20])),
        ('announced-and-heard', 2, two + bytes([SERVER, 13, SERVER, 14, SERVER, 16, SERVER, 15, WORLD, 1, WORLD + 16, 99, SERVER, 7])),
        ('stations-of-others', 0, two + bytes([NATIVE_COMES, 0, NAMED, 7, SAY, 7, SAY, 3, 7 + 80, 1, SERVER, 3])),
        ('another-life-with-mail', 0, two + bytes([SAY, 7, LIFE, 1, 1]) + two
            + bytes([WORLD + 48, 2, WORLD + 48, 5]) + b'ab/X\n' + bytes([NAMED, FIRST, CLOCK, 9]))):
    save('communicator_session', name, bytes([how]) + ops)

# --- discovery ---

for table in ('questions', 'answers'):
    name = ''
    for line in open(os.path.join(HERE, f'../../vectors/discovery/{table}.txt')):
        if line.startswith('== '):
            name = line[3:].strip().replace(' ', '-').replace(',', '')
        if line.startswith('in '):
            save('discovery', f'{table}-{name}', plain(line[3:].rstrip('\n')))

# --- all dialects on one node ---

COME, RAW, FRAMED, JOIN, LEAVE, SIGNAL, LARGE, ASK, ANSWER, VALUE, LIST, MORE, READ, TIME, SHELL = 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15
SLOW, ALL_AT_ONCE, DEAF, GONE, LATER, DUE = READ + 32, READ + 16, READ, TIME + 240, TIME + 112, TIME + 64
six = [b for kind in range(6) for b in (COME + 16 * kind, 6)]
each = lambda op, flags=0: [b for n in range(6) for b in (op, flags // 6 * 6 + n)]
for name, ops in {
        'all-join-and-signal': six + each(JOIN) + each(SIGNAL) + each(SIGNAL + 16) + each(LEAVE) + each(SIGNAL),
        'all-ask-and-answer': six + each(JOIN) + each(ASK) + each(ANSWER) + each(ASK) + [GONE, 0] + [LATER, 200] * 3,
        'asked-directly-and-each': six + each(JOIN) + [ASK, 54, ASK, 60, ASK, 14, ASK, 12, ANSWER, 0, ANSWER, 1, GONE, 2, DUE, 1, DUE, 1],
        'values-of-all': six + each(JOIN) + each(VALUE, 36) + each(VALUE) + each(VALUE, 42) + each(VALUE, 6) + each(VALUE, 12),
        'lists-watches-and-flags': six + each(LIST, 12) + each(LIST, 24) + each(MORE) + each(MORE, 48) + [SHELL + 16, 0, SHELL + 48, 1, SHELL + 32, 0, SHELL + 80, 0],
        'mail-for-who-comes': six + [MORE, 42 - 40, MORE, 66, MORE, 3, MORE, 3 + 64, MORE, 4, MORE, 5, MORE, 3, DUE, 0, MORE, 4],
        'deaf-until-closed': six + each(JOIN) + [DEAF, 0, DEAF, 1, DEAF, 2, DEAF, 3] + [LARGE, 250] * 60 + [LATER, 255] * 4,
        'reads-one-octet': six + each(JOIN) + [SLOW, 0, SLOW, 1, SLOW, 2, SLOW, 3] + each(SIGNAL) * 3 + [ALL_AT_ONCE, 1] + each(SIGNAL),
        'monitors': six + [MORE, 6, MORE, 30, MORE, 42] + each(JOIN) + each(SIGNAL) + each(ASK) + each(VALUE, 36) + [MORE, 78],
        'each-to-everyone': six + [MORE, 7, MORE, 31] + each(JOIN) + [MORE, 7, MORE, 199],
        'exclusive-and-patterns': six + [JOIN, 6, JOIN, 7, JOIN, 48, JOIN, 52, JOIN, 54] + each(JOIN) + each(SIGNAL) + each(SIGNAL + 32) + [GONE, 0] + each(JOIN),
        'password-under-way': [COME + 32, 38, SIGNAL, 0, JOIN, 0, SHELL, 0, SIGNAL, 0, COME + 32, 38, SHELL, 65],
        'octets-of-others': six + [b for n in range(4) for t in (b'PING\n', b'{"type":"ping"}', b'\x1a\x02\x0a\x00', b'a/B c=d') for b in (FRAMED + 16 * n, len(t), *t)]}.items():
    save('mixed', name, bytes([0] + ops))
    save('splits', name, bytes([5, 0] + [b for i in range(0, len(ops), 2) for b in ops[i:i + 2]]))
for name, set, ops in (('memory-is-short', 4, six + each(JOIN) + [DEAF, 0, DEAF, 1, DEAF, 2, DEAF, 3] + [LARGE, 250, LARGE, 244, ASK, 0] * 20 + [LATER, 255] * 4),
                  ('stopped-with-questions-open', 8, six + each(JOIN) + each(ASK)),
                  ('lines-alone', 0, [COME + 48, 6, COME + 48, 7, JOIN, 0, JOIN + 16, 1, SIGNAL, 1, SIGNAL + 16, 0, ASK, 1, ANSWER, 0, COME, 6, SIGNAL, 2, ASK, 2, ANSWER, 0])):
    save('mixed', name, bytes([set] + ops))

# --- files ---

DEFAULT = open(os.path.join(HERE, '../../../transport-linux/chappe.toml'), encoding='utf-8').read()
section, lines = 'top', []
for line in DEFAULT.splitlines() + ['[end]']:
    said = line[1:] if line[:1] == '#' and line[1:2].isalpha() and ' = ' in line or line[:2] == '#[' else line
    if said.startswith('['):
        for i in range(0, len(lines), 12):
            head = [] if section == 'top' else [section]
            save('config', f"{section.strip('[]').replace('.', '-')}-{i // 12}", ('\n'.join(head + lines[i:i + 12]) + '\n').encode())
        section, lines = said.split(']')[0].split('#')[0].strip() + (']]' if said.startswith('[[') else ']'), []
    elif ' = ' in said and not said.startswith('#'):
        lines.append(said)
for name, text in {
        'empty': '',
        'listeners': 'node = "n"\n[[listeners]]\naddress = "tcp://127.0.0.1:0"\nanonymous = ["read"]\n[[listeners]]\naddress = "clacks:///run/c"\nmode = "0660"\n',
        'users': '[[users]]\nname = "u"\ntoken = "hush-hush-hush"\nrights = ["read", "write"]\nnames = ["a::*"]\n',
        'wrong-type': '[limits]\nstations = "many"\n',
        'unknown-key': '[limits]\nstation = 5\n',
        'no-toml': 'node = "n\n[[[',
        'key-twice': 'node = "a"\nnode = "b"\n',
        'too-small': '[limits]\nmax_frame = 1\noutbox = 1\n',
        'open-to-all': '[[listeners]]\naddress = "tcp://0.0.0.0:7840"\nanonymous = ["read", "write", "manage"]\n'}.items():
    save('config', name, text.encode())

ROWS = b"--- \nsensor::temp: \n  accesstime: '1795190334.18433'\n  cachetime: '1795190334.18433'\n  data: '-1.50'\n  deleted: 0\ngone: \n" \
    b"  accesstime: '1795190334.18435'\n  cachetime: '1795190334.18435'\n  data: ''\n  deleted: 1\n\"caf\\xe9\": {data: \"\\x00\", cachetime: 1, accesstime: 1, deleted: 0}\n"
CLACKS_XML = '<clacks><appname>x</appname><ip>127.0.0.1</ip><port>PC_PORT</port><ssl><cert>c.pem</cert><key>k.pem</key></ssl>' \
    '<socket>/run/x.sock</socket><username>u</username><password>long enough</password><user><username>v</username><password>another one</password>' \
    '<read>1</read><write>0</write></user><pingtimeout>120</pingtimeout><persistancefile>p.dat</persistancefile></clacks>'
import base64
coded = lambda text: base64.b64encode(text)
for name, which, text in (
        ('clacks-config', 0, CLACKS_XML.encode()),
        ('clacks-config-of-a-host', 0, b'<clacks><port>1</port><hosts><thishost><port>2</port></thishost></hosts><username>u</username><password>p</password></clacks>'),
        ('clacks-config-cut', 0, CLACKS_XML[:150].encode()),
        ('values-v3', 1, b'\0CLACKSV3' + ROWS + b'\0CLACKSV3'),
        ('values-v3-cut', 1, b'\0CLACKSV3' + ROWS),
        ('values-lines', 1, b'\n'.join(map(coded, (b'--- \na: 1\nb: "\\x00"\n', b"--- \na: '1795190334.18433'\ngone: '2'\n"))) + b'\nENDBYTES\n'),
        ('values-lines-with-access', 1, b'\n'.join(map(coded, (b'--- \na: 1\n', b"--- \na: '1795190334.18433'\n", b"--- \na: '5'\n"))) + b'\nENDBYTES\n'),
        ('communicator-config', 2, b'server_name = hostA\n# more\nlisten = 127.0.0.1:4040\nsignal-secret="hush"\nneighbors=10.0.0.2:4042\nmax_connections=5\nnonsense\n'),
        ('flag', 3, b'unit=core\nsection=disk\nname=full\nmessage="it is \\n full"\npriority=70\nmanual_down=yes\ntags=a,b\ncount=3\ndate=1795190334\n'),
        ('flag-over-lines', 3, b'# x\nunit=a\nsection=b\nname=c\nmessage=one\ntwo \\\nthree\n;z\nline=9\npriority=x\n')):
    save('imports', name, bytes([which]) + text)

for name, which, text in (
        ('values', 0, '{"name":"a","value":"1"}\n{"name":"b","value_base64":"AAECA/8=","changed_us":5,"accessed_us":6,"origin":2}\n{"name":"c","removed":true}\n\n'),
        ('mail', 0, '{"mail":7,"name":"a","instance":"i","until_us":9223372036854775807,"within_ms":5,"from":3,"form":0,"bytes_base64":"CgVsYXRlcg==","verb":"x"}\n'),
        ('one-wrong', 0, '{"name":"a","value":"1"}\n{"name":"*","value":"1"}\n'),
        ('two-of-three', 0, '{"name":"a","value":"1","removed":true}\n'),
        ('recording', 1, '{"event":"letter","micros":1800000000000000,"name":"n","verb":"SET","params":[["k","v"]],"body":"x","station":5}\n{"event":"value","op":"add","amount":-5}\n'),
        ('recording-of-octets', 1, '{"event":"flag","body_base64":"/w==","encoding":"bytes","hidden":true}\n{"event":"song"}\n'),
        ('recording-cut', 1, '{"event":"letter"')):
    save('lines_of_json', name, bytes([which]) + text.encode())
for name, ops in {
        'one-octet': [0, 40, 0, 1], 'one-octet-far': [64, 200, 7, 255], 'cut': [4, 180, 0, 0], 'cut-in-the-header': [4, 0, 9, 0],
        'zeros': [5, 90, 0, 30], 'a-block-elsewhere': [6, 30, 0, 200], 'longer': [7, 0, 9, 0], 'several': [0, 1, 2, 3, 64, 99, 1, 8, 65, 130, 9, 1]}.items():
    save('store_file', name, bytes(ops))

# --- clients of Linux programs ---

END, STAYS = b'\xff', 0x90
ANSWERS = b'\xfe'.join(bytes([n, 0]) for n in range(1, 8))
for name, kind, how, calls, said in (
        ('native-answered', 0, STAYS, 127, ANSWERS),
        ('native-refused-then-gone', 0, 0, 127, b'\xfe'.join(bytes([n, 5]) for n in range(1, 8)) + END + ANSWERS),
        ('native-message', 0, STAYS, 128, bytes.fromhex('1a0a0a0178120353455470051a')),
        ('native-no-frames', 0, 0, 129, b'\x10\x09\x09\x09\x09\x09'),
        ('msgq-answered', 1, STAYS, 255, b'{"type":"pong","seq":1}\xfe{"type":"send","from":"a","to":"me","group":"g","instance":"*","seq":9,"reply":1}\n{"result":[0,1]}'),
        ('msgq-asked', 1, STAYS, 129, b'{"type":"send","from":"a","to":"me","group":"g","instance":"*","seq":9,"want_answer":true}\n{"command":["x"]}'),
        ('msgq-lengths', 1, 0, 255, b'!\0\0\0\1\0\1'),
        ('clacks-answered', 2, STAYS, 31, b'RETRIEVED x=1\xfeKEYLISTSTART\xfeKEY a\xfeKEYLISTEND\xfeFLUSHED 1\xfeSET x=2'),
        ('clacks-refused', 2, 1, 16, b'CLACKS x\xfeOVERHEAD F Login failed!\xfeQUIT' + END + b'CLACKS x'),
        ('clacks-no-clacks', 2, 1, 16, b'220 mail ESMTP'),
        ('communicator-lines', 3, STAYS, 255, b'<hostA:other fuzz/DO a=1\xfe<hostA:communicatord ALIVE serial=1\xfefuzz/HELP\xfefuzz/DO reply_to=5'),
        ('communicator-quits', 3, 0, 240, b'QUITTING\xfefuzz/STOP' + END + b'fuzz/DO')):
    save('linux_clients', name, bytes([kind, how, calls]) + said)

for name, text in {
        'all-fields': '{"sent-from-server":"h","sent-from-service":"s","server":"t","service":"u","command":"C","parameters":{"a":"1","b":2}}',
        'numbers': '{"command":"C","parameters":{"a":-0,"b":1.50,"c":1e3,"d":12345678901234567890,"e":0.1e-7}}',
        'words': '{"command":"C","parameters":{"a":null,"b":true,"c":false}}',
        'escapes': r'{"\u0063ommand":"\u0043","parameters":{"\u0061":"\n\\n\ud83d\udc4b"}}',
        'twice': '{"command":"A","command":"B","parameters":{"a":1,"a":2}}',
        'nested': '{"command":"A","parameters":{"a":{}}}',
        'cut': '{"command":"A","parameters":{"a":',
        'trailing': '{"command":"A"} x'}.items():
    save('communicator_json', name, text.encode())

for name, stream in {
        'msgq-two': '0000000a0002' + b'{}'.hex() + b'body+1'.hex() + '000000030001' + b'h'.hex(),
        'msgq-empty-header': '000000020000', 'msgq-too-long': 'ffffffff0001', 'msgq-header-beyond': '000000030005'}.items():
    save('frames', name, bytes([90, 100]) + bytes.fromhex(stream))

for op in range(13):
    # what only the shell says, before and after stations have come
    save('router', f'shell-{op}', bytes([HELLO, 0, 11 + 12 * op, 1, 11 + 12 * op, 2, HELLO, 0, 7, 1, 11 + 12 * op, 9, TICK, 1]))
