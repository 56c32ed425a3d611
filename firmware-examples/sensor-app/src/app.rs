//! What the sensor does by itself: readings, the flag, the button.

use chappe_core::client::{Client, Event, SendError, Wants};
use chappe_core::dialect::messi::repr::{Code, Encoding, Flag, Join, Letter, Store, StoreOp};
use chappe_core::time::{Duration, Instant};

use crate::text::Text;
use crate::{Board, command};

/// Longest id of a board.
const MAX_ID: usize = 16;
/// Numbers of the application's own requests, below the client's.
const JOIN: u32 = 1;
/// How long after a refused join it is tried again: the name may still be held by this board's own last connection,
/// until the node has noticed that it is gone.
const JOIN_AGAIN: Duration = Duration::from_millis(500);
/// How long the flag stays as it is, at least: a reading that trembles at the limit is one alarm.
const FLAG_HOLDS: Duration = Duration::from_secs(2);
/// How far below its limit the temperature falls before the flag is lowered, in hundredths of a degree.
const HYSTERESIS: i32 = 50;

/// Who this board is. Lives as long as the client, which borrows its name.
#[derive(Debug)]
pub struct Identity {
    /// `board-<id>`
    station: [u8; MAX_ID + STEM],
    len: usize,
}

/// Octets of `board-`.
const STEM: usize = 6;

impl Identity {
    /// Of an id of 1 to 16 letters, digits, `-` and `_`; anything else becomes `b1`.
    pub fn new(id: &str) -> Identity {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let good = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(fine);
        let mut station = [0; MAX_ID + STEM];
        let mut text = Text::new(&mut station);
        text.add("board-").add(if good { id } else { "b1" });
        let len = text.finish().len();
        Identity { station, len }
    }

    /// What the station is called: `board-<id>`.
    pub fn station(&self) -> &str {
        core::str::from_utf8(&self.station[..self.len]).unwrap_or_default()
    }

    /// The board's id.
    pub fn id(&self) -> &str {
        self.station().get(STEM..).unwrap_or_default()
    }
}

/// What a reading is, to be written as text.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Number(u32),
    Hundredths(i32),
}

/// Which events this application looks at; the code for others is not linked.
#[derive(Debug)]
pub struct Used;
impl Wants for Used {
    const ITEMS: bool = false;
    const PRESENCE: bool = false;
    const FLAGS: bool = false;
}

/// What of the flag the node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing yet on this connection.
    Nothing,
    Raised,
    Lowered,
}

/// The sensor.
#[derive(Debug)]
pub struct Sensor<'i> {
    identity: &'i Identity,
    /// `sensor::<id>`, behind it the name of a reading while that is sent.
    name: [u8; 48],
    stem: usize,
    pub(crate) interval: Duration,
    pub(crate) limit: i32,
    pub(crate) readings: u32,
    pub(crate) uptime: u32,
    next: Instant,
    hot: bool,
    held_until: Instant,
    told: Told,
    led: Option<bool>,
    button: Option<bool>,
    shown_uptime: Option<u32>,
    join_at: Option<Instant>,
    /// The number of the question what the interval was before this board was restarted.
    asked_interval: u32,
    keep_interval: bool,
    /// The number of the call that the button made.
    ringing: u32,
}

impl<'i> Sensor<'i> {
    /// A reading every 200 ms and a limit of 34.5 °C, until commanded otherwise.
    pub fn new(identity: &'i Identity) -> Self {
        let mut name = [0; 48];
        let mut text = Text::new(&mut name);
        text.add("sensor::").add(identity.id());
        let stem = text.finish().len();
        Sensor {
            identity,
            name,
            stem,
            interval: Duration::from_millis(200),
            limit: 3450,
            readings: 0,
            uptime: 0,
            next: Instant::ZERO,
            hot: false,
            held_until: Instant::ZERO,
            told: Told::Nothing,
            led: None,
            button: None,
            shown_uptime: None,
            join_at: None,
            asked_interval: 0,
            keep_interval: false,
            ringing: 0,
        }
    }

    /// Tells the client what to join on every connection. To be called once.
    pub fn begin(&self, client: &mut Client<'_>) -> Result<(), SendError> {
        client.join(&Join { seq: JOIN, name: self.name(), exclusive: true, ..Join::default() })
    }

    /// The board's id.
    pub(crate) fn id(&self) -> &str {
        self.identity.id()
    }

    /// `sensor::<id>`
    fn name(&self) -> &str {
        core::str::from_utf8(&self.name[..self.stem]).unwrap_or_default()
    }

    /// `sensor::<id><what>`
    fn name_of(&mut self, what: &str) -> &str {
        let mut text = Text::behind(&mut self.name, self.stem);
        text.add(what);
        core::str::from_utf8(text.finish()).unwrap_or_default()
    }

