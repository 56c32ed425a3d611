//! What a configuration becomes, as TOML, and the files it is written to.
//!
//! Owns: the keys that Chappe has for all this, and that nobody else can read what is secret.
//! Does not own what is said (`config.rs`).

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::config::{Listener, MasterAt, Plan, Timing};

/// The configuration in a folder.
pub const CONFIG_FILE: &str = "chappe.toml";

/// The main user's password beside it, for links with other servers.
pub const PASSWORD_FILE: &str = "clacks-link.password";

/// Where values are kept unless it is said otherwise.
pub const STORE_FILE: &str = "/var/lib/chappe/values.redb";

/// Where things are to be.
#[derive(Debug, Clone)]
pub struct Places {
    /// The original's configuration, to be named.
    pub from: PathBuf,
    /// The folder of the configuration.
    pub folder: PathBuf,
    /// The file of values.
    pub store: PathBuf,
}

impl Plan {
    /// The password that has to be in [`PASSWORD_FILE`].
    pub fn needs_password_file(&self) -> bool {
        self.links.is_some()
    }

    /// As a configuration. No password is in it, only hashes.
    pub fn print(&self, places: &Places) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        _ = self.write(&mut out, places);
        out
    }

    fn write(&self, out: &mut String, places: &Places) -> std::fmt::Result {
        writeln!(
            out,
            "# What Net::Clacks did with {}, made by chappe {}.",
            harmless(&places.from.display().to_string()),
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(out, "# A key that is not here has its default: see chappe.toml.")?;
        for warning in &self.warnings {
            writeln!(out, "#\n# WARNING: {}", harmless(warning))?;
        }
        if !self.not_carried.is_empty() {
            writeln!(out, "#")?;
        }
        for n in &self.not_carried {
            writeln!(out, "# not carried over: {} (line {}): {}", harmless(&n.what), n.line, harmless(&n.why))?;
        }
        writeln!(out, "\n[store]")?;
        if let Some(file) = &self.persistence {
            let (file, config) = (file.display(), places.folder.join(CONFIG_FILE));
            writeln!(out, "# To bring the values along, while neither daemon runs:")?;
            writeln!(out, "#   {}", harmless(&format!("chappe import-clacks {file} --config {}", config.display())))?;
            writeln!(out, "path = {}", path(&places.store))?;
        }
        self.write_times(out, |timing| timing == Timing::Deleted)?;
        writeln!(out, "\n[clacks]")?;
        self.write_times(out, |timing| !matches!(timing, Timing::Deleted | Timing::Reconnect))?;
        writeln!(out, "# Whoever has the right to manage may end the daemon (OVERHEAD S), as it is there.")?;
        writeln!(out, "allow_shutdown = true")?;
        if self.links.is_some() {
            self.write_links(out, places)?;
        }
        self.write_master(out)?;
        for listener in &self.listeners {
            match listener {
                Listener::Tls { at, certificate, key } => {
                    writeln!(out, "\n[[listeners]]\naddress = {}", text(&format!("clackss://{at}")))?;
                    writeln!(out, "tls = {{ certificate = {}, key = {} }}", path(certificate), path(key))?;
                }
                Listener::Unix { path, mode } => {
                    writeln!(out, "\n[[listeners]]\naddress = {}", text(&format!("clacks://{}", path.display())))?;
                    if let Some(mode) = mode {
                        writeln!(out, "mode = \"{:04o}\"", mode.0)?;
                    }
                }
            }
        }
        writeln!(out, "\n# For `chappe status` and programs of Chappe's own, which say who they are, too:")?;
        writeln!(out, "#[[listeners]]\n#address = \"unix://auto\"\n#anonymous = []")?;
        for user in &self.users {
            writeln!(out, "\n[[users]]\nname = {}\npassword_hash = {}", text(&user.name), text(&user.hash))?;
            let rights: Vec<_> = user.rights.iter().map(|grant| format!("\"{grant}\"")).collect();
            writeln!(out, "rights = [{}]", rights.join(", "))?;
        }
        Ok(())
    }

    fn write_times(&self, out: &mut String, wanted: impl Fn(Timing) -> bool) -> std::fmt::Result {
        for (timing, ms) in self.times.iter().filter(|(timing, _)| wanted(*timing)) {
            let number = if *timing == Timing::Deleted { ms / 1000 } else { *ms };
            if *timing == Timing::Stale && *ms > 0 {
                writeln!(out, "# Values that nobody stores, counts or reads for so long are forgotten; 0: none is.")?;
            }
            writeln!(out, "{} = {number}", key(*timing))?;
        }
        Ok(())
    }

    fn write_links(&self, out: &mut String, places: &Places) -> std::fmt::Result {
        out.push_str(
            "# Servers that are linked say the main user's password to each other: this one to its master and to its\n\
             # slaves, and they to it. The file holds it in clear, so nobody else may read it; --out writes it beside\n\
             # the configuration. Who has no links takes away these two lines, that file, [clacks.master] if it is\n\
             # there, and \"link\" from the rights below.\n",
        );
        writeln!(out, "link_user = {}", text(&self.main_user))?;
        writeln!(out, "link_password_file = {}", path(&places.folder.join(PASSWORD_FILE)))
    }

    fn write_master(&self, out: &mut String) -> std::fmt::Result {
        let master = self.links.as_ref().and_then(|links| links.master.as_ref());
        if master.is_none() && !self.times.iter().any(|(timing, _)| *timing == Timing::Reconnect) {
            return Ok(());
        }
        writeln!(out, "\n[clacks.master]")?;
        match master {
            None => {}
            Some(MasterAt::Unix(path)) => {
                writeln!(out, "address = {}", text(&format!("clacks://{}", path.display())))?;
            }
            Some(MasterAt::Tls(at)) => {
                writeln!(out, "address = {}", text(&format!("clackss://{at}")))?;
                writeln!(
                    out,
                    "# WARNING: WHOEVER ANSWERS AT THAT ADDRESS IS BELIEVED TO BE THE MASTER and is told the password, as in\n\
                     # the original. Better: take the certificate that the master shows (ssl/cert in its configuration; not\n\
                     # the key), or fetch it once over a network that you trust:\n\
                     #   openssl s_client -connect {at} </dev/null 2>/dev/null | openssl x509 >master.pem\n\
                     # and write ca_file = \"/PATH/master.pem\" instead of the next line. It must be made for that host."
                )?;
                writeln!(out, "insecure = true")?;
            }
        }
        self.write_times(out, |timing| timing == Timing::Reconnect)
    }

    /// Writes the configuration into its folder, and a password file if it needs one. Returns
    /// their names. Nothing that is there is touched.
    ///
    /// # Errors
    /// If one of them is there, or cannot be written; then there is neither.
    pub fn save(&self, places: &Places) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
        let of = |file: &Path| {
            let file = file.to_owned();
            move |e| (file, e)
        };
        std::fs::create_dir_all(&places.folder).map_err(of(&places.folder))?;
        let mut drafts = Drafts(Vec::new());
        if let Some(links) = &self.links {
            // a file's last line end is not part of the secret
            drafts.write(places.folder.join(PASSWORD_FILE), 0o600, &[links.password.as_bytes(), b"\n"])?;
        }
        drafts.write(places.folder.join(CONFIG_FILE), 0o640, &[self.print(places).as_bytes()])?;
        Ok(std::mem::take(&mut drafts.0))
    }
}

