//! The persistence file of Net::Clacks, in all its forms (`wire/clacks.md` section 13).
//!
//! Owns: telling the forms apart, what belongs to an entry, and what is wrong with a file.
//! Does not own the YAML in it (`yaml.rs`), nor what becomes of entries (`values.rs`).
//!
//! | form | written by versions | what it is |
//! |---|---|---|
//! | V3 | 24 and later | a zero octet and `CLACKSV3`, YAML, the same nine octets again |
//! | lines with access times | 22, 23 | Base64 of values, of modification times, of access times, and `ENDBYTES` |
//! | lines | 18 to 21 | the same without access times |
//! | bare lines | 6 to 17 | the same without `ENDBYTES`: nothing says whether it is whole |
//!
//! In the forms of lines a key that has a time but no value is a deletion mark. The original,
//! which converts these files from version 24 on, takes it for a key with an empty value (weak
//! point 22). A key that has a value but no time is what a fault before version 24 has left: it
//! is older than any other.

use std::collections::BTreeMap;
use std::fmt;

use chappe_core::dialect::clacks::number;
use chappe_core::dialect::clacks::time::Time;
use chappe_core::dialect::clacks::token;

use super::yaml::{Bad, Document, Entry, Octets, Value};

/// At both ends of a V3 file.
const MARK: &[u8] = b"\0CLACKSV3";

/// The last line of a file of version 18 to 23.
const END: &[u8] = b"ENDBYTES";

/// How the Base64 of a YAML document begins.
const DASHES: &[u8] = b"LS0t";

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Of version 24 and later.
    V3,
    /// Of versions 22 and 23.
    LinesWithAccess,
    /// Of versions 18 to 21.
    Lines,
    /// Of versions 6 to 17.
    BareLines,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::V3 => "version 24 or later",
            Form::LinesWithAccess => "version 22 or 23",
            Form::Lines => "version 18 to 21",
            Form::BareLines => "version 6 to 17",
        })
    }
}

/// A key, and all that the file says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'r> {
    pub(super) key: &'r [u8],
    /// `None`: it is a deletion mark.
    pub(super) value: Option<&'r [u8]>,
    /// `None`: the file does not say.
    pub(super) changed: Option<Time>,
    /// `None`: the file does not say.
    pub(super) accessed: Option<Time>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Of the file, counted from 1. `None`: the file as a whole.
    pub line: Option<u64>,
    /// Of the YAML that is in that line as Base64.
    pub inner: Option<u64>,
    /// What.
    pub text: String,
}

impl fmt::Display for Damage {
    /// Behind the file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(inner) = self.inner {
            write!(f, ", in it line {inner} of the YAML")?;
        }
        write!(f, ": {}", self.text)
    }
}

impl Damage {
    fn whole(text: impl Into<String>) -> Self {
        Damage { line: None, inner: None, text: text.into() }
    }
}

