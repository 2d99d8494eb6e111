//! Batches of records through their contracts' transcoders into a sink, without the interpreter.
//!
//! It goes on until an event is not plain; then Python does that one, so order within a key is kept, and calls again.
//! Neighbours: `transcoder` does one event, `sink` takes the deliveries, `hutong.kafka.fast` drives this.

use std::collections::HashMap;
use std::sync::RwLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::avro::Left;
use crate::batch::{Batch, Event, Slice};
use crate::headers::{Header, check};
use crate::sink::{Collected, Refused, Sender, Sink};
use crate::trace::{Ids, Trace, own_traceparent, sampled_traceparent};
use crate::transcoder::{FRAME, Scratch, Transcoder};

struct Contract {
    source: Vec<u8>,
    event_type: Vec<u8>,
    transcoders: HashMap<u32, Py<Transcoder>>,
}

/// The transcoders of one table of agreements, by topic and schema.
#[pyclass(frozen, module = "hutong_native")]
#[derive(Default)]
pub struct Lane {
    contracts: RwLock<HashMap<Vec<u8>, Contract>>,
}

/// Why a run has stopped before its end.
enum Stop {
    Left,
    Rest,
    TooLarge(Vec<(String, usize)>),
    Failed(i32),
}

#[pymethods]
impl Lane {
    #[new]
    fn new() -> Lane {
        Lane::default()
    }

    /// From now on, events of this topic and schema need no Python. What was added stays: runs refer to it.
    fn add(
        &self,
        py: Python<'_>,
        topic: &str,
        source: Vec<u8>,
        event_type: Vec<u8>,
        schema_id: u32,
        transcoder: Py<Transcoder>,
    ) -> PyResult<()> {
        // Not while the interpreter is held: a run that has the lock may be waiting for it.
        py.detach(|| {
            let mut contracts = self.contracts.write().map_err(|_| PyRuntimeError::new_err("a run has failed"))?;
            let of_topic = contracts.entry(topic.as_bytes().to_vec());
            let contract = of_topic.or_insert_with(|| Contract { source, event_type, transcoders: HashMap::new() });
            contract.transcoders.entry(schema_id).or_insert(transcoder);
            Ok(())
        })
    }

    /// Runs a batch from an event on.
    ///
    /// Returns the number of the event at which it stopped, why, and what belongs to that: "end"; "left", the event is untouched;
    /// "rest", its other agreements are for Python; "too_large", with (agreement, bytes) of the deliveries that were not taken;
    /// "failed", with librdkafka's error code. `delivered` takes agreement -> number of deliveries, `routed` topic -> events.
    /// `traced`, if there is one, takes (event, its span, [(agreement, topic, the delivery's span)]) of every sampled event, whose
    /// deliveries name their own spans then.
    #[pyo3(signature = (batch, start, end, sink, now_ms, delivered, routed, traced=None))]
    #[allow(clippy::too_many_arguments)]
    fn run<'py>(
        &self,
        py: Python<'py>,
        batch: &Batch,
        start: usize,
        end: usize,
        sink: &Bound<'py, PyAny>,
        now_ms: i64,
        delivered: &Bound<'py, PyDict>,
        routed: &Bound<'py, PyDict>,
        traced: Option<&Bound<'py, PyList>>,
    ) -> PyResult<(usize, &'static str, Py<PyAny>)> {
        let ids = traced.map(|_| Ids::new());
        let mut run = Run { lane: self, batch, now_ms, counts: HashMap::new(), routed: HashMap::new(), ids, traces: Vec::new() };
        if !batch.is_open() {
            return Err(PyRuntimeError::new_err("the batch is closed"));
        }
        let end = end.min(batch.len());
        let stopped = if let Ok(sender) = sink.cast::<Sender>() {
            let sender = sender.get();
            py.detach(|| run.go(start, end, &mut sender.open()?))
        } else {
            let collected = sink.cast::<Collected>()?.get();
            py.detach(|| run.go(start, end, &mut collected.open()))
        }?;
        run.count(py, delivered, routed)?;
        if let Some(traced) = traced {
            run.traces.into_iter().try_for_each(|trace| traced.append((trace.at, trace.span, trace.deliveries)))?;
        }
        let nothing = py.None();
        Ok(match stopped {
            (at, None) => (at, "end", nothing),
            (at, Some(Stop::Left)) => (at, "left", nothing),
            (at, Some(Stop::Rest)) => (at, "rest", nothing),
            (at, Some(Stop::TooLarge(refused))) => (at, "too_large", refused.into_pyobject(py)?.unbind()),
            (at, Some(Stop::Failed(code))) => (at, "failed", code.into_pyobject(py)?.into_any().unbind()),
        })
    }
}

