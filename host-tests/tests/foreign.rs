//! Clients and a codec that nobody here wrote, out of PyPI: see `foreign/README.md`.

use chappe_core::dialect::messi::repr::{ClientToServer, ServerToClient};
use chappe_core::dialect::messi::wire::Writer;
use chappe_host_tests::daemon::{Daemon, workspace};
use chappe_host_tests::show;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The Python of `target/foreign`, or `None` after saying loudly that it cannot be had.
fn python() -> Option<PathBuf> {
    static READY: OnceLock<bool> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let made = Command::new("sh").arg("host-tests/foreign/prepare.sh").current_dir(workspace()).output().unwrap();
        if made.status.success() {
            return true;
        }
        let why = String::from_utf8_lossy(&made.stderr);
        assert!(std::env::var_os("CHAPPE_FOREIGN").is_none(), "CHAPPE_FOREIGN is set, but: {why}");
        // past the capture of the test harness
        let warning = format!("\n*** SKIPPED: the tests with foreign clients did not run: {why}\n");
        let _ = fs::write("/dev/stderr", warning);
        false
    });
    ready.then(|| workspace().join("target/foreign/bin/python"))
}

fn script(name: &str) -> Option<Command> {
    let mut command = Command::new(python()?);
    command.current_dir(workspace().join("host-tests/foreign")).arg(name).arg(workspace().join("target/foreign/gen"));
    Some(command)
}

#[test]
fn clients_that_stock_messi_generates_work_against_the_daemon() {
    let Some(mut clients) = script("messi_clients.py") else { return };
    let daemon = Daemon::start();
    // the script ends by itself, at the latest 5 s after the last thing that came
    let ran = clients.arg(&daemon.address).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    assert_eq!(out.lines().filter(|l| l.starts_with("ok: ")).count(), 13, "{out}\n{err}");
}

#[test]
fn our_codec_and_the_reference_read_each_other() {
    let file = std::env::temp_dir().join(format!("chappe-codec-{}", std::process::id()));
    for (seed, count) in [("1", 3000), ("2", 3000)] {
        let run = |what: &str| {
            let ran = script("codec.py")?.args([what, seed, &count.to_string()]).arg(&file).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            Some(())
        };
        if run("make").is_none() {
            return;
        }
        let bytes = fs::read(&file).unwrap();
        let lines = fs::read_to_string(file.with_extension("txt")).unwrap();
        let (mut left, mut ours, mut read) = (&bytes[..], Vec::new(), 0);
        for line in lines.lines() {
            let size = u32::from_be_bytes([0, left[1], left[2], left[3]]) as usize;
            let (head, payload) = (left[0], &left[4..4 + size]);
            left = &left[4 + size..];
            let mut out = vec![0; size];
            let mut w = Writer::new(&mut out);
            let (shown, len) = if head == 1 {
                let m = ClientToServer::read(payload).unwrap().0;
                m.write(&mut w);
                (show::to_node(&m), m.len())
            } else {
                let m = ServerToClient::read(payload).unwrap().0;
                m.write(&mut w);
                (show::to_client(&m), m.len())
            };
            assert_eq!(shown, line, "message {read} of seed {seed}");
            assert_eq!(w.finish(), Some(size), "message {read}: {line}");
            assert_eq!(len, size);
            ours.extend([head, (size >> 16) as u8, (size >> 8) as u8, size as u8]);
            ours.extend(out);
            read += 1;
        }
        assert_eq!((read, left.len()), (count, 0));
        fs::write(&file, ours).unwrap();
        run("check").unwrap();
    }
    let _ = fs::remove_file(file.with_extension("txt"));
    let _ = fs::remove_file(file);
}
