//! Operations on the timing wheel, against a plain list of times.
#![no_main]

use chappe_core::router::timers::{TICK_MS, Timer, Wheel};
use chappe_core::time::Instant;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut nodes = [Timer::NEW; 16];
    let [start, rest @ ..] = data else { return };
    let mut now = (*start as u64) << (start % 50);
    let mut w = Wheel::new(&mut nodes, Instant::from_millis(now));
    let mut model = [None::<u64>; 16];
    let mut input = rest;
    while let [op, a, b, rest @ ..] = input {
        input = rest;
        // a number of any magnitude
        let span = (u16::from_le_bytes([*a, *b]) as u64) << (op / 8);
        let i = *a as usize % 16;
        match op % 4 {
            0 => {
                let when = now.saturating_add(span);
                w.set(i as u32, Instant::from_millis(when));
                model[i] = Some(when);
            }
            1 => {
                w.clear(i as u32);
                model[i] = None;
            }
            2 => {
                let when = now.saturating_sub(span);
                w.set(i as u32, Instant::from_millis(when));
                model[i] = Some(when);
            }
            _ => {
                now = now.saturating_add(span).min(1 << 60);
                while let Some(i) = w.expire(Instant::from_millis(now)) {
                    let when = model[i as usize].take().expect("it was set");
                    assert!(when <= now, "early");
                }
                let due = model.iter().flatten().map(|w| w.next_multiple_of(TICK_MS)).min();
                assert!(due.is_none_or(|d| d > now), "late");
                let deadline = w.deadline().map(Instant::millis);
                assert_eq!(deadline.is_some(), due.is_some());
                assert!(deadline.is_none_or(|d| d > now && Some(d) <= due));
            }
        }
        w.check().expect("every invariant holds");
        for (i, m) in model.iter().enumerate() {
            assert_eq!(w.is_set(i as u32), m.is_some());
        }
    }
});