struct Run<'a> {
    lane: &'a Lane,
    batch: &'a Batch,
    now_ms: i64,
    /// (transcoder, plan) -> deliveries; the addresses are those of what the lane holds.
    counts: HashMap<*const Transcoder, HashMap<u32, u64>>,
    routed: HashMap<&'a [u8], u64>,
    /// None where nothing is traced.
    ids: Option<Ids>,
    traces: Vec<Trace>,
}

// SAFETY: the pointers are keys and are followed only while the lane, which is borrowed, holds what they point to.
unsafe impl Send for Run<'_> {}

impl Run<'_> {
    fn go(&mut self, start: usize, end: usize, sink: &mut dyn Sink) -> PyResult<(usize, Option<Stop>)> {
        let contracts = self.lane.contracts.read().map_err(|_| PyRuntimeError::new_err("a run has failed"))?;
        let mut scratch = Scratch::default();
        let mut send = Send_::default();
        for at in start..end {
            let Some(event) = self.batch.event(at) else { return Ok((at, Some(Stop::Left))) };
            let Ok((contract, transcoder)) = find(&contracts, event) else { return Ok((at, Some(Stop::Left))) };
            let headers = self.batch.headers(event);
            if send.prepare(headers, contract).is_err() {
                return Ok((at, Some(Stop::Left)));
            }
            let sampled = if self.ids.is_some() { sampled_traceparent(headers) } else { None };
            if sampled.is_some() && transcoder.has_rest {
                return Ok((at, Some(Stop::Left))); // one hand for all of its deliveries
            }
            let moments = (event.appended_ms, self.now_ms);
            if transcoder.run(event.key.get(), event.value.get(), moments, &mut scratch).is_err() {
                return Ok((at, Some(Stop::Left)));
            }
            let counts = self.counts.entry(transcoder).or_default();
            let mut tracing = self.ids.as_mut().zip(sampled).map(|(ids, parent)| (Trace::new(at, ids), parent, ids));
            let stop = send.deliveries(event, headers, transcoder, &scratch, sink, counts, tracing.as_mut())?;
            self.traces.extend(tracing.map(|(trace, _, _)| trace));
            *self.routed.entry(event.topic.get()).or_default() += 1;
            match stop {
                None if transcoder.has_rest => return Ok((at, Some(Stop::Rest))),
                None => {}
                stop => return Ok((at, stop)),
            }
        }
        Ok((end, None))
    }

    fn count(&self, py: Python<'_>, delivered: &Bound<'_, PyDict>, routed: &Bound<'_, PyDict>) -> PyResult<()> {
        for (transcoder, counts) in &self.counts {
            // SAFETY: as above.
            let transcoder = unsafe { &**transcoder };
            for (plan, count) in counts {
                add(delivered, PyString::new(py, &transcoder.plans[*plan as usize].agreement), *count)?;
            }
        }
        for (topic, count) in &self.routed {
            add(routed, PyString::new(py, &String::from_utf8_lossy(topic)), *count)?;
        }
        Ok(())
    }
}

