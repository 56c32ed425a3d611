//! The simulation as a command: runs seeds, says what happened, and replays and shortens what failed.

use chappe_core::router::faults::Fault;
use chappe_host_tests::sim::plan::Plan;
use chappe_host_tests::sim::run::Failure;
use chappe_host_tests::sim::shrink::shrink;
use chappe_host_tests::sim::sweep::{Planted, STEPS, attempt, sweep};
use std::io::Write;
use std::process::ExitCode;

/// Like `println!`; who reads no further (`head`, a pager that was left) ends it without a panic.
macro_rules! say {
    ($($t:tt)*) => {
        if writeln!(std::io::stdout(), $($t)*).is_err() {
            std::process::exit(141);
        }
    };
}

/// Beyond that a run is no longer a matter of minutes.
const MOST_STEPS: u64 = 100_000;

const HELP: &str = "\
Runs whole nodes, links and stations of all dialects on a simulated network, and checks
the rules of delivery (D1 to D12) after every step, against a model.

  sim [--seeds N] [--from S]     N seeds (200) from S (0) on; prints what happened how often
  sim --seed S                   this seed alone; prints its hash, the same each time
  sim --seed S --only 3,7,9      of its operations only these: what --shrink prints
  sim --seed S --show            also prints the operations

  --steps N      operations of a run (250); part of what a seed means
  --jobs N       threads (as many as the machine has)
  --fault NAME   plants a fault and says whether it was found; --fault list names them
  --shrink       of each failure, finds a shorter list of operations that fails, too
  --enough N     stops after so many failures (1)

A failure prints its seed, its last operation, the time, the rule and what it is about, and
a line that replays it exactly. Exit status: 0 nothing failed, 1 something did (also a planted
fault that was found), 2 wrong use. The gate runs `.ci/test sim`; a long run is
`cargo run --profile sim -p chappe-host-tests --bin sim -- --seeds 100000`.
";

struct Args {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    only: Option<Vec<usize>>,
    steps: usize,
    jobs: usize,
    enough: usize,
    fault: Option<String>,
    shrinks: bool,
    shows: bool,
}

fn args() -> Result<Args, String> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let (shrinks, shows) = (false, false);
    let mut a = Args {
        seeds: 200,
        from: 0,
        seed: None,
        only: None,
        steps: STEPS,
        jobs,
        enough: 1,
        fault: None,
        shrinks,
        shows,
    };
    let mut many = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        let number = |text: String| {
            text.parse::<u64>().map_err(|_| format!("{word}: {text:?} is no number from 0 to {}", u64::MAX))
        };
        let within = |text: String, most: u64| match number(text)? {
            n if (1..=most).contains(&n) => Ok(n),
            n => Err(format!("{word}: {n} is not from 1 to {most}")),
        };
        match word.as_str() {
            "--seeds" => (a.seeds, many) = (within(value()?, u64::MAX)?, true),
            "--from" => (a.from, many) = (number(value()?)?, true),
            "--seed" => a.seed = Some(number(value()?)?),
            "--steps" => a.steps = within(value()?, MOST_STEPS)? as usize,
            "--jobs" => a.jobs = within(value()?, 1024)? as usize,
            "--enough" => a.enough = within(value()?, u64::MAX)? as usize,
            "--only" => {
                let list = value()?;
                // '' is none at all, which may be all that a failure needs
                let list = Some(list.as_str()).filter(|list| !list.is_empty());
                let places = list.into_iter().flat_map(|list| list.split(','));
                let places = places.map(|t| number(t.into()).map(|n| n as usize));
                a.only = Some(places.collect::<Result<_, _>>()?);
            }
            "--fault" => a.fault = Some(value()?),
            "--shrink" => a.shrinks = true,
            "--show" => a.shows = true,
            "--help" | "-h" => return Err(String::new()),
            other => return Err(format!("unknown: {other}")),
        }
    }
    if a.seed.is_some() && many {
        return Err("--seed is one seed; --seeds and --from are many".into());
    }
    if a.seed.is_none() && (a.only.is_some() || a.shows) {
        return Err("--only and --show are for one seed: --seed S".into());
    }
    if a.from.checked_add(a.seeds).is_none() {
        return Err(format!("there are no {} seeds from {} on", a.seeds, a.from));
    }
    Ok(a)
}

