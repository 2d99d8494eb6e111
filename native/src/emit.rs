//! A delivery's Avro value from an event's: copy, skip or change, without an object for a field that is only copied.
//!
//! Records that the walk has marked are cut at their places; what lies inside lists, maps and unions is found by skipping.
//! Neighbours: `avro` has walked the bytes before, `change` does single values.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::avro::{ABSENT, Left, Place, Types, branch, put_varint, span};
use crate::change::Change;

/// The largest delivery, as in `hutong.transcode.cap`; what would be larger is left to Python, which says so.
pub const MOST_BYTES: usize = 2_000_000;

pub enum Emit {
    /// The value as it is.
    Copy,
    /// The value through a transform.
    Change(Change),
    /// Bytes in front of the value: the number of a union's branch that only the delivery has.
    Wrap(Vec<u8>, Box<Emit>),
    /// A record whose fields have places.
    Placed(Vec<Item>),
    /// A record whose fields are found from its start: their types, and what the delivery takes of them.
    Record(Vec<usize>, Vec<Item>),
    Array {
        items: usize,
        emit: Box<Emit>,
    },
    Map {
        values: usize,
        emit: Box<Emit>,
    },
    /// For each branch what stands for it in the delivery, and how its value goes on.
    Union(Vec<(Vec<u8>, Option<Emit>)>),
}

pub enum Item {
    Constant(Vec<u8>),
    /// From the start of one field to the end of another.
    Slice(usize, usize),
    Field(usize, Emit),
}

impl Emit {
    pub fn read(described: &Bound<'_, PyAny>, types: &Types) -> PyResult<Emit> {
        let tag: String = described.get_item(0)?.extract()?;
        let at = |number: usize| described.get_item(number);
        let inner = |number: usize| Ok::<_, PyErr>(Box::new(Emit::read(&described.get_item(number)?, types)?));
        Ok(match tag.as_str() {
            "copy" => Emit::Copy,
            "change" => Emit::Change(Change::read(&at(1)?)?),
            "wrap" => Emit::Wrap(at(1)?.extract()?, inner(2)?),
            "placed" => Emit::Placed(read_items(&at(1)?, types, types.places)?),
            "record" => {
                let fields: Vec<usize> = at(1)?.extract()?;
                fields.iter().try_for_each(|field| types.knows(*field).map(drop))?;
                let count = fields.len();
                Emit::Record(fields, read_items(&at(2)?, types, count)?)
            }
            "array" => Emit::Array { items: types.knows(at(1)?.extract()?)?, emit: inner(2)? },
            "map" => Emit::Map { values: types.knows(at(1)?.extract()?)?, emit: inner(2)? },
            "union" => Emit::Union(at(1)?.try_iter()?.map(|one| read_branch(&one?, types)).collect::<PyResult<_>>()?),
            other => return Err(PyValueError::new_err(format!("no instruction {other}"))),
        })
    }

    /// Appends what becomes of the value from `start` to `end`.
    pub fn run(&self, at: &Source<'_>, start: usize, end: usize, out: &mut Vec<u8>) -> Result<(), Left> {
        match self {
            Emit::Copy => out.extend_from_slice(at.data.get(start..end).ok_or(Left)?),
            Emit::Change(change) => change.apply(at.data, start, end, out)?,
            Emit::Wrap(front, inner) => {
                out.extend_from_slice(front);
                inner.run(at, start, end, out)?;
            }
            Emit::Placed(items) => run_items(items, at, at.places, out)?,
            Emit::Record(fields, items) => {
                let mut places = Vec::with_capacity(fields.len());
                let mut position = start;
                for field in fields {
                    let next = at.types.skip(*field, at.data, position)?;
                    places.push((position as u32, next as u32));
                    position = next;
                }
                run_items(items, at, &places, out)?;
            }
            Emit::Array { items, emit } => run_blocks(at, start, out, |types, position, out| {
                let next = types.skip(*items, at.data, position)?;
                emit.run(at, position, next, out)?;
                Ok(next)
            })?,
            Emit::Map { values, emit } => run_blocks(at, start, out, |types, position, out| {
                let (_, after_key) = span(at.data, position)?;
                out.extend_from_slice(&at.data[position..after_key]);
                let next = types.skip(*values, at.data, after_key)?;
                emit.run(at, after_key, next, out)?;
                Ok(next)
            })?,
            Emit::Union(branches) => {
                let (number, inside) = branch(at.data, start)?;
                let (front, inner) = branches.get(number).ok_or(Left)?;
                out.extend_from_slice(front);
                if let Some(inner) = inner {
                    inner.run(at, inside, end, out)?;
                }
            }
        }
        Ok(())
    }
}

/// The event that a delivery is made from.
pub struct Source<'a> {
    pub types: &'a Types,
    pub data: &'a [u8],
    pub places: &'a [Place],
}

fn run_items(items: &[Item], at: &Source<'_>, places: &[Place], out: &mut Vec<u8>) -> Result<(), Left> {
    for item in items {
        match item {
            Item::Constant(bytes) => out.extend_from_slice(bytes),
            Item::Slice(first, last) => {
                let (start, end) = (places[*first].0, places[*last].1);
                out.extend_from_slice(at.data.get(start as usize..end as usize).ok_or(Left)?);
            }
            Item::Field(number, emit) => {
                let place = places[*number];
                if place == ABSENT {
                    return Err(Left);
                }
                emit.run(at, place.0 as usize, place.1 as usize, out)?;
            }
        }
    }
    Ok(())
}

/// All items of a list or map in one block, as fastavro writes them.
fn run_blocks(
    at: &Source<'_>,
    start: usize,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&Types, usize, &mut Vec<u8>) -> Result<usize, Left>,
) -> Result<(), Left> {
    let begin = out.len();
    let mut count = 0;
    at.types.each(at.data, start, |types, position| {
        count += 1;
        // Each item may become 66 times as long: looked at here, nothing is built far beyond the limit.
        if out.len() - begin > MOST_BYTES { Err(Left) } else { item(types, position, out) }
    })?;
    if count > 0 {
        let mut front = Vec::with_capacity(10);
        put_varint(count, &mut front);
        out.splice(begin..begin, front);
    }
    out.push(0);
    Ok(())
}

fn read_items(described: &Bound<'_, PyAny>, types: &Types, places: usize) -> PyResult<Vec<Item>> {
    let known = |number: usize| {
        if number < places { Ok(number) } else { Err(PyValueError::new_err("a delivery takes a field that is not there")) }
    };
    described
        .try_iter()?
        .map(|one| {
            let one = one?;
            let tag: String = one.get_item(0)?.extract()?;
            Ok(match tag.as_str() {
                "constant" => Item::Constant(one.get_item(1)?.extract()?),
                "slice" => Item::Slice(known(one.get_item(1)?.extract()?)?, known(one.get_item(2)?.extract()?)?),
                "field" => Item::Field(known(one.get_item(1)?.extract()?)?, Emit::read(&one.get_item(2)?, types)?),
                other => return Err(PyValueError::new_err(format!("no part of a record {other}"))),
            })
        })
        .collect()
}

fn read_branch(described: &Bound<'_, PyAny>, types: &Types) -> PyResult<(Vec<u8>, Option<Emit>)> {
    let inner = described.get_item(1)?;
    let emit = if inner.is_none() { None } else { Some(Emit::read(&inner, types)?) };
    Ok((described.get_item(0)?.extract()?, emit))
}
