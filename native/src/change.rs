//! What each transform does to a single value's Avro bytes; the declarations are those of `hutong.agreements.transforms`.
//!
//! A value that a transform cannot take is `Left` to Python, which says why. Neighbours: `emit` calls these, `key` uses `text`.

use std::collections::HashMap;

use hmac::{Hmac, Mac};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sha2::Sha256;

use crate::avro::{Left, put_varint, span, unscaled, varint};
use crate::text::{TextOf, civil};

pub type Key = Hmac<Sha256>;

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

#[derive(Clone, Copy)]
pub enum Unit {
    Days,
    Milliseconds,
    Microseconds,
}

/// Bands' lower bounds, in the form in which a value of the field's type is compared with them.
pub enum Bounds {
    Number(Vec<i128>),
    Float(Vec<f64>),
    Double(Vec<f64>),
    DecimalBytes(Vec<i128>),
    DecimalFixed(Vec<i128>),
}

pub enum Change {
    Mask { first: usize, last: usize },
    Pseudonym { key: Box<Key>, of: TextOf },
    Year(Unit),
    Month(Unit),
    Day(Unit),
    Keep { first: usize, pad: Option<char> },
    Band { bounds: Bounds, labels: Vec<Vec<u8>> },
    MapText(HashMap<Vec<u8>, Vec<u8>>),
    MapSymbol(Vec<Vec<u8>>),
}

impl Change {
    pub fn read(described: &Bound<'_, PyAny>) -> PyResult<Change> {
        let tag: String = described.get_item(0)?.extract()?;
        let at = |number: usize| described.get_item(number);
        Ok(match tag.as_str() {
            "mask" => Change::Mask { first: at(1)?.extract()?, last: at(2)?.extract()? },
            "pseudonym" => {
                let secret: Vec<u8> = at(1)?.extract()?;
                Change::Pseudonym { key: Box::new(keyed(&secret)), of: TextOf::read(&at(2)?)? }
            }
            "year" => Change::Year(read_unit(&at(1)?)?),
            "month" => Change::Month(read_unit(&at(1)?)?),
            "day" => Change::Day(read_unit(&at(1)?)?),
            "keep" => Change::Keep { first: at(1)?.extract()?, pad: at(2)?.extract()? },
            "band" => Change::Band { bounds: read_bounds(&at(1)?, &at(2)?)?, labels: at(3)?.extract()? },
            "map_text" => Change::MapText(at(1)?.extract()?),
            "map_symbol" => Change::MapSymbol(at(1)?.extract()?),
            other => return Err(PyValueError::new_err(format!("no transform {other}"))),
        })
    }

    /// Appends the changed value to `out`.
    pub fn apply(&self, data: &[u8], start: usize, end: usize, out: &mut Vec<u8>) -> Result<(), Left> {
        match self {
            Change::Mask { first, last } => mask(text(data, start)?, *first, *last, out),
            Change::Pseudonym { key, of } => {
                let mut mac = (**key).clone();
                of.with(data, start, end, |text| mac.update(text))?;
                put_varint(64, out);
                put_digest(mac, out);
            }
            Change::Year(unit) => put_varint(civil(days(data, start, *unit)?).0, out),
            Change::Month(unit) => {
                let (year, month, _) = civil(days(data, start, *unit)?);
                put_text(format!("{year:04}-{month:02}").as_bytes(), out);
            }
            Change::Day(unit) => put_varint(days(data, start, *unit)?, out),
            Change::Keep { first, pad } => keep(text(data, start)?, *first, *pad, out),
            Change::Band { bounds, labels } => {
                let label = bounds.of(data, start, end)?;
                out.extend_from_slice(labels.get(label).ok_or(Left)?);
            }
            Change::MapText(table) => {
                let (from, to) = span(data, start)?;
                out.extend_from_slice(table.get(&data[from..to]).ok_or(Left)?);
            }
            Change::MapSymbol(table) => {
                let number = usize::try_from(varint(data, start)?.0).map_err(|_| Left)?;
                out.extend_from_slice(table.get(number).ok_or(Left)?);
            }
        }
        Ok(())
    }
}

/// HMAC-SHA256 under an agreement's key, ready to take a value.
pub fn keyed(secret: &[u8]) -> Key {
    Key::new_from_slice(secret).expect("HMAC takes keys of any length")
}

/// Appends a pseudonym's 64 hexadecimal characters.
pub fn put_digest(mac: Key, out: &mut Vec<u8>) {
    for byte in mac.finalize().into_bytes() {
        out.push(HEXADECIMAL[usize::from(byte >> 4)]);
        out.push(HEXADECIMAL[usize::from(byte & 15)]);
    }
}

fn text(data: &[u8], start: usize) -> Result<&str, Left> {
    let (from, to) = span(data, start)?;
    std::str::from_utf8(&data[from..to]).map_err(|_| Left)
}

