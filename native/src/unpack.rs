//! Reading an event's value for a subscriber: what `hutong.contracts.decoder` generates in Python, with the same Python values.
//!
//! Only good bytes are read. Whatever is wrong or unforeseen raises, and fastavro decides and explains. Neighbours:
//! `hutong.contracts.extension` describes a schema for this, `avro` has the numbers; `pack` is the other direction.

use std::collections::HashMap;
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::avro::{Left, span, varint};

/// Days of 180 years.
const REMEMBERED: usize = 65_536;

enum Form {
    Null,
    Boolean,
    Number,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Symbol(Vec<Py<PyString>>),
    /// A Python function of the number, and what it said: days come again and again.
    Day(Py<PyAny>, Mutex<HashMap<i64, Py<PyAny>>>),
    /// A Python function of the number.
    Moment(Py<PyAny>),
    /// A Python function of the bytes.
    Decimal(Py<PyAny>),
    Nullable {
        null: i64,
        form: Box<Form>,
    },
    List(Box<Form>),
    Map(Box<Form>),
    Record(Vec<(Py<PyString>, Form)>),
}

/// One schema's binary to Python values.
#[pyclass(frozen, module = "hutong_native")]
pub struct Unpacker {
    root: Form,
}

#[pymethods]
impl Unpacker {
    #[new]
    fn new(described: &Bound<'_, PyTuple>) -> PyResult<Unpacker> {
        Ok(Unpacker { root: read(described)? })
    }

    /// The value that the bytes are from `start` to their end; raises where they are not good beyond doubt.
    fn __call__<'py>(&self, data: &Bound<'py, PyBytes>, start: usize) -> PyResult<Bound<'py, PyAny>> {
        let mut reader = Reader { py: data.py(), data: data.as_bytes(), at: start };
        let value = reader.take(&self.root)?;
        if reader.at == reader.data.len() { Ok(value) } else { Err(doubt(Left)) }
    }
}

fn doubt(_: Left) -> PyErr {
    PyValueError::new_err("not good beyond doubt")
}

/// Reads the nested tuples that `hutong.contracts.extension` writes.
fn read(described: &Bound<'_, PyTuple>) -> PyResult<Form> {
    let at = |number: usize| described.get_item(number);
    let inner = |number: usize| -> PyResult<Box<Form>> { Ok(Box::new(read(at(number)?.cast::<PyTuple>()?)?)) };
    let tag: String = at(0)?.extract()?;
    Ok(match tag.as_str() {
        "null" => Form::Null,
        "boolean" => Form::Boolean,
        "number" => Form::Number,
        "float" => Form::Float,
        "double" => Form::Double,
        "text" => Form::Text,
        "bytes" => Form::Bytes,
        "fixed" => Form::Fixed(at(1)?.extract()?),
        "symbol" => Form::Symbol(at(1)?.extract()?),
        "day" => Form::Day(at(1)?.unbind(), Mutex::default()),
        "moment" => Form::Moment(at(1)?.unbind()),
        "decimal" => Form::Decimal(at(1)?.unbind()),
        "nullable" => Form::Nullable { null: at(1)?.extract()?, form: inner(2)? },
        "list" => Form::List(inner(1)?),
        "map" => Form::Map(inner(1)?),
        "record" => Form::Record(at(1)?.try_iter()?.map(|one| read_field(&one?)).collect::<PyResult<Vec<_>>>()?),
        other => return Err(PyValueError::new_err(format!("no form {other}"))),
    })
}

fn read_field(described: &Bound<'_, PyAny>) -> PyResult<(Py<PyString>, Form)> {
    Ok((described.get_item(0)?.extract()?, read(described.get_item(1)?.cast::<PyTuple>()?)?))
}

struct Reader<'py, 'a> {
    py: Python<'py>,
    data: &'a [u8],
    at: usize,
}

