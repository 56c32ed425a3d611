//! The monitor of a node: a station that is shown what all others say, and what it must be shown.
//!
//! Owns: that each thing that a station of the native dialect or of MSGQ has said was shown, in that station's
//! order, or is missing and the monitor is told so. Does not own what comes of it.

use super::plan::Speech;
use super::words::{Said, frame_size};
use chappe_core::id::StationId;
use chappe_core::model::{ServerToClient, Sight};

/// It.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Its connection.
    pub id: Option<StationId>,
    /// It monitors.
    pub looks: bool,
    partial: Vec<u8>,
    /// What it was shown and was not looked for: who, what and of which name.
    pub shown: Vec<(u64, Sight, String)>,
    /// What was said and not shown, as often as the router has counted that.
    unseen: u64,
    /// The last of it.
    last: String,
    /// How much it was told that it has missed.
    told: u64,
}

/// What a thing that is said looks like; `None`: that is its dialect's own affair.
fn sight(said: &Said) -> Option<(Sight, &str)> {
    Some(match said {
        Said::Join { name, .. } => (Sight::Join, name),
        Said::Leave { name, .. } => (Sight::Leave, name),
        Said::Send(sent) if sent.ask => (Sight::Question, &sent.name),
        Said::Send(sent) => (Sight::Letter, &sent.name),
        Said::Answer { .. } => (Sight::Answer, ""),
        Said::Set { key, .. } | Said::Get { key, .. } | Said::Remove { key, .. } | Said::Add { key, .. } => {
            (Sight::Value, key)
        }
        Said::Flush { .. } => (Sight::Value, ""),
        Said::Flag { flag, .. } => (Sight::Flag, &flag.name),
        Said::Declare { name, .. } => (Sight::Declare, name),
        _ => return None,
    })
}

impl Monitor {
    /// Octets have come.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.partial.extend_from_slice(bytes);
        while let Some(size) = frame_size(Speech::Native, &self.partial) {
            let frame: Vec<u8> = self.partial.drain(..size).collect();
            let (said, _) = ServerToClient::read(&frame[4..]).map_err(|e| format!("a monitor is told {e:?}"))?;
            let ServerToClient::Seen(seen) = said else { continue };
            let is_looked_for = matches!(
                seen.what,
                Sight::Join
                    | Sight::Leave
                    | Sight::Question
                    | Sight::Letter
                    | Sight::Answer
                    | Sight::Value
                    | Sight::Flag
                    | Sight::Declare
            );
            match seen.what {
                Sight::Missed => self.told += seen.count,
                // 0: the node's own answers
                what if is_looked_for && seen.station != 0 && seen.dialect != Speech::Clacks.dialect() => {
                    self.shown.push((seen.station, what, seen.name.into()))
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A station that is introduced has said something.
    ///
    /// # Errors
    /// If what is shown of that station next is something else.
    pub fn said(&mut self, station: u64, said: &Said) -> Result<(), String> {
        let Some((what, name)) = sight(said) else { return Ok(()) };
        let at = self.shown.iter().position(|(who, ..)| *who == station);
        // by the asker's number, an answer to nothing that is known is a letter
        let is_late = |w| matches!(said, Said::Answer { to: Some(_), .. }) && w == Sight::Letter;
        let is_it =
            |(_, w, n): &(u64, Sight, String)| is_late(*w) || *w == what && (what == Sight::Answer || n == name);
        match at.map(|at| &self.shown[at]) {
            Some(next) if is_it(next) => _ = self.shown.remove(at.expect("it was found")),
            next => {
                self.last = format!("{station} has said {said:?}, shown next is {next:?}");
                self.unseen += 1;
            }
        }
        Ok(())
    }

    /// The router has counted so much as not shown.
    ///
    /// # Errors
    /// If more was not shown, or something was shown that nobody has said.
    pub fn settle(&mut self, missed: u64) -> Result<(), String> {
        if self.unseen > missed {
            return Err(format!("a monitor was not shown that {}; {missed} counted as missed", self.last));
        }
        if self.told > missed {
            return Err(format!("a monitor is told that it missed {}, and that is {missed}", self.told));
        }
        Ok(())
    }
}
