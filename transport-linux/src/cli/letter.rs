//! `chappe send` and `chappe call`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chappe_linux::client::{Code, Encoding, Letter, Params};
use clap::Args;
use serde_json::json;

use super::connect::Global;
use super::exit::{Failure, status_of};
use super::show::{body_json, code_name, object, params, params_json, parse_span, plain, text_or_null};

/// Where a letter goes and what it says.
#[derive(Debug, Args)]
pub(crate) struct What {
    /// To whom, and what: NAME, or NAME/VERB (split at the last slash; `a/b/` is the name `a/b`).
    /// Without a verb it is SET if there is a body, else NOTIFY
    #[arg(value_name = "NAME[/VERB]")]
    to: Option<String>,
    /// Parameters
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// The verb; the whole of NAME is then the name
    #[arg(long)]
    verb: Option<String>,
    /// The body, as text
    #[arg(long, short, group = "content", value_name = "TEXT", allow_hyphen_values = true)]
    body: Option<String>,
    /// The body, from a file; `-` is the standard input
    #[arg(long, group = "content", value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The body, as JSON (checked)
    #[arg(long, group = "content", value_name = "JSON", allow_hyphen_values = true)]
    json_body: Option<String>,
    /// Only members that joined as this instance
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<String>,
    /// To one station, by its address (as `chappe ls` shows it, with or without `@`)
    #[arg(long, value_name = "ADDRESS", value_parser = parse_station)]
    station: Option<u64>,
}

/// `chappe send`.
#[derive(Debug, Args)]
pub(crate) struct Send {
    #[command(flatten)]
    what: What,
    /// To all stations
    #[arg(long, conflicts_with = "station")]
    everyone: bool,
    /// If nobody is there, keep it for whoever joins the name (which must be declared)
    #[arg(long)]
    keep: bool,
    /// How long to keep it; default: the node's
    #[arg(long, value_name = "TIME", value_parser = parse_span, requires = "keep")]
    ttl: Option<Duration>,
    /// Do not wait for the node's word on how many got it
    #[arg(long)]
    blindly: bool,
}

/// `chappe call`.
#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    what: What,
}

fn parse_station(text: &str) -> Result<u64, String> {
    match text.strip_prefix('@').unwrap_or(text).parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("{text:?} is no station's address: a number above 0, as `chappe ls` shows it")),
    }
}

/// A letter's parts, owned.
struct Parts {
    name: String,
    verb: String,
    body: Vec<u8>,
    encoding: Encoding,
    params: Vec<(String, String)>,
}

impl What {
    fn parts(&self, everyone: bool) -> Result<Parts, Failure> {
        let (body, encoding) = self.content()?;
        // With --station the first argument may be a parameter, or `/VERB`.
        let mut listed = self.params.clone();
        let mut to = self.to.clone().unwrap_or_default();
        if (everyone || self.station.is_some()) && to.contains('=') {
            listed.insert(0, std::mem::take(&mut to));
        }
        let (name, verb) = match &self.verb {
            Some(verb) => (to, verb.clone()),
            None => match to.rsplit_once('/') {
                Some((name, verb)) => (name.to_owned(), verb.to_owned()),
                None => (to, String::new()),
            },
        };
        if name.is_empty() && !everyone && self.station.is_none() {
            return Err(Failure::usage("the name is empty: write NAME or NAME/VERB"));
        }
        if !name.is_empty() && (everyone || self.station.is_some()) {
            return Err(Failure::usage(
                "a name, --station and --everyone exclude each other; for the verb alone write /VERB",
            ));
        }
        let verb = match verb.as_str() {
            "" if body.is_empty() => "NOTIFY".to_owned(),
            "" => "SET".to_owned(),
            _ => verb,
        };
        let params = listed
            .iter()
            .map(|p| match p.split_once('=') {
                Some((k, v)) if !k.is_empty() => Ok((k.to_owned(), v.to_owned())),
                _ => Err(Failure::usage(format_args!("{p:?} is no parameter: write KEY=VALUE"))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Parts { name, verb, body, encoding, params })
    }

    fn content(&self) -> Result<(Vec<u8>, Encoding), Failure> {
        if let Some(text) = &self.json_body {
            if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
                return Err(Failure::usage(format_args!("--json-body is no JSON: {e}")));
            }
            return Ok((text.clone().into_bytes(), Encoding::Json));
        }
        if let Some(text) = &self.body {
            return Ok((text.clone().into_bytes(), Encoding::Text));
        }
        let Some(file) = &self.body_file else { return Ok((Vec::new(), Encoding::None)) };
        let body = read_file(file)?;
        let encoding = if std::str::from_utf8(&body).is_ok() { Encoding::Text } else { Encoding::Bytes };
        Ok((body, encoding))
    }
}

/// A whole file, or the standard input for `-`.
pub(crate) fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut body).map(drop)
    } else {
        std::fs::File::open(file).and_then(|mut f| f.read_to_end(&mut body)).map(drop)
    };
    read.map_err(|e| Failure::io(format_args!("cannot read {}", file.display()), &e))?;
    Ok(body)
}

