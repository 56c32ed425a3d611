//! The command line `chappe`: a person's way to the bus.
//!
//! Owns: what can be typed, what is printed, and exit statuses. Does not own what anything
//! means: that is `chappe_linux::client` and `chappe_linux::daemon`.
//!
//! | file | commands |
//! |---|---|
//! | `letter.rs` | send, call |
//! | `listen.rs` | listen, watch |
//! | `values.rs` | get, set, incr, decr, del, keys, flush, declare |
//! | `store.rs` | store: a file of values |
//! | `import.rs` | import-clacks, import-clacks-config, import-communicator-config |
//! | `ls.rs` | ls, status |
//! | `flags.rs`, `flag_list.rs` | flag |
//! | `bench/` | bench |
//! | `discover.rs` | discover |
//! | `hash_password.rs` | hash-password |
//! | `msgq/` | send, call, listen, watch and ls, on a bus of BIND 10 |
//! | `sniff/` | sniff, replay |
//! | `shell/` | shell |
//! | `communicator/` | send, call, listen, ls and status, at a Communicator daemon |
//! | `clacks/` | monitor; send, listen, values, ls and flush, on a Clacks server |
//! | `connect.rs`, `exit.rs`, `show.rs` | options of all, exit statuses, output |

mod bench;
mod clacks;
mod communicator;
mod connect;
mod discover;
mod exit;
mod flag_list;
mod flags;
mod hash_password;
mod import;
mod letter;
mod listen;
mod ls;
mod msgq;
mod shell;
mod show;
mod sniff;
mod store;
mod values;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chappe_linux::daemon::{self, CheckArgs, ServeArgs};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use connect::{Foreign, Global};
use exit::Failure;