fn put_text(text: &[u8], out: &mut Vec<u8>) {
    put_varint(text.len() as i64, out);
    out.extend_from_slice(text);
}

fn mask(text: &str, first: usize, last: usize, out: &mut Vec<u8>) {
    let length = if text.is_ascii() { text.len() } else { text.chars().count() };
    // A text that is not longer than what would stay visible is hidden whole.
    let (first, last) = if length <= first.saturating_add(last) { (0, 0) } else { (first, last) };
    let head = byte_at(text, first);
    let tail = byte_at(text, length - last);
    put_varint((head + (length - first - last) + (text.len() - tail)) as i64, out);
    out.extend_from_slice(&text.as_bytes()[..head]);
    out.resize(out.len() + (length - first - last), b'*');
    out.extend_from_slice(&text.as_bytes()[tail..]);
}

fn keep(text: &str, first: usize, pad: Option<char>, out: &mut Vec<u8>) {
    let head = byte_at(text, first);
    let Some(pad) = pad else { return put_text(&text.as_bytes()[..head], out) };
    let padding = text[head..].chars().count();
    let mut buffer = [0; 4];
    let pad = pad.encode_utf8(&mut buffer).as_bytes();
    put_varint((head + padding * pad.len()) as i64, out);
    out.extend_from_slice(&text.as_bytes()[..head]);
    for _ in 0..padding {
        out.extend_from_slice(pad);
    }
}

/// Where the character of this number begins; the text's end where it has no so many.
fn byte_at(text: &str, character: usize) -> usize {
    if text.is_ascii() { character.min(text.len()) } else { text.char_indices().nth(character).map_or(text.len(), |(at, _)| at) }
}

fn read_unit(named: &Bound<'_, PyAny>) -> PyResult<Unit> {
    match named.extract::<String>()?.as_str() {
        "days" => Ok(Unit::Days),
        "milliseconds" => Ok(Unit::Milliseconds),
        "microseconds" => Ok(Unit::Microseconds),
        other => Err(PyValueError::new_err(format!("no unit of time {other}"))),
    }
}

/// Days since 1970-01-01.
fn days(data: &[u8], start: usize, unit: Unit) -> Result<i64, Left> {
    let value = varint(data, start)?.0;
    Ok(match unit {
        Unit::Days => value,
        Unit::Milliseconds => value.div_euclid(86_400_000),
        Unit::Microseconds => value.div_euclid(86_400_000_000),
    })
}

fn read_bounds(kind: &Bound<'_, PyAny>, bounds: &Bound<'_, PyAny>) -> PyResult<Bounds> {
    Ok(match kind.extract::<String>()?.as_str() {
        "number" => Bounds::Number(read_whole(bounds)?),
        "float" => Bounds::Float(bounds.extract()?),
        "double" => Bounds::Double(bounds.extract()?),
        "decimal_bytes" => Bounds::DecimalBytes(read_whole(bounds)?),
        "decimal_fixed" => Bounds::DecimalFixed(read_whole(bounds)?),
        other => return Err(PyValueError::new_err(format!("no bands over {other}"))),
    })
}

/// As text, since numbers of 128 bits are not part of Python's stable interface.
fn read_whole(bounds: &Bound<'_, PyAny>) -> PyResult<Vec<i128>> {
    let texts: Vec<String> = bounds.extract()?;
    texts.iter().map(|text| text.parse().map_err(|_| PyValueError::new_err("a bound has more than 128 bits"))).collect()
}

impl Bounds {
    /// The number of the band: how many bounds the value has reached.
    fn of(&self, data: &[u8], start: usize, end: usize) -> Result<usize, Left> {
        Ok(match self {
            Bounds::Number(bounds) => reached(bounds, i128::from(varint(data, start)?.0)),
            Bounds::DecimalBytes(bounds) => {
                let (from, to) = span(data, start)?;
                reached(bounds, unscaled(&data[from..to])?)
            }
            Bounds::DecimalFixed(bounds) => reached(bounds, unscaled(&data[start..end])?),
            Bounds::Float(bounds) => {
                let bytes = data[start..end].try_into().map_err(|_| Left)?;
                real(bounds, f64::from(f32::from_le_bytes(bytes)))?
            }
            Bounds::Double(bounds) => real(bounds, f64::from_le_bytes(data[start..end].try_into().map_err(|_| Left)?))?,
        })
    }
}

fn reached(bounds: &[i128], value: i128) -> usize {
    bounds.partition_point(|bound| *bound <= value)
}

fn real(bounds: &[f64], value: f64) -> Result<usize, Left> {
    if value.is_nan() { Err(Left) } else { Ok(bounds.partition_point(|bound| *bound <= value)) }
}
