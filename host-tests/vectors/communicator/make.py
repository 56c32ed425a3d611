#!/usr/bin/env python3
"""Makes the vectors of the Communicator, typed off wire/communicator.md: see ../README.md.

    python3 host-tests/vectors/communicator/make.py

Shares no code with Chappe: what a message is written as again is worked out here.
"""
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def show(b):
    """Octets as the files have them."""
    if isinstance(b, str):
        b = b.encode()
    out = ''
    for i, o in enumerate(b):
        edge = o == 0x20 and i in (0, len(b) - 1)
        out += '\\\\' if o == 0x5C else chr(o) if 0x20 <= o < 0x7F and not edge else f'\\x{o:02x}'
    return out


def value(v):
    """Section 1.4 step 6; a last one that ends in blanks in quotes (weak point W1)."""
    quotes = ';' in v or v.startswith('"')
    v = v.replace('\\', '\\\\').replace('\n', '\\n').replace('\r', '\\r')
    return '"' + v.replace('"', '\\"') + '"' if quotes else v


def written(m):
    """Section 1.4."""
    fs, fn, s, n, cmd, params = m
    out = f'<{fs}:{fn} ' if fs or fn else ''
    if n:
        out += (s + ':' if s else '') + n + '/'
    out += cmd
    pairs = sorted(params.items(), key=lambda kv: kv[0].encode())
    return out + (' ' + ';'.join(f'{k}={value(v)}' for k, v in pairs) if pairs else '')


def save(name, head, blocks):
    with open(os.path.join(HERE, name), 'w', newline='\n') as f:
        f.write(f'# {head}\n')
        for b in blocks:
            f.write('\n' + '\n'.join(b) + '\n')


def block(tag, given, m, out=None):
    fs, fn, s, n, cmd, params = m
    lines = [f'== {tag}', 'in ' + show(given)]
    for key, v in (('from-server', fs), ('from-service', fn), ('server', s), ('service', n), ('command', cmd)):
        if v:
            lines.append(f'{key} {show(v)}')
    lines += [f'param {k} {show(v)}' for k, v in params.items()]
    if out is None:
        out = written(m)
    return lines + ([f'out {show(out)}'] if cmd else ['refused NoCommand'])


def m(cmd, params=None, fr=('', ''), to=('', '')):
    return (fr[0], fr[1], to[0], to[1], cmd, params or {})


