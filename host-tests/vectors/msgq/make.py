#!/usr/bin/env python3
"""Types the vectors of wire/msgq.md section 17 off the page, one dialogue a file: see ../README.md.

    python3 host-tests/vectors/msgq/make.py PATH/OF/msgq.md

The page is not part of this repository, its vectors (the files beside this one) are. What is added
here: a name for each, who is there when it begins, and what is required where the page itself says
that the recording of the original is not what a new daemon should do.
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

SLUGS = """name-request name-request-cxx name-again ping ping-body subscribe group-message command-and-reply
replies-in-reverse cxx-spelling nobody-in-group unknown-lname to-oneself only-member msgq-is-nobody
nobody-and-no-wish nobody-for-a-reply from-is-not-checked instances every-instance-once leaving by-lname
body-no-json no-body unknown-keys group-beyond-ascii unknown-type group-null two-frames-in-one-write
length-0 length-1 header-length-0 header-beyond-frame end-inside-a-frame system-user-at-once
configuration-manager members-of-the-bus members-of-a-group configuration-updates own-subscription
a-short-life leaving-what-one-is-not-in leaving-the-notifications stop header-no-json header-no-object
header-without-type error-without-seq subscribe-without-instance largest-length""".split()

# Who is there, and what was said before. V35 to V44 are another daemon, with a configuration manager M.
HELLO = {n: 'A B' for n in range(3, 30)}
HELLO |= {n: 'A' for n in [30, 31, 32, 33, 34, 35, 45, 46, 47, 48, 49, 50]}
HELLO |= {n: 'A M' for n in range(36, 45)}
AFTER = {7: [6], 8: [6], 12: [], 20: [19], 21: [19, 20], 37: [36], 38: [36], 41: [40], 42: [40], 43: [40]}

PING = ['A -> \\x00\\x00\\x00\\x12\\x00\\x10{"type": "ping"}', 'A <- \\x00\\x00\\x00\\x12\\x00\\x10{"type": "pong"}']
OTHERS = "The others go on: A's ping is not on the page."


def frame(header, body):
    h, b = header.encode(), body.encode()
    lengths = (2 + len(h) + len(b)).to_bytes(4, 'big') + len(h).to_bytes(2, 'big')
    return ''.join(f'\\x{o:02x}' for o in lengths) + header + body


def also(*lines):
    return lambda old: old + list(lines)


MEMBERS_AT_ONCE = ('A <- ' + frame(
    '{"type": "send", "from": "5f3759df_3@host", "to": "5f3759df_1@host", "group": "Msgq", "instance": "*", "seq": 2, '
    '"reply": 2}', '{"result": [0, ["5f3759df_1@host", "5f3759df_3@host"]]}'))

LEFT_BEFORE = ('A <- ' + frame(
    '{"type": "send", "from": "msgq", "to": "5f3759df_1@host", "group": "room", "instance": "one", "seq": 14, '
    '"want_answer": true, "reply": 14}', '{"result": [-2, "the recipient left before answering"]}'))

# Number: why, and what is done to the page's lines.
REQUIRED = {
    21: ('Required here: the request 14 of V19 is answered when B, who has not answered it, leaves (D5 of the design).',
         lambda old: old[:2] + [LEFT_BEFORE] + old[2:]),
    26: ('Required here: the two raw bytes, not the escape of the recording (section 4.2).',
         lambda old: [old[0], old[0].replace('A ->', 'B <-')]),
    35: ('Required here: the system user is there from the first moment (section 12.1, "better"), so this is '
         'answered. The recording has the error -1.', lambda old: [old[0], MEMBERS_AT_ONCE]),
    36: ('Required here: messages 4 and 5 of section 12.1, at once and one after the other; the replies are taken '
         'whenever they come. The recording begins with get_config of Logging, and waits each time.',
         lambda old: [old[0], old[3], old[5], old[4], old[6]]),
    41: ('', lambda old: ['connect Z'] + old),
    44: ('Only where it is allowed. The socket file is the daemon\'s affair, not the router\'s.',
         lambda old: [old[0], old[1].replace('(closed malformed)', '(closed stopping)'),
                      'M <- (closed stopping)']),
    50: ('Required here: closed as soon as the length is known, for it is above any limit.',
         also('X <- (closed malformed)', *PING)),
}
for n in (30, 31, 32, 33, 45, 46, 47, 48, 49):
    REQUIRED[n] = (OTHERS, also(*PING))


def main(page):
    text = open(page, encoding='utf-8').read()
    found = re.findall(r'^\*\*V(\d+)\*\* (.+?)\n\n((?:    .*\n)+)', text, re.M)
    assert [int(n) for n, _, _ in found] == list(range(1, 51))
    rows = []
    for number, says, block in found:
        n = int(number)
        lines = [l[4:].replace('(connection closed by the daemon)', '(closed malformed)')
                 for l in block.splitlines() if not l.startswith('    (status')]
        # the blank between two frames of one write is not on the wire
        lines = [l.replace('} \\x00', '}\\x00') for l in lines]
        why, edit = REQUIRED.get(n, ('', lambda old: old))
        lines = edit(lines)
        out = [f'# V{n}: {says}']
        if why:
            out.append(f'# {why}')
        names = {'A': '5f3759df_1@host', 'B': '5f3759df_2@host'}
        if 35 <= n <= 44:
            names = {'A': '5f3759df_1@host', 'M': '5f3759df_2@host', 'Z': '5f3759df_4@host'}
            out.append('node 5f3759df_3@host')
        out += [f'name {who} {lname}' for who, lname in names.items()]
        if n == 44:
            out.append('allow stop')
        if n in HELLO:
            out.append(f'hello {HELLO[n]}')
        out += [f'after {k:03}-{SLUGS[k - 1]}' for k in AFTER.get(n, [])]
        name = f'{n:03}-{SLUGS[n - 1]}'
        with open(os.path.join(HERE, name + '.txt'), 'w', encoding='utf-8') as f:
            f.write('\n'.join(out + lines) + '\n')
        rows.append(f'| `msgq/{name}` | {says.split(". ")[0].rstrip(".")} | msgq.md section 17, V{n} |')
    readme = os.path.join(HERE, '../README.md')
    head, _, rest = open(readme, encoding='utf-8').read().partition('<!-- dialogues -->\n')
    tail = rest.partition('<!-- end of dialogues -->\n')[2]
    table = ''.join(row + '\n' for row in ['| dialogue | says | source |', '|---|---|---|'] + rows)
    with open(readme, 'w', encoding='utf-8') as f:
        f.write(f'{head}<!-- dialogues -->\n{table}<!-- end of dialogues -->\n{tail}')


main(sys.argv[1])
