//! Avro binary as it lies in memory: numbers, the walk that refuses whatever is not exactly one value, and skipping.
//!
//! Neighbours: `places` are filled here and read by `emit`, `rows` and `key`.

use std::collections::HashSet;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The value is not of its schema, or not of a form that this module takes: the caller's Python decides what to say of it.
#[derive(Debug)]
pub struct Left;

pub type Walked = Result<usize, Left>;

/// Start and end of a field; `ABSENT` where the record around it is null.
pub type Place = (u32, u32);
pub const ABSENT: Place = (u32::MAX, u32::MAX);

/// Levels of nesting; the Python guard counts a little less strictly and has the last word.
const MAX_DEPTH: u32 = 64;
/// Items of zero bytes in one array or map: they cost time that no byte pays for.
const MAX_EMPTY_ITEMS: u32 = 64;

pub enum Type {
    Null,
    Boolean,
    Number { low: i64, high: i64 },
    Float,
    Double,
    Fixed { size: usize, precision: Option<u32> },
    Bytes { precision: Option<u32> },
    Text { uuid: bool },
    Enum { symbols: i64 },
    Union(Vec<usize>),
    Array(usize),
    Map(usize),
    Record(Vec<Field>),
}

pub struct Field {
    pub kind: usize,
    pub place: Option<usize>,
}

/// A schema's types, each referring to others by number; the root is number 0.
pub struct Types {
    types: Vec<Type>,
    pub places: usize,
}

impl Types {
    /// Reads the list of tuples that `hutong.transcode.native` writes.
    pub fn read(described: &Bound<'_, PyAny>, places: usize) -> PyResult<Types> {
        let types = described.try_iter()?.map(|one| read_type(&one?)).collect::<PyResult<Vec<_>>>()?;
        let made = Types { types, places };
        made.check()?;
        Ok(made)
    }

    /// Numbers that point outside would be read as such with every event; they are refused once instead.
    fn check(&self) -> PyResult<()> {
        let known = |number: &usize| *number < self.types.len();
        let right = self.types.iter().all(|one| match one {
            Type::Union(branches) => branches.iter().all(known),
            Type::Array(inner) | Type::Map(inner) => known(inner),
            Type::Record(fields) => fields.iter().all(|f| known(&f.kind) && f.place.is_none_or(|p| p < self.places)),
            _ => true,
        });
        if right && !self.types.is_empty() { Ok(()) } else { Err(PyValueError::new_err("a type refers to none")) }
    }

    pub fn knows(&self, number: usize) -> PyResult<usize> {
        if number < self.types.len() {
            Ok(number)
        } else {
            Err(PyValueError::new_err(format!("no type has the number {number}")))
        }
    }

    /// Whether `data[start..]` is exactly one value; fills the places of marked fields.
    pub fn walk_whole(&self, data: &[u8], start: usize, places: &mut Vec<Place>) -> Result<(), Left> {
        places.clear();
        places.resize(self.places, ABSENT);
        if data.len() >= u32::MAX as usize {
            return Err(Left);
        }
        let end = self.walk(0, data, start, 0, places)?;
        if end == data.len() { Ok(()) } else { Err(Left) }
    }

