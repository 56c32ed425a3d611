//! What a file of values must hold after a crash: one book for each writer, of all it has said
//! in order and of how much of that it was promised.

use std::collections::VecDeque;

/// What is kept under a name.
pub type State = Option<Vec<u8>>;

/// Something that was said.
enum Change {
    Of(usize, State),
    /// Everything is forgotten.
    All,
}

/// The names of one writer, who is the only one that changes them, over one connection.
pub struct Book {
    pub names: Vec<String>,
    /// What is surely on disk.
    promised: Vec<State>,
    /// What was said behind that, in order.
    said: VecDeque<Change>,
    /// If all of that counts.
    latest: Vec<State>,
    /// Changes since the last restart, and how many of them are in `promised`.
    changes: u64,
    kept: u64,
}

impl Book {
    pub fn new(names: Vec<String>) -> Book {
        let nothing = vec![None; names.len()];
        Book { names, promised: nothing.clone(), said: VecDeque::new(), latest: nothing, changes: 0, kept: 0 }
    }

    /// What is there if everything counts that was said.
    pub fn latest(&self, key: usize) -> Option<&[u8]> {
        self.latest[key].as_deref()
    }

    pub fn say(&mut self, key: usize, state: State) {
        self.latest[key].clone_from(&state);
        self.said.push_back(Change::Of(key, state));
        self.changes += 1;
    }

    pub fn forget_all(&mut self) {
        self.latest.fill(None);
        self.said.push_back(Change::All);
        self.changes += 1;
    }

    /// How many changes were said since the last restart.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The first `n` of them are on disk, somebody has said.
    pub fn promise(&mut self, n: u64) {
        while self.kept < n {
            let change = self.said.pop_front().expect("only what was said is promised");
            apply(&mut self.promised, change);
            self.kept += 1;
        }
    }

    /// How many of them are promised.
    pub fn promised(&self) -> u64 {
        self.kept
    }

    /// Compares with what is there after a restart: all that was promised, and of what was said
    /// behind it everything up to some moment and nothing from then on. Goes on from there, and
    /// returns how many changes were lost, none of which was promised.
    pub fn found(&mut self, found: Vec<State>) -> Result<u64, String> {
        let mut model = std::mem::take(&mut self.promised);
        let mut rest = std::mem::take(&mut self.said);
        let text = |state: &State| match state {
            None => "nothing".to_owned(),
            Some(bytes) => format!("{:.40} ({} octets)", String::from_utf8_lossy(bytes), bytes.len()),
        };
        let differs = |model: &[State]| -> Vec<String> {
            let pairs = self.names.iter().zip(model.iter().zip(&found));
            let wrong = pairs.filter(|(_, (want, have))| want != have);
            wrong.map(|(name, (want, have))| format!("{name}: {} instead of {}", text(have), text(want))).collect()
        };
        let behind_promised = differs(&model);
        // The last moment that fits: what is the same before and behind a change is not lost.
        let mut fits = None;
        let mut lost = rest.len() as u64;
        if behind_promised.is_empty() {
            fits = Some(lost);
        }
        while let Some(change) = rest.pop_front() {
            apply(&mut model, change);
            lost -= 1;
            if model == found {
                fits = Some(lost);
            }
        }
        let Some(lost) = fits else {
            return Err(format!(
                "no moment fits. From what was promised it differs in {behind_promised:#?}\nfrom the last said in {:#?}",
                differs(&model)
            ));
        };
        self.promised.clone_from(&found);
        self.latest = found;
        (self.changes, self.kept) = (0, 0);
        Ok(lost)
    }
}

fn apply(states: &mut [State], change: Change) {
    match change {
        Change::Of(key, state) => states[key] = state,
        Change::All => states.fill(None),
    }
}
