//! `chappe import-clacks` and `chappe import-clacks-config`: moving from Net::Clacks;
//! `chappe import-communicator-config`: moving from the Snap! Communicator.
//!
//! Owns: what can be typed, and what a person is told. Does not own what the files say: that is
//! `chappe_linux::import`.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use chappe_core::dialect::clacks::BESIDE_VALUE;
use chappe_core::router::store::Stamp;
use chappe_linux::config::{Config, DEFAULT_FILE};
use chappe_linux::import::{self, Around, CommunicatorPlan, Error, Outcome, Places, Plan, STORE_FILE, Target};
use chappe_linux::password::Cost;
use clap::Args;
use serde_json::json;

use super::connect::Global;
use super::exit::{Failure, Status};
use super::show::plain;

/// `chappe import-clacks`.
#[derive(Debug, Args)]
pub(crate) struct ImportClacks {
    /// The file (`persistancefile` in the original's configuration), while nobody writes to it
    file: PathBuf,
    /// The file of values to put them into, which no daemon has open; it is made if it is not
    /// there. Without it: `store.path` of the configuration
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The daemon's configuration, instead of /etc/chappe/chappe.toml
    #[arg(long, short, value_name = "FILE", env = "CHAPPE_CONFIG")]
    config: Option<PathBuf>,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// `chappe import-clacks-config`.
#[derive(Debug, Args)]
pub(crate) struct ImportClacksConfig {
    /// The original's configuration, in XML
    file: PathBuf,
    /// Write chappe.toml into this folder, and the password that links with other servers need, in
    /// a file that nobody else can read. Without it: print the configuration
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Where the daemon shall keep values on disk
    #[arg(long, value_name = "FILE", default_value = STORE_FILE)]
    store: PathBuf,
    /// Where the original is started: what relative paths in FILE mean. Without it: here
    #[arg(long, value_name = "FOLDER")]
    started_in: Option<PathBuf>,
    /// The name of the host, for what is said below `hosts`. Without it: that of this one
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

/// `chappe import-communicator-config`.
#[derive(Debug, Args)]
pub(crate) struct ImportCommunicatorConfig {
    /// The original's main configuration; files in `communicator.d` beside it count, too
    #[arg(default_value = import::COMMUNICATOR_FILE)]
    file: PathBuf,
}

pub(crate) fn communicator(args: &ImportCommunicatorConfig, global: &Global) -> Result<(), Failure> {
    let mut plan = CommunicatorPlan::read(&args.file).map_err(|(file, e)| {
        Failure::io(format_args!("cannot read {}", plain(&file.display().to_string(), false)), &e)
    })?;
    plan.warnings
        .extend(plan.trouble().map(|why| format!("a daemon will not start with this before it is changed: {why}")));
    let mut out = global.out();
    if out.json {
        out.json(&json!({"config": plan.print(), "warnings": plan.warnings}))?;
    } else {
        out.bytes(plan.print().as_bytes())?;
    }
    out.flush()?;
    for warning in &plan.warnings {
        eprintln!("chappe: {}", plain(warning, false));
    }
    if plan.needs_secret_file() {
        eprintln!("chappe: the secret of datagrams is not printed: put it into {}", import::SIGNAL_SECRET_FILE);
    }
    Ok(())
}

pub(crate) fn config(args: &ImportClacksConfig, global: &Global) -> Result<(), Failure> {
    let absolute = |path: &PathBuf| {
        std::path::absolute(path).map_err(|e| Failure::io(format_args!("no folder {}", path.display()), &e))
    };
    let host = || Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim_end().to_owned());
    let around = Around {
        // what is no text is in no text
        variables: std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect(),
        host: args.host.clone().map_or_else(host, Ok).map_err(|e| Failure::io("cannot read this host's name", &e))?,
        folder: absolute(args.started_in.as_ref().unwrap_or(&PathBuf::from(".")))?,
        cost: Cost::default(),
    };
    let places = Places {
        from: args.file.clone(),
        folder: args.out.as_ref().map_or_else(usual_folder, absolute)?,
        store: absolute(&args.store)?,
    };
    let plan =
        Plan::read(&args.file, &around).map_err(|e| Failure::Because(Status::Io, plain(&e.to_string(), false)))?;
    let saved = match &args.out {
        None => None,
        Some(_) => Some(plan.save(&places).map_err(|(file, e)| {
            let file = file.display();
            Failure::io(format_args!("cannot write {file}, so nothing was (what is there is never replaced)"), &e)
        })?),
    };
    let mut out = global.out();
    match (&saved, out.json) {
        (Some(files), true) => {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            out.json(&json!({"files": files, "warnings": plan.warnings}))?;
        }
        (None, true) => out.json(&json!({"config": plan.print(&places), "warnings": plan.warnings}))?,
        (Some(files), false) => {
            for file in files {
                out.line(plain(&file.display().to_string(), false))?;
            }
        }
        (None, false) => out.bytes(plan.print(&places).as_bytes())?,
    }
    out.flush()?;
    for warning in &plan.warnings {
        eprintln!("chappe: {}: {}", plain(&args.file.display().to_string(), false), plain(warning, false));
    }
    if saved.is_none() && plan.needs_password_file() {
        eprintln!(
            "chappe: links with other servers need the main user's password, which is not printed: --out writes it, too"
        );
    }
    Ok(())
}

/// Where a configuration goes that is only printed.
fn usual_folder() -> Result<PathBuf, Failure> {
    Ok(Path::new(DEFAULT_FILE).parent().unwrap_or(Path::new("/")).to_owned())
}

pub(crate) fn values(args: &ImportClacks, global: &Global) -> Result<(), Failure> {
    let config = match (&args.config, &args.store) {
        (Some(file), _) => Some(read_config(file.clone())?),
        (None, Some(_)) => None,
        (None, None) => Some(read_config(DEFAULT_FILE.into())?),
    };
    let file = match (&args.store, &config) {
        (Some(file), _) => file.clone(),
        (None, Some((name, config))) => match &config.store.path {
            Some(path) => path.as_path().to_owned(),
            None => {
                let name = name.display();
                return Err(Failure::usage(format_args!(
                    "{name} says nothing of where values are kept on disk: set store.path there, or say --store FILE"
                )));
            }
        },
        (None, None) => return Err(Failure::usage("say --store FILE or --config FILE")),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
    let target = Target { file: &file, rehearsal: args.dry_run };
    let outcome = import::values(&args.file, target, Stamp::from_micros(now)).map_err(failure)?;
    let needs = needs(&outcome, config.as_ref().map(|(_, config)| config));
    let mut out = global.out();
    if out.json {
        let skipped: Vec<_> = outcome
            .skipped
            .iter()
            .map(|s| json!({"reason": s.reason.to_string(), "entries": s.entries, "keys": s.keys}))
            .collect();
        out.json(&json!({
            "form": outcome.form.to_string(), "values": outcome.values, "removed": outcome.marks,
            "taken": outcome.taken, "not_newer": outcome.values + outcome.marks - outcome.taken,
            "without_time": outcome.timeless, "skipped": skipped, "needs": needs, "dry_run": args.dry_run,
            "file": file.display().to_string(),
        }))?;
        return out.flush();
    }
    let mut told = Vec::new();
    if !out.quiet {
        told = report(&outcome, args, &file.display().to_string());
    }
    told.extend(needs.iter().map(|need| format!("before the daemon starts: {need}")));
    for line in told {
        out.line(plain(&line, false))?;
    }
    out.flush()
}

/// What was done, for a person.
fn report(o: &Outcome, args: &ImportClacks, to: &str) -> Vec<String> {
    let would = if args.dry_run { "would be" } else { "were" };
    let mut lines = vec![
        format!("{}: {} values, {} deletion marks ({})", args.file.display(), o.values, o.marks, o.form),
        format!("{to}: {} {would} taken; {} are not newer than what is there", o.taken, o.values + o.marks - o.taken),
    ];
    if o.form == import::Form::BareLines {
        lines.push(
            "files of these versions do not say whether they are whole: look whether the numbers can be right".into(),
        );
    }
    if o.timeless > 0 {
        lines.push(format!("{} values have no time of modification: any other change counts as newer", o.timeless));
    }
    for skipped in &o.skipped {
        let more = if skipped.entries > skipped.keys.len() as u64 { ", …" } else { "" };
        lines.push(format!("skipped {}: {}: {}{more}", skipped.entries, skipped.reason, skipped.keys.join(", ")));
    }
    lines
}

/// What the configuration must allow for so many and such long values. `None`: it is not known.
fn needs(o: &Outcome, config: Option<&Config>) -> Vec<String> {
    let usual = Config::default();
    let (config, whose) = config.map_or((&usual, "unless said"), |config| (config, "now"));
    let (limits, clacks) = (&config.limits, &config.clacks);
    let mut needs = Vec::new();
    let mut need = |key, is, needed| {
        if needed > is {
            needs.push(format!("{key} must be {needed} at least; it is {is} {whose}"));
        }
    };
    if o.longest > limits.max_value.into() {
        // it can only be theirs
        need("clacks.max_value", clacks.max_value.into(), o.longest);
        need("clacks.max_line", clacks.max_line.into(), o.longest + BESIDE_VALUE as u64);
    }
    need("limits.value_rows", limits.value_rows.into(), o.values);
    need("limits.values", limits.values, o.memory);
    needs
}

fn read_config(file: PathBuf) -> Result<(PathBuf, Config), Failure> {
    let config = Config::read(&file, |_| {})
        .map_err(|e| Failure::usage(format_args!("{e}\n  or say --store FILE, the file of values itself")))?;
    Ok((file, config))
}

fn failure(error: Error) -> Failure {
    Failure::Because(Status::Io, plain(&error.to_string(), false))
}
