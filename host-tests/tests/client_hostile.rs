//! A client against a node that means harm: what `fuzz/` found stays found.

use chappe_core::client::{Call, Client, Inbox, Memory, Options, Wish};
use chappe_core::time::Instant;
use chappe_host_tests::random::Random;

#[test]
fn octets_after_a_hopeless_header_are_refused_as_well() {
    // a driver that reads on before it closes must not be brought down (fuzz seed
    // frames/after-hopeless)
    let mut buf = [0; 64];
    let mut inbox = Inbox::new(&mut buf);
    let mut input = &[2, 0, 0, 2, 0x0a, 0, 0, 0, 0, 0][..];
    assert!(inbox.take(&mut input).unwrap().is_some());
    assert!(inbox.take(&mut input).is_err());
    for more in [&[0, 0, 0][..], &[1], &[2, 0, 0, 0]] {
        assert!(inbox.take(&mut &more[..]).is_err(), "still hopeless");
    }
    inbox.clear();
    assert!(inbox.take(&mut &[4, 0, 0, 0][..]).unwrap().is_some(), "until the next connection");
}

#[test]
fn noise_never_brings_a_client_down_nor_makes_it_ready() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (mut outbox, mut script, mut calls, mut buf) = ([0; 256], [0; 64], [Call::default(); 2], [0; 128]);
        let memory = Memory { outbox: &mut outbox, script: &mut script, calls: &mut calls };
        let now = Instant::from_millis(1);
        let mut client = Client::new(memory, Options::default(), now);
        let mut inbox = Inbox::new(&mut buf);
        assert_eq!(client.wish(now), Wish::Connect);
        client.connected(now);
        for _ in 0..50 {
            let noise: Vec<u8> = (0..random.below(40)).map(|_| 1 + random.next() as u8 % 4).collect();
            let mut input = &noise[..];
            while let Ok(Some(frame)) = inbox.take(&mut input) {
                client.handle(now, frame);
            }
        }
        assert!(!client.is_ready());
    }
}