FIRE = {'length': '-35', 'name': 'Charles'}
A = [
    ('STOP', m('STOP')),
    ('  STOP \r\n', m('STOP')),
    ('FIRE length=-35;name=Charles', m('FIRE', FIRE)),
    ('FIRE length=-35;name=Charles;', m('FIRE', FIRE)),
    ('FIRE name=Charles;length=-35', m('FIRE', FIRE)),
    ('<remote:firewall jungle:watchdog/CONNECT race=true;version=1',
     m('CONNECT', {'race': 'true', 'version': '1'}, ('remote', 'firewall'), ('jungle', 'watchdog'))),
    ('<:ed_signal communicatord/LIST_SERVICES', m('LIST_SERVICES', None, ('', 'ed_signal'), ('', 'communicatord'))),
    ('<laptop: PING', m('PING', None, ('laptop', ''))),
    ('<a:b:c STOP', m('STOP', None, ('a', 'b:c'))),
    ('watchdog/STOP', m('STOP', to=('', 'watchdog'))),
    ('jungle:watchdog/STOP', m('STOP', to=('jungle', 'watchdog'))),
    ('jungle:STOP', m('STOP', to=('jungle', ''))),
    ('./LOG_ROTATE', m('LOG_ROTATE', to=('', '.'))),
    ('*/CACHE_CLEAR', m('CACHE_CLEAR', to=('', '*'))),
    ('?/CACHE_CLEAR', m('CACHE_CLEAR', to=('', '?'))),
    ('*:communicatord/FORGET ip=10.0.0.9:4042', m('FORGET', {'ip': '10.0.0.9:4042'}, to=('*', 'communicatord'))),
    ('.:cluck/STATUS_QUERY', m('STATUS_QUERY', to=('.', 'cluck'))),
    ('?:communicatord/CLOCK_STATUS', m('CLOCK_STATUS', to=('?', 'communicatord'))),
    ('stop', m('stop')),
    ('Foo-Bar', m('Foo-Bar')),
    ('123', m('123')),
    ('CMD\tx=1', m('CMD\tx=1')),
    ('CMD;a=1', m('CMD;a=1')),
    ('CMD void=', m('CMD', {'void': ''})),
    ('CMD a=;b=', m('CMD', {'a': '', 'b': ''})),
    ('CMD text=hello world', m('CMD', {'text': 'hello world'})),
    ('CMD text= lead and trail ', m('CMD', {'text': ' lead and trail'})),
    ('CMD text=" quoted "', m('CMD', {'text': ' quoted '}), 'CMD text=" quoted "'),
    ('CMD a=x=y', m('CMD', {'a': 'x=y'})),
    ('CMD a=he said "hi"', m('CMD', {'a': 'he said "hi"'})),
    ('CMD a="x;y";b=2', m('CMD', {'a': 'x;y', 'b': '2'})),
    ('CMD a="say \\"hi\\"; bye"', m('CMD', {'a': 'say "hi"; bye'})),
    ('CMD a="one\\\\two;"', m('CMD', {'a': 'one\\two;'})),
    ('CMD a=one\\ntwo\\r\\\\three', m('CMD', {'a': 'one\ntwo\r\\three'})),
    ('CMD a=tab\\tkept', m('CMD', {'a': 'tab\\tkept'}), 'CMD a=tab\\\\tkept'),
    ('CMD a=\\\\n', m('CMD', {'a': '\\n'})),
    ('CMD a=C:\\dir\\new', m('CMD', {'a': 'C:\\dir\new'})),
    ('CMD cache="no;reply"', m('CMD', {'cache': 'no;reply'})),
    ('CMD a=1;a=2', m('CMD', {'a': '2'})),
    ('CMD Mixed_Case=1;_under=2;UPPER=3', m('CMD', {'Mixed_Case': '1', '_under': '2', 'UPPER': '3'})),
    ('CMD uri=cd://127.0.0.1:4040/path', m('CMD', {'uri': 'cd://127.0.0.1:4040/path'})),
    ('CMD a="x"', m('CMD', {'a': 'x'})),
    ('CMD a=""', m('CMD', {'a': ''})),
    ('CMD ', m('CMD')),
    ('CMD a="semi;mid\\\\\\"quote";b=2', m('CMD', {'a': 'semi;mid\\"quote', 'b': '2'})),
    ('CMD a=a\0b;b=2', m('CMD', {'a': 'a'})),
    ('[1]', m('[1]')),
]
save('valid.txt', 'Section 1.11, table A.',
     [block(f'A{i}', row[0], row[1], row[2] if len(row) > 2 else None) for i, row in enumerate(A, 1)])

B = [
    ('  \t', 'Blank'),
    ('<remote:firewall', 'OnlySource'),
    ('<remote:firewall ', 'OnlySource'),
    ('<remote STOP', 'Source'),
    ('<re mote:x STOP', 'Source'),
    ('<remote:firewall  STOP', 'NoCommand'),
    (':watchdog/STOP', 'EmptyServer'),
    ('/STOP', 'EmptyService'),
    ('a:b:c/STOP', 'TwoServers'),
    ('a/b/STOP', 'TwoServices'),
    ('a/b:STOP', 'ServerBehindService'),
    ('a/', 'NoCommand'),
    ('a:', 'NoCommand'),
    ('jungle:/STOP', 'EmptyService'),
    ('CMD  a=1', 'BadKey'),
    ('CMD a', 'NoValue'),
    ('CMD a;b=1', 'BadKey'),
    ('CMD =1', 'EmptyKey'),
    ('CMD a=1;;b=2', 'BadKey'),
    ('CMD a=1; b=2', 'BadKey'),
    ('CMD a=1;b', 'NoValue'),
    ('CMD a-b=1', 'BadKey'),
    ('CMD 1a=2', 'BadKey'),
    ('CMD a b=2', 'BadKey'),
    ('CMD a="x', 'OpenQuote'),
    ('CMD a="x"y', 'BehindQuote'),
    ('CMD a="x" ;b=1', 'BehindQuote'),
    ('CMD a="ends\\\\"', 'OpenQuote'),
    ('CMD a="semi;ends\\\\";b=2', 'OpenQuote'),
]
save('invalid.txt', 'Section 1.11, table B.',
     [[f'== B{i}', 'in ' + show(b), 'why ' + why] for i, (b, why) in enumerate(B, 1)])

