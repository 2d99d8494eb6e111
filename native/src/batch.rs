//! The records of a batch as the lane reads them: slices of librdkafka's messages, or of a Python client's.
//!
//! Neighbours: `inbox` fetches, `lane` routes.

use std::collections::HashMap;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::inbox::Record;
use crate::librdkafka::{Api, Message, NO_ERROR};

/// Bytes that the batch keeps alive.
#[derive(Clone, Copy)]
pub struct Slice(*const u8, usize);

// SAFETY: nobody changes them while the batch lives: they are `bytes`, `str`, or a message's that only the batch holds.
unsafe impl Send for Slice {}
unsafe impl Sync for Slice {}

impl Slice {
    fn of(bytes: &[u8]) -> Slice {
        Slice(bytes.as_ptr(), bytes.len())
    }

    pub fn get(&self) -> &[u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

/// One record that has all that an event has.
pub struct Event {
    pub topic: Slice,
    pub key: Slice,
    pub value: Slice,
    /// Where its headers begin and end among the batch's.
    headers: (usize, usize),
    pub appended_ms: i64,
}

enum Origin {
    /// What the slices point to.
    Python {
        _kept: Vec<Py<PyAny>>,
    },
    Client(&'static Api, Mutex<Vec<*mut Message>>),
}

/// Records read from the client's messages once.
#[pyclass(frozen, module = "hutong_native")]
pub struct Batch {
    /// None where a part is missing or unreadable, which is Python's to judge.
    events: Vec<Option<Event>>,
    headers: Vec<(Slice, Slice)>,
    origin: Origin,
    open: AtomicBool,
}

// SAFETY: messages are only read, and destroyed by whoever drops the batch last.
unsafe impl Send for Batch {}
unsafe impl Sync for Batch {}

#[pymethods]
impl Batch {
    /// Reads messages of a Python client.
    #[new]
    fn new(py: Python<'_>, messages: &Bound<'_, PyList>) -> PyResult<Batch> {
        let mut kept = Vec::with_capacity(messages.len() * 4);
        let mut headers = Vec::with_capacity(messages.len() * 8);
        let events = messages.iter().map(|message| read(py, &message, &mut kept, &mut headers)).collect();
        Ok(Batch { events, headers, origin: Origin::Python { _kept: kept }, open: AtomicBool::new(true) })
    }

    fn __len__(&self) -> usize {
        self.events.len()
    }

    /// Gives the messages back; whatever still refers to the batch finds nothing in it.
    ///
    /// To be called by the thread that runs it, before its consumer is closed: librdkafka must have its messages by then.
    fn close(&self) {
        self.open.store(false, Ordering::Release);
        if let Origin::Client(api, messages) = &self.origin {
            for message in held(messages).drain(..) {
                // SAFETY: each is destroyed once, here.
                unsafe { (api.message_destroy)(message) };
            }
        }
    }

    /// A record that was fetched, for Python.
    fn record(slf: Py<Batch>, at: usize) -> PyResult<Record> {
        Record::new(slf, at)
    }

    /// The earliest append time of the records, ms since the epoch.
    fn oldest_ms(&self) -> Option<i64> {
        self.events.iter().flatten().map(|event| event.appended_ms).min()
    }

    /// (topic, partition, first offset, last offset) of every partition in a batch that was fetched.
    fn extent(&self) -> Vec<(String, i32, i64, i64)> {
        let Origin::Client(api, messages) = &self.origin else { return Vec::new() };
        let messages = held(messages);
        let mut found: Vec<(*const c_void, i32, i64, i64)> = Vec::new();
        let mut known = HashMap::new();
        let mut at = 0; // records of a partition come in runs
        for message in messages.iter() {
            // SAFETY: the batch holds its messages.
            let message = unsafe { &**message };
            let place = (message.topic, message.partition);
            if found.get(at).is_none_or(|one| (one.0, one.1) != place) {
                at = *known.entry(place).or_insert(found.len());
                if at == found.len() {
                    found.push((message.topic, message.partition, message.offset, message.offset));
                }
            }
            found[at].2 = message.offset.min(found[at].2);
            found[at].3 = message.offset.max(found[at].3);
        }
        found.into_iter().map(|(topic, partition, first, last)| (name(api, topic), partition, first, last)).collect()
    }
}

impl Batch {
    /// Takes messages over from librdkafka; they are without errors.
    pub fn fetched(api: &'static Api, messages: Vec<*mut Message>) -> Batch {
        let mut headers = Vec::with_capacity(messages.len() * 8);
        // SAFETY: librdkafka has given us the messages.
        let events = messages.iter().map(|message| unsafe { read_message(api, &**message, &mut headers) }).collect();
        Batch { events, headers, origin: Origin::Client(api, Mutex::new(messages)), open: AtomicBool::new(true) }
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn event(&self, at: usize) -> Option<&Event> {
        self.events[at].as_ref()
    }

    pub fn headers(&self, event: &Event) -> &[(Slice, Slice)] {
        &self.headers[event.headers.0..event.headers.1]
    }

    pub fn message(&self, at: usize) -> Option<(&'static Api, *mut Message)> {
        match &self.origin {
            Origin::Client(api, messages) => held(messages).get(at).map(|message| (*api, *message)),
            Origin::Python { .. } => None,
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.close();
    }
}

fn held(messages: &Mutex<Vec<*mut Message>>) -> MutexGuard<'_, Vec<*mut Message>> {
    messages.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub fn name(api: &Api, topic: *const c_void) -> String {
    // SAFETY: a message's topic lives as long as the message.
    unsafe { CStr::from_ptr((api.topic_name)(topic)) }.to_string_lossy().into_owned()
}

/// The record's headers as they come, with None for a header without a value.
///
/// # Safety
/// The message must live as long as the slices.
pub unsafe fn each_header(api: &Api, message: *const Message, mut take: impl FnMut(&CStr, Option<Slice>)) {
    let mut headers = null_mut();
    if unsafe { (api.message_headers)(message, &mut headers) } != NO_ERROR {
        return;
    }
    let (mut header, mut value, mut size) = (null(), null(), 0);
    let mut number = 0;
    while unsafe { (api.header_at)(headers, number, &mut header, &mut value, &mut size) } == NO_ERROR {
        take(unsafe { CStr::from_ptr(header) }, (!value.is_null()).then_some(Slice(value.cast(), size)));
        number += 1;
    }
}

unsafe fn read_message(api: &Api, message: &Message, headers: &mut Vec<(Slice, Slice)>) -> Option<Event> {
    if message.key.is_null() || message.key_size == 0 || message.value.is_null() {
        return None;
    }
    let first = headers.len();
    let mut plain = true;
    unsafe {
        each_header(api, message, |name, value| match value {
            Some(value) => headers.push((Slice::of(name.to_bytes()), value)),
            None => plain = false,
        });
    }
    if !plain {
        headers.truncate(first);
        return None;
    }
    let topic = unsafe { CStr::from_ptr((api.topic_name)(message.topic)) };
    let mut kind: c_int = 0;
    Some(Event {
        topic: Slice::of(topic.to_bytes()),
        key: Slice(message.key, message.key_size),
        value: Slice(message.value, message.value_size),
        headers: (first, headers.len()),
        appended_ms: unsafe { (api.message_timestamp)(message, &mut kind) },
    })
}

fn read(
    py: Python<'_>,
    message: &Bound<'_, PyAny>,
    kept: &mut Vec<Py<PyAny>>,
    headers: &mut Vec<(Slice, Slice)>,
) -> Option<Event> {
    let topic = message.call_method0(intern!(py, "topic")).ok()?.cast_into::<PyString>().ok()?;
    let key = message.call_method0(intern!(py, "key")).ok()?.cast_into::<PyBytes>().ok()?;
    let value = message.call_method0(intern!(py, "value")).ok()?.cast_into::<PyBytes>().ok()?;
    let listed = message.call_method0(intern!(py, "headers")).ok()?.cast_into::<PyList>().ok()?;
    let timestamp = message.call_method0(intern!(py, "timestamp")).ok()?.cast_into::<PyTuple>().ok()?;
    let appended_ms = timestamp.get_item(1).ok()?.extract().ok()?;
    if key.as_bytes().is_empty() {
        return None;
    }
    let first = headers.len();
    for header in listed.iter() {
        let Some(pair) = pair(&header) else {
            headers.truncate(first);
            return None;
        };
        headers.push(pair);
    }
    let event = Event {
        topic: Slice::of(topic.to_str().ok()?.as_bytes()),
        key: Slice::of(key.as_bytes()),
        value: Slice::of(value.as_bytes()),
        headers: (first, headers.len()),
        appended_ms,
    };
    kept.extend([topic.into_any().unbind(), key.into_any().unbind(), value.into_any().unbind(), listed.into_any().unbind()]);
    Some(event)
}

fn pair(header: &Bound<'_, PyAny>) -> Option<(Slice, Slice)> {
    let header = header.cast::<PyTuple>().ok()?;
    let (name, value) = (header.get_borrowed_item(0).ok()?, header.get_borrowed_item(1).ok()?);
    let name = name.cast::<PyString>().ok()?;
    Some((Slice::of(name.to_str().ok()?.as_bytes()), Slice::of(value.cast::<PyBytes>().ok()?.as_bytes())))
}
