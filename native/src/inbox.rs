//! Fetches records of a Python consumer's partitions without a Python object for each.
//!
//! The partitions' queues are led to a queue of our own (rdkafka.h, `rd_kafka_queue_forward`), so what the Python client polls for is
//! rebalances and errors alone, and no callback ever comes among the records. Neighbours: `batch` takes what is fetched.

use std::ffi::{CString, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::{Batch, each_header, name};
use crate::librdkafka::{Api, Handle, Message, NO_ERROR, api, take_newest};

/// A Python `confluent_kafka.Consumer` whose configuration names this extension as a plugin.
#[pyclass(frozen, module = "hutong_native")]
pub struct Inbox {
    /// Outlives the queue.
    _consumer: Py<PyAny>,
    api: &'static Api,
    client: usize,
    queue: AtomicUsize,
}

#[pymethods]
impl Inbox {
    /// Takes the consumer that this thread has just made.
    #[new]
    fn new(consumer: Py<PyAny>) -> PyResult<Inbox> {
        let api = api().ok_or_else(|| PyRuntimeError::new_err("librdkafka was not loaded"))?;
        let client = take_newest().ok_or_else(|| PyRuntimeError::new_err("the consumer was not made with this plugin"))?;
        // SAFETY: the client lives as long as its consumer, which is held here.
        let queue = unsafe { (api.queue_new)(client) };
        Ok(Inbox { _consumer: consumer, api, client: client as usize, queue: AtomicUsize::new(queue as usize) })
    }

    /// Leads a partition's records here; to be called for every partition, when it is assigned and before it is fetched.
    fn lead(&self, topic: &str, partition: i32) -> PyResult<()> {
        let topic = CString::new(topic).map_err(|_| PyValueError::new_err("a topic's name has no zero byte"))?;
        let own = self.queue()?;
        // SAFETY: the queue is that of a partition of this client; librdkafka counts its own reference.
        unsafe {
            let queue = (self.api.queue_of_partition)(self.client as Handle, topic.as_ptr(), partition);
            if queue.is_null() {
                return Err(PyRuntimeError::new_err("the partition has no queue"));
            }
            (self.api.queue_forward)(queue, own);
            (self.api.queue_destroy)(queue);
        }
        Ok(())
    }

    /// The next records, at most `limit`: waits for the first, takes those that are there. Also the codes of errors among them.
    fn fetch(&self, py: Python<'_>, limit: usize, milliseconds: c_int) -> PyResult<(Batch, Vec<i32>)> {
        py.detach(|| {
            let queue = self.queue()?;
            let mut messages: Vec<*mut Message> = Vec::new();
            // SAFETY: librdkafka fills as many pointers as it says.
            unsafe {
                let first = (self.api.consume_one)(queue, milliseconds);
                if !first.is_null() {
                    messages.push(first);
                    let mut more = vec![null_mut(); limit.saturating_sub(1)];
                    let count = (self.api.consume_batch)(queue, 0, more.as_mut_ptr(), more.len());
                    messages.extend_from_slice(&more[..usize::try_from(count).unwrap_or(0)]);
                }
            }
            let mut errors = Vec::new();
            messages.retain(|message| {
                // SAFETY: each message is ours until it is destroyed.
                let code = unsafe { (**message).error };
                if code != NO_ERROR {
                    errors.push(code);
                    unsafe { (self.api.message_destroy)(*message) };
                }
                code == NO_ERROR
            });
            Ok((Batch::fetched(self.api, messages), errors))
        })
    }

    /// Gives up what has not been fetched. To be called before the consumer is closed, which waits for it, and when no batch is left.
    fn close(&self) {
        let queue = self.queue.swap(0, Ordering::AcqRel) as *mut c_void;
        if !queue.is_null() {
            // SAFETY: made in `new`, and destroyed once; the consumer still lives.
            unsafe { (self.api.queue_destroy)(queue) };
        }
    }
}

impl Inbox {
    fn queue(&self) -> PyResult<*mut c_void> {
        match self.queue.load(Ordering::Acquire) {
            0 => Err(PyRuntimeError::new_err("the inbox is closed")),
            queue => Ok(queue as *mut c_void),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// One record of a batch for Python, with the methods of the client's own messages.
#[pyclass(frozen, module = "hutong_native")]
pub struct Record {
    batch: Py<Batch>,
    at: usize,
}

#[pymethods]
impl Record {
    fn topic(&self) -> PyResult<String> {
        let (api, message) = self.message()?;
        Ok(name(api, message.topic))
    }

    fn partition(&self) -> PyResult<i32> {
        Ok(self.message()?.1.partition)
    }

    fn offset(&self) -> PyResult<i64> {
        Ok(self.message()?.1.offset)
    }

    fn key<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let message = self.message()?.1;
        Ok(bytes(py, message.key, message.key_size))
    }

    fn value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let message = self.message()?.1;
        Ok(bytes(py, message.value, message.value_size))
    }

    /// Names and values; raises where a name is not UTF-8.
    #[allow(clippy::type_complexity)]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Option<Bound<'py, PyBytes>>)>> {
        let (api, message) = self.message()?;
        let mut found = Vec::new();
        // SAFETY: the batch, and with it the message, is held here.
        unsafe { each_header(api, message, |name, value| found.push((name.to_bytes().to_vec(), value))) };
        let named = found.into_iter().map(|(name, value)| {
            let name = String::from_utf8(name).map_err(|_| PyValueError::new_err("a header's name is not UTF-8"))?;
            Ok((name, value.map(|value| PyBytes::new(py, value.get()))))
        });
        named.collect()
    }

    /// (kind, ms since the epoch), as the client's messages have it.
    fn timestamp(&self) -> PyResult<(i32, i64)> {
        let (api, message) = self.message()?;
        let mut kind: c_int = 0;
        // SAFETY: the message lives.
        let milliseconds = unsafe { (api.message_timestamp)(message, &mut kind) };
        Ok((kind, milliseconds))
    }

    fn error(&self) -> Option<i32> {
        None
    }
}

impl Record {
    /// The record of this number; it must have been fetched.
    pub fn new(batch: Py<Batch>, at: usize) -> PyResult<Record> {
        match batch.get().message(at) {
            Some(_) => Ok(Record { batch, at }),
            None => Err(PyIndexError::new_err("the batch has no such fetched record")),
        }
    }

    fn message(&self) -> PyResult<(&'static Api, &Message)> {
        let held = self.batch.get().message(self.at);
        let (api, message) = held.ok_or_else(|| PyRuntimeError::new_err("the batch of this record is closed"))?;
        // SAFETY: the batch holds it, and is closed by the thread that reads this.
        Ok((api, unsafe { &*message }))
    }
}

fn bytes<'py>(py: Python<'py>, start: *const u8, size: usize) -> Option<Bound<'py, PyBytes>> {
    // SAFETY: librdkafka gives a key's and a value's size with them.
    (!start.is_null()).then(|| PyBytes::new(py, if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(start, size) } }))
}
