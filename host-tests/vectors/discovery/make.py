#!/usr/bin/env python3
"""Makes questions.txt and answers.txt from docs/discovery.md. Shares no code with Chappe."""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMES = ["cd", "cds", "clacks", "clackss", "tcp", "tls", "udp"]
NONCE = "0123456789abcdef"


def question(node="", wants=None, size=256):
    before = "DISCOVER " + (f"node={node};" if node else "") + f"nonce={NONCE};pad="
    behind = ";version=1" + (f";wants={','.join(wants)}" if wants is not None else "")
    return before + "0" * (size - len(before) - len(behind)) + behind


def answer(node="", **ports):
    fields = [f"{k}={v}" for k, v in ports.items()] + [f"nonce={NONCE}", "version=1"]
    if node:
        fields.append(f"node={node}")
    return "FOUND " + ";".join(sorted(fields))


def block(name, *lines):
    return f"== {name}\n" + "".join(line + "\n" for line in lines) + "\n"


def padded(text, size=256):
    """`text` with a parameter behind it that makes it so long."""
    return text + ";pad=" + "0" * (size - len(text) - 5)


LONG = "n" * 48
good_questions = [
    ("any node, anything", question(), "", "*"),
    ("a board", question(wants=["tcp"]), "", "tcp"),
    ("a certain node", question("greenhouse", ["tcp", "tls"]), "greenhouse", "tcp,tls"),
    ("every scheme and the longest name", question(LONG, SCHEMES), LONG, ",".join(SCHEMES)),
    ("every octet that a name has", question("Az09-_.", ["cd"]), "Az09-_.", "cd"),
]
odd_questions = [
    ("in another order", padded(f"DISCOVER version=1;wants=udp;nonce={NONCE}"), "", "udp"),
    ("longer than need be", question(size=512), "", "*"),
    ("a scheme that nobody knows", question(wants=["quic", "tcp"]), "", "tcp"),
    ("nothing that anybody knows", question(wants=["quic"]), "", ""),
    ("wants nothing", padded(f"DISCOVER nonce={NONCE};version=1;wants="), "", ""),
    ("a key that nobody knows", padded(f"DISCOVER future=1,2/3;nonce={NONCE};version=1"), "", "*"),
    ("padding in any octets", f"DISCOVER nonce={NONCE};pad={'~!' * 105};version=1", "", "*"),
    ("an empty value", padded(f"DISCOVER x=;nonce={NONCE};version=1"), "", "*"),
    ("a name that is empty", padded(f"DISCOVER node=;nonce={NONCE};version=1"), "", "*"),
]
bad_questions = [
    ("a question that is one octet short", question(size=255), "TooShort"),
    ("a question without padding", f"DISCOVER nonce={NONCE};version=1", "TooShort"),
    ("one octet too long", question(size=513), "TooLong"),
    ("nothing", "", "Malformed"),
    ("another command", padded(f"DISCOVERED nonce={NONCE};version=1"), "Malformed"),
    ("the command alone", "DISCOVER", "Malformed"),
    ("lower case", padded(f"discover nonce={NONCE};version=1"), "Malformed"),
    ("from somebody", padded(f"<a:b DISCOVER nonce={NONCE};version=1"), "Malformed"),
    ("to a service", padded(f"x/DISCOVER nonce={NONCE};version=1"), "Malformed"),
    ("two blanks", padded(f"DISCOVER  nonce={NONCE};version=1"), "Malformed"),
    ("a line end", padded(f"DISCOVER nonce={NONCE};version=1") + "\\x0a", "Malformed"),
    ("a NUL", padded(f"DISCOVER nonce={NONCE};version=1") + "\\x00", "Malformed"),
    ("an octet above ASCII", padded(f"DISCOVER node=\\xe9;nonce={NONCE};version=1", 260), "Malformed"),
    ("a quote", padded(f'DISCOVER node="a";nonce={NONCE};version=1'), "Malformed"),
    ("a key without a value", padded(f"DISCOVER nonce={NONCE};node;version=1"), "Malformed"),
    ("an empty field", padded(f"DISCOVER nonce={NONCE};;version=1"), "Malformed"),
    ("a semicolon at the end", question() [:-1] + "1;", "Malformed"),
    ("a key that begins with a digit", padded(f"DISCOVER 1x=2;nonce={NONCE};version=1"), "Malformed"),
    ("no nonce", padded("DISCOVER version=1"), "Malformed"),
    ("a nonce of fifteen digits", padded("DISCOVER nonce=0123456789abcde;version=1"), "Malformed"),
    ("a nonce of seventeen digits", padded("DISCOVER nonce=0123456789abcdef0;version=1"), "Malformed"),
    ("a nonce in capitals", padded("DISCOVER nonce=0123456789ABCDEF;version=1"), "Malformed"),
    ("two nonces", padded(f"DISCOVER nonce={NONCE};nonce={NONCE};version=1"), "Malformed"),
    ("two names", padded(f"DISCOVER node=a;node=b;nonce={NONCE};version=1"), "Malformed"),
    ("two lists", padded(f"DISCOVER nonce={NONCE};version=1;wants=tcp;wants=tls"), "Malformed"),
    ("a name with another octet", padded(f"DISCOVER node=a/b;nonce={NONCE};version=1"), "Malformed"),
    ("a name of 49 octets", padded(f"DISCOVER node={'n' * 49};nonce={NONCE};version=1"), "Malformed"),
    ("no version", padded(f"DISCOVER nonce={NONCE}"), "Malformed"),
    ("version 2", padded(f"DISCOVER nonce={NONCE};version=2"), "Version"),
    ("version 01", padded(f"DISCOVER nonce={NONCE};version=01"), "Version"),
    ("an answer", padded(answer("x", tcp=7840)), "Malformed"),
]
good_answers = [
    ("the usual node", answer("greenhouse", tcp=7840), "greenhouse", "tcp=7840"),
    ("with TLS", answer("greenhouse", tcp=7840, tls=7841), "greenhouse", "tcp=7840;tls=7841"),
    ("everything", answer(LONG, **{s: 65535 for s in SCHEMES}), LONG, ";".join(f"{s}=65535" for s in SCHEMES)),
    ("the least port", answer("a", cd=1), "a", "cd=1"),
    ("no name", answer(tcp=9), "", "tcp=9"),
    ("round ports", answer("a", cds=10, udp=10000), "a", "cds=10;udp=10000"),
]
odd_answers = [
    ("in another order", f"FOUND version=1;tcp=7840;node=x;nonce={NONCE}", "x", "tcp=7840"),
    ("a scheme that nobody knows", answer("x", quic=443, tcp=7840), "x", "tcp=7840"),
    ("nothing that anybody knows", answer("x", quic=443), "x", ""),
]
bad_answers = [
    ("port 0", answer("x", tcp=0), "Malformed"),
    ("port 65536", answer("x", tcp=65536), "Malformed"),
    ("a zero in front", answer("x", tcp="080"), "Malformed"),
    ("a sign", answer("x", tcp="+80"), "Malformed"),
    ("an empty port", answer("x", tcp=""), "Malformed"),
    ("an address", answer("x", tcp="10.0.0.1:7840"), "Malformed"),
    ("two ports", answer("x", tcp=1) + ";tcp=2", "Malformed"),
    ("version 2", answer("x", tcp=1).replace("version=1", "version=2"), "Version"),
    ("no nonce", "FOUND node=x;tcp=1;version=1", "Malformed"),
    ("a question", question(), "Malformed"),
    ("the command alone", "FOUND", "Malformed"),
    ("too long", answer("x", tcp=1) + ";pad=" + "0" * 500, "TooLong"),
    ("half", answer("x", tcp=1)[:20], "Malformed"),
]

HEAD = """# {what}: docs/discovery.md, "Bytes". Made by make.py. `same`: written anew it has the same octets.
# `\\xHH` is an octet, `wants *` is no list at all.

"""
with open(os.path.join(HERE, "questions.txt"), "w", encoding="ascii") as f:
    f.write(HEAD.format(what="Questions"))
    for same, some in ((True, good_questions), (False, odd_questions)):
        for name, text, node, wants in some:
            assert not same or len(text) == 256
            f.write(block(name, "in " + text, "nonce " + NONCE, "node " + node, "wants " + wants, *["same"] * same))
    for name, text, why in bad_questions:
        f.write(block(name, "in " + text, "why " + why))
with open(os.path.join(HERE, "answers.txt"), "w", encoding="ascii") as f:
    f.write(HEAD.format(what="Answers"))
    for same, some in ((True, good_answers), (False, odd_answers)):
        for name, text, node, ports in some:
            assert len(text) <= 256
            f.write(block(name, "in " + text, "nonce " + NONCE, "node " + node, "ports " + ports, *["same"] * same))
    for name, text, why in bad_answers:
        f.write(block(name, "in " + text, "why " + why))
