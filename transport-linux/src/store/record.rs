//! One row as bytes: on its way to the disk, in the file, and found again without it.
//!
//! Owns: the form. It says of itself where it begins (a mark), how long it is and whether it
//! is whole (a CRC-32), and it holds its own name, so that rows can be picked out of a file
//! whose tree is broken (`salvage.rs`). All numbers are little endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | mark |
//! | 4 | 4 | CRC-32 of all that follows |
//! | 8 | 8 | when it was changed, microseconds since 1970 |
//! | 16 | 8 | when it was last read or changed; of a tombstone, when it was made |
//! | 24 | 4 | the node that changed it |
//! | 28 | 1 | kind: 0 value, 1 tombstone; never in a file: 2 forget this row, 3 forget all rows |
//! | 29 | 1 | length of the name |
//! | 30 | 2 | zero |
//! | 32 | 4 | length of the value |
//! | 36 | | name, value |
//!
//! A message that waits (D9) has the same mark, and so is found in the same way:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | mark and CRC-32, as above |
//! | 8 | 8 | its number, which is below 2^63 and not 0 |
//! | 16 | 8 | when it expires, microseconds since 1970 |
//! | 24 | 4 | how long it was to be kept, milliseconds |
//! | 28 | 1 | kind: 4; never in a file: 5 forget it (a header only) |
//! | 29 | 1 | length of the name |
//! | 30 | 1 | length of the instance |
//! | 31 | 1 | form of the message |
//! | 32 | 4 | length of all behind the name |
//! | 36 | | name |
//! | | 8 | which boot of the machine it came in; 0: unknown |
//! | | 8 | what the calendar said it was when that boot began, microseconds since 1970 |
//! | | 8 | its sender's address then |
//! | | | instance, message |

use chappe_core::router::store::{Stamp, Stored, StoredMail};

/// How every record begins; the last octet is the version of the form.
pub(super) const MARK: [u8; 4] = [0xc4, b'p', b'V', 1];

/// Octets before the name.
pub(super) const HEADER: usize = 36;

const VALUE: u8 = 0;
const TOMBSTONE: u8 = 1;
const FORGET: u8 = 2;
const CLEAR: u8 = 3;
const MAIL: u8 = 4;
const MAIL_GONE: u8 = 5;

/// Octets of a message between the names.
const MAIL_HEADER: usize = 24;

/// How the calendar and the machine's own clock went together in some life of the daemon. While
/// the machine is not booted again its own clock is right, whatever becomes of the calendar.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Which boot; 0: unknown.
    pub(crate) boot: u64,
    /// What the calendar said it was when that began.
    pub(crate) began: Stamp,
}

