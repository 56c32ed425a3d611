//! `chappe shell`: messages typed by hand, and what comes.
//!
//! Owns: the prompt, its history, and what is done in which order. Two threads: this one reads what
//! is typed, the other speaks to the bus and prints. Between them is a queue of [`WAITING`] lines;
//! a pasted text of more waits.
//!
//! | file | owns |
//! |---|---|
//! | `talk.rs` | the thread that speaks to the bus: what lines mean, what comes |
//! | `complete.rs` | what the tabulator offers |

mod complete;
mod talk;

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use clap::Args;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter};

use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::Out;
use complete::{Completion, Known};
use talk::{Printer, Talk, Wake};

/// Lines that wait to be said.
const WAITING: usize = 64;

/// Lines of history that are kept.
const HISTORY: usize = 1000;

/// `chappe shell`.
#[derive(Debug, Args)]
pub(crate) struct Shell {
    /// At a Communicator daemon: register as this service. Without it: as nobody, who sends
    /// and hears direct answers only, and has to answer everything by hand
    #[arg(long, value_name = "SERVICE")]
    name: Option<String>,
    /// At a Communicator daemon: which commands to announce, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "A,B", requires = "name")]
    commands: Vec<String>,
    /// Where to keep the history: nowhere if it is empty. Default: chappe/history in XDG_STATE_HOME or
    /// ~/.local/state. Lines with a password or secret code are not kept
    #[arg(long, env = "CHAPPE_HISTORY", value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(super) fn run(args: &Shell, global: &Global) -> Result<(), Failure> {
    let known = Arc::new(Mutex::new(Known::default()));
    if std::io::stdin().is_terminal() {
        let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY);
        let config = config.map_err(broken)?.auto_add_history(false).build();
        let mut editor: Editor<Completion, FileHistory> = Editor::with_config(config).map_err(broken)?;
        editor.set_helper(Some(Completion(known.clone())));
        let printer = editor.create_external_printer().map_err(broken)?;
        let history = args.history.clone().or_else(usual_history).filter(|path| !path.as_os_str().is_empty());
        if let Some(history) = &history {
            // the first time there is none
            let _ = editor.load_history(history);
        }
        let talk = Talk::new(global, known, Box::new(Above(printer, global.json)))?;
        with_talk(args, talk, |lines| typed(&mut editor, lines, history))
    } else {
        let talk = Talk::new(global, known, Box::new(Plain(global.out())))?;
        with_talk(args, talk, |lines| {
            for line in std::io::stdin().lock().lines() {
                let line = line.map_err(|e| Failure::io("cannot read the standard input", &e))?;
                if matches!(line.trim(), "/quit" | "/q") || lines.say(line).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn broken(error: ReadlineError) -> Failure {
    Failure::Because(Status::Io, format!("the terminal cannot be used: {error}"))
}

/// Where lines go to be said.
struct Lines {
    queue: SyncSender<String>,
    wake: Wake,
}

impl Lines {
    fn say(&self, line: String) -> Result<(), ()> {
        let result = self.queue.send(line).map_err(drop);
        self.wake.wake();
        result
    }
}

/// Reads lines while another thread speaks to the bus; when this returns it has said all.
fn with_talk(
    args: &Shell,
    mut talk: Talk<'_>,
    read: impl FnOnce(&Lines) -> Result<(), Failure>,
) -> Result<(), Failure> {
    talk.begin(args.name.as_deref(), &args.commands)?;
    let (queue, lines) = sync_channel(WAITING);
    let to = Lines { queue, wake: talk.wake() };
    std::thread::scope(|scope| {
        let talking = scope.spawn(move || talk.run(&lines));
        let result = read(&to);
        let wake = to.wake.clone();
        drop(to);
        wake.wake();
        let talked = talking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.and(talked)
    })
}

/// Reads from the terminal until the end of input or `/quit`.
fn typed(editor: &mut Editor<Completion, FileHistory>, lines: &Lines, history: Option<PathBuf>) -> Result<(), Failure> {
    loop {
        let line = match editor.readline("chappe> ") {
            Ok(line) => line,
            // Ctrl-C: another line
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(broken(error)),
        };
        if line.trim().is_empty() {
            continue;
        }
        if !has_secret(&line)
            && editor.add_history_entry(&line).unwrap_or(false)
            && let Some(path) = &history
        {
            keep(editor, path);
        }
        if matches!(line.trim(), "/quit" | "/q") || lines.say(line).is_err() {
            return Ok(());
        }
    }
}

/// Whether a line is nothing for a file.
fn has_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    // also `user:password@` in an address
    line.contains("password") || line.contains("secret_code") || (line.contains("://") && line.contains('@'))
}

/// Puts the last line into the file. A shell without history is one too.
fn keep(editor: &mut Editor<Completion, FileHistory>, path: &PathBuf) {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(folder) = path.parent() {
        let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
    let _ = editor.append_history(path);
}

fn usual_history() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(state.or_else(home)?.join("chappe/history"))
}

/// Prints above the prompt.
struct Above<P>(P, bool);

impl<P: ExternalPrinter + Send> Printer for Above<P> {
    fn line(&mut self, text: String) -> Result<(), Failure> {
        self.0.print(text + "\n").map_err(broken)
    }

    fn is_json(&self) -> bool {
        self.1
    }
}

/// Prints on the standard output.
struct Plain(Out);

impl Printer for Plain {
    fn line(&mut self, text: String) -> Result<(), Failure> {
        self.0.line(text)?;
        self.0.flush()
    }

    fn is_json(&self) -> bool {
        self.0.json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        for line in ["REGISTER service=a;version=1;Password=x", "./STOP secret_code=x", "/connect cds://a:b@h"] {
            assert!(has_secret(line), "{line}");
        }
        for line in ["bar/REFRESH a=1", "/connect cds://h", "/help"] {
            assert!(!has_secret(line), "{line}");
        }
    }
}