    fn walk(&self, number: usize, data: &[u8], at: usize, depth: u32, places: &mut Vec<Place>) -> Walked {
        match &self.types[number] {
            Type::Null => Ok(at),
            Type::Boolean => match data.get(at) {
                Some(0 | 1) => Ok(at + 1),
                _ => Err(Left),
            },
            Type::Number { low, high } => {
                let (value, end) = varint(data, at)?;
                if value >= *low && value <= *high { Ok(end) } else { Err(Left) }
            }
            Type::Float => within(data, at, 4),
            Type::Double => within(data, at, 8),
            Type::Fixed { size, precision } => {
                let end = within(data, at, *size)?;
                check_decimal(&data[at..end], *precision)?;
                Ok(end)
            }
            Type::Bytes { precision } => {
                let (start, end) = span(data, at)?;
                check_decimal(&data[start..end], *precision)?;
                Ok(end)
            }
            Type::Text { uuid } => {
                let (start, end) = span(data, at)?;
                let text = std::str::from_utf8(&data[start..end]).map_err(|_| Left)?;
                if *uuid && !is_uuid(text.as_bytes()) { Err(Left) } else { Ok(end) }
            }
            Type::Enum { symbols } => {
                let (value, end) = varint(data, at)?;
                if (0..*symbols).contains(&value) { Ok(end) } else { Err(Left) }
            }
            Type::Union(branches) => {
                let (value, end) = varint(data, at)?;
                let branch = usize::try_from(value).ok().and_then(|n| branches.get(n)).ok_or(Left)?;
                self.walk(*branch, data, end, depth, places)
            }
            Type::Array(items) => self.walk_blocks(data, at, |this, p| this.walk(*items, data, p, depth + 1, &mut Vec::new())),
            Type::Map(values) => {
                let mut keys = Keys::default();
                self.walk_blocks(data, at, |this, p| {
                    let (start, end) = span(data, p)?;
                    std::str::from_utf8(&data[start..end]).map_err(|_| Left)?;
                    if !keys.is_new(&data[start..end]) {
                        return Err(Left);
                    }
                    this.walk(*values, data, end, depth + 1, &mut Vec::new())
                })
            }
            Type::Record(fields) => {
                if depth > MAX_DEPTH {
                    return Err(Left);
                }
                let mut position = at;
                for field in fields {
                    let end = self.walk(field.kind, data, position, depth + 1, places)?;
                    if let Some(place) = field.place.and_then(|number| places.get_mut(number)) {
                        *place = (position as u32, end as u32);
                    }
                    position = end;
                }
                Ok(position)
            }
        }
    }

    fn walk_blocks(&self, data: &[u8], at: usize, mut item: impl FnMut(&Types, usize) -> Walked) -> Walked {
        let mut position = at;
        let mut empty = 0;
        loop {
            let (count, after) = varint(data, position)?;
            position = after;
            if count == 0 {
                return Ok(position);
            }
            let mut claimed = None;
            if count < 0 {
                let (bytes, after) = varint(data, position)?;
                position = after;
                claimed = Some(usize::try_from(bytes).ok().and_then(|n| position.checked_add(n)).ok_or(Left)?);
            }
            for _ in 0..count.unsigned_abs() {
                let end = item(self, position)?;
                if end == position {
                    empty += 1;
                    if empty > MAX_EMPTY_ITEMS {
                        return Err(Left);
                    }
                }
                position = end;
            }
            if claimed.is_some_and(|end| end != position) {
                return Err(Left);
            }
        }
    }

    /// The end of a value that the walk has seen.
    pub fn skip(&self, number: usize, data: &[u8], at: usize) -> Walked {
        match &self.types[number] {
            Type::Null => Ok(at),
            Type::Boolean => Ok(at + 1),
            Type::Number { .. } | Type::Enum { .. } => Ok(varint(data, at)?.1),
            Type::Float => within(data, at, 4),
            Type::Double => within(data, at, 8),
            Type::Fixed { size, .. } => within(data, at, *size),
            Type::Bytes { .. } | Type::Text { .. } => Ok(span(data, at)?.1),
            Type::Union(branches) => {
                let (branch, end) = branch(data, at)?;
                self.skip(*branches.get(branch).ok_or(Left)?, data, end)
            }
            Type::Array(items) => self.each(data, at, |this, p| this.skip(*items, data, p)),
            Type::Map(values) => self.each(data, at, |this, p| this.skip(*values, data, span(data, p)?.1)),
            Type::Record(fields) => fields.iter().try_fold(at, |position, field| self.skip(field.kind, data, position)),
        }
    }

    /// Calls a function with the start of each item of an array or map that the walk has seen; it returns the item's end.
    pub fn each(&self, data: &[u8], at: usize, mut item: impl FnMut(&Types, usize) -> Walked) -> Walked {
        self.walk_blocks(data, at, |this, position| item(this, position))
    }
}

