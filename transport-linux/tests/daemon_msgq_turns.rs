//! What a hostile review found with the daemon as it is by default: who reads is closed for
//! nothing that others send.

mod support;

use serde_json::json;
use support::Daemon;
use support::msgq::{BUS, Client, frame};

fn message(group: &str, size: usize) -> Vec<u8> {
    frame(
        &json!({"type": "send", "from": "a", "to": "*", "group": group, "instance": "*", "seq": 1}),
        &vec![b'x'; size],
    )
}

/// Whether its connection still stands after it has read what there is.
fn lives(client: &mut Client) -> bool {
    use std::io::Write;
    if client.stream.write_all(&frame(&json!({"type": "ping"}), b"")).is_err() {
        return false;
    }
    loop {
        match client.next() {
            None => return false,
            Some(heard) if heard.head()["type"] == json!("pong") => return true,
            Some(_) => {}
        }
    }
}

/// One message of the longest length to 200 that read.
#[test]
fn one_message_to_many_closes_none_that_reads() {
    let daemon = Daemon::start(BUS);
    let mut a = daemon.msgq();
    let mut members: Vec<Client> = (0..200).map(|_| daemon.msgq()).collect();
    for m in &mut members {
        m.join("g");
        m.sync();
    }
    a.write(&message("g", 1 << 20));
    let closed = members.iter_mut().map(lives).filter(|l| !l).count();
    assert_eq!(closed, 0, "of 200 members that read");
}
