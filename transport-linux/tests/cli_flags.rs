//! `chappe flag` as a person uses it: on the bus of a real daemon, in a folder without one, and both.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{CHAPPE, Daemon, until};

/// Runs it: exit status, output, complaints.
fn run(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(CHAPPE).args(args).env_remove("CHAPPE_CONNECT").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// `chappe flag` somewhere: on a bus, or in a folder.
struct Flags<'p>(&'p str, &'p str);

impl Flags<'_> {
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut all = vec!["flag", self.0, self.1];
        all.extend(args);
        run(&all)
    }

    fn ok(&self, args: &[&str]) -> String {
        let (status, out, err) = self.run(args);
        assert_eq!((status, err.as_str()), (0, ""), "{args:?}: {out}");
        out
    }

    fn rows(&self) -> Vec<Value> {
        self.ok(&["list", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// What holds of both.
fn all_commands(flags: &Flags<'_>) {
    assert_eq!(flags.ok(&["list"]), "no flag is raised\n");
    assert_eq!(flags.ok(&["count"]), "0\n");
    assert_eq!(flags.ok(&["raised"]), "");
    let full = [
        "raise",
        "disk/root/full",
        "too full",
        "-p",
        "60",
        "--tags",
        "b,a",
        "--tags",
        "c d",
        "-m",
        "-s",
        "df.c",
        "-f",
        "look",
        "-n",
        "7",
    ];
    flags.ok(&full);
    flags.ok(&full);
    flags.ok(&["raise", "disk/home/full", "--automatic"]);
    assert_eq!(flags.run(&["count"]), (1, "2\n".into(), String::new()));
    assert_eq!(flags.run(&["count", "--json"]), (1, "{\"count\":2}\n".into(), String::new()));
    assert_eq!(flags.run(&["raised"]), (1, String::new(), String::new()));
    let rows = flags.rows();
    let of = |i: usize, keys: [&str; 8]| keys.map(|key| rows[i][key].clone());
    let keys = ["name", "priority", "description", "tags", "source_file", "function", "line", "times"];
    let [root, home] = [of(0, keys), of(1, keys)];
    let said: [Value; 8] = [
        "disk/root/full".into(),
        60.into(),
        "too full".into(),
        "a,b,c,d".into(),
        "df.c".into(),
        "look".into(),
        7.into(),
        2.into(),
    ];
    assert_eq!(root, said);
    let none = Value::Null;
    let unsaid: [Value; 8] =
        ["disk/home/full".into(), 5.into(), none.clone(), none.clone(), none.clone(), none.clone(), none, 1.into()];
    assert_eq!(home, unsaid);
    assert_eq!((&rows[0]["manual_down"], &rows[1]["manual_down"]), (&true.into(), &false.into()));
    let table = flags.ok(&["list", "disk/root"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    let row: Vec<_> = lines[1].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!((row[0], row[1], row[4]), ("disk/root/full", "60", "2"), "{table}");
    assert_eq!(row[5..], ["a person", "a,b,c,d", "df.c:look:7", "too full"], "{table}");
    let (status, _, err) = flags.run(&["lower", "disk/root/full"]);
    assert!(status == 5 && err.contains("by a person only"), "{status} {err}");
    flags.ok(&["lower", "disk/root/full", "--by-hand"]);
    let (status, _, err) = flags.run(&["lower", "disk/root/full"]);
    assert!(status == 1 && err.contains("not raised"), "{status} {err}");
    flags.ok(&["lower", "disk/root/full", "--if-raised"]);
    flags.ok(&["lower", "disk/home/full"]);
    assert_eq!(flags.ok(&["count"]), "0\n");
    for bad in ["a/b", "a/b/c d", "a/b/c.d", "a/b/"] {
        let (status, _, err) = flags.run(&["raise", bad, "x"]);
        assert!(status == 2 && err.contains("1 to 32 letters, digits, `_` or `-`"), "{status} {err}");
    }
    for bad in [&["-p", "101"][..], &["-n", "0"], &["-a", "-m"]] {
        let mut args = vec!["raise", "a/b/c", "x"];
        args.extend(bad);
        assert_eq!(flags.run(&args).0, 2, "{bad:?}");
    }
}

#[test]
fn on_the_bus() {
    let daemon = Daemon::start("");
    let at = format!("tcp://{}", daemon.address("tcp"));
    let flags = Flags("--connect", &at);
    all_commands(&flags);
    let (status, _, err) = flags.run(&["raise", "a/b/c", "x", "-f", &"f".repeat(65)]);
    assert!(status == 1 && err.contains("at most 64"), "{status} {err}");
    assert_eq!(flags.run(&["raise", "a/b/c", "--owner", "root"]).0, 2, "that is for files");
}

#[test]
fn in_files_without_a_daemon() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    let flags = Flags("--dir", dir);
    all_commands(&flags);
    flags.ok(&["raise", "disk/root/full", "line\nand \\"]);
    let text = fs::read_to_string(place.path().join("disk_root_full.flag")).unwrap();
    assert!(text.contains("message=\"line\\nand \\\\\"\n"), "{text}");
    let row = flags.rows().remove(0);
    assert_eq!(row["description"], "line\nand \\");
    assert!(row["version"].as_str().unwrap().starts_with("chappe ") && row["date"] == row["modified"], "{row}");
    assert!(row["hostname"].as_str().is_some_and(|name| !name.is_empty()));
    // a bad file is named, and costs itself only
    fs::write(place.path().join("x_y_z.flag"), "garbage").unwrap();
    let (status, out, err) = flags.run(&["count"]);
    assert_eq!((status, out.as_str()), (1, "1\n"));
    assert!(err.contains("x_y_z.flag") && err.contains("no line `unit=`"), "{err}");
    let (status, _, err) = flags.run(&["raise", "x/y/z", "new"]);
    assert!(status == 0 && err.contains("*.bak"), "{err}");
    assert_eq!(flags.ok(&["list", "--json", "x/"]).lines().count(), 1);
    // names of the Communicator may be longer than those of the bus
    let long = format!("{}/b/c", "a".repeat(40));
    flags.ok(&["raise", &long, "x"]);
    flags.ok(&["lower", &long]);
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("none");
    let flags = Flags("--dir", dir.to_str().unwrap());
    for args in
        [&["list"][..], &["raise", "a/b/c", "x"], &["lower", "a/b/c"], &["lower", "a/b/c", "--if-raised"], &["raised"]]
    {
        let (status, _, err) = flags.run(args);
        assert!(status == 7 && err.contains("none"), "{args:?}: {status} {err}");
    }
}

#[test]
fn a_file_that_is_written_by_the_command_is_on_the_bus_and_the_other_way_round() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    let daemon = Daemon::start(&format!("[flags]\ndir = \"{dir}\"\n"));
    let at = format!("tcp://{}", daemon.address("tcp"));
    let (bus, files) = (Flags("--connect", &at), Flags("--dir", dir));
    files.ok(&["raise", "disk/root/full", "too full", "-s", "df.c"]);
    until("it is on the bus", || bus.rows().len() == 1);
    assert_eq!(bus.rows()[0]["source_file"], "df.c");
    bus.ok(&["raise", "disk/root/full", "worse"]);
    until("it is in its file", || files.rows()[0]["description"] == "worse");
    assert_eq!(files.rows()[0]["times"], 2);
    files.ok(&["lower", "disk/root/full"]);
    until("it is not on the bus", || bus.rows().is_empty());
    assert!(!Path::new(dir).join("disk_root_full.flag").exists());
}
