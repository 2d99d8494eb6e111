//! Checking and encoding an event's data for a publisher: what `hutong.contracts.encoder` generates in Python, over Python objects.
//!
//! Only good data is packed. Whatever is wrong or unforeseen raises, and Python decides and explains. Neighbours:
//! `hutong.contracts.extension` describes a contract for this, `avro` has the numbers, `identity` the numbers of citizens.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use crate::avro::put_varint;
use crate::identity::Identity;

/// Characters, as `hutong.contracts.identifiers` has it: what is longer is no number of any standard.
const LONGEST_NUMBER: usize = 64;

enum Form {
    Null,
    Boolean,
    Number {
        low: i64,
        high: i64,
    },
    Double,
    Text(Text),
    /// An enum's symbols and their numbers; by their text, since hashing a Python enum's member is slow.
    Symbol(HashMap<String, i64>),
    /// Values of one class that have their bytes in a table: days and codes.
    Table {
        class: Py<PyType>,
        table: Py<PyAny>,
    },
    /// A moment in milliseconds since an epoch. The limited API knows no dates, and Python's own difference is quick.
    Moment {
        class: Py<PyType>,
        epoch: Py<PyAny>,
    },
    /// A Python function from the value to its bytes.
    Call(Py<PyAny>),
    Nullable {
        null: u8,
        value: u8,
        form: Box<Form>,
    },
    List(Box<Form>),
    Map(Box<Form>),
    Record {
        class: Option<Py<PyType>>,
        fields: Vec<Field>,
    },
}

struct Text {
    least: usize,
    most: usize,
    /// A pattern's `fullmatch`.
    matches: Option<Py<PyAny>>,
    identifier: Option<(Identity, Option<Py<PyString>>)>,
}

struct Field {
    name: Py<PyString>,
    form: Form,
    default: Option<Vec<u8>>,
    key: Option<usize>,
}

/// One contract version's data to Kafka key and Avro binary.
#[pyclass(frozen, module = "hutong_native")]
pub struct Packer {
    root: Form,
    keys: usize,
    separator: String,
}

type Keys<'py> = Vec<Option<Bound<'py, PyString>>>;

#[pymethods]
impl Packer {
    #[new]
    fn new(described: &Bound<'_, PyTuple>, keys: usize, separator: String) -> PyResult<Packer> {
        Ok(Packer { root: read(described)?, keys, separator })
    }

    /// Data to (key, Avro binary); raises where it is not good beyond doubt.
    fn __call__<'py>(&self, py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyBytes>)> {
        let mut out = Vec::with_capacity(256);
        let mut keys: Keys<'py> = vec![None; self.keys];
        put(&self.root, data, None, &mut keys, &mut out)?;
        let mut parts = keys.into_iter().collect::<Option<Vec<_>>>().ok_or_else(doubt)?;
        let key = if parts.len() == 1 {
            parts.remove(0)
        } else {
            let texts = parts.iter().map(|one| one.to_str()).collect::<PyResult<Vec<_>>>()?;
            PyString::new(py, &texts.join(&self.separator))
        };
        Ok((key, PyBytes::new(py, &out)))
    }
}

fn doubt() -> PyErr {
    PyValueError::new_err("not good beyond doubt")
}

fn sure(right: bool) -> PyResult<()> {
    if right { Ok(()) } else { Err(doubt()) }
}

/// Reads the nested tuples that `hutong.contracts.extension` writes.
fn read(described: &Bound<'_, PyTuple>) -> PyResult<Form> {
    let at = |number: usize| described.get_item(number);
    let inner = |number: usize| -> PyResult<Box<Form>> { Ok(Box::new(read(at(number)?.cast::<PyTuple>()?)?)) };
    let tag: String = at(0)?.extract()?;
    Ok(match tag.as_str() {
        "null" => Form::Null,
        "boolean" => Form::Boolean,
        "number" => Form::Number { low: at(1)?.extract()?, high: at(2)?.extract()? },
        "double" => Form::Double,
        "text" => Form::Text(Text {
            least: at(1)?.extract()?,
            most: at(2)?.extract::<Option<usize>>()?.unwrap_or(usize::MAX),
            matches: at(3)?.extract()?,
            identifier: match at(4)?.extract::<Option<Py<PyAny>>>()? {
                Some(check) => Some((Identity::new(check, at(5)?.extract()?), at(6)?.extract()?)),
                None => None,
            },
        }),
        "symbol" => Form::Symbol(at(1)?.extract()?),
        "table" => Form::Table { class: at(1)?.extract()?, table: at(2)?.unbind() },
        "moment" => Form::Moment { class: at(1)?.extract()?, epoch: at(2)?.unbind() },
        "call" => Form::Call(at(1)?.unbind()),
        "nullable" => Form::Nullable { null: at(1)?.extract()?, value: at(2)?.extract()?, form: inner(3)? },
        "list" => Form::List(inner(1)?),
        "map" => Form::Map(inner(1)?),
        "record" => {
            let fields = at(2)?.try_iter()?.map(|one| read_field(one?.cast::<PyTuple>()?)).collect::<PyResult<Vec<_>>>()?;
            Form::Record { class: at(1)?.extract()?, fields }
        }
        other => return Err(PyValueError::new_err(format!("no form {other}"))),
    })
}

fn read_field(described: &Bound<'_, PyTuple>) -> PyResult<Field> {
    Ok(Field {
        name: described.get_item(0)?.extract()?,
        form: read(described.get_item(1)?.cast::<PyTuple>()?)?,
        default: described.get_item(2)?.extract()?,
        key: described.get_item(3)?.extract()?,
    })
}

