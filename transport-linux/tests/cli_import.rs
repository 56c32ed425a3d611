//! Moving from Net::Clacks: the real binary, on files such as the original leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

mod support;

use support::tls::Authority;
use support::{CHAPPE, Daemon};

/// Values as the page shows them: `wire/clacks.md` section 13.3.
const STORE: &[u8] =
    b"\0CLACKSV3--- \nsensor::temp: \n  accesstime: '1795190334.18433'\n  cachetime: '1795190334.18433'\n  \
    data: '-1.50'\n  deleted: 0\ngone: \n  accesstime: '1795190334.18435'\n  cachetime: '1795190334.18435'\n  \
    data: ''\n  deleted: 1\n\"caf\\xe9\": {data: \"\\x00\", cachetime: 1, accesstime: 1, deleted: 0}\n\0CLACKSV3";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// Exit status, standard output, standard error.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = Command::new(CHAPPE);
        command.args(args).current_dir(self.0.path()).env_remove("CHAPPE_CONFIG").envs(variables.iter().copied());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

fn names(folder: &Folder, store: &str) -> Vec<Value> {
    let (status, out, err) = folder.run(&["store", "export", store]);
    assert_eq!(status, 0, "{err}");
    out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone()).collect()
}

#[test]
fn values_of_the_original_are_there_for_everybody() {
    let folder = Folder::new();
    folder.write("store.dat", STORE);
    let (status, out, err) = folder.run(&["import-clacks", "store.dat", "--store", "v.redb", "--dry-run"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("2 values, 1 deletion marks (version 24 or later)\nv.redb: 3 would be taken"), "{out}");
    assert!(!folder.path("v.redb").exists());
    let (status, out, _) = folder.run(&["import-clacks", "store.dat", "--store", "v.redb"]);
    assert_eq!(status, 0);
    assert!(out.contains("v.redb: 3 were taken; 0 are not newer"), "{out}");
    assert_eq!(names(&folder, "v.redb"), [json!("caf\\xe9"), json!("gone"), json!("sensor::temp")]);
    let (status, out, _) = folder.run(&["--json", "import-clacks", "store.dat", "--store", "v.redb"]);
    let again: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &again["taken"], &again["not_newer"], &again["values"]), (0, &0.into(), &3.into(), &2.into()));

    // a daemon has them, and while it has the file nobody else does
    let config = format!("[store]\npath = \"{}\"\n", folder.path("v.redb").display());
    let mut daemon = Daemon::start(&config);
    let loaded = daemon.event("store.open");
    assert_eq!((&loaded["values"], &loaded["tombstones"]), (&2.into(), &1.into()), "{loaded}");
    for more in [&[][..], &["--dry-run"]] {
        let args = [&["import-clacks", "store.dat", "--store", "v.redb"], more].concat();
        let (status, out, err) = folder.run(&args);
        assert_eq!((status, out.as_str()), (7, ""));
        assert!(err.contains("somebody else has it open"), "{err}");
    }
}