impl<'py> Reader<'py, '_> {
    fn take(&mut self, form: &Form) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        Ok(match form {
            Form::Null => py.None().into_bound(py),
            Form::Boolean => match self.bytes(1)? {
                [byte @ (0 | 1)] => PyBool::new(py, *byte == 1).to_owned().into_any(),
                _ => return Err(doubt(Left)),
            },
            Form::Number => PyInt::new(py, self.number()?).into_any(),
            Form::Float => PyFloat::new(py, f64::from(f32::from_le_bytes(self.array()?))).into_any(),
            Form::Double => PyFloat::new(py, f64::from_le_bytes(self.array()?)).into_any(),
            Form::Text => PyString::new(py, self.text()?).into_any(),
            Form::Bytes => PyBytes::new(py, self.content()?).into_any(),
            Form::Fixed(size) => PyBytes::new(py, self.bytes(*size)?).into_any(),
            Form::Symbol(symbols) => {
                let number = usize::try_from(self.number()?).ok();
                let symbol = number.and_then(|number| symbols.get(number)).ok_or_else(|| doubt(Left))?;
                symbol.bind(py).clone().into_any()
            }
            Form::Day(make, known) => self.day(make, known)?,
            Form::Moment(make) => make.bind(py).call1((self.number()?,))?,
            Form::Decimal(make) => make.bind(py).call1((PyBytes::new(py, self.content()?),))?,
            Form::Nullable { null, form } => match self.number()? {
                number if number == *null => py.None().into_bound(py),
                0 | 1 => self.take(form)?,
                _ => return Err(doubt(Left)),
            },
            Form::List(items) => self.list(items)?,
            Form::Map(values) => self.map(values)?,
            Form::Record(fields) => {
                let record = PyDict::new(py);
                for (name, form) in fields {
                    record.set_item(name.bind(py), self.take(form)?)?;
                }
                record.into_any()
            }
        })
    }

    fn day(&mut self, make: &Py<PyAny>, known: &Mutex<HashMap<i64, Py<PyAny>>>) -> PyResult<Bound<'py, PyAny>> {
        let (py, number) = (self.py, self.number()?);
        if let Some(day) = known.lock().map_err(|_| doubt(Left))?.get(&number) {
            return Ok(day.bind(py).clone());
        }
        let day = make.bind(py).call1((number,))?;
        let mut known = known.lock().map_err(|_| doubt(Left))?;
        if known.len() < REMEMBERED {
            known.insert(number, day.clone().unbind());
        }
        Ok(day)
    }

    fn list(&mut self, items: &Form) -> PyResult<Bound<'py, PyAny>> {
        let list = PyList::empty(self.py);
        loop {
            match self.count()? {
                0 => return Ok(list.into_any()),
                count => (0..count).try_for_each(|_| list.append(self.take(items)?))?,
            }
        }
    }

    fn map(&mut self, values: &Form) -> PyResult<Bound<'py, PyAny>> {
        let map = PyDict::new(self.py);
        let mut entries = 0;
        loop {
            let count = self.count()?;
            if count == 0 {
                // A key that came twice is for the guard to name.
                return if map.len() == entries { Ok(map.into_any()) } else { Err(doubt(Left)) };
            }
            entries += count;
            for _ in 0..count {
                let key = PyString::new(self.py, self.text()?);
                map.set_item(key, self.take(values)?)?;
            }
        }
    }

    /// Items of a block; a block with its size in front is for fastavro. Items that take no bytes have no fast path.
    fn count(&mut self) -> PyResult<usize> {
        let count = usize::try_from(self.number()?).map_err(|_| doubt(Left))?;
        if count <= self.data.len() { Ok(count) } else { Err(doubt(Left)) }
    }

    fn number(&mut self) -> PyResult<i64> {
        let (number, end) = varint(self.data, self.at).map_err(doubt)?;
        self.at = end;
        Ok(number)
    }

    fn text(&mut self) -> PyResult<&str> {
        std::str::from_utf8(self.content()?).map_err(|_| doubt(Left))
    }

    fn content(&mut self) -> PyResult<&[u8]> {
        let (start, end) = span(self.data, self.at).map_err(doubt)?;
        self.at = end;
        Ok(&self.data[start..end])
    }

    fn bytes(&mut self, size: usize) -> PyResult<&[u8]> {
        let end = self.at.checked_add(size).ok_or_else(|| doubt(Left))?;
        let bytes = self.data.get(self.at..end).ok_or_else(|| doubt(Left))?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> PyResult<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| doubt(Left))
    }
}
