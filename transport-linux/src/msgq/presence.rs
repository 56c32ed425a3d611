//! Who comes and goes, as the node tells it (`wire/msgq.md` section 13).

use serde_json::Value;

use super::{Message, json};

/// The group of these notifications.
pub const NOTICES: &str = "notifications/cc_members";

/// What happened to a client. The instance is never told: who left one of two instances of a
/// group has `Unsubscribed`, and is still in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Connected {
        /// Its lname.
        client: String,
    },
    /// It subscribed, perhaps once more, perhaps to another instance.
    Subscribed {
        /// Its lname.
        client: String,
        /// To this.
        group: String,
    },
    /// It gave a subscription up, or lost it with its connection.
    Unsubscribed {
        /// Its lname.
        client: String,
        /// Of this.
        group: String,
    },
    /// Its connection is gone.
    Disconnected {
        /// Its lname.
        client: String,
    },
}

impl Presence {
    /// What a message of the group [`NOTICES`] says. `None`: it is another message.
    pub fn of(message: &Message) -> Option<Presence> {
        if message.group != NOTICES || message.is_reply() {
            return None;
        }
        let body = json::read(&message.body)?;
        let [event, about] = body.get("notification")?.as_array()?.as_slice() else { return None };
        let text = |key: &str| about.get(key).and_then(Value::as_str).map(str::to_owned);
        let client = text("client")?;
        Some(match event.as_str()? {
            "connected" => Presence::Connected { client },
            "subscribed" => Presence::Subscribed { client, group: text("group")? },
            "unsubscribed" => Presence::Unsubscribed { client, group: text("group")? },
            "disconnected" => Presence::Disconnected { client },
            _ => return None,
        })
    }

    /// To whom.
    pub fn client(&self) -> &str {
        match self {
            Presence::Connected { client }
            | Presence::Subscribed { client, .. }
            | Presence::Unsubscribed { client, .. }
            | Presence::Disconnected { client } => client,
        }
    }
}