impl Clock {
    /// The same moment, told by the calendar that holds `now`.
    pub(super) fn told_by(self, now: Clock, at: Stamp) -> Stamp {
        if self.boot == 0 || self.boot != now.boot {
            return at;
        }
        let since = at.micros().saturating_sub(self.began.micros());
        Stamp::from_micros(now.began.micros().saturating_add(since))
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'r> {
    /// A value, or that it was removed.
    Value(Stored<'r>),
    /// A message that waits.
    Mail(StoredMail<'r>),
}

/// Appends a message. Its check sum is still to come: [`seal`].
pub(super) fn push_mail(out: &mut Vec<u8>, mail: &StoredMail<'_>, clock: Clock) {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&MARK);
    head[8..16].copy_from_slice(&mail.number.to_le_bytes());
    head[16..24].copy_from_slice(&mail.until.micros().to_le_bytes());
    head[24..28].copy_from_slice(&mail.within_ms.to_le_bytes());
    // names have at most 128 bytes, messages less than 2^31
    head[28..32].copy_from_slice(&[MAIL, mail.name.len() as u8, mail.instance.len() as u8, mail.form]);
    let behind_name = MAIL_HEADER + mail.instance.len() + mail.bytes.len();
    head[32..36].copy_from_slice(&(behind_name as u32).to_le_bytes());
    out.reserve(HEADER + mail.name.len() + behind_name);
    out.extend_from_slice(&head);
    out.extend_from_slice(mail.name.as_bytes());
    for number in [clock.boot, clock.began.micros(), mail.from] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(mail.instance.as_bytes());
    out.extend_from_slice(mail.bytes);
}

/// Octets that [`push_mail`] appends.
pub(super) fn mail_size(mail: &StoredMail<'_>) -> usize {
    HEADER + mail.name.len() + MAIL_HEADER + mail.instance.len() + mail.bytes.len()
}

/// Appends the order to forget a message. It has the length of a [`HEADER`].
pub(super) fn push_mail_gone(out: &mut Vec<u8>, number: u64) {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&MARK);
    head[8..16].copy_from_slice(&number.to_le_bytes());
    head[28] = MAIL_GONE;
    out.extend_from_slice(&head);
}

/// Appends a row. Its check sum is still to come: [`seal`].
pub(super) fn push(out: &mut Vec<u8>, row: &Stored<'_>) {
    let kind = if row.value.is_some() { VALUE } else { TOMBSTONE };
    write(out, kind, row.name.as_bytes(), row.value.unwrap_or_default(), (row.changed, row.accessed, row.origin));
}

/// Octets that [`push`] appends.
pub(super) fn size(row: &Stored<'_>) -> usize {
    HEADER + row.name.len() + row.value.map_or(0, <[u8]>::len)
}

/// Appends the order to forget a row.
pub(super) fn push_forget(out: &mut Vec<u8>, name: &[u8]) {
    write(out, FORGET, name, &[], (Stamp::default(), Stamp::default(), 0));
}

/// Appends the order to forget all rows. It has the length of a [`HEADER`].
pub(super) fn push_clear(out: &mut Vec<u8>) {
    write(out, CLEAR, &[], &[], (Stamp::default(), Stamp::default(), 0));
}

fn write(out: &mut Vec<u8>, kind: u8, name: &[u8], value: &[u8], times: (Stamp, Stamp, u32)) {
    let (changed, accessed, origin) = times;
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&MARK);
    head[8..16].copy_from_slice(&changed.micros().to_le_bytes());
    head[16..24].copy_from_slice(&accessed.micros().to_le_bytes());
    head[24..28].copy_from_slice(&origin.to_le_bytes());
    head[28] = kind;
    // names have at most 128 bytes, values less than 2^32
    head[29] = name.len() as u8;
    head[32..36].copy_from_slice(&(value.len() as u32).to_le_bytes());
    out.reserve(HEADER + name.len() + value.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// Puts the check sum in. Not done by whoever makes the record: that thread has no time.
pub(super) fn seal(record: &mut [u8]) {
    if let Some((head, rest)) = record.split_at_mut_checked(8) {
        head[4..].copy_from_slice(&crc32(rest).to_le_bytes());
    }
}

/// The name in the record that begins here, whose length is known to be good.
pub(super) fn name(bytes: &[u8]) -> &[u8] {
    &bytes[HEADER..HEADER + usize::from(bytes[29])]
}

/// Whether the record that begins here, whose length is known to be good, is [`push_clear`]'s.
pub(super) fn is_clear(bytes: &[u8]) -> bool {
    bytes[28] == CLEAR
}

/// The number in the record that begins here, whose length is known to be good, if that is one
/// of a message.
pub(super) fn mail_number(bytes: &[u8]) -> Option<u64> {
    (bytes[28] >= MAIL).then(|| u64_at(bytes, 8))
}

/// What is to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'r> {
    /// Keep it.
    Keep(Stored<'r>),
    /// Keep this message, which came when the clocks stood like this.
    Mail(StoredMail<'r>, Clock),
    /// Forget the message of this number.
    MailGone(u64),
    /// Forget the row of this name.
    Forget(&'r str),
    /// Forget all rows.
    Clear,
}

/// Octets of the record that begins here, if it is one and its header is whole.
pub(super) fn len(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..HEADER)?;
    let is_one = head[..4] == MARK && (head[28] <= CLEAR && head[30..32] == [0, 0] || head[28] == MAIL)
        || head[..4] == MARK && head[28] == MAIL_GONE && head[29..36] == [0; 7];
    is_one.then(|| HEADER + usize::from(head[29]) + u32_at(head, 32) as usize)
}

/// What a record says, whose check sum may not be there yet.
pub(super) fn read(record: &[u8]) -> Option<Entry<'_>> {
    let len = len(record)?;
    let head = &record[..HEADER];
    if head[28] == CLEAR {
        return (len == HEADER).then_some(Entry::Clear);
    }
    if head[28] == MAIL_GONE {
        return Some(Entry::MailGone(u64_at(head, 8)));
    }
    let (name, value) = record.get(HEADER..len)?.split_at_checked(usize::from(head[29]))?;
    let name = std::str::from_utf8(name).ok().filter(|name| chappe_core::name::is_valid(name))?;
    if head[28] == MAIL {
        let (times, rest) = value.split_at_checked(MAIL_HEADER)?;
        let (instance, bytes) = rest.split_at_checked(usize::from(head[30]))?;
        let instance = std::str::from_utf8(instance).ok()?;
        let is_good = instance.is_empty() || chappe_core::name::is_valid(instance);
        let number = u64_at(head, 8);
        let mail = StoredMail {
            number,
            name,
            instance,
            from: u64_at(times, 16),
            until: Stamp::from_micros(u64_at(head, 16)),
            within_ms: u32_at(head, 24),
            form: head[31],
            bytes,
        };
        let clock = Clock { boot: u64_at(times, 0), began: Stamp::from_micros(u64_at(times, 8)) };
        return (is_good && is_mail_number(number)).then_some(Entry::Mail(mail, clock));
    }
    if head[28] == FORGET {
        return Some(Entry::Forget(name));
    }
    let is_value = head[28] == VALUE;
    (is_value || value.is_empty()).then(|| {
        Entry::Keep(Stored {
            name,
            value: is_value.then_some(value),
            changed: Stamp::from_micros(u64_at(head, 8)),
            accessed: Stamp::from_micros(u64_at(head, 16)),
            origin: u32_at(head, 24),
        })
    })
}

/// Whether a message may have this number: there are always larger ones left.
pub fn is_mail_number(number: u64) -> bool {
    (1..1 << 63).contains(&number)
}

/// What a record from a file says; `None`: it is not whole.
fn read_whole(record: &[u8]) -> Option<Entry<'_>> {
    let whole = record.get(..len(record)?)?;
    read(whole).filter(|_| crc32(&whole[8..]) == u32_at(whole, 4))
}

/// The value of a record from a file; `None`: it is not whole, or no value.
pub(super) fn read_sealed(record: &[u8]) -> Option<Stored<'_>> {
    match read_whole(record)? {
        Entry::Keep(row) => Some(row),
        _ => None,
    }
}

/// The message of a record from a file; `None`: it is not whole, or no message.
pub(super) fn read_sealed_mail(record: &[u8]) -> Option<(StoredMail<'_>, Clock)> {
    match read_whole(record)? {
        Entry::Mail(mail, clock) => Some((mail, clock)),
        _ => None,
    }
}

/// Whatever a record from a file holds; `None`: it is not whole.
pub(super) fn read_sealed_row(record: &[u8]) -> Option<Row<'_>> {
    match read_whole(record)? {
        Entry::Keep(row) => Some(Row::Value(row)),
        Entry::Mail(mail, _) => Some(Row::Mail(mail)),
        _ => None,
    }
}

