//! Native frames, as both ends write them.

use chappe_core::dialect::messi::wire::Writer;
use chappe_core::model::{ClientToServer, ServerToClient};

/// A payload in a frame of today's framing.
pub fn payload(kind: u8, payload: &[u8]) -> Vec<u8> {
    let n = payload.len();
    [&[kind, (n >> 16) as u8, (n >> 8) as u8, n as u8], payload].concat()
}

/// What a station says.
pub fn to_node(message: &ClientToServer<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.write(&mut Writer::new(&mut bytes));
    payload(1, &bytes)
}

/// What a node says.
pub fn to_client(message: &ServerToClient<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.len()];
    message.write(&mut Writer::new(&mut bytes));
    payload(2, &bytes)
}