fn add(counts: &Bound<'_, PyDict>, name: Bound<'_, PyString>, more: u64) -> PyResult<()> {
    let before: u64 = counts.get_item(&name)?.map_or(Ok(0), |count| count.extract())?;
    counts.set_item(name, before + more)
}

fn find<'a>(contracts: &'a HashMap<Vec<u8>, Contract>, event: &Event) -> Result<(&'a Contract, &'a Transcoder), Left> {
    let contract = contracts.get(event.topic.get()).ok_or(Left)?;
    let [0, a, b, c, d, ..] = *event.value.get() else { return Err(Left) };
    let transcoder = contract.transcoders.get(&u32::from_be_bytes([a, b, c, d])).ok_or(Left)?;
    Ok((contract, transcoder.get()))
}

/// Buffers for sending, used again for every event.
#[derive(Default)]
struct Send_ {
    passed: Vec<usize>,
    value: Vec<u8>,
}

impl Send_ {
    fn prepare(&mut self, headers: &[(Slice, Slice)], contract: &Contract) -> Result<(), Left> {
        let headers: Vec<Header<'_>> = headers.iter().map(|(name, value)| (name.get(), value.get())).collect();
        check(&headers, &contract.source, &contract.event_type, &mut self.passed)
    }

    #[allow(clippy::too_many_arguments)]
    fn deliveries(
        &mut self,
        event: &Event,
        headers: &[(Slice, Slice)],
        transcoder: &Transcoder,
        scratch: &Scratch,
        sink: &mut dyn Sink,
        counts: &mut HashMap<u32, u64>,
        mut tracing: Option<&mut (Trace, &[u8], &mut Ids)>,
    ) -> PyResult<Option<Stop>> {
        if scratch.made.is_empty() {
            return Ok(None);
        }
        let mut passed = self.passed.iter().map(|at| (headers[*at].0.get(), headers[*at].1.get()));
        let mut stop = taken(sink.begin(&mut passed))?.err();
        let mut too_large = Vec::new();
        for made in &scratch.made {
            let plan = &transcoder.plans[made.plan as usize];
            self.value.clear();
            self.value.extend_from_slice(&plan.frame);
            self.value.extend_from_slice(&scratch.bytes[made.value.clone()]);
            debug_assert_eq!(plan.frame.len(), FRAME);
            let span = if let Some((_, parent, ids)) = tracing.as_deref_mut() {
                let span = ids.next();
                let own = own_traceparent(parent, span);
                let mut passed = self.passed.iter().map(|at| {
                    let (name, value) = (headers[*at].0.get(), headers[*at].1.get());
                    (name, if name == b"traceparent" { &own[..] } else { value })
                });
                if let Err(failed) = taken(sink.begin(&mut passed))? {
                    stop = Some(failed);
                    break;
                }
                Some(span)
            } else {
                None
            };
            let key = made.key.as_ref().map_or(event.key.get(), |range| &scratch.bytes[range.clone()]);
            match taken(sink.send(&plan.topic, &plan.agreement, key, &self.value))? {
                Ok(true) => {
                    *counts.entry(made.plan).or_default() += 1;
                    if let (Some(span), Some((trace, _, _))) = (span, tracing.as_deref_mut()) {
                        trace.deliveries.push((plan.agreement.clone(), plan.topic.clone(), span));
                    }
                }
                Ok(false) => too_large.push((plan.agreement.clone(), self.value.len())),
                Err(failed) => {
                    stop = Some(failed);
                    break;
                }
            }
        }
        Ok(stop.or_else(|| (!too_large.is_empty()).then_some(Stop::TooLarge(too_large))))
    }
}

/// Whether the delivery was taken; false where it is too large.
fn taken(outcome: Result<(), Refused>) -> PyResult<Result<bool, Stop>> {
    match outcome {
        Ok(()) => Ok(Ok(true)),
        Err(Refused::TooLarge) => Ok(Ok(false)),
        Err(Refused::Failed(code)) => Ok(Err(Stop::Failed(code))),
        Err(Refused::Raised(error)) => Err(error),
    }
}