#[test]
fn the_daemons_configuration_says_where_values_are_and_what_it_allows() {
    let folder = Folder::new();
    folder.write("store.dat", STORE);
    let store = folder.path("values.redb");
    folder.write(
        "chappe.toml",
        format!("[limits]\nvalue_rows = 1000\n[clacks]\nmax_line = 1100000\n[store]\npath = \"{}\"\n", store.display()),
    );
    let (status, out, err) = folder.run(&["import-clacks", "store.dat", "--config", "chappe.toml"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(store.exists() && !out.contains("before the daemon starts"), "{out}");

    let rows: String =
        (0..1001).map(|i| format!("k{i}: {{data: {i}, cachetime: 5, accesstime: 5, deleted: 0}}\n")).collect();
    let long = format!("long: {{data: {}, cachetime: 5, accesstime: 5, deleted: 0}}\n", "x".repeat(1_100_000));
    folder.write("large.dat", format!("\0CLACKSV3--- \n{rows}{long}\0CLACKSV3"));
    let args = ["import-clacks", "large.dat", "--dry-run", "-q"];
    let (_, out, _) = folder.run_with(&args, &[("CHAPPE_CONFIG", "chappe.toml")]);
    for need in [
        "clacks.max_value must be 1100000 at least; it is 1048576 now",
        "clacks.max_line must be 1100256 at least; it is 1100000 now",
        "limits.value_rows must be 1002 at least; it is 1000 now",
    ] {
        assert!(out.contains(&format!("before the daemon starts: {need}\n")), "{out}");
    }
    let (_, out, _) = folder.run(&["import-clacks", "large.dat", "--dry-run", "-q", "--store", "new.redb"]);
    assert!(out.contains("it is 1048576 unless said") && !out.contains("value_rows"), "{out}");
    assert!(!out.contains("max_line"), "{out}");
    // what only Chappe's own programs cannot read needs nothing
    folder.write("some.dat", format!("\0CLACKSV3--- \n{}\0CLACKSV3", long.replace(&"x".repeat(100_000), "")));
    let (_, out, _) = folder.run(&["import-clacks", "some.dat", "--dry-run", "--store", "new.redb"]);
    assert!(out.contains("1 values") && !out.contains("before the daemon starts"), "{out}");

    // what does not say where
    folder.write("none.toml", "");
    let (status, _, err) = folder.run(&["import-clacks", "store.dat", "--config", "none.toml"]);
    assert_eq!(status, 2);
    assert!(err.contains("none.toml") && err.contains("store.path") && err.contains("--store"), "{err}");
    let (status, _, err) = folder.run(&["import-clacks", "store.dat", "--config", "no.toml"]);
    assert!(status == 2 && err.contains("no.toml: cannot be read") && err.contains("--store"), "{err}");
}

#[test]
fn a_file_that_is_damaged_is_named_with_its_line_and_leaves_nothing() {
    let folder = Folder::new();
    let refused = |args: &[&str], why: &[&str]| {
        let (status, out, err) = folder.run(&[&["import-clacks"], args, &["--store", "v.redb"]].concat());
        assert_eq!((status, out.as_str()), (7, ""), "{err}");
        assert!(why.iter().all(|why| err.contains(why)), "{err}");
        let left = |name: &Path| name.to_string_lossy().contains("v.redb");
        assert!(!std::fs::read_dir(folder.0.path()).unwrap().any(|e| left(&e.unwrap().path())), "{err}");
    };
    folder.write("cut.dat", &STORE[..200]);
    folder.write("cut.dat_bck", STORE);
    refused(&["cut.dat"], &["cut.dat: it does not end as it begins", "Nothing was taken", "a copy", "cut.dat_bck"]);
    let wrong = String::from_utf8(STORE.to_vec()).unwrap().replace("  deleted: 1", "  deleted: x");
    folder.write("wrong.dat", wrong);
    refused(&["wrong.dat"], &["wrong.dat, line 7: deleted of the key `gone` is neither 0 nor 1: `x`"]);
    refused(&["no.dat"], &["cannot read no.dat: No such file"]);
    folder.write("text.dat", "hello\n");
    refused(&["text.dat"], &["text.dat: it is no persistence file of Net::Clacks"]);
    folder.write("old.dat", "LS0tIAphOiAxCg==\nLS0tIAphOiA");
    refused(&["old.dat"], &["old.dat, line 2: it is no Base64"]);
}

const XML: &str = "<clacks>
  <ip>127.0.0.1</ip><port>PC_CLACKSPORT</port>
  <ssl><cert>server.crt</cert><key>server.key</key></ssl>
  <username>exampleuser</username><password>unsafepassword</password>
  <user><username>rouser</username><password>bar</password><read>1</read></user>
  <persistancefile>store.dat</persistancefile>
  <throttle><maxsleep>100</maxsleep></throttle>
  <hosts><elsewhere><master><ip>10.0.0.1</ip><port>49888</port></master></elsewhere></hosts>
</clacks>";

#[test]
fn a_configuration_of_the_original_is_printed_as_one_of_ours() {
    let folder = Folder::new();
    folder.write("clacks.xml", XML);
    let port = [("PC_CLACKSPORT", "49888")];
    let (status, out, err) = folder.run_with(&["import-clacks-config", "clacks.xml"], &port);
    assert!(status == 0 && err.lines().count() == 1 && err.contains("--out writes it"), "{err}");
    let here = folder.0.path().canonicalize().unwrap();
    for line in [
        "address = \"clackss://127.0.0.1:49888\"".to_owned(),
        format!("tls = {{ certificate = \"{0}/server.crt\", key = \"{0}/server.key\" }}", here.display()),
        "link_user = \"exampleuser\"".into(),
        "path = \"/var/lib/chappe/values.redb\"".into(),
        format!("#   chappe import-clacks {}/store.dat --config /etc/chappe/chappe.toml", here.display()),
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
    assert!(out.contains("# not carried over: throttle (line 7): "), "{out}");
    assert!(out.matches("password_hash = \"$argon2id$").count() == 2 && !out.contains("unsafepassword"), "{out}");
    assert!(!out.contains("\n[clacks.master]"), "that is of another host: {out}");
    let args = ["import-clacks-config", "clacks.xml", "--started-in", "/srv", "--store", "/s/v.redb", "--json"];
    let (_, out, _) = folder.run_with(&args, &port);
    let printed: Value = serde_json::from_str(&out).unwrap();
    let text = printed["config"].as_str().unwrap();
    assert!(text.contains("certificate = \"/srv/server.crt\"") && text.contains("path = \"/s/v.redb\""), "{text}");

    let (status, out, err) = folder.run(&["import-clacks-config", "clacks.xml"]);
    assert_eq!((status, out.as_str()), (7, ""));
    assert!(
        err.contains("clacks.xml, line 2: the variable PC_CLACKSPORT is not set: `PC_CLACKSPORT` is no port"),
        "{err}"
    );
}

#[test]
fn the_password_of_links_is_kept_in_a_file_and_printed_nowhere() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    folder.write("clacks.xml", XML);
    let port = [("PC_CLACKSPORT", "49888")];
    let args = ["import-clacks-config", "clacks.xml", "--host", "elsewhere"];
    let (status, out, err) = folder.run_with(&args, &port);
    assert_eq!(status, 0);
    assert!(out.contains("link_password_file = \"/etc/chappe/clacks-link.password\""), "{out}");
    assert!(err.contains("--out writes it") && !(out + &err).contains("unsafepassword"));

    let args = [&args[..], &["--out", "new"]].concat();
    let (status, out, err) = folder.run_with(&args, &port);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 2, "{out}");
    let secret = folder.path("new/clacks-link.password");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "unsafepassword\n");
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let config = std::fs::read_to_string(folder.path("new/chappe.toml")).unwrap();
    assert!(config.contains("new/clacks-link.password\"") && config.contains("[clacks.master]"), "{config}");
    let (status, out, err) = folder.run_with(&args, &port);
    assert_eq!((status, out.as_str()), (7, ""));
    assert!(err.contains("clacks-link.password") && err.contains("never replaced"), "{err}");

    // with the original's certificate it is one that the daemon takes
    let authority = Authority::new();
    let files = authority.server();
    for (name, file) in [("server.crt", files.certificate), ("server.key", files.key)] {
        std::fs::copy(file, folder.path(name)).unwrap();
    }
    let (status, out, err) = folder.run(&["check-config", "new/chappe.toml"]);
    assert!(status == 0 && out.contains("new/chappe.toml is good"), "{err}");
    assert!(err.contains("warning: clacks.master.insecure: ") && !(out + &err).contains("unsafepassword"), "{err}");
}

