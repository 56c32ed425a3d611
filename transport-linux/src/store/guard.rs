//! The database may panic over a file that is broken in a way it did not expect; to us that is
//! one more way of being damaged.
//!
//! Owns: catching that, and keeping it off the terminal of this thread. Everything else that
//! panics does so as before.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::problem::Problem;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Does something with the database. What it holds of it must be dropped inside, too.
pub(super) fn guard<T>(what: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                SAID.with_borrow_mut(|said| *said = info.to_string());
            } else {
                usual(info);
            }
        }));
    });
    let before = GUARDED.replace(true);
    // Nothing of what a panic leaves behind is looked at again but by the database's own drop.
    let result = catch_unwind(AssertUnwindSafe(what));
    GUARDED.set(before);
    result.unwrap_or_else(|_| {
        let said = SAID.with_borrow(|said| said.replace('\n', " "));
        Err(Problem::Damaged(format!("the database does not understand it: {said}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_damaged_file() {
        let result = guard(|| -> Result<(), Problem> { panic!("page 7") });
        let Err(Problem::Damaged(text)) = result else { panic!("{result:?}") };
        assert!(text.contains("page 7"), "{text}");
        assert_eq!(guard(|| Ok(5)), Ok(5));
    }
}