C = [
    ('with space', 'X a=with space;b=2'),
    ('a;b', 'X a="a;b";b=2'),
    ('"', 'X a="\\"";b=2'),
    ('x"y', 'X a=x"y;b=2'),
    ('x"y;z', 'X a="x\\"y;z";b=2'),
    ('', 'X a=;b=2'),
    ('l1\nl2', 'X a=l1\\nl2;b=2'),
    ('a\\nb', 'X a=a\\\\nb;b=2'),
    ('\\', 'X a=\\\\;b=2'),
    ('a\tb', 'X a=a\tb;b=2'),
    ('no;reply=true;ttl=1m', 'X a="no;reply=true;ttl=1m";b=2'),
    ('a;b\\', None),
]
blocks = []
for i, (v, out) in enumerate(C, 1):
    assert out is None or out == written(m('X', {'a': v, 'b': '2'})), (v, out)
    lines = [f'== C{i}', 'command X', f'param a {show(v)}', 'param b 2']
    blocks.append(lines + ([f'out {show(out)}'] if out else ['refused Backslash']))
blocks.append(['== C13', 'server jungle', 'command R', 'out R'])
save('written.txt', 'Section 1.11, table C. C12, which nobody can read, is refused.', blocks)

D2 = ('{"sent-from-server":"remote","sent-from-service":"firewall","server":"jungle","service":"watchdog",'
      '"command":"FIRE","parameters":{"name":"Charles","length":-35,"pi":3.25,"valid":true,"no":false,"void":null}}')
D = [
    ('{"command":"STOP"}', m('STOP')),
    (D2, m('FIRE', {'length': '-35', 'name': 'Charles', 'no': 'false', 'pi': '3.250000', 'valid': 'true', 'void': ''},
           ('remote', 'firewall'), ('jungle', 'watchdog')),
     '<remote:firewall jungle:watchdog/FIRE length=-35;name=Charles;no=false;pi=3.250000;valid=true;void='),
    (' { "command" : "STOP" , "parameters" : { } } ', m('STOP')),
    ('{"command":"A","parameters":{"p":"line\\nnext\\\\n\\"q\\""}}', m('A', {'p': 'line\nnext\n"q"'})),
    ('{"command":"A","unknown":"x"}', m('A')),
    ('{"service":"x"}', m('', to=('', 'x'))),
    ('{"command":"A","parameters":{"n":1e3}}', m('A', {'n': '1000'})),
]
blocks = [block(f'D{i}', row[0], row[1], row[2] if len(row) > 2 else None) for i, row in enumerate(D, 1)]
BAD = [
    ('{}', 'JsonUnexpected'), ('{', 'JsonTruncated'), ('{"command"}', 'JsonUnexpected'), ('{"command":1}', 'JsonNotText'),
    ('{"command":"A"', 'JsonTruncated'), ('{"command":"A"} x', 'JsonTrailing'), ('{"command":"A",}', 'JsonUnexpected'),
    ('{"command":"A","parameters":{"x":[1]}}', 'JsonNested'),
    ('{"command":"A","parameters":{"x":{"y":1}}}', 'JsonNested'), ('{"foo":{}}', 'JsonNested'),
]
blocks += [[f'== D{i}', 'in ' + show(b), 'why ' + why] for i, (b, why) in enumerate(BAD, 8)]
save('json.txt', 'Section 1.11, table D.', blocks)

