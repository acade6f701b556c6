use super::*;
use crate::cli::client::read;
use crate::cli::table::{Layout, WIDTH};
use crate::cli::text::width;
use crate::core::time::Timestamp;

fn entry(text: &str) -> Entry {
    read(text).unwrap()
}

#[test]
fn entries_are_lines_of_80_columns() {
    let layout = Layout::fixed(&COLUMNS, Some(WIDTH));
    let cases = [
        (
            r#"{"id":"att_1","created":"2026-11-23T09:30:00.123Z","event":"call.smsfollowup","status":"delivered","response":200,"error":null,"duration_ms":12,"attempt":1}"#,
            "200                 2026-11-23 09:30:00  call.smsfollowup  delivered     1    12",
        ),
        (
            r#"{"id":"att_2","created":"2026-11-23T09:30:00.123Z","event":"call.new","status":"retrying","response":null,"error":"connection_refused","duration_ms":15000,"attempt":2}"#,
            "connection_refused  2026-11-23 09:30:00  call.new          retrying      2   15s",
        ),
        (
            r#"{"id":"att_3","created":"x","event":"a.very.long.event.type\u001b","status":"expired","response":null,"attempt":0,"duration_ms":0}"#,
            "-                   x                    a.very.long.eve…  expired       -     -",
        ),
        (
            r#"{"id":"att_5","created":"2026-11-23T09:30:00.123Z","event":"call.new","status":"delivered","response":200,"error":null,"error_detail":"its body did not end in time","attempt":1,"duration_ms":3.4}"#,
            "200 !               2026-11-23 09:30:00  call.new          delivered     1     3",
        ),
        (
            r#"{"id":"att_4","created":"2026-11-23T09:30:00.123Z","event":"call.new","status":"failed","response":404,"test":true,"attempt":1,"duration_ms":3.4,"company":null,"call":null}"#,
            "404                 2026-11-23 09:30:00  call.new          failed     test     3",
        ),
    ];
    for (text, wanted) in cases {
        let line = layout.line(&entry(text).cells());
        assert_eq!(line, wanted);
        assert_eq!(width(&line), WIDTH);
    }
}

#[test]
fn only_filters_that_were_given_are_sent() {
    let here = Here::utc(Timestamp::ZERO);
    assert_eq!(Filter::default().parameters(&here), Ok(Vec::new()));
    let filter = Filter { status: Some("failed".to_owned()), test: Some(false), ..Filter::default() };
    let wanted = [("status", "failed".to_owned()), ("test", "false".to_owned())];
    assert_eq!(filter.parameters(&here).unwrap(), wanted);
}