fn report(a: &Args, plan: &Plan, failure: &Failure, planted: Planted) {
    let last = if failure.step == usize::MAX {
        "after the last operation".into()
    } else {
        format!("at operation {}", failure.step)
    };
    say!("seed {} fails {last}, {} ms: {}", plan.seed, failure.now, failure.what);
    let fault = a.fault.as_ref().map_or(String::new(), |f| format!(" --fault {f}"));
    let steps = if a.steps == STEPS { String::new() } else { format!(" --steps {}", a.steps) };
    let again = format!("cargo run --profile sim -p chappe-host-tests --bin sim -- --seed {}{steps}{fault}", plan.seed);
    let only = |places: &[usize]| match places {
        [] => "''".to_string(),
        _ => places.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
    };
    if !a.shrinks {
        let only = a.only.as_ref().map_or(String::new(), |o| format!(" --only {}", only(o)));
        say!("  again:  {again}{only}");
        return;
    }
    let (keep, failure) = shrink(plan, |plan| attempt(plan, planted).err());
    say!("  of {} operations {} are needed: {}", plan.steps.len(), keep.len(), failure.what);
    say!("  {:?}", plan.setup);
    for (i, step) in &plan.only(&keep).steps {
        say!("  {i:>5}  {:?}, then {} ms", step.op, step.pause);
    }
    say!("  again:  {again} --only {}", only(&keep));
}

fn main() -> ExitCode {
    let a = match args() {
        Ok(a) => a,
        Err(why) => {
            if why.is_empty() {
                say!("{}", HELP.trim_end());
                return ExitCode::SUCCESS;
            }
            eprintln!("sim: {why}; --help says more");
            return ExitCode::from(2);
        }
    };
    let planted = match a.fault.as_deref() {
        None => None,
        Some("list") => {
            for f in Fault::ALL.iter() {
                say!("{:<18} {}", f.name(), f.what());
            }
            return ExitCode::SUCCESS;
        }
        Some(name) => match Fault::ALL.iter().find(|f| f.name() == name) {
            Some(fault) => Some(*fault),
            None => {
                eprintln!("sim: no fault is called {name}; --fault list names them");
                return ExitCode::from(2);
            }
        },
    };
    // a panic is reported as the failure of its seed; where it comes from is said if that is all that runs
    if a.seed.is_none() || a.shrinks {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let Some(seed) = a.seed else {
        let begin = std::time::Instant::now();
        let swept = sweep(a.from, a.seeds, a.steps, a.jobs, planted, a.enough);
        say!("{}", swept.tally.to_string().trim_end());
        say!("{} seeds in {:.1} s, {} failed", swept.seeds, begin.elapsed().as_secs_f32(), swept.failures.len());
        for (seed, failure) in &swept.failures {
            report(&a, &Plan::new(*seed, a.steps), failure, planted);
        }
        if let Some(fault) = &a.fault {
            let found = if swept.failures.is_empty() { "was NOT found" } else { "was planted, and a rule broken" };
            say!("the fault {fault} {found}");
        }
        return if swept.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    let mut plan = Plan::new(seed, a.steps);
    if let Some(only) = &a.only {
        if let Some(place) = only.iter().find(|place| !plan.steps.iter().any(|(i, _)| i == *place)) {
            eprintln!("sim: --only: seed {seed} has no operation {place}, only {}", plan.steps.len());
            return ExitCode::from(2);
        }
        plan = plan.only(only);
    }
    if a.shows {
        say!("{:?}", plan.setup);
        for (i, step) in &plan.steps {
            say!("{i:>5}  {:?}, then {} ms", step.op, step.pause);
        }
    }
    match attempt(&plan, planted) {
        Ok(ran) => {
            say!("{}", ran.tally.to_string().trim_end());
            let planted = a.fault.as_ref().map_or(String::new(), |f| format!("; the fault {f} was NOT found"));
            say!("seed {seed}: nothing is wrong{planted}; hash {:016x}", ran.hash);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            report(&a, &plan, &failure, planted);
            ExitCode::FAILURE
        }
    }
}
