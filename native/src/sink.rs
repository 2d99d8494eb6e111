//! Where deliveries go: into a librdkafka producer, or into a list, which is how tests look at them.

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::headers::Header;
use crate::librdkafka::{
    Api, Handle, INVALID_TOPIC, NO_ERROR, QUEUE_FULL, TOO_LARGE, api, argument, forget_newest, load, own_path, take_failures,
    take_newest,
};

/// Why a delivery was not taken.
pub enum Refused {
    TooLarge,
    /// librdkafka's error code.
    Failed(i32),
    Raised(PyErr),
}

pub trait Sink {
    /// The headers of the next deliveries, all of one event.
    fn begin(&mut self, headers: &mut dyn Iterator<Item = Header<'_>>) -> Result<(), Refused>;
    fn send(&mut self, topic: &str, agreement: &str, key: &[u8], value: &[u8]) -> Result<(), Refused>;
}

/// A Python `confluent_kafka.Producer` whose configuration names this extension as a plugin.
#[pyclass(frozen, module = "hutong_native")]
pub struct Sender {
    producer: Py<PyAny>,
    client: usize,
    patience: Duration,
    topics: Mutex<HashMap<String, usize>>,
}

#[pymethods]
impl Sender {
    /// Takes the producer that this thread has just made. A queue that stays full for longer than `patience_seconds` is a failure:
    /// what is queued is sent or given up well before, so nobody is at work there.
    #[new]
    #[pyo3(signature = (producer, patience_seconds=60.0))]
    fn new(producer: Py<PyAny>, patience_seconds: f64) -> PyResult<Sender> {
        let patience =
            Duration::try_from_secs_f64(patience_seconds).map_err(|problem| PyValueError::new_err(problem.to_string()))?;
        let client = take_newest().ok_or_else(|| PyRuntimeError::new_err("the producer was not made with this plugin"))?;
        Ok(Sender { producer, client: client as usize, patience, topics: Mutex::default() })
    }

    /// Topics and error codes of records that were not delivered since the last call.
    fn failures(&self) -> Vec<(String, i32)> {
        take_failures(self.client as Handle)
    }
}

impl Sender {
    /// Sends one after another; the topics' handles are this thread's while it lasts.
    pub fn open(&self) -> PyResult<Sending<'_>> {
        let api = api().ok_or_else(|| PyRuntimeError::new_err("librdkafka was not loaded"))?;
        let topics = self.topics.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(Sending { sender: self, api, topics, headers: std::ptr::null_mut() })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let (Some(api), Ok(topics)) = (api(), self.topics.get_mut()) {
            for topic in topics.values() {
                // SAFETY: made by topic_new, and the producer still lives: it is dropped after this.
                unsafe { (api.topic_destroy)(*topic as *mut c_void) };
            }
        }
        take_failures(self.client as Handle);
    }
}

pub struct Sending<'a> {
    sender: &'a Sender,
    api: &'static Api,
    topics: MutexGuard<'a, HashMap<String, usize>>,
    headers: *mut c_void,
}

impl Sending<'_> {
    fn topic(&mut self, name: &str) -> Result<*mut c_void, Refused> {
        if let Some(known) = self.topics.get(name) {
            return Ok(*known as *mut c_void);
        }
        let text = CString::new(name).map_err(|_| Refused::Failed(INVALID_TOPIC))?;
        // SAFETY: the client lives as long as its producer, which the sender holds.
        let made = unsafe { (self.api.topic_new)(self.sender.client as Handle, text.as_ptr(), std::ptr::null_mut()) };
        if made.is_null() {
            return Err(Refused::Raised(PyRuntimeError::new_err("librdkafka made no topic")));
        }
        self.topics.insert(name.to_owned(), made as usize);
        Ok(made)
    }

    fn add(&self, headers: *mut c_void, (name, value): Header<'_>) {
        // SAFETY: librdkafka copies both.
        unsafe {
            (self.api.header_add)(
                headers,
                name.as_ptr().cast(),
                name.len() as isize,
                value.as_ptr().cast(),
                value.len() as isize,
            );
        }
    }

    fn free_headers(&mut self) {
        if !self.headers.is_null() {
            // SAFETY: made by headers_new and given to nobody.
            unsafe { (self.api.headers_destroy)(self.headers) };
            self.headers = std::ptr::null_mut();
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.free_headers();
    }
}