/// Files that are removed again unless all of them come about.
struct Drafts(Vec<PathBuf>);

impl Drafts {
    fn write(&mut self, file: PathBuf, mode: u32, pieces: &[&[u8]]) -> Result<(), (PathBuf, io::Error)> {
        let open = || OpenOptions::new().write(true).create_new(true).mode(mode).open(&file);
        let fill = |mut to: File| pieces.iter().try_for_each(|piece| to.write_all(piece)).and_then(|()| to.sync_all());
        let result = open().and_then(|to| {
            self.0.push(file.clone());
            fill(to)
        });
        result.map_err(|e| (file, e))
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        for file in &self.0 {
            // one that cannot be removed is in nobody's way
            let _ = std::fs::remove_file(file);
        }
    }
}

fn key(timing: Timing) -> &'static str {
    match timing {
        Timing::Ping => "ping_within_ms",
        Timing::LinkPing => "link_ping_within_ms",
        Timing::Login => "login_within_ms",
        Timing::Stalled => "stalled_after_ms",
        Timing::LinkStalled => "link_stalled_after_ms",
        Timing::Reconnect => "reconnect_after_ms",
        Timing::Deleted => "removals_kept_s",
        Timing::Stale => "stale_after_ms",
        Timing::Clean => "clean_every_ms",
    }
}

