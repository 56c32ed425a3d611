//! A stream of lines of Clacks, cut in two: one piece or two give the same lines, and each line
//! that means something, written again, means the same; sums are those of plain arithmetic.
#![no_main]

use chappe_core::dialect::clacks::frame::{Finder, compact, content};
use chappe_core::dialect::clacks::repr::{Command, Line};
use chappe_core::dialect::clacks::time::Time;
use chappe_core::dialect::clacks::{emit, name, number, parse};
use libfuzzer_sys::fuzz_target;

/// All lines of a stream in pieces, or how many there were before one that is too long.
fn lines(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut finder, mut kept, mut all) = (Finder::new(), Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        loop {
            match finder.line(&mut input, limit) {
                Err(_) => return (all, true),
                Ok(None) => {
                    if finder.is_inside() {
                        kept.extend_from_slice(input);
                    }
                    assert!(finder.is_inside() || input.is_empty());
                    break;
                }
                Ok(Some(size)) => {
                    let (part, rest) = input.split_at(size - kept.len());
                    kept.extend_from_slice(part);
                    let line = if finder.is_odd() {
                        let n = compact(&mut kept);
                        kept[..n].to_vec()
                    } else {
                        content(&kept).to_vec()
                    };
                    assert!(!line.contains(&b'\r') && !line.contains(&b'\n') && !line.is_empty());
                    all.push(line);
                    kept.clear();
                    finder.next();
                    input = rest;
                }
            }
        }
    }
    (all, false)
}

fuzz_target!(|data: &[u8]| {
    let [limit, cut, data @ ..] = data else { return };
    let limit = *limit as usize * 8 + 1;
    let (a, b) = data.split_at((*cut as usize).min(data.len()));
    let (whole, too_long) = lines(&[data], limit);
    let (halves, also) = lines(&[a, b], limit);
    // what is too long may be known earlier with less at hand, but never with fewer lines before it
    assert_eq!(whole, halves);
    assert_eq!(too_long, also);
    let single: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(lines(&single, limit), (whole.clone(), too_long));

    let mut out = [0; 8192];
    for line in &whole {
        let command = parse::command(line);
        // of a deletion mark nobody reads the value, and it is written with another; of times
        // beyond 2286 the last digits are cut
        let far = |time: Time| time.micros().unsigned_abs() >= 10_000_000_000_000_000;
        let is_mark =
            matches!(command, Command::KeySync(sync) if sync.deleted || far(sync.modified) || far(sync.accessed));
        if !matches!(command, Command::Unknown(_))
            && !is_mark
            && let Some(n) = emit::command(&command, &mut out)
            && n > 0
        {
            assert!(out[..n].ends_with(b"\r\n"));
            assert_eq!(parse::command(&out[..n - 2]), command, "{:?}", String::from_utf8_lossy(line));
        }
        let said = parse::line(line);
        if !matches!(said, Line::Unknown(_) | Line::Command(_))
            && let Some(n) = emit::line(&said, &mut out)
            && n > 0
        {
            assert_eq!(parse::line(&out[..n - 2]), said, "{:?}", String::from_utf8_lossy(line));
        }
        let mut spare = Default::default();
        if let Some(bus) = name::to_bus(line, &mut spare) {
            assert!(chappe_core::name::is_valid(bus) && !chappe_core::name::is_pattern(bus), "{bus:?}");
            assert_eq!(name::from_bus(bus, &mut [0; 128]), &line[..], "one name, there and back");
        }
        let mut sum = [0; number::LONGEST];
        for down in [false, true] {
            let n = number::add(line, b"1", down, &mut sum);
            assert!(number::is_number(&sum[..n]), "{:?}", String::from_utf8_lossy(&sum[..n]));
            let text = std::str::from_utf8(line).unwrap_or_default();
            if text.len() < 19
                && let Ok(plain) = text.parse::<i64>()
            {
                let right = if down { plain - 1 } else { plain + 1 };
                assert_eq!(sum[..n], *right.to_string().as_bytes(), "{text} and 1, down: {down}");
            }
            number::add(b"1", line, down, &mut sum);
        }
    }
});
