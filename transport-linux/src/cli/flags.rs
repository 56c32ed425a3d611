//! `chappe flag raise`, `lower`, `list`, `count`, `raised`: on the bus, or with `--dir` in files.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use chappe_linux::client::{Flag, What};
use chappe_linux::flags::{self, FlagFile, FlagName, Folder, ReadError};
use clap::{Args, Subcommand};

use super::connect::Global;
use super::exit::{Failure, Status};
use super::flag_list;
use super::show::plain;
use super::values::done;

/// `chappe flag`.
#[derive(Debug, Args)]
pub(crate) struct FlagArgs {
    /// Do it in the files of this folder, without a daemon. One that keeps its flags there sees it a second
    /// or two later
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) dir: Option<PathBuf>,
    #[command(subcommand)]
    command: FlagCommand,
}

#[derive(Debug, Subcommand)]
enum FlagCommand {
    /// Raise one, or raise it anew with another description
    Raise(Raise),
    /// Lower one
    Lower(Lower),
    /// What is raised
    List {
        /// Only flags whose unit/section/name begins with this
        prefix: Option<String>,
    },
    /// Print how many are raised. Exit status: 0 if there are none, 1 if there are
    Count,
    /// Whether any is raised, without a word. Exit status: 0 if there are none, 1 if there are
    Raised,
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
    /// Separated by commas or blanks; may be said several times
    #[arg(long, value_name = "LIST")]
    tags: Vec<String>,
    /// Only a person may lower it
    #[arg(long, short, visible_alias = "manual-down", conflicts_with = "automatic")]
    manual: bool,
    /// Programs may lower it, as they may if nothing is said
    #[arg(long, short)]
    automatic: bool,
    /// Where in which program: the source file, at most 128 bytes
    #[arg(long, short, value_name = "FILE", default_value = "")]
    source_file: String,
    /// The function, at most 64 bytes
    #[arg(long, short, value_name = "NAME", default_value = "")]
    function: String,
    /// The line
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    line: Option<u32>,
    /// With --dir: the system user that the file is given to, if the system allows that; not said: that of
    /// the folder
    #[arg(long, value_name = "USER", requires = "dir")]
    owner: Option<String>,
    /// With --dir: the same for the group
    #[arg(long, value_name = "GROUP", requires = "dir")]
    group: Option<String>,
}

/// `chappe flag lower`.
#[derive(Debug, Args)]
pub(crate) struct Lower {
    #[arg(value_name = "UNIT/SECTION/NAME")]
    flag: String,
    /// Lower it although only a person may: a person does
    #[arg(long)]
    by_hand: bool,
    /// It is no error if it is not raised
    #[arg(long)]
    if_raised: bool,
}

pub(crate) fn run(args: &FlagArgs, global: &Global) -> Result<(), Failure> {
    match (&args.command, &args.dir) {
        (FlagCommand::Raise(raise), None) => raise_on_bus(raise, global),
        (FlagCommand::Raise(raise), Some(dir)) => raise_in_files(raise, dir),
        (FlagCommand::Lower(lower), None) => lower_on_bus(lower, global),
        (FlagCommand::Lower(lower), Some(dir)) => lower_in_files(lower, dir),
        (FlagCommand::List { prefix }, None) => {
            let (mut bus, mut out) = (global.connection()?, global.out());
            flag_list::on_bus(&mut bus, &mut out, prefix.as_deref().unwrap_or_default())?;
            done(bus, &mut out)
        }
        (FlagCommand::List { prefix }, Some(dir)) => {
            let mut out = global.out();
            flag_list::in_files(all(dir)?, &mut out, prefix.as_deref().unwrap_or_default())?;
            out.flush()
        }
        (FlagCommand::Count, _) => {
            let count = count(args, global)?;
            let mut out = global.out();
            if out.json {
                out.json(&serde_json::json!({ "count": count }))?;
            } else {
                out.line(count.to_string())?;
            }
            out.flush()?;
            told_by_status(count)
        }
        (FlagCommand::Raised, _) => told_by_status(count(args, global)?),
    }
}

fn count(args: &FlagArgs, global: &Global) -> Result<usize, Failure> {
    if let Some(dir) = &args.dir {
        return Ok(all(dir)?.len());
    }
    let mut bus = global.connection()?;
    let count = bus.list(What::Flags, "")?.len();
    done(bus, &mut global.out())?;
    Ok(count)
}

fn told_by_status(count: usize) -> Result<(), Failure> {
    if count == 0 { Ok(()) } else { Err(Failure::Silent(Status::Answered)) }
}

fn raise_on_bus(r: &Raise, global: &Global) -> Result<(), Failure> {
    let name = on_bus(&r.flag)?;
    let tags = flags::tags_of(&r.tags.join(",")).join(",");
    change(
        &r.flag,
        &Flag {
            raise: true,
            unit: name.unit(),
            section: name.section(),
            name: name.name(),
            description: &r.description,
            priority: r.priority,
            tags: &tags,
            manual_down: r.manual,
            source_file: &r.source_file,
            function: &r.function,
            line: r.line.unwrap_or(0),
            ..Flag::default()
        },
        false,
        global,
    )
}