/// Hands out all that is in a file, in the order of the file, deletion marks of lines last.
/// An error of `take` ends it.
pub(super) fn read<E: From<Damage>>(bytes: &[u8], take: &mut dyn FnMut(&Row<'_>) -> Result<(), E>) -> Result<Form, E> {
    match bytes.first() {
        None => Err(Damage::whole("it is empty").into()),
        Some(0) => read_v3(bytes, take).map(|()| Form::V3),
        Some(_) => read_lines(bytes, take),
    }
}

fn read_v3<E: From<Damage>>(bytes: &[u8], take: &mut dyn FnMut(&Row<'_>) -> Result<(), E>) -> Result<(), E> {
    let rest = bytes.strip_prefix(MARK).ok_or_else(|| Damage::whole(STRANGE))?;
    let yaml = rest.strip_suffix(MARK).ok_or_else(|| {
        Damage::whole(
            "it does not end as it begins, with a zero octet and CLACKSV3: it was cut, or something is behind it",
        )
    })?;
    // The document begins in the first line of the file.
    let at = |bad: Bad| Damage { line: Some(bad.line), inner: None, text: bad.text };
    let mut document = Document::new(yaml).map_err(at)?;
    while let Some(entry) = document.next().map_err(at)? {
        let line = entry.line;
        let whole = Whole::of(&entry).map_err(|text| Damage { line: Some(line), inner: None, text })?;
        take(&Row {
            key: &entry.key,
            value: (!whole.is_deleted).then_some(whole.data),
            changed: Some(whole.changed),
            accessed: Some(whole.accessed),
        })?;
    }
    Ok(())
}

/// What V3 says of a key.
struct Whole<'e> {
    data: &'e [u8],
    changed: Time,
    accessed: Time,
    is_deleted: bool,
}

impl<'e> Whole<'e> {
    fn of(entry: &'e Entry<'_>) -> Result<Self, String> {
        let key = shown(&entry.key);
        let Value::Mapping(fields) = &entry.value else {
            return Err(format!("the key {key} has no data, cachetime, accesstime and deleted below it"));
        };
        let (mut data, mut changed, mut accessed, mut deleted) = (None, None, None, None);
        for field in fields {
            let Value::Scalar(text) = &field.value else { continue };
            let (place, name) = match &field.key[..] {
                b"data" => (&mut data, "data"),
                b"cachetime" => (&mut changed, "cachetime"),
                b"accesstime" => (&mut accessed, "accesstime"),
                b"deleted" => (&mut deleted, "deleted"),
                // of a version that we do not know
                _ => continue,
            };
            if place.replace(&text[..]).is_some() {
                return Err(format!("the key {key} has {name} twice"));
            }
        }
        let there = |field: Option<&'e [u8]>, name| field.ok_or_else(|| format!("the key {key} has no {name}"));
        let time = |field, name| {
            let text = there(field, name)?;
            time(text).ok_or_else(|| format!("{name} of the key {key} is no time: {}", shown(text)))
        };
        Ok(Whole {
            data: there(data, "data")?,
            changed: time(changed, "cachetime")?,
            accessed: time(accessed, "accesstime")?,
            is_deleted: match there(deleted, "deleted")? {
                b"0" => false,
                b"1" => true,
                other => return Err(format!("deleted of the key {key} is neither 0 nor 1: {}", shown(other))),
            },
        })
    }
}

/// What lines say of a key beside its value.
#[derive(Default)]
struct Times {
    changed: Option<Time>,
    accessed: Option<Time>,
    has_value: bool,
}

fn read_lines<E: From<Damage>>(bytes: &[u8], take: &mut dyn FnMut(&Row<'_>) -> Result<(), E>) -> Result<Form, E> {
    if !bytes.starts_with(DASHES) {
        return Err(Damage::whole(STRANGE).into());
    }
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let form = match (lines.len(), lines.last() == Some(&END)) {
        (4, true) => Form::LinesWithAccess,
        (3, true) => Form::Lines,
        (2, false) => Form::BareLines,
        (1 | 3, false) => return Err(Damage::whole("it ends before the line ENDBYTES: it was cut").into()),
        (n, _) => return Err(Damage::whole(format!("it has {n} lines: there are 2 to 4 in such a file")).into()),
    };
    let documents: Vec<Vec<u8>> = lines
        .iter()
        .take_while(|line| **line != END)
        .zip(1..)
        .map(|(line, n)| decode(line, n))
        .collect::<Result<_, _>>()?;
    let [values, times @ ..] = &documents[..] else { return Err(Damage::whole(STRANGE).into()) };
    let mut known: BTreeMap<Octets<'_>, Times> = BTreeMap::new();
    for (document, number) in times.iter().zip(2..) {
        let is_changed = number == 2;
        each(document, number, |entry, text| {
            let time =
                time(text).ok_or_else(|| format!("the time of the key {} is none: {}", shown(&entry), shown(text)))?;
            let times = known.entry(entry).or_default();
            match if is_changed { times.changed.replace(time) } else { times.accessed.replace(time) } {
                Some(_) => Err("the key is there twice".into()),
                None => Ok(()),
            }
        })?;
    }
    let mut failed = None;
    let result = each(&values[..], 1, |key, value| {
        let times = known.get_mut(&key);
        if times.as_ref().is_some_and(|times| times.has_value) {
            return Err("the key is there twice".into());
        }
        let (changed, accessed) = times.as_ref().map_or((None, None), |times| (times.changed, times.accessed));
        if let Some(times) = times {
            times.has_value = true;
        }
        take(&Row { key: &key, value: Some(value), changed, accessed }).map_err(|e| {
            failed = Some(e);
            String::new()
        })
    });
    if let Some(e) = failed {
        return Err(e);
    }
    result?;
    // A key of which there is nothing but when it was read is none.
    let marks = known.iter().filter(|(_, times)| !times.has_value && times.changed.is_some());
    for (key, times) in marks {
        take(&Row { key, value: None, changed: times.changed, accessed: times.accessed })?;
    }
    Ok(form)
}

fn decode(line: &[u8], number: u64) -> Result<Vec<u8>, Damage> {
    let cut = |text: &str| Damage { line: Some(number), inner: None, text: text.into() };
    let mut out = vec![0; line.len() / 4 * 3];
    let size =
        token::decode(line, &mut out).ok_or_else(|| cut("it is no Base64: it was cut, or something is in it"))?;
    out.truncate(size);
    match out.ends_with(b"\n") {
        true => Ok(out),
        false => Err(cut("the YAML in it does not end with a line end: it was cut")),
    }
}

/// Keys and scalars of the document in a line.
fn each<'d>(
    document: &'d [u8],
    number: u64,
    mut take: impl FnMut(Octets<'d>, &[u8]) -> Result<(), String>,
) -> Result<(), Damage> {
    let at = |line, text| Damage { line: Some(number), inner: Some(line), text };
    let bad = |bad: Bad| at(bad.line, bad.text);
    let mut entries = Document::new(document).map_err(bad)?;
    while let Some(Entry { line, key, value }) = entries.next().map_err(bad)? {
        match value {
            Value::Scalar(text) => take(key, &text).map_err(|text| at(line, text))?,
            Value::Mapping(_) => return Err(at(line, format!("the key {} has more than one value", shown(&key)))),
        }
    }
    Ok(())
}

const STRANGE: &str = "it is no persistence file of Net::Clacks: one of version 24 or later begins with a zero octet and \
    CLACKSV3, older ones are lines of Base64";

/// `None`: it is no number, or none that a clock shows.
fn time(text: &[u8]) -> Option<Time> {
    let of_numbers = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E');
    (text.iter().all(of_numbers) && number::is_number(text)).then(|| Time::parse(text))
}

/// Octets in a message: as text, not too many of them.
pub(super) fn shown(octets: &[u8]) -> String {
    const MOST: usize = 60;
    let cut = octets.len() > MOST;
    format!("`{}{}`", octets[..octets.len().min(MOST)].escape_ascii(), if cut { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (Vec<u8>, Option<Vec<u8>>, Option<i64>, Option<i64>);

    fn all(bytes: &[u8]) -> Result<(Form, Vec<Owned>), Damage> {
        let mut rows = Vec::new();
        let form = read(bytes, &mut |row| {
            let us = |time: Option<Time>| time.map(Time::micros);
            rows.push((row.key.to_vec(), row.value.map(<[u8]>::to_vec), us(row.changed), us(row.accessed)));
            Ok::<_, Damage>(())
        })?;
        Ok((form, rows))
    }

    fn v3(yaml: &str) -> Vec<u8> {
        [MARK, yaml.as_bytes(), MARK].concat()
    }

    fn lines(documents: &[&str], end: &str) -> Vec<u8> {
        let base64 = |text: &&str| {
            let mut out = vec![0; token::encoded_len(text.len())];
            let mut w = chappe_core::dialect::clacks::emit::Writer::new(&mut out);
            w.base64(text.as_bytes());
            String::from_utf8(out).unwrap() + "\n"
        };
        let text: String = documents.iter().map(base64).collect();
        (text + end).into_bytes()
    }

    fn row(key: &str, value: Option<&str>, changed: Option<i64>, accessed: Option<i64>) -> Owned {
        (key.into(), value.map(Into::into), changed, accessed)
    }

    /// As the page shows it.
    const PAGE: &str = "--- \nsensor::temp: \n  accesstime: '1795190334.18433'\n  cachetime: '1795190334.18433'\n  \
        data: '-1.50'\n  deleted: 0\ngone: \n  accesstime: '1795190334.18435'\n  cachetime: '1795190334.18435'\n  \
        data: ''\n  deleted: 1\n";

    #[test]
    fn the_example_of_the_page() {
        let (form, rows) = all(&v3(PAGE)).unwrap();
        let (a, b) = (Some(1_795_190_334_184_330), Some(1_795_190_334_184_350));
        assert_eq!(form, Form::V3);
        assert_eq!(rows, [row("sensor::temp", Some("-1.50"), a, a), row("gone", None, b, b)]);
        assert_eq!(all(&v3("--- {}\n\n")), Ok((Form::V3, vec![])));
    }

    #[test]
    fn what_syck_itself_has_written() {
        // every octet in keys and values, and what looks like something else: testdata/make.pl
        let (form, rows) = all(include_bytes!("testdata/syck.dat")).unwrap();
        assert_eq!((form, rows.len()), (Form::V3, 2 * 1058));
        let hex = |text: &str| {
            let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            (0..text.len()).step_by(2).map(digits).collect::<Vec<_>>()
        };
        // Each key says in hex what its value is, or is itself what its value says.
        let mut both = [0; 2];
        for (key, value, changed, accessed) in &rows {
            let Some(value) = value else { panic!("{}", shown(key)) };
            if let Some(said) = key.strip_prefix(b"value ") {
                assert_eq!(&hex(std::str::from_utf8(said).unwrap()), value, "{}", shown(key));
                both[0] += 1;
            } else {
                assert_eq!(&hex(std::str::from_utf8(value).unwrap()), key, "{}", shown(key));
                both[1] += 1;
            }
            assert_eq!((*changed, *accessed), (Some(1_795_190_334_184_330), Some(1_795_190_335_000_000)));
        }
        assert_eq!(both, [1058, 1058]);
    }

    #[test]
    fn lines_of_all_versions() {
        let (values, times) = ("--- \na: 1\n'b b': ''\nnew: x\n", "--- \na: '100.5'\n'b b': 200\ngone: 300\n");
        let accesses = "--- \na: 400\n'b b': 0\ngone: 500\nlost: 600\n";
        let (a, b) = (Some(100_500_000), Some(200_000_000));
        let want = |with: bool| {
            let accessed = |us: i64| with.then_some(us);
            vec![
                row("a", Some("1"), a, accessed(400_000_000)),
                row("b b", Some(""), b, accessed(0)),
                row("new", Some("x"), None, None),
                row("gone", None, Some(300_000_000), accessed(500_000_000)),
            ]
        };
        assert_eq!(all(&lines(&[values, times], "")), Ok((Form::BareLines, want(false))));
        for end in ["ENDBYTES\n", "ENDBYTES", "ENDBYTES\r\n\n"] {
            assert_eq!(all(&lines(&[values, times], end)), Ok((Form::Lines, want(false))));
            assert_eq!(all(&lines(&[values, times, accesses], end)), Ok((Form::LinesWithAccess, want(true))));
        }
        assert_eq!(all(&lines(&["--- {}\n\n", "--- {}\n\n"], "")), Ok((Form::BareLines, vec![])));
    }

    #[test]
    fn what_is_damaged_is_refused_and_says_where() {
        let entry = "--- \nok: {data: 1, cachetime: 1, accesstime: 1, deleted: 0}\n";
        let with = |more: &str| v3(&format!("{entry}{more}\n"));
        let two = "--- \na: 1\n";
        for (bytes, line, inner, why) in [
            (vec![], None, None, "empty"),
            (b"\0CLACKSV2---".to_vec(), None, None, "no persistence file"),
            (b"<clacks>".to_vec(), None, None, "no persistence file"),
            (PAGE.as_bytes().to_vec(), None, None, "no persistence file"),
            (MARK.to_vec(), None, None, "does not end"),
            ([&v3(PAGE)[..], b"\n"].concat(), None, None, "does not end"),
            (v3(""), Some(1), None, "`---`"),
            (with("x: 1"), Some(3), None, "`x` has no data, cachetime"),
            (with("x: {}"), Some(3), None, "no data"),
            (with("x: {data: 1, cachetime: 1, accesstime: 1}"), Some(3), None, "no deleted"),
            (with("x: {data: 1, cachetime: 1, deleted: 0}"), Some(3), None, "no accesstime"),
            (with("x: {data: 1, accesstime: 1, deleted: 0}"), Some(3), None, "no cachetime"),
            (with("x: {data: 1, data: 1, cachetime: 1, accesstime: 1, deleted: 0}"), Some(3), None, "data twice"),
            (with("x: {data: 1, cachetime: soon, accesstime: 1, deleted: 0}"), Some(3), None, "no time: `soon`"),
            (with("x: {data: 1, cachetime: 1, accesstime: '', deleted: 0}"), Some(3), None, "no time"),
            (with("x: {data: 1, cachetime: 1, accesstime: 1, deleted: 2}"), Some(3), None, "neither 0 nor 1"),
            (with("x"), Some(3), None, "no key"),
            (b"LS0tIAphOiAxCg==".to_vec(), None, None, "before the line ENDBYTES"),
            (lines(&[two, two, two], ""), None, None, "before the line ENDBYTES"),
            (lines(&[two], "ENDBYTES"), None, None, "2 lines"),
            (lines(&[two, two, two, two], "ENDBYTES"), None, None, "5 lines"),
            (lines(&[two], "LS0tIAphOiAxCg="), Some(2), None, "no Base64"),
            (lines(&["--- \na: 1\na: 2\n", two], ""), Some(1), Some(3), "twice"),
            (lines(&[two, "--- \na: 1\na: 2\n"], ""), Some(2), Some(3), "twice"),
            (lines(&[two, "--- \na: x\n"], ""), Some(2), Some(2), "is none: `x`"),
            (lines(&["--- \na: {b: c}\n", two], ""), Some(1), Some(2), "more than one value"),
            (lines(&[two, two, "--- \n\n- a\n"], "ENDBYTES"), Some(3), Some(3), "no key"),
        ] {
            let text = bytes.escape_ascii().to_string();
            let damage = all(&bytes).expect_err(&text);
            assert!(damage.text.contains(why), "{text}: {damage:?}");
            assert_eq!((damage.line, damage.inner), (line, inner), "{text}: {damage:?}");
        }
        let damage = Damage { line: Some(2), inner: Some(7), text: "x".into() };
        assert_eq!(damage.to_string(), ", line 2, in it line 7 of the YAML: x");
    }

    #[test]
    fn every_prefix_is_damaged_and_no_octet_brings_it_down() {
        let more = "\"a \\\"\\x00\\xe9\": {accesstime: 0, cachetime: '1', data: \"\\n\", deleted: 0}\n'it''s': \n  data: |\n    x\n    y\n  \
                    cachetime: 1\n  accesstime: 2\n  deleted: 0\n";
        let good = v3(&format!("{PAGE}{more}"));
        assert_eq!(all(&good).unwrap().1.len(), 4);
        for size in 0..good.len() {
            assert!(all(&good[..size]).is_err(), "{size} octets of {}", good.len());
        }
        let (mut taken, mut refused) = (0, 0);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            for b in 0..=255 {
                bytes[at] = b;
                match all(&bytes) {
                    Ok(_) => taken += 1,
                    Err(damage) => {
                        refused += 1;
                        assert!(damage.line.is_none_or(|line| line <= 30), "{damage:?}");
                    }
                }
            }
        }
        // A letter in a value is as good as any other; what is structure is not.
        assert!(taken > 1000 && refused > 30_000, "{taken} {refused}");
    }

    #[test]
    fn no_octet_in_lines_brings_it_down() {
        let good = lines(&["--- \na: 1\n", "--- \na: 1\nb: 2\n", "--- \na: 1\n"], "ENDBYTES\n");
        assert_eq!(all(&good).unwrap().1.len(), 2);
        for at in 0..good.len() {
            _ = all(&good[..at]);
            let mut bytes = good.clone();
            for b in 0..=255 {
                bytes[at] = b;
                _ = all(&bytes);
            }
        }
        let whole = good.len() - 1;
        assert!((0..whole).filter(|n| all(&good[..*n]).is_ok()).count() <= 2, "only as a file of version 6 to 17");
    }

    #[test]
    fn an_error_of_the_taker_ends_it() {
        for bytes in [v3(PAGE), lines(&["--- \na: 1\nb: 2\n", "--- \na: 1\nc: 2\n"], "")] {
            let mut taken = 0;
            let result = read(&bytes, &mut |_| {
                taken += 1;
                Err(Damage::whole("enough"))
            });
            assert_eq!((result, taken), (Err(Damage::whole("enough")), 1));
        }
    }

    #[test]
    fn keys_in_messages_are_short_and_harmless() {
        assert_eq!(shown(b"a\x1b\xe9"), "`a\\x1b\\xe9`");
        assert_eq!(shown(&[b'x'; 200]).chars().count(), 63);
    }

    #[test]
    fn times_are_numbers() {
        for good in ["0", "1795190334.18433", "1e9", "-5", "+1.5"] {
            assert!(time(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "x", "1x", "Inf", "nan", "1 ", "-", ".", "1.5.5", "1795190334,18"] {
            assert!(time(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
