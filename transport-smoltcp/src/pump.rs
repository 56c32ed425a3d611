//! What the two clients have in common: bytes in, events out.

use chappe_core::client::{Client, Event, Inbox, Wants};
use chappe_core::time::Instant;

/// Hands received bytes to the client, frame by frame, and its events to the application.
pub(crate) fn receive<'b, W: Wants>(
    client: &mut Client<'b>,
    inbox: &mut Inbox<'_>,
    now: Instant,
    mut bytes: &[u8],
    each: &mut impl FnMut(&mut Client<'b>, Event<'_>),
) {
    loop {
        match inbox.take(&mut bytes) {
            Ok(Some(frame)) => {
                if let Some(event) = client.handle_only::<W>(now, frame) {
                    each(client, event);
                }
            }
            Ok(None) => return,
            Err(_) => return client.hopeless(),
        }
    }
}

/// Tells the client the time until it has nothing more to say about it.
pub(crate) fn tick<'b>(client: &mut Client<'b>, now: Instant, each: &mut impl FnMut(&mut Client<'b>, Event<'_>)) {
    while let Some(event) = client.tick(now) {
        each(client, event);
    }
}
