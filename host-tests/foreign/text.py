"""Messages as one line of text: the same line that host-tests/src/show.rs makes."""
import json


def quote(s):
    return json.dumps(s, ensure_ascii=False)


def show(message):
    """The member's name, then each field that is not its default, by number."""
    member = message.WhichOneof('messages')
    if member is None:
        return 'nothing'
    text = member
    for d, v in getattr(message, member).ListFields():
        if d.name == 'params':
            v = '[' + ','.join(f'{quote(p.key)}={quote(p.value)}' for p in v) + ']'
        elif d.type == d.TYPE_STRING:
            v = quote(v)
        elif d.type == d.TYPE_BYTES:
            v = 'x' + v.hex()
        elif d.type == d.TYPE_BOOL:
            v = 'true'
        text += f' {d.name}={v}'
    return text
