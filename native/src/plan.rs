//! One agreement over one writer schema, ready to run. It knows nothing of other agreements, so a changed one is compiled alone.
//!
//! Neighbours: `transcoder` holds many of these; `hutong.transcode.native` writes what is read here.

use std::ops::Range;
use std::sync::Arc;

use hmac::Mac;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::avro::{Left, Types};
use crate::change::{Key, keyed, put_digest};
use crate::emit::{Emit, Source};
use crate::rows::{Looked, Row};
use crate::text::TextOf;

/// A part of an event's key: the field, and how it is written.
pub struct Part {
    field: Looked,
    text: TextOf,
}

impl Part {
    pub fn read(described: &Bound<'_, PyAny>, places: usize) -> PyResult<Part> {
        Ok(Part { field: Looked::read(&described.get_item(0)?, places)?, text: TextOf::read(&described.get_item(1)?)? })
    }

    /// Calls a function with the part's text; a part that is null makes no key.
    pub fn with(&self, at: &Source<'_>, take: impl FnMut(&[u8])) -> Result<(), Left> {
        let (start, end) = self.field.find(at.data, at.places)?.ok_or(Left)?;
        self.text.with(at.data, start, end, take)
    }
}

/// The delivery's key: the event's, its pseudonym, or for each part one of the two.
pub enum DeliveryKey {
    Same,
    Pseudonym(Box<Key>),
    Parts(Box<Key>, Vec<(Part, bool)>),
}

impl DeliveryKey {
    fn read(described: &Bound<'_, PyAny>, places: usize) -> PyResult<DeliveryKey> {
        let tag: String = described.get_item(0)?.extract()?;
        let secret = || Ok::<_, PyErr>(Box::new(keyed(&described.get_item(1)?.extract::<Vec<u8>>()?)));
        Ok(match tag.as_str() {
            "same" => DeliveryKey::Same,
            "pseudonym" => DeliveryKey::Pseudonym(secret()?),
            "parts" => {
                let parts = described.get_item(2)?.try_iter()?.map(|one| {
                    let one = one?;
                    Ok((Part::read(&one, places)?, one.get_item(2)?.extract()?))
                });
                DeliveryKey::Parts(secret()?, parts.collect::<PyResult<_>>()?)
            }
            other => return Err(PyValueError::new_err(format!("no kind of key {other}"))),
        })
    }

    /// Appends the key; nothing for `Same`.
    pub fn put(&self, event_key: &[u8], at: &Source<'_>, out: &mut Vec<u8>) -> Result<(), Left> {
        match self {
            DeliveryKey::Same => {}
            DeliveryKey::Pseudonym(key) => {
                let mut mac = (**key).clone();
                mac.update(event_key);
                put_digest(mac, out);
            }
            DeliveryKey::Parts(key, parts) => {
                for (number, (part, shown)) in parts.iter().enumerate() {
                    if number > 0 {
                        out.push(b'|');
                    }
                    let mut mac = (!shown).then(|| (**key).clone());
                    part.with(at, |text| match &mut mac {
                        Some(mac) => mac.update(text),
                        None => out.extend_from_slice(text),
                    })?;
                    if let Some(mac) = mac {
                        put_digest(mac, out);
                    }
                }
            }
        }
        Ok(())
    }
}

/// All that is needed to run an agreement.
pub struct Steps {
    pub topic: String,
    pub agreement: String,
    pub from_ms: i64,
    pub until_ms: i64,
    /// The publications that its pseudonym key is for.
    pub published: Range<i64>,
    pub frame: Vec<u8>,
    pub key: DeliveryKey,
    pub rows: Vec<Row>,
    /// The number of the row that the index answers for.
    pub indexed: Option<usize>,
    pub emit: Emit,
    /// Agreements of one signature make the same value, which is then made once.
    pub signature: Option<String>,
}

/// A writer schema's types and the parts of its key.
#[pyclass(frozen, module = "hutong_native")]
pub struct Writer {
    pub types: Types,
    pub key: Vec<Part>,
}

#[pymethods]
impl Writer {
    #[new]
    fn new(types: &Bound<'_, PyAny>, places: usize, key: &Bound<'_, PyAny>) -> PyResult<Writer> {
        let types = Types::read(types, places)?;
        let key = key.try_iter()?.map(|one| Part::read(&one?, places)).collect::<PyResult<_>>()?;
        Ok(Writer { types, key })
    }
}

#[pyclass(frozen, module = "hutong_native")]
pub struct Plan {
    /// The places and types in the steps are this schema's, and mean something else in any other.
    pub writer: Py<Writer>,
    pub steps: Arc<Steps>,
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (writer, *, topic, agreement, valid, published, frame, key, rows, indexed, emit, signature))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        writer: Py<Writer>,
        topic: String,
        agreement: String,
        valid: (i64, i64),
        published: (i64, i64),
        frame: Vec<u8>,
        key: &Bound<'_, PyAny>,
        rows: &Bound<'_, PyAny>,
        indexed: Option<usize>,
        emit: &Bound<'_, PyAny>,
        signature: Option<String>,
    ) -> PyResult<Plan> {
        let types = &writer.get().types;
        let places = types.places;
        let rows = rows.try_iter()?.map(|one| Row::read(&one?, places)).collect::<PyResult<Vec<_>>>()?;
        let key = DeliveryKey::read(key, places)?;
        let emit = Emit::read(emit, types)?;
        let (from_ms, until_ms) = valid;
        let published = published.0..published.1;
        let steps = Steps { topic, agreement, from_ms, until_ms, published, frame, key, rows, indexed, emit, signature };
        Ok(Plan { writer, steps: Arc::new(steps) })
    }
}