E = [('integer', t, n) for t, n in [
    ('0x10', 16), ('-0b11', -3), ('0o17', 15), ('0d9', 9), ('+7', 7), ('08', 8), ('9223372036854775807', 2**63 - 1),
    ('9223372036854775808', None), ('1.5', None), ('', None), (' 5', None)]]
E += [('timespec', t, n) for t, n in [
    ('5s', '5'), (' 7.5 ', '7.5'), ('-1.25', '-1.25'), ('3.', '3'), ('abc', None), ('.5', None)]]
E += [('version', t, n) for t, n in [('0x1', 'ok'), ('2', 'incompatible'), ('abc', None)]]
save('values.txt', 'Section 1.11, table E.',
     [[f'== E{i}', f'{kind} {show(t)}', 'refused' if n is None else f'is {n}'] for i, (kind, t, n) in enumerate(E, 1)])

# every line of a transcript: it is read, and written the same
LINES = '''
REGISTER service=foo;version=1
<hostA:communicatord HELP
<hostA:communicatord READY my_address=10.0.0.1:4042
<:foo hostA:communicatord/COMMANDS list=ALIVE,HELP,QUITTING,READY,STOP,UNKNOWN
communicatord/CLOCK_STATUS
<hostA:communicatord CLOCK_STABLE cache=no;clock_resolution=verified
communicatord/CLUSTER_STATUS
<hostA:communicatord ./CLUSTER_UP neighbors_count=3
<hostA:communicatord ./CLUSTER_COMPLETE neighbors_count=3
UNREGISTER service=foo
<hostB:communicatord CONNECT my_address=10.0.0.2:4042;neighbors=10.0.0.1:4042;server_name=hostB;services=cluck,fluid_settings;version=1
GOSSIP my_address=10.0.0.1:4042
<hostB:communicatord RECEIVED
<hostA:foo */CACHE_CLEAR broadcast_hops=1;broadcast_informed_neighbors=10.0.0.1,10.0.0.3;broadcast_msgid=hostA-7;broadcast_originator=10.0.0.2;broadcast_timeout=1767225610;secure_remote=false
LOADAVG avg=0.31;my_address=10.0.0.1:4042;timestamp=1767225600.123456789
bar/REFRESH cache=ttl=30;transmission_report=failure
<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=cached
REGISTER service=bar;version=1
<hostA:communicatord READY my_address=127.0.0.1:4042
<hostA:foo bar/REFRESH cache=ttl=30;transmission_report=failure
bar/REFRESH cache="no;reply";transmission_report=failure
<hostA:communicatord SERVICE_UNAVAILABLE destination_service=bar;unsent_command=REFRESH
<hostA:communicatord TRANSMISSION_REPORT command=REFRESH;status=failed
bar/FROB
<hostA:foo bar/FROB
<:bar hostA:foo/UNKNOWN command=FROB
<hostA:bar hostA:foo/UNKNOWN command=FROB
<hostB:communicatord CONNECT my_address=10.0.0.2:4042;server_name=hostB;version=1
<hostA:communicatord REGISTER_FOR_LOADAVG
<hostA:communicatord ACCEPT my_address=10.0.0.1:4042;server_name=hostA
hostB:communicatord/COMMANDS list=ACCEPT,ALIVE
hostB:bar/GET_KEY name=x
<hostA:foo hostB:bar/GET_KEY broadcast_hops=1;broadcast_informed_neighbors=10.0.0.2;broadcast_msgid=hostA-1;broadcast_originator=10.0.0.1;broadcast_timeout=1767225610;name=x;secure_remote=false
<:bar hostA:foo/KEY value=42
HI
DAD
CLIMB
TOP
WHO
MOM
BYE
'''
with open(os.path.join(HERE, 'lines.txt'), 'w', newline='\n') as f:
    f.write('# Sections 3.1, 4.3, 4.4, 4.6, 4.8, 8.3 and 10.1, a line each.\n' + LINES.lstrip('\n'))