    /// What the client tells.
    pub fn event(&mut self, now: Instant, board: &mut dyn Board, client: &mut Client<'_>, event: Event<'_>) {
        match event {
            Event::Ready(_) => {
                // The node may be a new one that knows nothing: all is said again.
                self.told = Told::Nothing;
                (self.led, self.button, self.shown_uptime, self.join_at) = (None, None, None, None);
                self.next = now;
                self.asked_interval = self.ask_interval(now, client).unwrap_or(0);
            }
            Event::Message(letter) => command::obey(self, board, client, &letter),
            Event::Outcome(o) if o.seq == JOIN && o.code != Code::Ok => self.join_at = Some(now + JOIN_AGAIN),
            Event::Value(v) if v.seq == self.asked_interval => {
                if let Some(interval) = core::str::from_utf8(v.value).ok().and_then(command::milliseconds) {
                    self.interval = interval;
                }
            }
            // Nobody has answered it: there is no such value, so there is one now.
            Event::Outcome(o) if o.seq == self.asked_interval && o.code == Code::NotFound => self.keep_interval = true,
            Event::Reply(answer) if answer.seq == self.ringing => board.set_led(answer.code == Code::Ok),
            _ => {}
        }
    }

    /// Does what is due. Returns when to come back at the latest.
    pub fn poll(&mut self, now: Instant, board: &mut dyn Board, client: &mut Client<'_>) -> Instant {
        self.uptime = u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX);
        let due = now >= self.next;
        if due {
            // No reading is made up for: if the board was held up, the next one counts from now.
            self.next = now + self.interval;
            self.readings = self.readings.wrapping_add(1);
            let temperature = board.temperature();
            self.judge(now, temperature);
            if client.is_ready() {
                let readings = self.readings;
                // What finds no room is not said: the next reading is newer.
                let _ = self.publish(client, "::temperature", Reading::Hundredths(temperature));
                let _ = self.publish(client, "::readings", Reading::Number(readings));
            }
        }
        if client.is_ready() {
            self.changes(now, board, client);
        }
        self.next
    }

    /// Whether it is hot, with hysteresis and patience.
    fn judge(&mut self, now: Instant, temperature: i32) {
        let hot = if self.hot { temperature > self.limit - HYSTERESIS } else { temperature >= self.limit };
        if hot != self.hot && now >= self.held_until {
            self.hot = hot;
            self.held_until = now + FLAG_HOLDS;
        }
    }

    /// What is said when it changes, and again until it found room.
    fn changes(&mut self, now: Instant, board: &mut dyn Board, client: &mut Client<'_>) {
        if self.join_at.is_some_and(|at| now >= at) && self.begin(client).is_ok() {
            self.join_at = None;
        }
        let told = if self.hot { Told::Raised } else { Told::Lowered };
        if told != self.told {
            let flag = Flag {
                raise: self.hot,
                unit: "sensor",
                section: self.identity.id(),
                name: "hot",
                description: "the temperature is at or above the limit",
                priority: 50,
                tags: "temperature",
                ..Flag::default()
            };
            // A node that never saw the flag need not be told that it is down.
            if (!self.hot && self.told == Told::Nothing) || client.flag(now, &flag).is_ok() {
                self.told = told;
            }
        }
        let uptime = self.uptime;
        if self.shown_uptime != Some(uptime) && self.publish(client, "::uptime", Reading::Number(uptime)).is_ok() {
            self.shown_uptime = Some(uptime);
        }
        let led = board.led();
        if self.led != Some(led) && self.publish(client, "::led", Reading::Number(led.into())).is_ok() {
            self.led = Some(led);
        }
        let button = board.button();
        if self.button != Some(button) && self.publish(client, "::button", Reading::Number(button.into())).is_ok() {
            if button && self.button.is_some() {
                self.ringing = self.ring(now, client).unwrap_or(0);
            }
            self.button = Some(button);
        }
        let ms = self.interval.millis();
        if self.keep_interval && self.publish(client, "::interval", Reading::Number(ms)).is_ok() {
            self.keep_interval = false;
        }
    }

    /// The interval was changed: remember it where a restart does not lose it.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
        self.keep_interval = true;
        // the new pace begins at once
        self.next = Instant::ZERO;
    }

    /// Sets the value `sensor::<id><what>` and tells it to the members of that name.
    fn publish(&mut self, client: &mut Client<'_>, what: &str, reading: Reading) -> Result<(), SendError> {
        let mut bytes = [0; 16];
        let mut text = Text::new(&mut bytes);
        match reading {
            Reading::Number(n) => text.number(n),
            Reading::Hundredths(n) => text.hundredths(n),
        };
        let value = text.finish();
        let name = self.name_of(what);
        client.store_blindly(&Store { op: StoreOp::Set, name, value, announce: true, ..Store::default() })
    }

    fn ask_interval(&mut self, now: Instant, client: &mut Client<'_>) -> Result<u32, SendError> {
        let name = self.name_of("::interval");
        client.store(now, &Store { op: StoreOp::Get, name, ..Store::default() })
    }

    /// The button calls whoever is the operator.
    fn ring(&self, now: Instant, client: &mut Client<'_>) -> Result<u32, SendError> {
        let body = self.name().as_bytes();
        client.call(
            now,
            &Letter { name: "operator", verb: "BUTTON", body, encoding: Encoding::Text, ..Letter::default() },
        )
    }
}
