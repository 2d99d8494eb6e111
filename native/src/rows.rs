//! Row conditions over bytes, and the index that makes their cost follow the agreements that match.
//!
//! Values are in their shortest form (the walk refuses others), so equal values have equal bytes. Neighbours: `transcoder`.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::avro::{ABSENT, Left, Place, branch, span, unscaled, varint};

/// A field that a condition or a key looks at; a nullable one begins with the number of its branch.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Looked {
    place: usize,
    null: Option<usize>,
}

pub enum Condition {
    OneOf(Vec<Vec<u8>>),
    Prefix(Vec<u8>),
    Numbers(Option<i64>, Option<i64>),
    Reals { double: bool, low: Option<f64>, high: Option<f64> },
    Texts(Option<Vec<u8>>, Option<Vec<u8>>),
    Decimals { fixed: bool, low: Option<i128>, high: Option<i128> },
}

pub struct Row {
    pub field: Looked,
    pub condition: Condition,
}

impl Row {
    pub fn read(described: &Bound<'_, PyAny>, places: usize) -> PyResult<Row> {
        let field = Looked::read(&described.get_item(0)?, places)?;
        let tag: String = described.get_item(1)?.extract()?;
        let at = |number: usize| described.get_item(number);
        let condition = match tag.as_str() {
            "one_of" => Condition::OneOf(at(2)?.extract()?),
            "prefix" => Condition::Prefix(at(2)?.extract()?),
            "numbers" => Condition::Numbers(at(2)?.extract()?, at(3)?.extract()?),
            "floats" => Condition::Reals { double: false, low: at(2)?.extract()?, high: at(3)?.extract()? },
            "doubles" => Condition::Reals { double: true, low: at(2)?.extract()?, high: at(3)?.extract()? },
            "texts" => Condition::Texts(at(2)?.extract()?, at(3)?.extract()?),
            "decimals" => Condition::Decimals { fixed: at(4)?.extract()?, low: whole(&at(2)?)?, high: whole(&at(3)?)? },
            other => return Err(PyValueError::new_err(format!("no row condition {other}"))),
        };
        Ok(Row { field, condition })
    }

    pub fn holds(&self, data: &[u8], places: &[Place]) -> Result<bool, Left> {
        let Some((start, end)) = self.field.find(data, places)? else { return Ok(false) };
        Ok(match &self.condition {
            Condition::OneOf(values) => values.iter().any(|value| value == &data[start..end]),
            Condition::Prefix(prefix) => content(data, start)?.starts_with(prefix),
            Condition::Numbers(low, high) => in_range(varint(data, start)?.0, low, high),
            Condition::Reals { double: true, low, high } => {
                in_range(f64::from_le_bytes(data[start..end].try_into().map_err(|_| Left)?), low, high)
            }
            Condition::Reals { double: false, low, high } => {
                in_range(f64::from(f32::from_le_bytes(data[start..end].try_into().map_err(|_| Left)?)), low, high)
            }
            Condition::Decimals { fixed, low, high } => {
                let bytes = if *fixed { &data[start..end] } else { content(data, start)? };
                in_range(unscaled(bytes)?, low, high)
            }
            Condition::Texts(low, high) => {
                let text = content(data, start)?;
                low.as_ref().is_none_or(|low| text >= low.as_slice()) && high.as_ref().is_none_or(|high| text <= high.as_slice())
            }
        })
    }
}

impl Looked {
    pub fn read(described: &Bound<'_, PyAny>, places: usize) -> PyResult<Looked> {
        let (place, null): (usize, Option<usize>) = described.extract()?;
        if place < places { Ok(Looked { place, null }) } else { Err(PyValueError::new_err("a field that is not there")) }
    }

    /// Start and end of the value, or None where it or a record around it is null.
    pub fn find(&self, data: &[u8], places: &[Place]) -> Result<Option<(usize, usize)>, Left> {
        let place = places[self.place];
        if place == ABSENT {
            return Ok(None);
        }
        let (start, end) = (place.0 as usize, place.1 as usize);
        let Some(null) = self.null else { return Ok(Some((start, end))) };
        let (number, inside) = branch(data, start)?;
        Ok(if number == null { None } else { Some((inside, end)) })
    }
}

/// As text, since numbers of 128 bits are not part of Python's stable interface.
fn whole(bound: &Bound<'_, PyAny>) -> PyResult<Option<i128>> {
    let text: Option<String> = bound.extract()?;
    text.map(|text| text.parse().map_err(|_| PyValueError::new_err("a bound has more than 128 bits"))).transpose()
}

fn content(data: &[u8], start: usize) -> Result<&[u8], Left> {
    let (from, to) = span(data, start)?;
    Ok(&data[from..to])
}

fn in_range<T: PartialOrd>(value: T, low: &Option<T>, high: &Option<T>) -> bool {
    low.as_ref().is_none_or(|low| value >= *low) && high.as_ref().is_none_or(|high| value <= *high)
}

/// Entries (numbers) under one of their conditions each.
#[derive(Default)]
pub struct Index {
    equal: HashMap<Looked, HashMap<Vec<u8>, Vec<u32>>>,
    prefix: HashMap<(Looked, usize), HashMap<Vec<u8>, Vec<u32>>>,
    always: Vec<u32>,
}

impl Index {
    pub fn add(&mut self, entry: u32, row: Option<&Row>) {
        match row {
            Some(Row { field, condition: Condition::OneOf(values) }) => {
                let by_value = self.equal.entry(field.clone()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(entry);
                }
            }
            Some(Row { field, condition: Condition::Prefix(prefix) }) => {
                let by_prefix = self.prefix.entry((field.clone(), prefix.len())).or_default();
                by_prefix.entry(prefix.clone()).or_default().push(entry);
            }
            _ => self.always.push(entry),
        }
    }

    /// Appends the entries that may match.
    pub fn candidates(&self, data: &[u8], places: &[Place], found: &mut Vec<u32>) -> Result<(), Left> {
        found.extend_from_slice(&self.always);
        for (field, by_value) in &self.equal {
            if let Some((start, end)) = field.find(data, places)? {
                found.extend(by_value.get(&data[start..end]).into_iter().flatten());
            }
        }
        for ((field, length), by_prefix) in &self.prefix {
            if let Some((start, _)) = field.find(data, places)? {
                let text = content(data, start)?;
                found.extend(text.get(..*length).and_then(|front| by_prefix.get(front)).into_iter().flatten());
            }
        }
        Ok(())
    }
}
