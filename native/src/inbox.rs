//! Fetches records of a Python consumer's partitions without a Python object for each, and no department at another's expense.
//!
//! The partitions' queues are led to lanes of our own (rdkafka.h, `rd_kafka_queue_forward`), so what the Python client polls for is
//! rebalances and errors alone, and no callback ever comes among the records. All partitions of a department lie in one lane, and
//! the lanes have equal shares of every fetch: who floods waits for itself, and where there are more departments than lanes, those
//! of its lane wait with it (after McKenney's stochastic fairness queueing, 1990). A partition never changes its lane, which would
//! change the order of its records. Neighbours: `batch` takes what is fetched.

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::batch::{Batch, each_header, name};
use crate::librdkafka::{Api, Handle, Message, NO_ERROR, api, take_newest};

/// What the client reads ahead is for each lane (`inlet`, queued.max.messages.kbytes): more lanes are more memory.
const LANES: usize = 16;

/// A Python `confluent_kafka.Consumer` whose configuration names this extension as a plugin.
#[pyclass(frozen, module = "hutong_native")]
pub struct Inbox {
    /// Outlives the queues.
    _consumer: Py<PyAny>,
    api: &'static Api,
    client: usize,
    /// The lanes' queues; 0 once closed.
    lanes: [AtomicUsize; LANES],
    /// Department -> its lane.
    departments: Mutex<HashMap<String, usize>>,
    /// The lane that is asked first the next time.
    next: AtomicUsize,
    /// librdkafka has its address while there are queues.
    arrivals: Box<Arrivals>,
}

#[pymethods]
impl Inbox {
    /// Takes the consumer that this thread has just made.
    #[new]
    fn new(consumer: Py<PyAny>) -> PyResult<Inbox> {
        let api = api().ok_or_else(|| PyRuntimeError::new_err("librdkafka was not loaded"))?;
        let client = take_newest().ok_or_else(|| PyRuntimeError::new_err("the consumer was not made with this plugin"))?;
        let arrivals = Box::<Arrivals>::default();
        let lanes = std::array::from_fn(|_| {
            // SAFETY: the client lives as long as its consumer, which is held here; the arrivals live as long as the queue.
            unsafe {
                let queue = (api.queue_new)(client);
                (api.queue_tell)(queue, Some(on_arrival), (&raw const *arrivals).cast_mut().cast());
                AtomicUsize::new(queue as usize)
            }
        });
        Ok(Inbox {
            _consumer: consumer,
            api,
            client: client as usize,
            lanes,
            departments: Mutex::default(),
            next: AtomicUsize::new(0),
            arrivals,
        })
    }

    /// Leads a partition's records here; to be called for every partition, when it is assigned and before it is fetched.
    fn lead(&self, topic: &str, partition: i32) -> PyResult<()> {
        let own = self.queue(self.lane_of(topic))?;
        let topic = CString::new(topic).map_err(|_| PyValueError::new_err("a topic's name has no zero byte"))?;
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

    /// The next records, at most `limit`: waits for the first, takes those that are there.
    ///
    /// Also the codes of errors among them, and whether some lanes have more while others gave all that they had.
    fn fetch(&self, py: Python<'_>, limit: usize, milliseconds: u64) -> PyResult<(Batch, Vec<i32>, bool)> {
        py.detach(|| {
            let end = Instant::now() + Duration::from_millis(milliseconds);
            let (mut messages, crowded) = loop {
                self.arrivals.forget(); // before it is looked: what comes after this is told of, or found
                let found = self.take(limit)?;
                // What comes need not be a record: librdkafka marks there where a partition was taken up.
                if !found.0.is_empty() || !self.arrivals.wait(end.saturating_duration_since(Instant::now())) {
                    break found;
                }
            };
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
            Ok((Batch::fetched(self.api, messages), errors, crowded))
        })
    }

    /// Gives up what has not been fetched. To be called before the consumer is closed, which waits for it, and when no batch is left.
    fn close(&self) {
        for lane in &self.lanes {
            let queue = lane.swap(0, Ordering::AcqRel) as *mut c_void;
            if !queue.is_null() {
                // SAFETY: made in `new`, and destroyed once; the consumer still lives. Partitions may hold the queue for longer, so
                // it is told first that there are no arrivals any more.
                unsafe {
                    (self.api.queue_tell)(queue, None, null_mut());
                    (self.api.queue_destroy)(queue);
                }
            }
        }
    }
}

impl Inbox {
    fn queue(&self, lane: usize) -> PyResult<*mut c_void> {
        match self.lanes[lane].load(Ordering::Acquire) {
            0 => Err(PyRuntimeError::new_err("the inbox is closed")),
            queue => Ok(queue as *mut c_void),
        }
    }

    /// The lane of a topic, `pub.<department>.<event>`: its department's. Departments are dealt out as they come, for good.
    fn lane_of(&self, topic: &str) -> usize {
        let department = topic.rsplit_once('.').map_or(topic, |(department, _)| department);
        let mut departments = self.departments.lock().unwrap_or_else(PoisonError::into_inner);
        let next = departments.len() % LANES;
        *departments.entry(department.to_owned()).or_insert(next)
    }

    /// What is there, at most so many: equal shares, and what some lanes leave goes to those that have more.
    ///
    /// Also whether some have more still, while others gave all.
    fn take(&self, limit: usize) -> PyResult<(Vec<*mut Message>, bool)> {
        let mut messages = Vec::new();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut with_more: Vec<usize> = (0..LANES).map(|number| (first + number) % LANES).collect();
        let mut gave_all = false;
        while !with_more.is_empty() && messages.len() < limit {
            let share = ((limit - messages.len()) / with_more.len()).max(1);
            let mut still = Vec::new();
            for lane in with_more {
                let wanted = share.min(limit - messages.len());
                let found = self.consume(lane, wanted, &mut messages)?;
                if found == wanted {
                    still.push(lane);
                } else {
                    gave_all |= found > 0;
                }
            }
            with_more = still;
        }
        Ok((messages, gave_all && !with_more.is_empty()))
    }

    fn consume(&self, lane: usize, most: usize, messages: &mut Vec<*mut Message>) -> PyResult<usize> {
        let (queue, before) = (self.queue(lane)?, messages.len());
        if most == 0 {
            return Ok(0);
        }
        messages.resize(before + most, null_mut());
        // SAFETY: librdkafka fills as many pointers as it says, and there is room for as many as it is asked for.
        let count = unsafe { (self.api.consume_batch)(queue, 0, messages[before..].as_mut_ptr(), most) };
        let count = usize::try_from(count).unwrap_or(0);
        messages.truncate(before + count);
        Ok(count)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether something has come to a lane that was empty.
#[derive(Default)]
struct Arrivals {
    some: Mutex<bool>,
    told: Condvar,
}

impl Arrivals {
    fn forget(&self) {
        *self.some.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    fn tell(&self) {
        *self.some.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_one();
    }

    /// Waits for some; whether there were any in time.
    fn wait(&self, most: Duration) -> bool {
        let some = self.some.lock().unwrap_or_else(PoisonError::into_inner);
        *self.told.wait_timeout_while(some, most, |some| !*some).unwrap_or_else(PoisonError::into_inner).0
    }
}

unsafe extern "C" fn on_arrival(_: Handle, arrivals: *mut c_void) {
    // SAFETY: the address was given with the queue, and is taken back before it ends.
    unsafe { &*arrivals.cast::<Arrivals>() }.tell();
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
