//! The YAML that Syck writes, the library of Net::Clacks' persistence file.
//!
//! Owns: reading one document that is a mapping, of scalars or of mappings of scalars. Every
//! scalar is octets as they stand there, in no encoding and of no type: `007` and `~` are
//! text. Does not own what keys mean, nor what is around the document: that is
//! `persistence.rs`.
//!
//! Strict, because a file that somebody has cut or overwritten must not look like a smaller
//! one: what Syck does not write and the page (`wire/clacks.md` section 13.3) does not name is an
//! error with its line. Read are plain scalars, both kinds of quotes with the escapes that Syck
//! knows, `|` blocks, flow mappings, comments. Not read are lists, `>` blocks, scalars over several
//! lines, anchors, aliases, tags, `?` keys and more than one document.

use std::borrow::Cow;

/// Octets, borrowed from the document unless they were written with escapes.
pub(super) type Octets<'t> = Cow<'t, [u8]>;

/// What is wrong, and in which line of the document, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) line: u64,
    pub(super) text: String,
}

/// A key and what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'t> {
    /// Where the key stands.
    pub(super) line: u64,
    pub(super) key: Octets<'t>,
    pub(super) value: Value<'t>,
}

/// What a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'t> {
    Scalar(Octets<'t>),
    /// Of scalars only.
    Mapping(Vec<Entry<'t>>),
}

/// A document that hands out its entries one after the other.
#[derive(Debug)]
pub(super) struct Document<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
    form: Form<'t>,
}

#[derive(Debug)]
enum Form<'t> {
    /// Entry by entry, with this indentation as soon as there has been one.
    Block(Option<usize>),
    /// In braces, read whole.
    Flow(std::vec::IntoIter<Entry<'t>>),
}

/// Where in the document an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Top,
    Inner,
}

impl<'t> Document<'t> {
    /// Reads the first line.
    pub(super) fn new(text: &'t [u8]) -> Result<Self, Bad> {
        let mut document = Document { text, at: 0, line: 1, form: Form::Block(None) };
        let first = document.rest_of_line();
        if !first.starts_with(b"---") || first.get(3).is_some_and(|b| !is_blank(*b)) {
            return Err(document.bad("a document begins with `---` and a line end"));
        }
        document.at += 3;
        document.skip_blanks();
        match document.peek() {
            Some(b'{') => {
                let entries = document.flow(Depth::Top)?;
                document.end_of_line()?;
                document.skip_empty();
                if document.at < text.len() {
                    return Err(document.bad("there is more behind the mapping"));
                }
                document.form = Form::Flow(entries.into_iter());
            }
            None | Some(b'\n' | b'\r' | b'#') => document.end_of_line()?,
            Some(_) => return Err(document.bad("the document is no mapping")),
        }
        Ok(document)
    }

