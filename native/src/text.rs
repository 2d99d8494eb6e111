//! How a value is written as text, as Python's `str` writes what fastavro decodes: in keys and under pseudonyms.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::avro::{Left, span, varint};

pub enum TextOf {
    Text,
    Number,
    Symbol(Vec<Vec<u8>>),
    Bytes,
    Fixed,
    Date,
}

impl TextOf {
    pub fn read(described: &Bound<'_, PyAny>) -> PyResult<TextOf> {
        let tag: String = described.get_item(0)?.extract()?;
        Ok(match tag.as_str() {
            "text" => TextOf::Text,
            "number" => TextOf::Number,
            "symbol" => TextOf::Symbol(described.get_item(1)?.extract()?),
            "bytes" => TextOf::Bytes,
            "fixed" => TextOf::Fixed,
            "date" => TextOf::Date,
            other => return Err(PyValueError::new_err(format!("no text of {other}"))),
        })
    }

    /// Calls a function with the text of the value that stands from `start` to `end`.
    pub fn with(&self, data: &[u8], start: usize, end: usize, mut take: impl FnMut(&[u8])) -> Result<(), Left> {
        match self {
            TextOf::Text | TextOf::Bytes => {
                let (from, to) = span(data, start)?;
                take(&data[from..to]);
            }
            TextOf::Number => take(varint(data, start)?.0.to_string().as_bytes()),
            TextOf::Symbol(symbols) => {
                let number = usize::try_from(varint(data, start)?.0).map_err(|_| Left)?;
                take(symbols.get(number).ok_or(Left)?);
            }
            TextOf::Fixed => take(data.get(start..end).ok_or(Left)?),
            TextOf::Date => {
                let (year, month, day) = civil(varint(data, start)?.0);
                take(format!("{year:04}-{month:02}-{day:02}").as_bytes());
            }
        }
        Ok(())
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is a year's last; 400 years have 146,097 days.
pub fn civil(days: i64) -> (i64, i64, i64) {
    let since = days + 719_468; // from 0000-03-01
    let era = since.div_euclid(146_097);
    let day_of_era = since.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