/// The keys of a map so far. A few are compared one by one; more are hashed, with a seed that nobody can know.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<&'a [u8]>,
    many: HashSet<&'a [u8]>,
}

impl<'a> Keys<'a> {
    const FEW: usize = 16;

    fn is_new(&mut self, key: &'a [u8]) -> bool {
        if self.few.len() < Self::FEW {
            let new = !self.few.contains(&key);
            self.few.push(key);
            return new;
        }
        if self.many.is_empty() {
            self.many.extend(&self.few);
        }
        self.many.insert(key)
    }
}

fn read_type(described: &Bound<'_, PyAny>) -> PyResult<Type> {
    let tag: String = described.get_item(0)?.extract()?;
    let second = || described.get_item(1);
    Ok(match tag.as_str() {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "number" => Type::Number { low: second()?.extract()?, high: described.get_item(2)?.extract()? },
        "float" => Type::Float,
        "double" => Type::Double,
        "fixed" => Type::Fixed { size: second()?.extract()?, precision: described.get_item(2)?.extract()? },
        "bytes" => Type::Bytes { precision: second()?.extract()? },
        "string" => Type::Text { uuid: second()?.extract()? },
        "enum" => Type::Enum { symbols: second()?.extract()? },
        "union" => Type::Union(second()?.extract()?),
        "array" => Type::Array(second()?.extract()?),
        "map" => Type::Map(second()?.extract()?),
        "record" => {
            let fields: Vec<(usize, Option<usize>)> = second()?.extract()?;
            Type::Record(fields.into_iter().map(|(kind, place)| Field { kind, place }).collect())
        }
        other => return Err(PyValueError::new_err(format!("no Avro type {other}"))),
    })
}

/// A zig-zag number of at most 64 bits in its shortest form, and the position behind it.
#[inline]
pub fn varint(data: &[u8], at: usize) -> Result<(i64, usize), Left> {
    let first = *data.get(at).ok_or(Left)?;
    if first < 0x80 {
        return Ok((unzigzag(u64::from(first)), at + 1));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    let mut position = at + 1;
    loop {
        let byte = *data.get(position).ok_or(Left)?;
        position += 1;
        if shift == 63 && byte > 1 {
            return Err(Left);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return if byte == 0 { Err(Left) } else { Ok((unzigzag(value), position)) };
        }
        shift += 7;
    }
}

fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends the zig-zag form of a number.
pub fn put_varint(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 & 0x7f | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The number of a union's branch, and where its value begins.
#[inline]
pub fn branch(data: &[u8], at: usize) -> Result<(usize, usize), Left> {
    let (number, end) = varint(data, at)?;
    Ok((usize::try_from(number).map_err(|_| Left)?, end))
}

/// Start and end of the content of a text or of bytes.
#[inline]
pub fn span(data: &[u8], at: usize) -> Result<(usize, usize), Left> {
    let (length, start) = varint(data, at)?;
    let end = within(data, start, usize::try_from(length).map_err(|_| Left)?)?;
    Ok((start, end))
}

#[inline]
fn within(data: &[u8], at: usize, size: usize) -> Walked {
    match at.checked_add(size) {
        Some(end) if end <= data.len() => Ok(end),
        _ => Err(Left),
    }
}

/// The unscaled number of a decimal of at most 16 bytes.
pub fn unscaled(bytes: &[u8]) -> Result<i128, Left> {
    if bytes.len() > 16 {
        return Err(Left);
    }
    let mut value: i128 = if bytes.first().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
    for byte in bytes {
        value = value << 8 | i128::from(*byte);
    }
    Ok(value)
}

fn check_decimal(bytes: &[u8], precision: Option<u32>) -> Result<(), Left> {
    let Some(precision) = precision else { return Ok(()) };
    let number = unscaled(bytes)?.unsigned_abs();
    // A limit of more than 128 bits is above every number of 16 bytes.
    if 10u128.checked_pow(precision).is_none_or(|limit| number < limit) { Ok(()) } else { Err(Left) }
}

/// Whether a text is a UUID in lower case, the one form in which it is written.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
