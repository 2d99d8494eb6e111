//! The CloudEvents headers of an event: whether they are plainly in order, and which of them go on to recipients.
//!
//! The rules are `hutong.event`'s and `hutong.transcode.routing`'s; whatever is not plainly in order is left to them.

use crate::avro::Left;

/// A header's name and value.
pub type Header<'a> = (&'a [u8], &'a [u8]);

const MAX_HEADERS: usize = 64;
const MAX_BYTES: usize = 16_384;
const MAX_ATTRIBUTE: usize = 1_024;

/// What a header is to the check.
struct Known {
    name: &'static [u8],
    required: bool,
    read: bool,
    passed_on: bool,
}

const fn known(name: &'static [u8], required: bool, read: bool, passed_on: bool) -> Known {
    Known { name, required, read, passed_on }
}

const KNOWN: [Known; 10] = [
    known(b"ce_specversion", true, false, true),
    known(b"ce_id", true, true, true),
    known(b"ce_source", true, true, true),
    known(b"ce_type", true, true, true),
    known(b"ce_time", true, true, true),
    known(b"content-type", false, false, true),
    known(b"traceparent", false, true, true),
    known(b"tracestate", false, true, true),
    known(b"ce_agreement", false, true, false),
    known(b"ce_corrects", false, true, true),
];
const SPECVERSION: usize = 0;
const SOURCE: usize = 2;
const TYPE: usize = 3;
const TIME: usize = 4;

/// Fills `passed` with the numbers of the headers that go on.
pub fn check(headers: &[Header<'_>], source: &[u8], event_type: &[u8], passed: &mut Vec<usize>) -> Result<(), Left> {
    passed.clear();
    if headers.len() > MAX_HEADERS {
        return Err(Left); // before the loop below, whose time grows with the square of their number
    }
    let mut found: [Option<&[u8]>; KNOWN.len()] = [None; KNOWN.len()];
    let mut bytes = 0;
    for (number, (name, value)) in headers.iter().enumerate() {
        bytes += value.len();
        match KNOWN.iter().position(|known| known.name == *name) {
            Some(at) => {
                if found[at].replace(value).is_some() {
                    return Err(Left);
                }
                if KNOWN[at].passed_on {
                    passed.push(number);
                }
            }
            // A name that comes twice counts once in Python; whether that matters is for Python to say.
            None if headers[..number].iter().any(|(other, _)| other == name) => return Err(Left),
            None => {}
        }
    }
    let in_order = KNOWN.iter().zip(&found).all(|(known, value)| match value {
        None => !known.required,
        Some(value) => {
            (!known.required || !value.is_empty())
                && (!known.read || (value.len() <= MAX_ATTRIBUTE && std::str::from_utf8(value).is_ok()))
        }
    });
    let right = in_order
        && bytes <= MAX_BYTES
        && found[SPECVERSION] == Some(b"1.0")
        && found[SOURCE] == Some(source)
        && found[TYPE] == Some(event_type)
        && found[TIME].is_some_and(is_time);
    if right { Ok(()) } else { Err(Left) }
}

/// Whether this is an RFC 3339 time in its usual form: `2026-11-03T09:30:00[.123[456]](Z|+08:00)`.
fn is_time(text: &[u8]) -> bool {
    let Some((front, rest)) = text.split_at_checked(19) else { return false };
    let number = |from: usize, to: usize| {
        front[from..to].iter().try_fold(0u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else { return false };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19)) else { return false };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let in_calendar = year >= 1 && (1..=12).contains(&month) && (1..=days).contains(&day);
    let in_day = hour < 24 && minute < 60 && second < 60;
    let punctuated = [front[4], front[7], front[10], front[13], front[16]] == *b"--T::";
    let zone = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits != 3 && digits != 6 {
                return false;
            }
            &fraction[digits..]
        }
        other => other,
    };
    in_calendar && in_day && punctuated && is_zone(zone)
}

fn is_zone(zone: &[u8]) -> bool {
    match zone {
        b"Z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) && (*h1 < b'2' || (*h1 == b'2' && *h2 < b'4')) && *m1 < b'6'
        }
        _ => false,
    }
}