/// A string of TOML.
fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn path(path: &Path) -> String {
    text(&path.display().to_string())
}

/// Text in a comment, which is one line.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::config::Around;
    use super::*;
    use crate::config::{Clacks, Config};
    use crate::password::{Cost, Hashed};

    fn around() -> Around {
        Around {
            variables: vec![("PC_CLACKSPORT".into(), "49999".into())],
            host: "here".into(),
            folder: "/srv/clacks".into(),
            cost: Cost { memory: 8, passes: 1 },
        }
    }

    fn places() -> Places {
        Places { from: "clacks.xml".into(), folder: "/etc/chappe".into(), store: STORE_FILE.into() }
    }

    fn plan(xml: &str) -> Plan {
        Plan::of(xml.as_bytes(), &around()).unwrap_or_else(|e| panic!("{xml}: {e:?}"))
    }

    /// The printed text, which must be TOML, and as such; hashes are replaced by the password if
    /// they are of one of these.
    fn printed(plan: &Plan, passwords: &[&str]) -> String {
        let text = plan.print(&places());
        toml::from_str::<toml::Table>(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let line = |line: &str| match line.strip_prefix("password_hash = \"") {
            Some(hash) => {
                let hash = Hashed::read(hash.trim_end_matches('"')).unwrap();
                let password = passwords.iter().find(|password| hash.is_of(password.as_bytes()));
                format!("password_hash of {}\n", password.unwrap())
            }
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    /// Without comments.
    fn keys(text: &str) -> Vec<&str> {
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    /// The example of the page.
    const PAGE: &str = "<clacks>
    <ip>127.0.0.1</ip>
    <port>49888</port>
    <socket>/run/clacks/main.sock</socket>
    <ssl><cert>server.crt</cert><key>server.key</key></ssl>
    <username>exampleuser</username>
    <password>unsafepassword</password>
    <user><username>rwuser</username><password>foo</password><read>1</read><write>1</write><manage>0</manage></user>
    <user><username>rouser</username><password>bar</password><read>1</read><write>0</write><manage>0</manage></user>
    <pingtimeout>600</pingtimeout>
    <interclackspingtimeout>60</interclackspingtimeout>
    <persistancefile>/var/lib/clacks/store.dat</persistancefile>
</clacks>";

    #[test]
    fn the_example_of_the_page() {
        let plan = plan(PAGE);
        assert_eq!((plan.warnings.len(), plan.not_carried.len()), (0, 0));
        let text = printed(&plan, &["unsafepassword", "foo", "bar"]);
        let want = "[store]
path = \"/var/lib/chappe/values.redb\"
removals_kept_s = 3600
[clacks]
ping_within_ms = 600000
link_ping_within_ms = 60000
stale_after_ms = 86400000
allow_shutdown = true
link_user = \"exampleuser\"
link_password_file = \"/etc/chappe/clacks-link.password\"
[[listeners]]
address = \"clackss://127.0.0.1:49888\"
tls = { certificate = \"/srv/clacks/server.crt\", key = \"/srv/clacks/server.key\" }
[[listeners]]
address = \"clacks:///run/clacks/main.sock\"
[[users]]
name = \"exampleuser\"
password_hash of unsafepassword
rights = [\"read\", \"write\", \"manage\", \"link\"]
[[users]]
name = \"rwuser\"
password_hash of foo
rights = [\"read\", \"write\"]
[[users]]
name = \"rouser\"
password_hash of bar
rights = [\"read\"]";
        assert_eq!(keys(&text), want.lines().collect::<Vec<_>>(), "{text}");
        assert!(text.contains("#   chappe import-clacks /var/lib/clacks/store.dat --config /etc/chappe/chappe.toml\n"));
    }

    /// All that the page knows.
    const EVERYTHING: &str = "<c appname='x' port='PC_CLACKSPORT' username='m' password='p&quot;\\'>
    <ip> ::1 </ip><ip>0.0.0.0</ip><ip>::1</ip><ssl cert='/c' key='k'/><socketchmod>0777</socketchmod>
    <socket>a b.sock</socket><socketcommands><item>chown x</item></socketcommands>
    <user username='n' password='q' manage='1'/>
    <user><username>nothing</username><password>r</password><more>1</more></user>
    <authtimeout>20</authtimeout><stalledwritetimeout>61</stalledwritetimeout>
    <interclacksstalledwritetimeout>121</interclacksstalledwritetimeout>
    <interclacksreconnecttimeout>2.5</interclacksreconnecttimeout>
    <deletedcachetime>7200</deletedcachetime><stalecachetime>9</stalecachetime><cachecleaninterval>5.0</cachecleaninterval>
    <readfailtimeout>1</readfailtimeout><interclacksreadfailtimeout>1</interclacksreadfailtimeout>
    <persistanceinterval>1</persistanceinterval><throttle><maxsleep>5000</maxsleep></throttle>
    <debugfile>/tmp/x</debugfile><whatever>secret</whatever>
    <master><ip>10.0.0.1</ip><port>49888</port></master><master><socket>/m</socket></master>
    <hosts><here><socket>/own.sock</socket></here></hosts></c>";

    #[test]
    fn everything_else_that_can_be_said() {
        let plan = plan(EVERYTHING);
        let text = printed(&plan, &["p\"\\", "q", "r"]);
        let want = r#"[store]
removals_kept_s = 7200
[clacks]
login_within_ms = 20000
stalled_after_ms = 61000
link_stalled_after_ms = 121000
stale_after_ms = 9000
clean_every_ms = 5000
allow_shutdown = true
link_user = "m"
link_password_file = "/etc/chappe/clacks-link.password"
[clacks.master]
address = "clackss://10.0.0.1:49888"
insecure = true
reconnect_after_ms = 2500
[[listeners]]
address = "clackss://[::1]:49999"
tls = { certificate = "/c", key = "/srv/clacks/k" }
[[listeners]]
address = "clackss://0.0.0.0:49999"
tls = { certificate = "/c", key = "/srv/clacks/k" }
[[listeners]]
address = "clacks:///own.sock"
mode = "0777"
[[users]]
name = "m"
password_hash of p"\
rights = ["read", "write", "manage", "link"]
[[users]]
name = "n"
password_hash of q
rights = ["manage"]
[[users]]
name = "nothing"
password_hash of r
rights = []"#;
        assert_eq!(keys(&text), want.lines().collect::<Vec<_>>(), "{text}");
        for what in [
            "appname (line 1)",
            "ip (line 2): the same address",
            "more of a user (line 5)",
            "master (line 13): the original uses the first",
            "readfailtimeout (line 10)",
            "interclacksreadfailtimeout (line 10)",
            "persistanceinterval (line 11): only what has changed",
            "throttle (line 11)",
            "socketcommands (line 3): the daemon runs no shell",
            "debugfile (line 12)",
            "whatever (line 12): the original does not know",
        ] {
            assert!(text.contains(&format!("# not carried over: {what}")), "{what}\n{text}");
        }
        assert!(!text.contains("secret") && !text.contains("p&quot"), "{text}");
        assert!(text.contains("# WARNING: WHOEVER ANSWERS AT THAT ADDRESS IS BELIEVED"), "{text}");
        assert!(text.contains("-connect 10.0.0.1:49888 ") && text.contains("write ca_file = "), "{text}");
    }

    #[test]
    fn a_master_at_a_socket_wins_and_an_empty_one_is_none() {
        let with = |master: &str| {
            plan(&format!("<c><socket>/s</socket><username>u</username><password>p</password>{master}</c>"))
        };
        let text = with("<master><ip>x</ip><port>1</port><socket>m.sock</socket></master>").print(&places());
        assert!(text.contains("address = \"clacks:///srv/clacks/m.sock\""), "{text}");
        assert!(!text.contains("insecure") && !text.contains("WARNING"), "no TLS is spoken there: {text}");
        for none in ["<master/>", ""] {
            let text = with(none).print(&places());
            assert!(!keys(&text).contains(&"[clacks.master]") && text.contains("\nlink_user = \"u\"\n"), "{text}");
        }
        assert!(!keys(&with("").print(&places())).iter().any(|l| l.starts_with("path")), "values were in memory only");
        let text = with("<interclacksreconnecttimeout>5</interclacksreconnecttimeout>").print(&places());
        assert!(text.contains("\n[clacks.master]\nreconnect_after_ms = 5000\n"), "{text}");
    }

    #[test]
    fn a_main_user_that_may_not_link_has_no_use_for_its_password() {
        let with = |more: &str| {
            let same = "<user username='u' password='p' read='1'/>";
            plan(&format!("<c><socket>/s</socket><username>u</username><password>p</password>{same}{more}</c>"))
        };
        let (none, slave) = (with(""), with("<master><socket>/m</socket></master>"));
        assert!(!none.needs_password_file() && !none.print(&places()).contains("link_user"));
        assert!(slave.needs_password_file() && slave.print(&places()).contains("link_user"));
    }

    #[test]
    fn times_that_cannot_be_here_are_told() {
        let with = |name: &str, said: &str| {
            let xml = format!(
                "<c><socket>/s</socket><username>u</username><password>p</password><{name}>{said}</{name}></c>"
            );
            let plan = plan(&xml);
            let text = plan.print(&places());
            config(&plan, tempfile::tempdir().unwrap().path());
            (keys(&text).join("\n"), text.contains(&format!("# not carried over: {name} {said} (line 1): ")))
        };
        for (name, said, line, is_told) in [
            ("pingtimeout", "0", "ping_within_ms = 100", true),
            ("pingtimeout", "180.0625", "ping_within_ms = 180063", false),
            ("pingtimeout", "999999999999999999", "ping_within_ms = 86400000", true),
            ("stalledwritetimeout", "0.001", "stalled_after_ms = 10", true),
            ("interclacksreconnecttimeout", "0.1", "reconnect_after_ms = 100", false),
            ("deletedcachetime", "0", "removals_kept_s = 1", true),
            ("deletedcachetime", "1.5", "removals_kept_s = 2", true),
            ("deletedcachetime", "99999999", "removals_kept_s = 31536000", true),
            ("stalecachetime", "0", "stale_after_ms = 1", true),
            ("stalecachetime", "4233600", "stale_after_ms = 4233600000", false),
            ("stalecachetime", "315360000", "stale_after_ms = 0", true),
            ("cachecleaninterval", "0", "clean_every_ms = 20", true),
        ] {
            let (text, told) = with(name, said);
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
            assert_eq!(told, is_told, "{name} {said}");
        }
    }

    /// What the daemon, and `chappe check-config`, make of it, written into a folder of `home`,
    /// where the original's files are, too.
    fn config(plan: &Plan, home: &Path) -> Config {
        let places = Places { folder: home.join("new"), ..places() };
        let files = plan.save(&places).unwrap();
        let config = Config::read(files.last().unwrap(), |_| {});
        config.unwrap_or_else(|e| panic!("{e}\n{}", plan.print(&places)))
    }

    #[test]
    fn what_is_printed_is_a_configuration() {
        let home = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["x".into()]).unwrap().self_signed(&key).unwrap();
        for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            std::fs::write(home.path().join(name), text).unwrap();
        }
        let around = Around { folder: home.path().to_owned(), ..around() };
        let config = |xml: &str| {
            let _ = std::fs::remove_dir_all(home.path().join("new"));
            config(&Plan::of(xml.as_bytes(), &around).unwrap(), home.path())
        };
        let rights = |config: &Config| config.users.iter().map(|user| user.rights.len()).collect::<Vec<_>>();

        let page = config(PAGE);
        assert_eq!(page.listeners[0].address.to_string(), "clackss://127.0.0.1:49888");
        assert_eq!(page.listeners[1].address.to_string(), "clacks:///run/clacks/main.sock");
        assert_eq!((page.store.removals_kept_s, page.clacks.stale_after_ms), (3600, 86_400_000));
        let same = Clacks::default();
        let now = &page.clacks;
        assert_eq!((now.ping_within_ms, now.login_within_ms), (600_000, same.login_within_ms));
        assert_eq!((now.link_user.as_str(), &now.master), ("exampleuser", &same.master));
        assert_eq!(now.link_password.as_ref().unwrap().reveal(), "unsafepassword");
        assert_eq!((now.allow_shutdown, rights(&page)), (true, vec![4, 2, 1]));
        assert!(!page.notes().any(|(_, note)| note.contains("clacks.")));
        let socket_only = PAGE.replace("<ip>127.0.0.1</ip>", "");
        assert_eq!(config(&socket_only).listeners[..], page.listeners[1..]);

        let all = config(&EVERYTHING.replace("'/c'", "'server.crt'").replace("'k'", "'server.key'"));
        assert_eq!(all.listeners.len(), 3);
        assert_eq!(rights(&all), [4, 1, 0]);
        assert_eq!(all.clacks.link_password.as_ref().unwrap().reveal(), "p\"\\");
        assert_eq!(all.clacks.master.address.as_ref().unwrap().to_string(), "clackss://10.0.0.1:49888");
        assert_eq!((all.clacks.master.insecure, all.clacks.master.reconnect_after_ms), (true, 2500));
        assert!(all.notes().any(|(_, note)| note.contains("clacks.master.insecure")));

        let base = "<username>u</username><password>p</password>";
        let slave = config(&format!("<c><socket>a b.sock</socket>{base}<master><socket>m</socket></master></c>"));
        let master = home.path().join("m");
        assert_eq!(slave.clacks.master.address.as_ref().and_then(|at| at.path()), Some(master.as_path()));
    }

    #[test]
    fn an_additional_user_that_is_the_main_user_is_told_loudly() {
        let with = |users: &str| {
            plan(&format!("<c><socket>/s</socket><username>u</username><password>p</password>\n{users}</c>"))
        };
        // weak point 8
        let same = with("<user username='u' password='p' read='1'/>");
        assert!(
            matches!(&same.warnings[..], [w] if w.starts_with("line 2: ") && w.contains("leaves it read, so no link"))
        );
        let text = printed(&same, &["p"]);
        assert!(text.contains("# WARNING: line 2: an additional user has the name and the password of the main user"));
        assert!(text.contains("name = \"u\"\npassword_hash of p\nrights = [\"read\"]\n"), "{text}");
        assert_eq!(text.matches("[[users]]").count(), 1);
        // another password: both would log in there
        let other = with("<user username='u' password='q' read='1'/>");
        let text = printed(&other, &["p"]);
        assert!(
            other.warnings[0].contains("left out") && text.contains("# not carried over: user u (line 2)"),
            "{text}"
        );
        assert!(text.contains("rights = [\"read\", \"write\", \"manage\", \"link\"]"), "{text}");
        // and of two additional ones
        let twice = with("<user username='a' password='q' read='1'/>\n<user username='a' password='q'/>");
        assert!(twice.warnings[0].contains("line 3: the user a is there twice; the last counts, with no rights"));
        let text = printed(&twice, &["p", "q"]);
        assert!(text.ends_with("name = \"a\"\npassword_hash of q\nrights = []\n"), "{text}");
    }

    #[test]
    fn what_may_not_be_meant_is_told() {
        let with = |more: &str| {
            let plan = plan(&format!("<c><socket>/s</socket><username>u</username><password>p</password>\n{more}</c>"));
            let text = plan.print(&places());
            assert!(plan.warnings.iter().all(|w| text.contains(&format!("# WARNING: {w}\n"))), "{text}");
            plan.warnings.join("|")
        };
        assert_eq!(with(""), "");
        assert!(with("<pingtimeout>120</pingtimeout>").contains("every 120 s at most"));
        assert!(
            with("<user username='a' password='b'><manage/></user>").contains("line 2: an empty manage counts as on")
        );
        assert!(with("<user username='é' password='b'/>").contains("UTF-8"));
        assert!(with("<debugfile>PC_NOBODY/x</debugfile>").contains("PC_NOBODY is not set here"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_line_and_no_password() {
        let base = "<username>u</username>\n<password>hunter22</password>\n";
        for (xml, line, why) in [
            (format!("<c>{base}</c>"), None, "neither ip nor socket"),
            ("<c><socket>/s</socket></c>".into(), None, "no username"),
            ("<c><socket>/s</socket><username>u</username></c>".into(), None, "no password"),
            (format!("<c>{base}<ip>::1</ip></c>"), Some(3), "no port"),
            (format!("<c>{base}<ip>::1</ip><port>1</port></c>"), Some(3), "no ssl"),
            (format!("<c>{base}<ip>::1</ip><port>1</port>\n<ssl cert='c'/></c>"), Some(4), "no key in ssl"),
            (format!("<c>{base}<ip>::1</ip>\n<port>70000</port></c>"), Some(4), "`70000` is no port"),
            (
                format!("<c>{base}<ip>::1</ip>\n<port>PC_NOBODY</port></c>"),
                Some(4),
                "the variable PC_NOBODY is not set",
            ),
            (format!("<c>{base}<ip>a b</ip><port>1</port><ssl cert='c' key='k'/></c>"), Some(3), "no address"),
            (
                format!("<c>{base}<socket>/s</socket><pingtimeout>soon</pingtimeout></c>"),
                Some(3),
                "`soon` is no number",
            ),
            (
                format!("<c>{base}<socket>/s</socket>\n<pingtimeout>1</pingtimeout><pingtimeout>1</pingtimeout></c>"),
                Some(4),
                "twice",
            ),
            (format!("<c>{base}<socket>/s</socket><username>v</username></c>"), Some(3), "twice, in line 1"),
            (format!("<c>{base}<socket></socket></c>"), Some(3), "socket is empty"),
            (format!("<c>{base}<socket>/{}</socket></c>", "x".repeat(107)), Some(3), "107 bytes"),
            (format!("<c>{base}<socket>/s</socket><user username='x'/></c>"), Some(3), "no password"),
            (
                format!("<c>{base}<socket>/s</socket><user username='{}' password='1'/></c>", "x".repeat(49)),
                Some(3),
                "48 bytes",
            ),
            (
                format!("<c>{base}<socket>/s</socket><user username='x' password='{}'/></c>", "x".repeat(129)),
                Some(3),
                "128 bytes",
            ),
            (format!("<c>{base}<socket>/s</socket><user username='x' password=''/></c>"), Some(3), "password is empty"),
            (
                format!("<c>{base}<socket>/s</socket><user username='x'><password>hunter22\n</password></user></c>"),
                Some(3),
                "line end",
            ),
            (format!("<c>{base}<socket>/s</socket><master><ip>x</ip></master></c>"), Some(3), "an ip and a port"),
            (
                format!("<c>{base}<socket>/s</socket><master><socket>/{}</socket></master></c>", "x".repeat(107)),
                Some(3),
                "107 bytes",
            ),
            (format!("<c>{base}<socket><a/></socket></c>"), Some(3), "elements in socket"),
        ] {
            let wrong = Plan::of(xml.as_bytes(), &around()).expect_err(&xml);
            assert!(wrong.text.contains(why) && !wrong.text.contains("hunter22"), "{xml}: {wrong:?}");
            assert_eq!(wrong.line, line, "{xml}: {wrong:?}");
        }
    }

    #[test]
    fn odd_modes_are_not_carried_over() {
        for (said, mode) in
            [("660", Some("0660")), (" 0600 ", Some("0600")), ("a+rw", None), ("1777", None), ("", None)]
        {
            let xml = format!(
                "<c><socket>/s</socket><username>u</username><password>p</password><socketchmod>{said}</socketchmod></c>"
            );
            let text = plan(&xml).print(&places());
            match mode {
                Some(mode) => assert!(text.contains(&format!("mode = \"{mode}\"\n")), "{text}"),
                None => {
                    assert!(!text.contains("\nmode = ") && text.contains("not carried over: socketchmod"), "{text}")
                }
            }
        }
    }

    #[test]
    fn files_are_made_for_one_reader_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let places = Places { folder: folder.path().join("new"), ..places() };
        let with = |master: &str| {
            plan(&format!("<c><socket>/s</socket><username>u</username><password>öffne dich</password>{master}</c>"))
        };
        let plan = with("<master><socket>/m</socket></master>");
        let files = plan.save(&places).unwrap();
        assert_eq!(files, [places.folder.join(PASSWORD_FILE), places.folder.join(CONFIG_FILE)]);
        let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&files[0]), 0o600);
        assert_eq!(mode(&files[1]) & 0o137, 0);
        assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "öffne dich\n");
        assert!(!std::fs::read_to_string(&files[1]).unwrap().contains("ffne"));
        // again: what is there stays
        std::fs::write(&files[0], "mine").unwrap();
        let (file, error) = plan.save(&places).unwrap_err();
        assert_eq!((file, error.kind()), (files[0].clone(), io::ErrorKind::AlreadyExists));
        assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "mine");
        // half of it is nothing
        std::fs::remove_file(&files[0]).unwrap();
        assert_eq!(plan.save(&places).unwrap_err().0, files[1]);
        assert!(!files[0].exists() && files[1].exists());
        // a server without a master may get slaves
        std::fs::remove_file(&files[1]).unwrap();
        assert_eq!(with("").save(&places).unwrap(), files);
    }

    #[test]
    fn comments_are_one_line() {
        assert_eq!(harmless("a\nb\u{1b}é"), "a\\nb\\u{1b}é");
        let places = Places { from: "x\ny".into(), ..places() };
        let text = plan(PAGE).print(&places);
        assert!(text.starts_with("# What Net::Clacks did with x\\ny,"), "{text}");
    }
}