/// One message bus from a microcontroller to a cluster.
#[derive(Debug, Parser)]
#[command(
    name = "chappe",
    version,
    about = "Chappe: one message bus from a microcontroller to a cluster",
    after_help = exit::HELP,
    after_long_help = exit::HELP,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon; without any configuration it runs and says where it listens
    Serve(ServeArgs),
    /// Send a message to a name, a station or everyone
    Send(letter::Send),
    /// Ask, and print the answer
    Call(letter::Call),
    /// Print what is sent to names, one line each
    Listen(listen::Listen),
    /// Print a shared value
    Get(values::Get),
    /// Set a shared value
    Set(values::Set),
    /// Add to a shared number and print it
    Incr(values::Add),
    /// Subtract from a shared number and print it
    Decr(values::Add),
    /// Remove shared values
    Del(values::Del),
    /// List shared values
    Keys(values::Keys),
    /// Wait until all values that were changed before are on the node's disk; on a Clacks server: until
    /// it has answered
    Flush,
    /// List stations, names, members, flags, values or counters
    Ls(ls::Ls),
    /// Raise, lower, count and list flags, on the bus or in files
    Flag(flags::FlagArgs),
    /// About the node: what it is, how full, and what it has counted
    Status(ls::StatusArgs),
    /// Declare names, so that mail may wait for them
    Declare(values::Declare),
    /// Print who comes and goes, and which flags change
    Watch(listen::WatchArgs),
    /// Print every message that passes the node, decoded, whatever the dialect
    ///
    /// One line each, of whoever speaks whatever dialect. It takes the rights to read and to manage,
    /// not only for certain names. Secrets are never shown. What is not read in time is not shown,
    /// and how much that was is: nobody else ever waits for it.
    Sniff(sniff::Sniff),
    /// Send again what `chappe sniff --to FILE` has recorded
    ///
    /// Letters, changes of values, and flags. Everything else (questions and answers, joins, reads,
    /// letters to one station, what was cut or had a secret in it) cannot be said again: it is left
    /// out, and counted. The file is checked to its end before anything is sent.
    Replay(sniff::Replay),
    /// Print what every connection of a Clacks server says, one line each
    Monitor(clacks::Monitor),
    /// Search the local network for nodes and list them; takes as long as --timeout says
    Discover(discover::Discover),
    /// Load a running daemon as its users would, and measure
    Bench(bench::Bench),
    /// Read a password and print its hash, for `password_hash` in the configuration
    HashPassword(hash_password::HashPassword),
    /// Check, export, import or repair a file of values, while no daemon has it open
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Take over the values of Net::Clacks from its persistence file
    ///
    /// All of them or, if the file is damaged, none. Of two changes of a value the newer counts,
    /// so that doing it twice does no harm. Files of all versions from 6 on are read.
    ImportClacks(import::ImportClacks),
    /// Print a configuration that does what one of Net::Clacks did
    ///
    /// Passwords become hashes. What has no counterpart is named in comments, with the reason.
    /// Run it in the environment of the original: names of variables that begin with PC_ stand
    /// for their values.
    ImportClacksConfig(import::ImportClacksConfig),
    /// Type messages to a Communicator daemon, and see what comes
    ///
    /// Lines are messages, `SERVICE/COMMAND key=value;key=value`, and `/help` tells what else there is. If the standard input is no terminal, its lines are taken without a prompt.
    Shell(shell::Shell),
    /// Print a configuration that does what one of the Snap! Communicator did
    ///
    /// What has no counterpart is named in comments, with the reason. Secrets are not printed.
    ImportCommunicatorConfig(import::ImportCommunicatorConfig),
    /// Check a configuration without starting anything
    CheckConfig(CheckArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of chappe or of one of its commands
    Man {
        /// Of which command
        command: Option<String>,
        /// Write the pages of all commands into this folder instead
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let matches = command(true).try_get_matches().unwrap_or_else(|error| complain(error));
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    cli.global.token_is_typed = is_typed(&matches, "token");
    if cli.command.speaks_to_a_bus()
        && let Err(failure) = cli.global.search()
    {
        return end(Err(failure));
    }
    let global = &cli.global;
    let result = match (&cli.command, global.foreign()) {
        // These two have reasons and statuses of their own.
        (Command::Serve(args), _) => return daemon::serve(args.clone()),
        (Command::CheckConfig(args), _) => return daemon::check_config(args.clone()),
        (Command::HashPassword(args), _) => hash_password::run(args),
        (Command::Discover(args), _) => discover::run(args, global),
        (Command::Completions { shell }, _) => completions(*shell),
        (Command::Man { command, dir }, _) => man(command.as_deref(), dir.as_deref()),
        (Command::Store(command), _) => store::run(command, global),
        (Command::ImportClacks(args), _) => import::values(args, global),
        (Command::ImportClacksConfig(args), _) => import::config(args, global),
        (Command::ImportCommunicatorConfig(args), _) => import::communicator(args, global),
        (Command::Flag(args), _) if args.dir.is_some() => flags::run(args, global),
        (Command::Shell(args), _) => shell::run(args, global),
        (Command::Send(args), Some(Foreign::Clacks(_) | Foreign::Msgq(_))) if args.communicator.none().is_err() => {
            args.communicator.none()
        }
        (Command::Listen(args), Some(Foreign::Clacks(_) | Foreign::Msgq(_))) if args.no_commands().is_err() => {
            args.no_commands()
        }
        (command, Some(Foreign::Communicator(uri))) => communicator::run(command, &uri, global),
        // a datagram or line to this machine's daemon, as `ed-signal` sends it
        (Command::Send(args), None) if args.communicator.kind.is_some() && !global.is_told() => {
            communicator::run(&cli.command, &communicator::usual(args), global)
        }
        (command, Some(Foreign::Clacks(address))) => clacks::run(command, &address, global),
        _ if global.encoded => Err(Failure::usage("--encoded is only for a Clacks server (clacks:///PATH)")),
        (command, Some(Foreign::Msgq(path))) => msgq::run(command, &path, global),
        (Command::Send(args), None) => letter::send(args, global),
        (Command::Call(args), None) => letter::call(args, global),
        (Command::Listen(args), None) => listen::listen(args, global),
        (Command::Get(args), None) => values::get(args, global),
        (Command::Set(args), None) => values::set(args, global),
        (Command::Incr(args), None) => values::add(args, 1, global),
        (Command::Decr(args), None) => values::add(args, -1, global),
        (Command::Del(args), None) => values::del(args, global),
        (Command::Keys(args), None) => values::keys(args, global),
        (Command::Flush, None) => values::flush(global),
        (Command::Ls(args), None) => ls::ls(args, global),
        (Command::Flag(args), None) => flags::run(args, global),
        (Command::Status(args), None) => ls::status(args, global),
        (Command::Declare(args), None) => values::declare(args, global),
        (Command::Watch(args), None) => listen::watch(args, global),
        (Command::Sniff(args), None) => sniff::sniff(args, global),
        (Command::Replay(args), None) => sniff::replay(args, global),
        (Command::Bench(args), None) => bench::run(args, global),
        (Command::Monitor(_), None) => clacks::only_here(global),
    };
    end(result)
}

impl Command {
    /// Whether it needs a node, or some other bus.
    fn speaks_to_a_bus(&self) -> bool {
        !matches!(
            self,
            Command::Serve(_)
                | Command::CheckConfig(_)
                | Command::HashPassword(_)
                | Command::Discover(_)
                | Command::Completions { .. }
                | Command::Man { .. }
                | Command::Store(_)
                | Command::ImportClacks(_)
                | Command::ImportClacksConfig(_)
        )
    }
}

/// Says what went wrong, and with which status this ends.
fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Silent(status)) => ExitCode::from(status as u8),
        Err(Failure::Because(status, text)) => {
            eprintln!("chappe: {text}");
            ExitCode::from(status as u8)
        }
    }
}

