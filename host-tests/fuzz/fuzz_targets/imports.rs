//! Files of the systems that Chappe replaces: their configurations become one that can be read, or an
//! error that says where; a persistence file is taken whole or not at all, twice is as good as once, and
//! a rehearsal says what will happen; a flag's file, written again, is the same flag.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chappe_core::router::store::Stamp;
use chappe_fuzz::{scratch, words};
use chappe_linux::config::Config;
use chappe_linux::flags::{Fault, FlagFile};
use chappe_linux::import::{self, Around, CommunicatorPlan, Places, Plan, Target};
use chappe_linux::password::Cost;
use chappe_linux::store;
use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| scratch::folder("imports"));

static XML: LazyLock<Vec<&str>> = LazyLock::new(|| {
    "<clacks> </clacks> <appname> </appname> <ip> </ip> <port> </port> <ssl> </ssl> <cert> </cert> <key> </key> <username> \
     </username> <password> </password> <user> </user> <read> </read> <write> </write> <manage> </manage> <interclacks> \
     </interclacks> <socket> </socket> <master> </master> <persistancefile> </persistancefile> <hosts> </hosts> <thishost> \
     </thishost> <pingtimeout> </pingtimeout> <interclackspingtimeout> </interclackspingtimeout> <authtimeout> </authtimeout> \
     <deletedcachetime> </deletedcachetime> <stalecachetime> </stalecachetime> <stalledwritetimeout> </stalledwritetimeout> \
     <socketchmod> </socketchmod> <throttle> </throttle> 127.0.0.1 49888 /run/x.sock 0777 1 0 PC_PORT PC_NONE <!-- --> <![CDATA[ ]]> \
     &amp; &#x41; <!DOCTYPE> <a b='c'/>"
        .split_whitespace()
        .collect()
});

static OPTIONS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let options = include_str!("../../../transport-linux/src/import/communicator.rs");
    let mut all: Vec<&str> = options.split('"').skip(1).step_by(2).filter(|w| w.len() < 40).collect();
    all.extend([
        "cd://127.0.0.1:4040",
        "user:password@127.0.0.1:4043",
        "=",
        "\n",
        "# ",
        "/run/x",
        "1",
        "0",
        "10.0.0.1:4042,10.0.0.2:4042",
    ]);
    all
});

fuzz_target!(|data: &[u8]| {
    let [which, data @ ..] = data else { return };
    match which % 4 {
        0 => clacks_config(&words::text(data, &XML)),
        1 => persistence(data),
        2 => communicator_config(&words::text(data, &OPTIONS)),
        _ => flag(data),
    }
});

fn clacks_config(text: &[u8]) {
    let file = FOLDER.join("clacks.xml");
    std::fs::write(&file, text).expect("a file");
    let around = Around {
        variables: vec![("PC_PORT".into(), "49888".into())],
        host: "thishost".into(),
        folder: "/srv".into(),
        cost: Cost { memory: 8, passes: 1 },
    };
    match Plan::read(&file, &around) {
        Err(e) => {
            let shown = e.to_string();
            let rest = shown.strip_prefix(&file.display().to_string()).expect("it says the file");
            if let Some(line) = rest.strip_prefix(", line ") {
                let line: usize = line.split(':').next().and_then(|n| n.parse().ok()).expect("a number");
                let lines = 1 + text.iter().filter(|b| **b == b'\n').count();
                assert!((1..=lines).contains(&line), "no such line: {shown}");
            }
        }
        Ok(plan) => {
            let places = Places { from: file, folder: "/etc/chappe".into(), store: "/srv/values.redb".into() };
            let printed = plan.print(&places);
            readable(&printed, &["clacks-password", "tls", "mode", "owner", "group", "cert", "key"]);
        }
    }
}

/// What an importer has printed can be read. What it names need not be on this machine.
fn readable(printed: &str, absent: &[&str]) {
    if let Err(e) = Config::parse(None, printed, |_| {}) {
        let shown = e.to_string();
        let is_absent =
            ["cannot be read", "No such file", "no user", "no group", "there is no"].iter().any(|w| shown.contains(w))
                || absent.iter().any(|key| e.key.contains(key));
        assert!(is_absent, "{shown}\n{printed}");
    }
}

fn persistence(text: &[u8]) {
    let (from, to) = (FOLDER.join("clacks.dat"), FOLDER.join("values.redb"));
    std::fs::write(&from, text).expect("a file");
    _ = std::fs::remove_file(&to);
    let now = Stamp::from_micros(1_800_000_000_000_000);
    let import = |rehearsal| import::values(&from, Target { file: &to, rehearsal }, now);
    let rehearsed = import(true);
    assert!(!to.exists(), "a rehearsal writes nothing");
    match import(false) {
        Err(e) => {
            assert!(!to.exists(), "nothing is made of a damaged file");
            assert!(rehearsed.is_err() && e.to_string().contains(&from.display().to_string()), "{e}");
        }
        Ok(done) => {
            let said = rehearsed.expect("it said that it will work");
            assert!(said.taken >= done.taken, "two of one name count once: {said:?}, {done:?}");
            assert_eq!((said.values, said.marks), (done.values, done.marks));
            let again = import(false).expect("as before");
            assert_eq!(again.taken, 0, "twice is as good as once");
            let summary = store::check(&to).expect("it is whole");
            assert!(summary.values <= done.values && summary.tombstones <= done.marks);
            assert!(summary.values + summary.tombstones <= done.taken, "{summary:?}, {done:?}");
        }
    }
}

fn communicator_config(text: &[u8]) {
    let file = FOLDER.join("communicatord.conf");
    std::fs::write(&file, text).expect("a file");
    let plan = CommunicatorPlan::read(Path::new(&file)).expect("any text will do");
    let printed = plan.print();
    if plan.trouble().is_none() {
        readable(&printed, &[]);
    }
    assert!(plan.warnings.iter().all(|w| !w.is_empty()));
}

fn flag(text: &[u8]) {
    let read = match FlagFile::read("unit_section_name.flag", text) {
        // under the name that it should have
        Err(Fault::WrongPlace { says }) => FlagFile::read(&says.file_name(), text),
        other => other,
    };
    match read {
        Err(fault) => assert!(!fault.to_string().is_empty()),
        Ok(flag) => {
            let text = flag.text(7);
            let again =
                FlagFile::read(&flag.name.file_name(), text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text}"));
            let whole = FlagFile { date: flag.date.or(Some(7)), modified: flag.modified.or(Some(7)), ..flag };
            assert_eq!(again, whole, "{text}");
        }
    }
}