    /// The next entry. After an error there is nothing more to be asked.
    pub(super) fn next(&mut self) -> Result<Option<Entry<'t>>, Bad> {
        let indent = match &mut self.form {
            Form::Flow(entries) => return Ok(entries.next()),
            Form::Block(indent) => *indent,
        };
        self.skip_empty();
        if self.rest_of_line() == b"..." {
            self.skip_line();
            self.skip_empty();
            return match self.at < self.text.len() {
                true => Err(self.bad("there is more behind the end of the document, `...`")),
                false => Ok(None),
            };
        }
        let Some(have) = self.indentation() else { return Ok(None) };
        if indent.is_some_and(|indent| indent != have) {
            return Err(self.bad("this line is indented as none before it: it belongs to nothing"));
        }
        self.form = Form::Block(Some(have));
        self.block_entry(have, Depth::Top).map(Some)
    }

    fn bad(&self, text: impl Into<String>) -> Bad {
        Bad { line: self.line, text: text.into() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// What is left of this line, without its end.
    fn rest_of_line(&self) -> &'t [u8] {
        let rest = self.rest();
        let line = rest.iter().position(|b| *b == b'\n').map_or(rest, |end| &rest[..end]);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        match rest.iter().position(|b| *b == b'\n') {
            Some(end) => {
                self.at += end + 1;
                self.line += 1;
            }
            None => self.at = self.text.len(),
        }
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|b| is_blank(**b)).count();
    }

    /// Lines of which only blanks and comments are left.
    fn skip_empty(&mut self) {
        while self.at < self.text.len() {
            let line = trim_start(self.rest_of_line());
            if !line.is_empty() && line[0] != b'#' {
                break;
            }
            self.skip_line();
        }
    }

    /// Of the line that begins here. `None`: there is none.
    fn indentation(&self) -> Option<usize> {
        let rest = self.rest();
        (!rest.is_empty()).then(|| rest.iter().take_while(|b| **b == b' ').count())
    }

    fn block_entry(&mut self, indent: usize, depth: Depth) -> Result<Entry<'t>, Bad> {
        self.at += indent;
        let line = self.line;
        let key = self.key()?;
        let value = self.block_value(indent, depth)?;
        Ok(Entry { line, key, value })
    }

    /// A key and the `:` behind it.
    fn key(&mut self) -> Result<Octets<'t>, Bad> {
        if let Some(b'"' | b'\'') = self.peek() {
            let key = self.quoted()?;
            self.skip_blanks();
            if !is_colon(self.rest()) {
                return Err(self.bad("a `:` and a blank are missing behind the key"));
            }
            self.at += 1;
            return Ok(key);
        }
        let line = self.rest_of_line();
        let size = (0..line.len())
            .find(|i| is_colon(&line[*i..]))
            .ok_or_else(|| self.bad("there is no key: a `:` and a blank are missing"))?;
        let key = trim_end(&line[..size]);
        self.check_plain(key)?;
        self.at += size + 1;
        Ok(Cow::Borrowed(key))
    }

    fn block_value(&mut self, indent: usize, depth: Depth) -> Result<Value<'t>, Bad> {
        self.skip_blanks();
        let line = self.rest_of_line();
        match line.first() {
            None | Some(b'#') => {
                self.skip_line();
                self.below(indent, depth)
            }
            Some(b'"' | b'\'') => {
                let scalar = self.quoted()?;
                self.end_of_line()?;
                Ok(Value::Scalar(scalar))
            }
            Some(b'{') => {
                let value = self.inner_flow(depth)?;
                self.end_of_line()?;
                Ok(value)
            }
            Some(b'|') => self.literal(indent).map(|scalar| Value::Scalar(Cow::Owned(scalar))),
            Some(_) => {
                let comment = line.windows(2).position(|two| two == b" #");
                let scalar = trim_end(comment.map_or(line, |n| &line[..n]));
                self.check_plain(scalar)?;
                if (0..scalar.len()).any(|i| is_colon(&scalar[i..])) {
                    return Err(self.bad("a second `:` in one line: the value would have to be in quotes"));
                }
                self.skip_line();
                Ok(Value::Scalar(Cow::Borrowed(scalar)))
            }
        }
    }

    /// The value of a key behind which its line ends: what is indented more, or nothing.
    fn below(&mut self, indent: usize, depth: Depth) -> Result<Value<'t>, Bad> {
        self.skip_empty();
        let Some(have) = self.indentation().filter(|have| *have > indent) else {
            return Ok(Value::Scalar(Cow::Borrowed(&[])));
        };
        if depth == Depth::Inner {
            return Err(self.bad(DEEP));
        }
        let mut entries = Vec::new();
        loop {
            entries.push(self.block_entry(have, Depth::Inner)?);
            self.skip_empty();
            match self.indentation() {
                Some(next) if next == have => {}
                Some(next) if next > indent => {
                    return Err(self.bad("this line is indented as none before it: it belongs to nothing"));
                }
                _ => return Ok(Value::Mapping(entries)),
            }
        }
    }

    /// Nothing but a comment may be left of this line.
    fn end_of_line(&mut self) -> Result<(), Bad> {
        let line = self.rest_of_line();
        let left = trim_start(line);
        if left.is_empty() || left[0] == b'#' {
            self.skip_line();
            return Ok(());
        }
        Err(self.bad("there is more behind the end of the value"))
    }

    /// That a scalar may stand without quotes.
    fn check_plain(&self, scalar: &[u8]) -> Result<(), Bad> {
        let (first, second) = match scalar {
            [] => return Err(self.bad("there is no key")),
            [first] => (*first, None),
            [first, second, ..] => (*first, Some(*second)),
        };
        match first {
            b'-' if matches!(second, None | Some(b' ')) => return Err(self.bad("a list: there is none in such a file")),
            b'?' if matches!(second, None | Some(b' ')) => {
                return Err(self.bad("a key behind a `?`, which is not read"));
            }
            b'\t' => return Err(self.bad("a tab: lines are indented by blanks")),
            b'[' => return Err(self.bad("a list: there is none in such a file")),
            b',' if !matches!(second, None | Some(b' ')) => {}
            b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@' | b'`' | b'{' | b'}' | b']' | b',' | b'#' | b'"' | b'\'' => {
                let c = char::from(first);
                return Err(self.bad(format!("text that begins with `{c}` would have to be in quotes")));
            }
            _ => {}
        }
        self.check_octets(scalar)
    }

    /// That there is nothing that Syck would have written otherwise.
    fn check_octets(&self, octets: &[u8]) -> Result<(), Bad> {
        match octets.iter().find(|b| is_control(**b)) {
            Some(b) => Err(self.bad(format!("a raw octet {b:#04x}: it would have to be written as \"\\x{b:02X}\""))),
            None => Ok(()),
        }
    }

    fn quoted(&mut self) -> Result<Octets<'t>, Bad> {
        let quote = self.peek().unwrap_or_default();
        self.at += 1;
        let rest = self.rest();
        let special = |b: &u8| *b == quote || is_control(*b) || (*b == b'\\' && quote == b'"');
        let plain = rest.iter().position(special).unwrap_or(rest.len());
        // Nearly always that is all.
        if rest.get(plain) == Some(&quote) && !(quote == b'\'' && rest.get(plain + 1) == Some(&quote)) {
            self.at += plain + 1;
            return Ok(Cow::Borrowed(&rest[..plain]));
        }
        let mut out = Vec::new();
        loop {
            let rest = self.rest();
            let size = rest.iter().position(special).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..size]);
            self.at += size;
            match &rest[size..] {
                [b'\'', b'\'', ..] if quote == b'\'' => {
                    out.push(b'\'');
                    self.at += 2;
                }
                [b, ..] if *b == quote => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                [b'\\', escape @ ..] => {
                    let (b, octets) = unescape(escape).ok_or_else(|| {
                        self.bad("an escape that Syck does not know: there are \\\\ \\\" \\0 \\a \\b \\t \\n \\v \\f \\r \\e and \\xHH")
                    })?;
                    out.push(b);
                    self.at += 1 + octets;
                }
                [b'\n', b'\n', ..] if quote == b'\'' => {
                    // Syck's way with `1` and a line end, which looks like a number to Perl: of
                    // several line ends the first is only that of the line.
                    let ends = rest[size..].iter().take_while(|b| **b == b'\n').count();
                    out.extend(std::iter::repeat_n(b'\n', ends - 1));
                    self.at += ends;
                    self.line += ends as u64;
                }
                [] | [b'\n', ..] => return Err(self.bad("the line ends before the quotes do")),
                [b, ..] => self.check_octets(&[*b])?,
            }
        }
    }

    /// The lines of a `|` block.
    fn literal(&mut self, indent: usize) -> Result<Vec<u8>, Bad> {
        self.at += 1;
        let (mut chomp, mut given) = (None, None);
        while let Some(b) = self.peek() {
            match b {
                b'+' | b'-' if chomp.is_none() => chomp = Some(b),
                b'1'..=b'9' if given.is_none() => given = Some(indent + usize::from(b - b'0')),
                _ => break,
            }
            self.at += 1;
        }
        self.end_of_line()?;
        let (mut out, mut empty) = (Vec::new(), 0);
        while self.at < self.text.len() {
            let line = self.rest_of_line();
            let have = line.iter().take_while(|b| **b == b' ').count();
            let is_empty = have == line.len();
            let content = match given {
                Some(content) => content,
                None if is_empty => usize::MAX,
                None => have.max(indent + 1),
            };
            if is_empty && have <= content {
                empty += 1;
            } else if have >= content {
                given = Some(content);
                self.check_octets(line)?;
                out.extend(std::iter::repeat_n(b'\n', empty));
                out.extend_from_slice(&line[content..]);
                out.push(b'\n');
                empty = 0;
            } else if have > indent {
                return Err(self.bad("this line is indented less than the block that it is in"));
            } else {
                break;
            }
            let is_last = !self.rest().contains(&b'\n');
            self.skip_line();
            if is_last && !is_empty {
                out.pop();
            }
        }
        match chomp {
            Some(b'-') => _ = out.pop_if(|b| *b == b'\n'),
            Some(_) => out.extend(std::iter::repeat_n(b'\n', empty)),
            None => {}
        }
        Ok(out)
    }

    fn inner_flow(&mut self, depth: Depth) -> Result<Value<'t>, Bad> {
        match depth {
            Depth::Top => self.flow(Depth::Inner).map(Value::Mapping),
            Depth::Inner => Err(self.bad(DEEP)),
        }
    }

    /// A mapping in braces, whose entries are at `depth`.
    fn flow(&mut self, depth: Depth) -> Result<Vec<Entry<'t>>, Bad> {
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => return Err(self.bad("the document ends before the `}`")),
                Some(b'}') => {
                    self.at += 1;
                    return Ok(entries);
                }
                Some(_) => {}
            }
            let line = self.line;
            let key = self.key()?;
            self.skip_space();
            let value = match self.peek() {
                Some(b'"' | b'\'') => Value::Scalar(self.quoted()?),
                Some(b'{') => self.inner_flow(depth)?,
                Some(b'}' | b',') => Value::Scalar(Cow::Borrowed(&[])),
                _ => Value::Scalar(self.flow_plain()?),
            };
            entries.push(Entry { line, key, value });
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return Err(self.bad("a `,` or `}` is missing behind the value")),
            }
        }
    }

    /// Up to a `}`, or a `,` with a blank behind it.
    fn flow_plain(&mut self) -> Result<Octets<'t>, Bad> {
        let line = self.rest_of_line();
        let is_comma = |rest: &[u8]| rest[0] == b',' && matches!(rest.get(1), None | Some(b' ' | b'}'));
        let size = (0..line.len()).find(|i| line[*i] == b'}' || is_comma(&line[*i..])).unwrap_or(line.len());
        let scalar = trim_end(&line[..size]);
        self.check_plain(scalar)?;
        if (0..scalar.len()).any(|i| is_colon(&scalar[i..])) {
            return Err(self.bad("a second `:`: the value would have to be in quotes"));
        }
        self.at += size;
        Ok(Cow::Borrowed(scalar))
    }

    /// Blanks and line ends.
    fn skip_space(&mut self) {
        while let Some(b @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.line += u64::from(b == b'\n');
            self.at += 1;
        }
    }
}

const DEEP: &str = "a mapping within a mapping within a mapping: such a file has two levels";

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// Syck writes these as escapes. A tab and a carriage return it leaves alone.
fn is_control(b: u8) -> bool {
    (b < b' ' && !matches!(b, b'\t' | b'\r')) || b == 0x7f
}

/// Whether a key ends here. To Syck a tab does not separate, nor a carriage return within a line.
fn is_colon(text: &[u8]) -> bool {
    matches!(text, [b':'] | [b':', b' ' | b'\n', ..] | [b':', b'\r'] | [b':', b'\r', b'\n', ..])
}

fn trim_start(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|b| is_blank(**b)).count()..]
}

fn trim_end(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.iter().rev().take_while(|b| is_blank(**b)).count()]
}

/// What stands behind a backslash, and in how many octets.
fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    let b = match text.first()? {
        b @ (b'\\' | b'"') => *b,
        b'0' => 0,
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        b'e' => 0x1b,
        b'x' => {
            let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
            return Some(((digit(1)? << 4 | digit(2)?) as u8, 3));
        }
        _ => return None,
    };
    Some((b, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &[u8]) -> Value<'static> {
        Value::Scalar(Cow::Owned(text.to_vec()))
    }

    fn all(text: &[u8]) -> Result<Vec<Entry<'_>>, Bad> {
        let mut document = Document::new(text)?;
        let mut entries = Vec::new();
        while let Some(entry) = document.next()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The only value in a document.
    fn one(text: &str) -> Vec<u8> {
        match &all(text.as_bytes()).unwrap_or_else(|e| panic!("{text:?}: {e:?}"))[..] {
            [Entry { value: Value::Scalar(scalar), .. }] => scalar.to_vec(),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn scalars_are_octets_however_they_are_written() {
        for (written, want) in [
            ("plain", &b"plain"[..]),
            ("  plain \t ", b"plain"),
            ("007", b"007"),
            ("~", b"~"),
            ("it's a\"b", b"it's a\"b"),
            ("-1", b"-1"),
            ("a:b::c", b"a:b::c"),
            ("a#b", b"a#b"),
            ("a # comment", b"a"),
            ("a, b", b"a, b"),
            ("1,000", b"1,000"),
            ("a\\nb", b"a\\nb"),
            ("tab\there", b"tab\there"),
            ("a\rb", b"a\rb"),
            ("a:\tb", b"a:\tb"),
            ("a\t#b", b"a\t#b"),
            ("a:\rb", b"a:\rb"),
            ("-\tb", b"-\tb"),
            (",\tb", b",\tb"),
            ("=", b"="),
            ("...", b"..."),
            ("---", b"---"),
            ("é", "é".as_bytes()),
            ("", b""),
            (" # comment", b""),
            ("''", b""),
            ("'-1.50'", b"-1.50"),
            ("'it''s'''", b"it's'"),
            ("'a\\n' # comment", b"a\\n"),
            ("'1\n\n'", b"1\n"),
            ("\"\"", b""),
            ("\" x: y #z \"", b" x: y #z "),
            (
                "\"\\\\ \\\" \\0\\a\\b\\t\\n\\v\\f\\r\\e\\x00\\x7F\\xe9\\xFF\"",
                b"\\ \" \0\x07\x08\t\n\x0b\x0c\r\x1b\0\x7f\xe9\xff",
            ),
            ("\"\\x411\"", b"A1"),
            ("|\n  x\n   y\n\n  z\n\n", b"x\n y\n\nz\n"),
            ("|-\n  x\n", b"x"),
            ("|+\n  x\n", b"x\n\n"),
            ("|2 # comment\n    x\n  y\n", b"  x\ny\n"),
            ("|\n\n  x", b"\nx\n"),
            ("|\n", b""),
        ] {
            assert_eq!(one(&format!("--- \nk: {written}\n")), want, "{written}");
        }
        assert_eq!(one("--- \nk: |\n  x"), b"x", "a block without a last line end");
        let raw = b"--- \nk: caf\xe9 \xff\x80\n\"\\xE9\xe9\": 1\n";
        let entries = all(raw).unwrap();
        assert_eq!((&entries[0].value, &entries[1].key[..]), (&scalar(b"caf\xe9 \xff\x80"), &b"\xe9\xe9"[..]));
    }

    #[test]
    fn keys_are_octets_too() {
        for (written, want) in [
            ("sensor::temp", &b"sensor::temp"[..]),
            ("a b ", b"a b"),
            ("---", b"---"),
            ("--- x", b"--- x"),
            ("...", b"..."),
            ("<<", b"<<"),
            ("-x", b"-x"),
            ("a:b", b"a:b"),
            ("a:\tb", b"a:\tb"),
            ("a:\rb", b"a:\rb"),
            ("'a: b'", b"a: b"),
            ("\"\\x01: \"", b"\x01: "),
            ("\"\"", b""),
            ("\"::\" ", b"::"),
        ] {
            let text = format!("--- \n{written}: 1\n");
            let entries = all(text.as_bytes()).unwrap();
            assert_eq!(entries, [Entry { line: 2, key: Cow::Borrowed(want), value: scalar(b"1") }], "{written}");
        }
    }

    #[test]
    fn mappings_in_lines_and_in_braces_are_the_same() {
        let field = |line, key: &'static [u8], value| Entry { line, key: Cow::Borrowed(key), value: scalar(value) };
        let want = |lines: [u64; 5]| {
            let inner = vec![field(lines[1], b"x", b"1,0"), field(lines[2], b"y y", b"")];
            vec![
                Entry { line: lines[0], key: Cow::Borrowed(b"a"), value: Value::Mapping(inner) },
                Entry { line: lines[3], key: Cow::Borrowed(b"b"), value: Value::Mapping(vec![]) },
                field(lines[4], b"c", b"}"),
            ]
        };
        for (text, lines) in [
            ("--- \na: \n  x: 1,0\n  'y y': \nb: {}\nc: \"}\"\n", [2, 3, 4, 5, 6]),
            (
                "---\n# comment\n  a: # comment\n\n     x: 1,0\n     'y y': ''\n  b: {} # none\n  c: '}'\n...\n\n",
                [3, 5, 6, 7, 8],
            ),
            ("--- \r\na: {x: 1,0, 'y y': }\r\nb: { }\r\nc: '}'\r\n", [2, 2, 2, 3, 4]),
            ("--- {a: {x: 1,0,\n  'y y': ''}, b: {}\n , c: \"}\" }\n\n# end\n", [1, 1, 2, 2, 3]),
        ] {
            assert_eq!(all(text.as_bytes()), Ok(want(lines)), "{text}");
        }
        for empty in ["--- {}\n\n", "--- {}", "--- \n", "---", "--- # nothing\n\n"] {
            assert_eq!(all(empty.as_bytes()), Ok(vec![]), "{empty:?}");
        }
    }

    #[test]
    fn what_syck_does_not_write_is_refused_with_its_line() {
        for (text, line, why) in [
            ("", 1, "begins with"),
            ("a: b\n", 1, "begins with"),
            ("----\n", 1, "begins with"),
            ("--- x\n", 1, "no mapping"),
            ("--- {}\nx", 2, "more behind"),
            ("--- {a: b} c\n", 1, "more behind"),
            ("--- {a: b\n", 2, "`,` or `}`"),
            ("--- {a: b, \n", 2, "ends before the `}`"),
            ("--- {a:b}\n", 1, "no key"),
            ("--- {a: b: c}\n", 1, "second `:`"),
            ("--- {a: 'x' b: c}\n", 1, "`,` or `}`"),
            ("--- \na: b\n---\nc: d\n", 3, "no key"),
            ("--- \na: b\n...\nc: d\n", 4, "behind the end"),
            ("--- \na\n", 2, "no key"),
            ("--- \na: b\n: c\n", 3, "no key"),
            ("--- \na: b: c\n", 2, "second `:`"),
            ("--- \na: b:\n", 2, "second `:`"),
            ("--- \na: b\n c: d\n", 3, "belongs to nothing"),
            ("--- \n  a: b\nc: d\n", 3, "belongs to nothing"),
            ("--- \na: \n  b: c\n d: e\n", 4, "belongs to nothing"),
            ("--- \na: \n  b: \n    c: d\n", 4, "two levels"),
            ("--- \na: \n  b: {c: d}\n", 3, "two levels"),
            ("--- {a: {b: {c: d}}}\n", 1, "two levels"),
            ("--- \na: b\n\tc: d\n", 3, "tab"),
            ("--- \n\ta: b\n", 2, "tab"),
            ("--- \na: [b]\n", 2, "list"),
            ("--- \na: - b\n", 2, "list"),
            ("--- \n- a: b\n", 2, "list"),
            ("--- \n? a\n: b\n", 2, "no key"),
            ("--- \n? a: b\n", 2, "`?`"),
            ("--- \na: >\n  b\n", 2, "`>`"),
            ("--- \na: &b c\n", 2, "`&`"),
            ("--- \na: *b\n", 2, "`*`"),
            ("--- \na: !b c\n", 2, "`!`"),
            ("--- \na: \"b\n", 2, "line ends"),
            ("--- \na: 'b\n  c'\n", 2, "line ends"),
            ("--- \na: \"b\" c\n", 2, "more behind"),
            ("--- \n\"a\" b: c\n", 2, "missing behind the key"),
            ("--- \na: \"\\u0041\"\n", 2, "escape"),
            ("--- \na: \"\\x4\"\n", 2, "escape"),
            ("--- \na: \"\\", 2, "escape"),
            ("--- \na: |x\n", 2, "more behind"),
            ("--- \na: |2\n x\n", 3, "indented less"),
            ("--- \na: b\0\n", 2, "octet 0x00"),
            ("--- \na: 'b\x01'\n", 2, "octet 0x01"),
            ("--- \na: \"\\n\x7f\"\n", 2, "octet 0x7f"),
            ("--- \na\x1b: b\n", 2, "octet 0x1b"),
            ("--- \na: |\n  b\x02\n", 3, "octet 0x02"),
        ] {
            let bad = all(text.as_bytes()).expect_err(text);
            assert!(bad.text.contains(why) && bad.line == line, "{text:?}: {bad:?}");
        }
    }

    #[test]
    fn what_nearly_always_stands_there_is_borrowed() {
        let text = b"--- \na: \n  \"b\": 'c'\n  d: e\n";
        let entries = all(text).unwrap();
        let Value::Mapping(fields) = &entries[0].value else { panic!("{entries:?}") };
        for field in fields {
            assert!(matches!((&field.key, &field.value), (Cow::Borrowed(_), Value::Scalar(Cow::Borrowed(_)))));
        }
    }
}