/// All that can be typed. Of the options for all commands, those that speak to no node show none, or
/// only those about output. Without the environment: for usage lines, where clap shows as required what
/// it has found there.
fn command(with_environment: bool) -> clap::Command {
    const OUTPUT: [&str; 2] = ["json", "quiet"];
    fn hide(command: clap::Command, but: &'static [&'static str]) -> clap::Command {
        command
            .mut_args(|arg| {
                let is_global = arg.is_global_set() && !but.contains(&arg.get_id().as_str());
                if is_global { arg.hide(true) } else { arg }
            })
            .mut_subcommands(|below| hide(below, but))
    }
    let mut command = Cli::command();
    if !with_environment {
        command = command.mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    }
    // only now the commands have the options of all
    command.build();
    command.mut_subcommands(|sub| match sub.get_name() {
        "serve" | "check-config" | "hash-password" | "completions" | "man" => hide(sub, &[]),
        "store" | "import-clacks" | "import-clacks-config" | "import-communicator-config" => hide(sub, &OUTPUT),
        _ => sub,
    })
}

/// Says what is wrong with the command line, or shows the help, and ends.
fn complain(error: clap::Error) -> ! {
    let first = |error: &clap::Error| error.to_string().lines().next().map(str::to_owned);
    let again = command(false).try_get_matches().err();
    again.filter(|again| error.use_stderr() && first(again) == first(&error)).unwrap_or(error).exit()
}

/// Whether an option stands on the command line, wherever that is.
fn is_typed(matches: &ArgMatches, option: &str) -> bool {
    matches.value_source(option) == Some(ValueSource::CommandLine)
        || matches.subcommand().is_some_and(|(_, below)| is_typed(below, option))
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|e| Failure::io("cannot write the output", &e))
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(true), "chappe", &mut text);
    print(&text)
}

fn man(of: Option<&str>, dir: Option<&Path>) -> Result<(), Failure> {
    let command = command(true);
    if let Some(dir) = dir {
        return std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|e| Failure::io(format_args!("cannot write manual pages into {}", dir.display()), &e));
    }
    let page = match of {
        None => command,
        Some(of) => match command.find_subcommand(of) {
            Some(sub) => sub.clone(),
            None => return Err(Failure::usage(format_args!("{of:?} is no command: see `chappe --help`"))),
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(|e| Failure::io("cannot make the manual page", &e))?;
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        command(true).debug_assert();
        command(false).debug_assert();
    }
}
