//! Words for people: every reason has some, each its own, in one short line; and what is secret
//! stands in none.

use chappe_core::client::{SendError, Why};
use chappe_core::dialect::communicator::emit::Unsaid;
use chappe_core::dialect::communicator::repr::Fault;
use chappe_core::dialect::communicator::translate::Unheard;
use chappe_core::dialect::messi::wire::Malformed;
use chappe_core::dialect::{clacks, communicator};
use chappe_core::id::StationId;
use chappe_core::model::Code;
use chappe_core::router::faults::Fault as Planted;
use chappe_core::router::flags::FlagError;
use chappe_core::router::store::StoreError;
use chappe_core::router::{Counter, Open, Settings};
use std::collections::BTreeSet;

fn are_words(texts: &[&'static str]) {
    for text in texts {
        assert!(!text.is_empty() && text.len() <= 128, "{text:?}");
        assert!(!text.contains(char::is_control) && text.trim() == *text && !text.ends_with('.'), "{text:?}");
    }
    let different: BTreeSet<_> = texts.iter().collect();
    assert_eq!(different.len(), texts.len(), "two with the same words: {texts:#?}");
}

#[test]
fn each_code_says_what_it_means() {
    // numbers without a code are told as one that is not known
    let codes: Vec<Code> = (0..100).map(Code::from_number).filter(|code| !matches!(code, Code::Unknown(_))).collect();
    assert_eq!(codes.len(), 23);
    are_words(&codes.iter().map(|code| code.text()).chain([Code::Unknown(99).text()]).collect::<Vec<_>>());
}

#[test]
fn each_end_of_a_connection_and_each_refusal_to_send_says_why() {
    let why = [
        Why::Lost,
        Why::Unreachable,
        Why::NoWelcome,
        Why::Silent,
        Why::Refused,
        Why::HelloTooBig,
        Why::Told(Code::Stopping),
        Why::Malformed(Malformed::Truncated),
        Why::Goodbye,
    ];
    are_words(&why.map(Why::text));
    assert_eq!(Why::Told(Code::Slow).text(), Code::Slow.text());
    let send = [
        SendError::NotReady,
        SendError::Full,
        SendError::TooBig,
        SendError::TooManyCalls,
        SendError::ScriptFull,
        SendError::BadName,
    ];
    are_words(&send.map(SendError::text));
}

#[test]
fn each_fault_of_a_frame_or_a_line_says_what_it_is() {
    let frames = [
        Malformed::Truncated,
        Malformed::LongVarint,
        Malformed::FieldNumber,
        Malformed::WireType,
        Malformed::DeepGroup,
        Malformed::NotUtf8,
        Malformed::MemberTwice,
        Malformed::TooManyParams,
        Malformed::FrameType(9),
    ];
    are_words(&frames.map(Malformed::text));
    let lines = [
        Fault::Blank,
        Fault::Source,
        Fault::OnlySource,
        Fault::EmptyServer,
        Fault::EmptyService,
        Fault::TwoServers,
        Fault::TwoServices,
        Fault::ServerBehindService,
        Fault::NoCommand,
        Fault::EmptyKey,
        Fault::BadKey,
        Fault::NoValue,
        Fault::OpenQuote,
        Fault::BehindQuote,
        Fault::TooManyParams,
        Fault::JsonTruncated,
        Fault::JsonUnexpected,
        Fault::JsonEscape,
        Fault::JsonHalfPair,
        Fault::JsonNotText,
        Fault::JsonNested,
        Fault::JsonNumber,
        Fault::JsonTwice,
        Fault::JsonTrailing,
        Fault::JsonNul,
        Fault::JsonNames,
    ];
    are_words(&lines.map(Fault::text));
    let unsaid = [
        Unsaid::NoRoom,
        Unsaid::NoCommand,
        Unsaid::BadName,
        Unsaid::BadKey,
        Unsaid::Nul,
        Unsaid::Backslash,
        Unsaid::TooManyParams,
        Unsaid::NotUtf8,
        Unsaid::TooLong,
    ];
    are_words(&unsaid.map(Unsaid::text));
    are_words(&[Unheard::Key, Unheard::NoRoom].map(Unheard::text));
}

#[test]
fn each_refusal_of_a_value_or_a_flag_says_what_to_do() {
    let values = [
        StoreError::BadName,
        StoreError::TooBig,
        StoreError::NotANumber,
        StoreError::Overflow,
        StoreError::TooManyNames,
        StoreError::NoSpace,
        StoreError::DiskFails,
        StoreError::DiskBehind,
    ];
    are_words(&values.map(StoreError::text));
    let flags = [
        FlagError::BadName,
        FlagError::LongDescription,
        FlagError::LongTags,
        FlagError::BadText,
        FlagError::BadPriority,
        FlagError::BadOrigin,
        FlagError::Full,
        FlagError::NotRaised,
        FlagError::ByHandOnly,
    ];
    are_words(&flags.map(FlagError::text));
}

#[test]
fn each_counter_and_each_planted_fault_has_a_name_and_an_explanation() {
    let names: Vec<_> = Counter::ALL.iter().map(|c| c.name()).collect();
    are_words(&names);
    assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')));
    assert!(Counter::ALL.iter().all(|c| !c.help().is_empty()));
    are_words(&Planted::ALL.iter().map(|f| f.name()).collect::<Vec<_>>());
    are_words(&Planted::ALL.iter().map(|f| f.what()).collect::<Vec<_>>());
}

#[test]
fn a_station_is_shown_as_people_write_it() {
    let id = StationId::new(17).expect("not 0");
    assert_eq!((format!("{id}"), format!("{id:?}")), ("@17".into(), "@17".into()));
    assert_eq!(StationId::new(0), None);
}

#[test]
fn settings_are_shown_without_what_is_secret_in_them() {
    let mut settings = Settings::new("node-7", "1.2", &Open);
    settings.clacks.link_user = "linker";
    settings.clacks.link_password = b"hunter2";
    settings.communicator.secret = b"hunter2";
    for shown in [
        format!("{settings:?}"),
        format!("{:?}", clacks::Settings { ..settings.clacks }),
        format!("{:?}", communicator::Settings { ..settings.communicator }),
    ] {
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117, 110"), "{shown}");
    }
    assert!(format!("{settings:?}").contains("node-7"));
    assert!(format!("{:?}", settings.clacks).contains("linker"));
}
