//! `chappe shell`: messages typed by hand, and what comes.
//!
//! Owns: the prompt, its history, and what is done in which order. Three threads: this one reads what
//! is typed, one speaks to the bus, and at a terminal one prints. From the first to the second goes a queue of
//! [`WAITING`] lines; a pasted text of more waits. From the second to the third goes one of [`UNSHOWN`]
//! lines: what is more is not shown, and counted, because who prints may have to wait for who reads.
//!
//! | file | owns |
//! |---|---|
//! | `talk.rs` | the thread that speaks to the bus: what lines mean, what comes |
//! | `complete.rs` | what the tabulator offers |

mod complete;
mod talk;

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
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

/// Lines that wait to be printed above the prompt.
const UNSHOWN: usize = 4096;

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
        let (to_printer, lines) = sync_channel(UNSHOWN);
        let printing = std::thread::spawn(move || print_all(printer, &lines));
        let talk = Talk::new(global, known, Box::new(Above { to_printer, is_json: global.json, unshown: 0 }))?;
        // the editor is gone when this is back, so that nothing waits for it any more
        let result = with_talk(args, talk, move |lines| typed(editor, lines, history));
        let printed = printing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.and(printed)
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
fn typed(mut editor: Editor<Completion, FileHistory>, lines: &Lines, history: Option<PathBuf>) -> Result<(), Failure> {
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
            keep(&mut editor, path);
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

/// Hands lines to who prints above the prompt.
struct Above {
    to_printer: SyncSender<String>,
    is_json: bool,
    unshown: u64,
}

impl Printer for Above {
    fn line(&mut self, text: String) -> Result<(), Failure> {
        if self.unshown > 0 {
            let remark = format!("{} lines were not shown: they came too fast", self.unshown);
            match self.to_printer.try_send(remark) {
                Ok(()) => self.unshown = 0,
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => return Err(Failure::OutputClosed),
            }
        }
        match self.to_printer.try_send(text) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.unshown += 1;
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Failure::OutputClosed),
        }
    }

    fn is_json(&self) -> bool {
        self.is_json
    }
}

/// Prints above the prompt, and when there is none any more, below it.
fn print_all(mut printer: impl ExternalPrinter, lines: &Receiver<String>) -> Result<(), Failure> {
    let mut last = String::new();
    for line in lines {
        if printer.print(format!("{line}\n")).is_err() {
            // the editor went away while this waited for it to take the last one
            let mut out = std::io::stdout().lock();
            let both = [std::mem::take(&mut last), line.clone()];
            let shown = both.iter().filter(|line| !line.is_empty()).try_for_each(|line| writeln!(out, "{line}"));
            shown.map_err(|e| Failure::io("cannot write the output", &e))?;
        }
        last = line;
    }
    Ok(())
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
