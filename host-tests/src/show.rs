//! Messages as one line of text, as vectors expect them: the member's name, then each field
//! that is not its default, in the order of their numbers.
//!
//! `send name="x" body=x00ff params=["k"="v"] ask=true`: text is quoted, bytes are hex behind
//! an `x`, enumerations are numbers. The same text is made from the reference
//! implementation's messages by `vectors/messi/make.py`, so it names fields as
//! `core/proto/chappe.proto` does.

use chappe_core::dialect::messi::repr::*;
use std::fmt::Write;

/// One kind of field.
trait Show {
    /// Appends ` name=value`, or nothing for the default.
    fn show(&self, name: &str, out: &mut String);
}

impl Show for &str {
    fn show(&self, name: &str, out: &mut String) {
        if !self.is_empty() {
            write!(out, " {name}={self:?}").unwrap();
        }
    }
}

impl Show for &[u8] {
    fn show(&self, name: &str, out: &mut String) {
        if !self.is_empty() {
            write!(out, " {name}={}", hex(self)).unwrap();
        }
    }
}

impl Show for bool {
    fn show(&self, name: &str, out: &mut String) {
        if *self {
            write!(out, " {name}=true").unwrap();
        }
    }
}

impl Show for Params<'_> {
    fn show(&self, name: &str, out: &mut String) {
        if self.count() > 0 {
            let all: Vec<String> = self.iter().map(|(k, v)| format!("{k:?}={v:?}")).collect();
            write!(out, " {name}=[{}]", all.join(",")).unwrap();
        }
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Show for $type {
            fn show(&self, name: &str, out: &mut String) {
                if *self != 0 {
                    write!(out, " {name}={self}").unwrap();
                }
            }
        }
    )*};
}
numbers!(u32 u64 i64);

macro_rules! enums {
    ($($type:ty)*) => {$(
        impl Show for $type {
            fn show(&self, name: &str, out: &mut String) {
                self.number().show(name, out);
            }
        }
    )*};
}
enums!(Code Encoding StoreOp Change What Sight);

/// Bytes as hex behind an `x`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("x".to_string(), |mut s, b| {
        write!(s, "{b:02x}").unwrap();
        s
    })
}

macro_rules! members {
    ($function:ident $oneof:ident { $($member:ident $name:literal { $($field:ident)* })* }) => {
        /// One line.
        pub fn $function(message: &$oneof<'_>) -> String {
            let mut out = String::new();
            match message {
                $oneof::Nothing => out.push_str("nothing"),
                $($oneof::$member(m) => {
                    out.push_str($name);
                    $(m.$field.show(stringify!($field), &mut out);)*
                })*
            }
            out
        }
    };
}

members!(to_node ClientToServer {
    Hello "hello" { seq name user token silence_ms software max_frame }
    Join "join" { seq name instance exclusive }
    Leave "leave" { seq name instance }
    Send "send" { name verb body encoding params instance station everyone seq ask ttl_ms keep from ask_id each }
    Answer "answer" { ask_id code text body encoding params seq from station }
    Store "store" { seq op name value amount announce }
    Watch "watch" { seq name stations members flags off }
    List "list" { seq what name after }
    Flag "flag" { seq raise unit section name description priority tags manual_down by_hand source_file function line }
    Declare "declare" { seq name forget }
    Goodbye "goodbye" { seq text }
    Monitor "monitor" { seq off station station_name name verb dialect }
});

members!(to_client ServerToClient {
    Welcome "welcome" { seq station node version max_frame silence_ms max_name max_value }
    Outcome "outcome" { seq code text next count }
    Message "message" { name verb body encoding params instance station everyone seq ask ttl_ms keep from ask_id each }
    Reply "reply" { ask_id code text body encoding params seq from station }
    Value "value" { seq name value age_ms idle_ms }
    Item "item" { seq what name station instance text value count age_ms exclusive tags manual last_ms times source_file function line }
    Presence "presence" { change station station_name name instance reason }
    FlagChange "flag_change" { raised name description priority tags manual_down station }
    Closing "closing" { code text }
    Seen "seen" { what micros dialect station station_name name instance verb params body encoding code text to seq op amount ttl_ms everyone keep each announce exclusive off cut hidden size count }
});