#[test]
fn what_is_dangerous_in_a_configuration_is_said_on_standard_error_too() {
    let folder = Folder::new();
    let twice = "<user username='exampleuser' password='unsafepassword' read='1'/>";
    folder.write("clacks.xml", XML.replace("<user>", &format!("{twice}<user>")));
    let (status, out, err) = folder.run_with(&["import-clacks-config", "clacks.xml"], &[("PC_CLACKSPORT", "1")]);
    assert_eq!(status, 0);
    assert!(err.contains("chappe: clacks.xml: line 5: an additional user has the name and the password"), "{err}");
    assert!(out.contains("# WARNING: line 5: "), "{out}");
}

#[test]
fn a_configuration_of_the_communicator_becomes_one_that_works() {
    let folder = Folder::new();
    folder.write(
        "communicatord.conf",
        "server-name=hostA\nunix-listen=/FOLDER/cd\nlocal-listen=127.0.0.1:0\nsignal=127.0.0.1:0\nodd\n",
    );
    let (status, out, err) = folder.run(&["import-communicator-config", "communicatord.conf"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(err, "chappe: communicatord.conf:5: no option: an option is name=value\n");
    // the place is made here; everything else is as it was printed
    let text = out.replace("unix://auto", "unix://FOLDER/native");
    let daemon = Daemon::start(&text);
    let mut client = daemon.communicator();
    client.say("REGISTER service=foo;version=1");
    assert_eq!(client.line(), "<hostA:communicatord HELP");
    let (status, out, _) = folder.run(&["import-communicator-config", "communicatord.conf", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, json["warnings"].as_array().unwrap().len()), (0, 1));
    folder.write("bad.conf", "server-name=no-name\n");
    let (status, _, err) = folder.run(&["import-communicator-config", "bad.conf"]);
    assert!(status == 0 && err.contains("will not start") && err.contains("communicator.server"), "{err}");
    let (status, out, err) = folder.run(&["import-communicator-config", "nothing.conf"]);
    assert!(status != 0 && out.is_empty() && err.contains("nothing.conf"), "{err}");
}