/// Appends a value; `around` is the record that it is a field of.
fn put<'py>(
    form: &Form,
    value: &Bound<'py, PyAny>,
    around: Option<&Bound<'py, PyDict>>,
    keys: &mut Keys<'py>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let py = value.py();
    match form {
        Form::Null => sure(value.is_none()),
        Form::Boolean => {
            out.push(u8::from(value.cast_exact::<PyBool>().map_err(|_| doubt())?.is_true()));
            Ok(())
        }
        Form::Number { low, high } => {
            let number: i64 = value.cast_exact::<PyInt>().map_err(|_| doubt())?.extract()?;
            sure((*low..=*high).contains(&number))?;
            put_varint(number, out);
            Ok(())
        }
        Form::Double => {
            let number = value.cast_exact::<PyFloat>().map_err(|_| doubt())?.value();
            out.extend_from_slice(&number.to_le_bytes());
            Ok(())
        }
        Form::Text(text) => put_text(text, value, around, out),
        Form::Symbol(symbols) => {
            let symbol = value.cast::<PyString>().map_err(|_| doubt())?;
            put_varint(*symbols.get(symbol.to_str()?).ok_or_else(doubt)?, out);
            Ok(())
        }
        Form::Table { class, table } => {
            sure(value.get_type_ptr() == class.as_ptr().cast())?;
            put_bytes(&table.bind(py).get_item(value)?, out)
        }
        Form::Moment { class, epoch } => {
            sure(value.get_type_ptr() == class.as_ptr().cast())?;
            put_varint(milliseconds(&value.sub(epoch)?)?, out); // without a time zone it has no difference from the epoch
            Ok(())
        }
        Form::Call(function) => put_bytes(&function.bind(py).call1((value,))?, out),
        Form::Nullable { null, value: other, form } => {
            if value.is_none() {
                out.push(*null);
                return Ok(());
            }
            out.push(*other);
            put(form, value, around, keys, out)
        }
        Form::List(items) => {
            let list = value.cast_exact::<PyList>().map_err(|_| doubt())?;
            put_count(list.len(), out);
            for item in list.iter() {
                put(items, &item, None, keys, out)?;
            }
            out.push(0);
            Ok(())
        }
        Form::Map(values) => {
            let map = value.cast_exact::<PyDict>().map_err(|_| doubt())?;
            let all = map.items();
            put_count(all.len(), out);
            for pair in all.iter() {
                let (key, item): (Bound<'py, PyAny>, Bound<'py, PyAny>) = pair.extract()?;
                put_string(key.cast_exact::<PyString>().map_err(|_| doubt())?.to_str()?, out);
                put(values, &item, None, keys, out)?;
            }
            out.push(0);
            Ok(())
        }
        Form::Record { class, fields } => put_record(class.as_ref(), fields, value, keys, out),
    }
}

fn put_record<'py>(
    class: Option<&Py<PyType>>,
    fields: &[Field],
    value: &Bound<'py, PyAny>,
    keys: &mut Keys<'py>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let py = value.py();
    let held = match class {
        Some(class) => {
            sure(value.get_type_ptr() == class.as_ptr().cast())?;
            value.getattr(pyo3::intern!(py, "__dict__"))?
        }
        None => value.clone(),
    };
    let record = held.cast_exact::<PyDict>().map_err(|_| doubt())?;
    let mut present = 0;
    for field in fields {
        let Some(item) = record.get_item(field.name.bind(py))? else {
            out.extend_from_slice(field.default.as_ref().ok_or_else(doubt)?);
            continue;
        };
        present += 1;
        put(&field.form, &item, Some(record), keys, out)?;
        if let Some(number) = field.key {
            let text = item.str()?;
            sure(!item.is_none() && text.len()? > 0)?;
            *keys.get_mut(number).ok_or_else(doubt)? = Some(text);
        }
    }
    sure(class.is_some() || present == record.len())
}

fn put_text<'py>(text: &Text, value: &Bound<'py, PyAny>, around: Option<&Bound<'py, PyDict>>, out: &mut Vec<u8>) -> PyResult<()> {
    let py = value.py();
    let string = value.cast_exact::<PyString>().map_err(|_| doubt())?;
    let content = string.to_str()?;
    if (text.least, text.most) != (0, usize::MAX) {
        sure((text.least..=text.most).contains(&string.len()?))?;
    }
    if let Some(matches) = &text.matches {
        sure(!matches.bind(py).call1((value,))?.is_none())?;
    }
    if let Some((identity, unverified)) = &text.identifier {
        sure(string.len()? <= LONGEST_NUMBER)?; // the check remembers texts
        sure(identity.is_valid(value, content)? || is_exempt(unverified.as_ref(), around)?)?;
    }
    put_string(content, out);
    Ok(())
}

/// A `timedelta` in whole milliseconds, rounded down.
fn milliseconds(since: &Bound<'_, PyAny>) -> PyResult<i64> {
    let part = |name: &Bound<'_, PyString>| since.getattr(name)?.extract::<i64>();
    let py = since.py();
    let seconds = part(pyo3::intern!(py, "days"))? * 86_400 + part(pyo3::intern!(py, "seconds"))?;
    Ok(seconds * 1_000 + part(pyo3::intern!(py, "microseconds"))? / 1_000)
}

/// Whether the record says that its identifier is unverified.
fn is_exempt(sibling: Option<&Py<PyString>>, record: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
    let (Some(name), Some(record)) = (sibling, record) else { return Ok(false) };
    let flag = record.get_item(name.bind(record.py()))?;
    Ok(flag.is_some_and(|one| one.cast_exact::<PyBool>().is_ok_and(|flag| flag.is_true())))
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    put_varint(text.len() as i64, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_bytes(bytes: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    out.extend_from_slice(bytes.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

/// The head of an array's or a map's only block; without items there is only the end.
fn put_count(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        put_varint(count as i64, out);
    }
}
