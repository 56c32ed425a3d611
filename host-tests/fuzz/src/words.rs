//! A text of which the fuzzer's octets choose words.
//!
//! Formats of keys and values are seldom met by changing octets. So an octet from 128 on, with the one
//! behind it, stands for a word of a list; all others stand for themselves, so that seeds can be
//! plain text.

/// The text that `data` stands for.
pub fn text<'w>(data: &[u8], words: &[&'w str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() * 2);
    let mut octets = data.iter();
    while let Some(&b) = octets.next() {
        match (b, words.len()) {
            (0..128, _) | (_, 0) => out.push(b),
            _ => {
                let n = usize::from(b & 127) << 8 | usize::from(octets.next().copied().unwrap_or(0));
                out.extend(words[n % words.len()].as_bytes());
            }
        }
    }
    out
}

/// Every word of a text, once, in its order: what is between blanks, quotes and signs of equality.
pub fn of(text: &str) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    text.split([' ', '\n', '"', '=', ',', '[', ']', '#', '<', '>', '`'])
        .filter(|w| !w.is_empty() && seen.insert(*w))
        .collect()
}