/// Of two rows with one name, whether `a` counts (D10): the same order as that of the store in
/// memory.
pub(super) fn is_newer(a: &Stored<'_>, b: &Stored<'_>) -> bool {
    let key = |r: &Stored<'_>| (r.changed, r.origin, r.value.is_none());
    (key(a), a.value) > (key(b), b.value)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// The CRC of Ethernet and zlib, eight octets at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let low = crc ^ u32_at(chunk, 0);
        crc = 0;
        for i in 0..4 {
            crc ^= CRC[7 - i][(low >> (8 * i)) as usize & 0xff] ^ CRC[3 - i][usize::from(chunk[4 + i])];
        }
    }
    for b in chunks.remainder() {
        crc = CRC[0][((crc ^ u32::from(*b)) & 0xff) as usize] ^ (crc >> 8);
    }
    !crc
}

/// `CRC[k]` of an octet: what it makes of the sum with `k` octets of zero behind it.
static CRC: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut n = 0;
    while n < 256 {
        let (mut crc, mut bit) = (n as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        tables[0][n] = crc;
        n += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut n = 0;
        while n < 256 {
            let before = tables[k - 1][n];
            tables[k][n] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            n += 1;
        }
        k += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(name: &'a str, value: Option<&'a [u8]>) -> Stored<'a> {
        let at = Stamp::from_micros;
        Stored { name, value, changed: at(0x0102_0304_0506_0708), accessed: at(9), origin: 7 }
    }

    #[test]
    fn a_record_says_the_same_when_it_is_read() {
        for value in [None, Some(&b""[..]), Some(b"21.5"), Some(&[0xff; 300])] {
            let mut bytes = vec![0xa5; 3];
            push(&mut bytes, &row("sensor::b1", value));
            let record = &mut bytes[3..];
            assert_eq!(len(record), Some(record.len()));
            assert_eq!(read_sealed(record), None, "not sealed yet");
            assert_eq!(read(record), Some(Entry::Keep(row("sensor::b1", value))));
            seal(record);
            assert_eq!(read_sealed(record), Some(row("sensor::b1", value)));
        }
        let mut forget = Vec::new();
        push_forget(&mut forget, b"gone");
        assert_eq!(read(&forget), Some(Entry::Forget("gone")));
        let mut clear = Vec::new();
        push_clear(&mut clear);
        assert_eq!((read(&clear), clear.len()), (Some(Entry::Clear), HEADER));
        for order in [&mut forget, &mut clear] {
            seal(order);
            assert_eq!(read_sealed(order), None, "never in a file");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_shows() {
        let mut record = Vec::new();
        push(&mut record, &row("n", Some(b"value")));
        seal(&mut record);
        for cut in 0..record.len() {
            assert_eq!(read_sealed(&record[..cut]), None);
        }
        for bit in 0..record.len() * 8 {
            let mut other = record.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_sealed(&other), None, "bit {bit}");
        }
    }

    #[test]
    fn the_form_stays_as_it_is() {
        // if this fails, do not change the test: files out there look like this
        let mut record = Vec::new();
        push(&mut record, &row("a", Some(b"b")));
        seal(&mut record);
        let want = [
            0xc4, b'p', b'V', 1, 0x61, 0x24, 0x8f, 0x55, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0,
            1, 0, 0, 1, 0, 0, 0, b'a', b'b',
        ];
        assert_eq!(record, want);
    }

    #[test]
    fn the_check_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }

    #[test]
    fn newer_is_what_the_store_in_memory_takes_for_newer() {
        let at = |us, origin, value| Stored { changed: Stamp::from_micros(us), origin, ..row("n", value) };
        let order = [
            at(1, 9, None),
            at(2, 1, Some(&b"a"[..])),
            at(2, 1, Some(b"ab")),
            at(2, 1, Some(b"b")),
            at(2, 1, None),
            at(2, 2, Some(b"")),
        ];
        for (i, a) in order.iter().enumerate() {
            for (k, b) in order.iter().enumerate() {
                assert_eq!(is_newer(a, b), i > k, "{a:?} {b:?}");
            }
        }
    }
}
