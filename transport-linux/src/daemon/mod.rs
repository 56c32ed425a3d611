//! The daemon: one thread around one epoll set.
//!
//! [`serve`] reads the configuration, opens what it names and runs `event_loop` until a
//! signal ends it. Nothing in that thread blocks but waiting in epoll: log lines and the
//! counters' page have threads of their own behind bounded queues.
//!
//! | file | owns |
//! |---|---|
//! | `args` | the command line of `serve` and `check-config` |
//! | `event_loop` | waiting, turns, timers, drain, reload |
//! | `connection`, `datagram`, `serial` | reading and writing one kind of descriptor |
//! | `listener` | opening, adopting and removing what accepts |
//! | `ready` | who still has work |
//! | `gate` | users, secrets and their rights |
//! | `memory` | the router's tables |
//! | `log`, `metrics`, `greeting`, `counters` | what people and machines see |

mod args;

use std::process::ExitCode;

pub use args::{CheckArgs, Overrides, ServeArgs};

/// Most stations a daemon can be configured for: the size of its tables.
pub const MAX_STATIONS: usize = 16_384;

/// Longest frame a daemon can be configured to take.
pub const MAX_FRAME: usize = 1 << 20;

/// `chappe serve`. Returns when the daemon has drained after SIGTERM or SIGINT (success), or
/// could not start (failure; the reason is on standard error).
pub fn serve(args: ServeArgs) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}

/// `chappe check-config`. Prints the configuration in force, or what is wrong with it.
pub fn check_config(args: CheckArgs) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}
