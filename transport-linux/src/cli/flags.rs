//! `chappe flag raise`, `lower`, `list`.

use chappe_linux::client::Flag;
use clap::{Args, Subcommand};

use super::connect::Global;
use super::exit::Failure;
use super::ls;
use super::show::plain;
use super::values::done;

/// `chappe flag`.
#[derive(Debug, Subcommand)]
pub(crate) enum FlagCommand {
    /// Raise one, or raise it anew with another description
    Raise(Raise),
    /// Lower one
    Lower(Lower),
    /// What is raised
    List {
        /// Only flags whose unit/section/name begins with this
        prefix: Option<String>,
    },
}

/// `chappe flag raise`.
#[derive(Debug, Args)]
pub(crate) struct Raise {
    /// Each part: 1 to 32 letters, digits, `_`, `-`
    #[arg(value_name = "UNIT/SECTION/NAME")]
    flag: String,
    /// For people: what is wrong and what to do
    #[arg(default_value = "")]
    description: String,
    /// 0 to 100
    #[arg(long, short, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    priority: u32,
    /// Separated by commas
    #[arg(long, default_value = "")]
    tags: String,
    /// Only a person may lower it
    #[arg(long)]
    manual_down: bool,
}

/// `chappe flag lower`.
#[derive(Debug, Args)]
pub(crate) struct Lower {
    #[arg(value_name = "UNIT/SECTION/NAME")]
    flag: String,
    /// Lower it although only a person may: a person does
    #[arg(long)]
    by_hand: bool,
}

pub(crate) fn run(command: &FlagCommand, global: &Global) -> Result<(), Failure> {
    let (name, flag) = match command {
        FlagCommand::List { prefix } => {
            let mut bus = global.connection()?;
            let mut out = global.out();
            ls::flags(&mut bus, &mut out, prefix.as_deref().unwrap_or_default())?;
            return done(bus, &mut out);
        }
        FlagCommand::Raise(r) => (
            &r.flag,
            Flag {
                raise: true,
                description: &r.description,
                priority: r.priority,
                tags: &r.tags,
                manual_down: r.manual_down,
                ..Flag::default()
            },
        ),
        FlagCommand::Lower(l) => (&l.flag, Flag { by_hand: l.by_hand, ..Flag::default() }),
    };
    let (unit, section, last) = parts(name)?;
    let mut bus = global.connection()?;
    bus.flag(&Flag { unit, section, name: last, ..flag }).map_err(|e| Failure::about(plain(name, false), e))?;
    done(bus, &mut global.out())
}

fn parts(flag: &str) -> Result<(&str, &str, &str), Failure> {
    let parts: Vec<_> = flag.split('/').collect();
    match parts[..] {
        [unit, section, name] if parts.iter().all(|p| chappe_core::name::is_flag_part(p)) => Ok((unit, section, name)),
        _ => Err(Failure::usage(format_args!(
            "{flag:?} is no flag: write UNIT/SECTION/NAME, each 1 to 32 letters, digits, `_` or `-`"
        ))),
    }
}