impl Sink for Sending<'_> {
    fn begin(&mut self, headers: &mut dyn Iterator<Item = Header<'_>>) -> Result<(), Refused> {
        self.free_headers();
        // SAFETY: freed by free_headers.
        self.headers = unsafe { (self.api.headers_new)(12) };
        for header in headers {
            self.add(self.headers, header);
        }
        Ok(())
    }

    fn send(&mut self, topic: &str, agreement: &str, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        let topic = self.topic(topic)?;
        let mut full_since: Option<Instant> = None;
        loop {
            // SAFETY: arguments are those that rdkafka.h asks for; key and value are copied, headers are librdkafka's if it succeeds.
            let code = unsafe {
                let headers = (self.api.headers_copy)(self.headers);
                self.add(headers, (b"ce_agreement", agreement.as_bytes()));
                let code = (self.api.producev)(
                    self.sender.client as Handle,
                    argument::TOPIC,
                    topic,
                    argument::FLAGS,
                    argument::COPY,
                    argument::KEY,
                    key.as_ptr().cast::<c_void>(),
                    key.len(),
                    argument::VALUE,
                    value.as_ptr().cast::<c_void>(),
                    value.len(),
                    argument::HEADERS,
                    headers,
                    argument::END as c_int,
                );
                if code != NO_ERROR {
                    (self.api.headers_destroy)(headers);
                }
                code
            };
            match code {
                NO_ERROR => return Ok(()),
                TOO_LARGE => return Err(Refused::TooLarge),
                QUEUE_FULL if full_since.get_or_insert_with(Instant::now).elapsed() <= self.sender.patience => {
                    Python::attach(|py| self.sender.producer.call_method1(py, "poll", (0.05,)).map(drop))
                        .map_err(Refused::Raised)?
                }
                code => return Err(Refused::Failed(code)),
            }
        }
    }
}

type Sent = (String, String, Vec<u8>, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

/// A list of deliveries.
#[pyclass(frozen, module = "hutong_native")]
#[derive(Default)]
pub struct Collected {
    limit: Option<usize>,
    sent: Mutex<Vec<Sent>>,
}

#[pymethods]
impl Collected {
    #[new]
    #[pyo3(signature = (limit=None))]
    fn new(limit: Option<usize>) -> Collected {
        Collected { limit, sent: Mutex::default() }
    }

    /// Everything collected, as (topic, agreement, key, value, headers).
    #[allow(clippy::type_complexity)]
    fn take<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(String, String, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Vec<(String, Bound<'py, PyBytes>)>)>> {
        let sent = std::mem::take(&mut *self.sent.lock().map_err(|_| PyRuntimeError::new_err("a run has failed"))?);
        sent.into_iter()
            .map(|(topic, agreement, key, value, headers)| {
                let headers = headers.into_iter().map(|(name, value)| {
                    let name = String::from_utf8(name).map_err(|_| PyValueError::new_err("a header's name is not UTF-8"))?;
                    Ok((name, PyBytes::new(py, &value)))
                });
                let headers = headers.collect::<PyResult<_>>()?;
                Ok((topic, agreement, PyBytes::new(py, &key), PyBytes::new(py, &value), headers))
            })
            .collect()
    }
}

pub struct Collecting<'a> {
    collected: &'a Collected,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Collected {
    pub fn open(&self) -> Collecting<'_> {
        Collecting { collected: self, headers: Vec::new() }
    }
}

impl Sink for Collecting<'_> {
    fn begin(&mut self, headers: &mut dyn Iterator<Item = Header<'_>>) -> Result<(), Refused> {
        self.headers = headers.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        Ok(())
    }

    fn send(&mut self, topic: &str, agreement: &str, key: &[u8], value: &[u8]) -> Result<(), Refused> {
        if self.collected.limit.is_some_and(|limit| value.len() > limit) {
            return Err(Refused::TooLarge);
        }
        let mut headers = self.headers.clone();
        headers.push((b"ce_agreement".to_vec(), agreement.as_bytes().to_vec()));
        let mut sent = self.collected.sent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        sent.push((topic.to_owned(), agreement.to_owned(), key.to_vec(), value.to_vec(), headers));
        Ok(())
    }
}

/// To be called before a client is made with the plugin.
#[pyfunction]
pub fn expect_client() {
    forget_newest();
}

/// Makes librdkafka's functions known. Returns what a configuration names as its plugin.
#[pyfunction]
pub fn load_librdkafka(path: &str) -> PyResult<String> {
    load(path).map_err(PyRuntimeError::new_err)?;
    own_path().ok_or_else(|| PyRuntimeError::new_err("the extension's own file is not known"))
}