fn lower_on_bus(l: &Lower, global: &Global) -> Result<(), Failure> {
    let name = on_bus(&l.flag)?;
    let [unit, section, name] = [name.unit(), name.section(), name.name()];
    change(&l.flag, &Flag { unit, section, name, by_hand: l.by_hand, ..Flag::default() }, l.if_raised, global)
}

fn change(name: &str, flag: &Flag<'_>, may_miss: bool, global: &Global) -> Result<(), Failure> {
    use chappe_linux::client::{Code, Error};
    let mut bus = global.connection()?;
    match bus.flag(flag) {
        Ok(()) => {}
        Err(Error::Answered(outcome)) if may_miss && outcome.code == Code::NotFound => {}
        Err(e) => return Err(Failure::about(plain(name, false), e)),
    }
    done(bus, &mut global.out())
}

fn raise_in_files(r: &Raise, dir: &Path) -> Result<(), Failure> {
    let name = parse(&r.flag)?;
    let folder = Folder::new(dir)
        .given_to_names(r.owner.as_deref(), r.group.as_deref())
        .map_err(Failure::usage)?
        .given_as_itself()
        .map_err(|e| no_folder(dir, &e))?;
    let place = dir.join(name.file_name());
    let before = match folder.read(&name.file_name()) {
        Ok((flag, _)) => Some(flag),
        Err(ReadError::Gone) => None,
        Err(ReadError::Io(e)) => return Err(Failure::io(place.display(), &e)),
        Err(ReadError::Fault(why)) => {
            eprintln!("chappe: {} is written anew (the old one stays as *.bak): {why}", place.display());
            None
        }
    };
    let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let flag = FlagFile {
        priority: r.priority as u8,
        manual_down: r.manual,
        tags: flags::tags_of(&r.tags.join(",")),
        source_file: r.source_file.clone(),
        function: r.function.clone(),
        line: r.line.unwrap_or(0),
        date: before.as_ref().and_then(|before| before.date).or(Some(now)),
        modified: Some(now),
        count: before.map_or(1, |before| before.count.saturating_add(1)),
        hostname: flags::host_name(),
        version: flags::VERSION.to_owned(),
        ..FlagFile::new(name, &r.description)
    };
    let wrote = folder.write(&flag, now).and_then(|wrote| folder.sync().map(|()| wrote));
    let wrote = wrote.map_err(|e| Failure::io(format_args!("{} cannot be written", place.display()), &e))?;
    if !wrote.is_given && (r.owner.is_some() || r.group.is_some()) {
        let text = format!("{}: it is raised, but the system does not let you give its file away", r.flag);
        return Err(Failure::Because(Status::Io, text));
    }
    Ok(())
}

fn lower_in_files(l: &Lower, dir: &Path) -> Result<(), Failure> {
    let name = parse(&l.flag)?;
    let folder = Folder::new(dir);
    let place = dir.join(name.file_name());
    match folder.read(&name.file_name()) {
        Ok((flag, _)) if flag.manual_down && !l.by_hand => {
            let text = format!("{name}: that flag is lowered by a person only: if you are one, say --by-hand");
            return Err(Failure::Because(Status::Refused, text));
        }
        // One that cannot be read may be lowered all the same.
        Ok(_) | Err(ReadError::Fault(_)) => {}
        Err(ReadError::Gone) if !dir.is_dir() => {
            return Err(no_folder(dir, &std::io::Error::from(std::io::ErrorKind::NotFound)));
        }
        Err(ReadError::Gone) if l.if_raised => return Ok(()),
        Err(ReadError::Gone) => {
            return Err(Failure::Because(Status::Answered, format!("{name}: that flag is not raised")));
        }
        Err(ReadError::Io(e)) => return Err(Failure::io(place.display(), &e)),
    }
    folder
        .remove(&name)
        .and_then(|_| folder.sync())
        .map_err(|e| Failure::io(format_args!("{} cannot be removed", place.display()), &e))
}

/// Most files that are looked at.
const MOST: usize = 65_536;

/// All flags in a folder. Files that are none are named.
fn all(dir: &Path) -> Result<Vec<FlagFile>, Failure> {
    let (flags, bad, more) = Folder::new(dir).list(MOST).map_err(|e| no_folder(dir, &e))?;
    for (file, why) in bad {
        eprintln!("chappe: {} is passed over: {why}", plain(&dir.join(file).to_string_lossy(), false));
    }
    if more {
        eprintln!("chappe: there are more files than {MOST}, which is as many as are looked at");
    }
    Ok(flags)
}

fn no_folder(dir: &Path, e: &std::io::Error) -> Failure {
    Failure::io(format_args!("the folder of flags {} cannot be used", dir.display()), e)
}

fn parse(flag: &str) -> Result<FlagName, Failure> {
    // in files the Communicator's own may have longer parts
    FlagName::parse(flag).ok_or_else(|| Failure::usage(format_args!("{flag:?} is no flag: {}", flags::RULE)))
}

fn on_bus(flag: &str) -> Result<FlagName, Failure> {
    let name = FlagName::parse(flag).filter(FlagName::is_on_bus);
    name.ok_or_else(|| Failure::usage(format_args!("{flag:?} is no flag: {}", flags::RULE)))
}
