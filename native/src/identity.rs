//! Identifiers: the Python check of a standard, and before it what can be said of a citizen's number without asking.
//!
//! As `hutong.contracts.identifiers` does it: form, day and check digit are worked out; whether the place had its code in that
//! year only the library knows, and what it said is remembered. Neighbour: `pack`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

/// Place and year: what two numbers share of which one was valid.
type Origin = [u8; 10];

/// More than there are pairs of a place and a year among living persons' numbers in one register.
const REMEMBERED: usize = 65_536;

pub struct Identity {
    check: Py<PyAny>,
    known: Option<Mutex<HashSet<Origin>>>,
}

impl Identity {
    /// `check` is Python's; `citizens` says that it is for GB 11643.
    pub fn new(check: Py<PyAny>, citizens: bool) -> Identity {
        Identity { check, known: citizens.then(Mutex::default) }
    }

    /// Whether a text passes; `value` is the same text as Python holds it.
    pub fn is_valid(&self, value: &Bound<'_, PyAny>, text: &str) -> PyResult<bool> {
        let origin = self.known.as_ref().zip(origin(text.as_bytes()));
        if origin.as_ref().is_some_and(|(known, origin)| known.lock().is_ok_and(|known| known.contains(origin))) {
            return Ok(true);
        }
        let valid = self.check.bind(value.py()).call1((value,))?.is_truthy()?;
        if let (true, Some((known, origin))) = (valid, origin) {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < REMEMBERED {
                known.insert(origin);
            }
        }
        Ok(valid)
    }
}

/// Place and year of a number whose form, day and check digit are right (ISO 7064, MOD 11-2).
fn origin(text: &[u8]) -> Option<Origin> {
    let text: &[u8; 18] = text.try_into().ok()?;
    let body = &text[..17];
    if !body.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let rest = body.iter().fold(0, |rest, digit| (rest * 2 + u32::from(digit - b'0')) % 11);
    if text[17] != b"10X98765432"[(rest * 2 % 11) as usize] {
        return None;
    }
    let number = |part: &[u8]| part.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    let (year, month, day) = (number(&text[6..10]), number(&text[10..12]), number(&text[12..14]));
    (year > 0 && (1..=days(year, month)).contains(&day)).then(|| text[..10].try_into().unwrap_or_default())
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}