fn borrow(params: &[(String, String)]) -> Vec<(&str, &str)> {
    params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

impl Parts {
    fn letter<'l>(&'l self, what: &'l What, params: &'l [(&'l str, &'l str)]) -> Letter<'l> {
        Letter {
            name: &self.name,
            verb: &self.verb,
            body: &self.body,
            encoding: self.encoding,
            params: Params::Listed(params),
            instance: what.instance.as_deref().unwrap_or_default(),
            station: what.station.unwrap_or(0),
            ..Letter::default()
        }
    }

    fn goal(&self) -> &str {
        if self.name.is_empty() { "it" } else { &self.name }
    }
}

pub(crate) fn send(args: &Send, global: &Global) -> Result<(), Failure> {
    let parts = args.what.parts(args.everyone)?;
    let params = borrow(&parts.params);
    let letter = Letter {
        everyone: args.everyone,
        keep: args.keep,
        ttl_ms: args.ttl.map_or(0, |d| d.as_millis() as u32),
        ..parts.letter(&args.what, &params)
    };
    let mut out = global.out();
    let mut bus = global.connection()?;
    if args.blindly {
        bus.send(&letter)?;
        bus.flush()?;
        bus.close()?;
        return Ok(());
    }
    let outcome = bus.send_and_learn(&letter).map_err(|e| Failure::about(plain(parts.goal(), false), e))?;
    if out.json {
        out.json(&json!({"outcome": code_name(outcome.code), "stations": outcome.count}))?;
    } else if !out.quiet {
        match (outcome.code, outcome.count) {
            (Code::Kept, _) => out.line("kept: nobody is there yet")?,
            (_, 1) => out.line("sent to 1 station")?,
            (_, n) => out.line(format!("sent to {n} stations"))?,
        }
    }
    out.flush()?;
    bus.close()?;
    Ok(())
}

pub(crate) fn call(args: &Call, global: &Global) -> Result<(), Failure> {
    let parts = args.what.parts(false)?;
    let listed = borrow(&parts.params);
    let mut out = global.out();
    let mut bus = global.connection()?;
    let began = Instant::now();
    let answer =
        bus.call(&parts.letter(&args.what, &listed)).map_err(|e| Failure::about(plain(parts.goal(), false), e))?;
    let took = began.elapsed();
    let status = status_of(answer.code);
    if out.json {
        let mut o = object([
            ("code", code_name(answer.code).into()),
            ("text", text_or_null(&answer.text)),
            ("params", params_json(&answer.params)),
            ("from", if answer.from == 0 { json!(null) } else { json!(answer.from) }),
            ("ms", json!(took.as_micros() as f64 / 1000.0)),
        ]);
        body_json(&mut o, "body", &answer.body, answer.encoding);
        out.json(&o.into())?;
    } else {
        if !answer.params.is_empty() {
            out.line(params(&answer.params))?;
        }
        if !answer.body.is_empty() {
            out.body(&answer.body)?;
        }
    }
    out.flush()?;
    // The answer is here: what the node says to the goodbye changes nothing.
    let _ = bus.close();
    match status {
        None => Ok(()),
        Some(status) => {
            let mut text = format!("{}: {}", plain(parts.goal(), false), answer.code.text());
            if !answer.text.is_empty() && answer.text != answer.code.text() {
                text.push_str(": ");
                text.push_str(&plain(&answer.text, false));
            }
            if answer.code == Code::NoRecipient {
                text.push_str("\n  who is there: `chappe ls names`");
            }
            Err(Failure::Because(status, text))
        }
    }
}
