//! One event to all its deliveries: walk, look up who may get it, test, make each distinct value once.
//!
//! Neighbours: `plan` is one agreement, `lane` runs this over batches.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::avro::{Left, Place};
use crate::emit::{MOST_BYTES, Source};
use crate::plan::{Plan, Steps, Writer};
use crate::rows::Index;

/// Bytes of the frame in front of every value: the writer schema's id.
pub const FRAME: usize = 5;

#[pyclass(frozen, module = "hutong_native")]
pub struct Transcoder {
    writer: Py<Writer>,
    pub plans: Vec<Arc<Steps>>,
    slots: Vec<usize>,
    slot_count: usize,
    index: Index,
    /// Whether Python has further agreements to run over each event.
    pub has_rest: bool,
}

/// A delivery in the scratch buffers: plan number, key (None for the event's), value without its frame.
pub struct Made {
    pub plan: u32,
    pub key: Option<Range<usize>>,
    pub value: Range<usize>,
}

/// Plan number, key, framed value.
type Delivery<'py> = (u32, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Buffers that are used again for every event.
#[derive(Default)]
pub struct Scratch {
    places: Vec<Place>,
    found: Vec<u32>,
    slots: Vec<Option<Range<usize>>>,
    /// The slots that are filled.
    filled: Vec<usize>,
    text: Vec<u8>,
    pub bytes: Vec<u8>,
    pub made: Vec<Made>,
}

#[pymethods]
impl Transcoder {
    #[new]
    fn new(writer: Py<Writer>, plans: Vec<Py<Plan>>, has_rest: bool) -> PyResult<Transcoder> {
        if plans.iter().any(|plan| !plan.get().writer.is(&writer)) {
            return Err(PyValueError::new_err("a plan was compiled for another writer"));
        }
        let plans: Vec<Arc<Steps>> = plans.iter().map(|plan| plan.get().steps.clone()).collect();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut index = Index::default();
        let mut slots = Vec::with_capacity(plans.len());
        let mut slot_count = 0;
        for (number, plan) in plans.iter().enumerate() {
            let mut fresh = || {
                slot_count += 1;
                slot_count - 1
            };
            slots.push(match &plan.signature {
                Some(signature) => *known.entry(signature).or_insert_with(fresh),
                None => fresh(),
            });
            index.add(number as u32, plan.indexed.and_then(|row| plan.rows.get(row)));
        }
        Ok(Transcoder { writer, plans, slots, slot_count, index, has_rest })
    }

    /// All deliveries of a framed value as (plan number, key, framed value); None where Python must look at the event itself.
    fn transcode<'py>(
        &self,
        py: Python<'py>,
        key: &[u8],
        value: &[u8],
        appended_ms: i64,
        now_ms: i64,
    ) -> Option<Vec<Delivery<'py>>> {
        let mut scratch = Scratch::default();
        self.run(key, value, (appended_ms, now_ms), &mut scratch).ok()?;
        let made = scratch.made.iter().map(|made| {
            let own_key = made.key.as_ref().map_or(key, |range| &scratch.bytes[range.clone()]);
            let frame = &self.plans[made.plan as usize].frame;
            let body = &scratch.bytes[made.value.clone()];
            let framed = PyBytes::new_with(py, frame.len() + body.len(), |out| {
                out[..frame.len()].copy_from_slice(frame);
                out[frame.len()..].copy_from_slice(body);
                Ok(())
            });
            framed.map(|framed| (made.plan, PyBytes::new(py, own_key), framed))
        });
        made.collect::<PyResult<_>>().ok()
    }
}

impl Transcoder {
    /// Fills the scratch with all deliveries of a framed value. The moments: when it was appended, and now.
    pub fn run(&self, key: &[u8], value: &[u8], moments: (i64, i64), scratch: &mut Scratch) -> Result<(), Left> {
        let writer = self.writer.get();
        let Scratch { places, found, slots, filled, text, bytes, made } = scratch;
        writer.types.walk_whole(value, FRAME, places)?;
        made.clear();
        bytes.clear();
        found.clear();
        // Not all of them: that would cost every event something for every agreement there is.
        filled.drain(..).for_each(|slot| slots[slot] = None);
        if slots.len() < self.slot_count {
            slots.resize(self.slot_count, None);
        }
        let at = Source { types: &writer.types, data: value, places };
        check_key(writer, &at, key, text)?;
        self.index.candidates(value, places, found)?;
        let (earliest, latest) = (moments.0.min(moments.1), moments.0.max(moments.1));
        for number in found.iter() {
            let plan = &self.plans[*number as usize];
            let in_force = plan.from_ms <= earliest && latest < plan.until_ms;
            if !in_force || !plan.published.contains(&moments.0) || !self.all_hold(plan, value, places)? {
                continue;
            }
            let slot_number = self.slots[*number as usize];
            let slot = &mut slots[slot_number];
            let body = match slot {
                Some(range) => range.clone(),
                None => {
                    let start = bytes.len();
                    filled.push(slot_number);
                    plan.emit.run(&at, FRAME, value.len(), bytes)?;
                    if bytes.len() - start + FRAME > MOST_BYTES {
                        return Err(Left);
                    }
                    slot.insert(start..bytes.len()).clone()
                }
            };
            let start = bytes.len();
            plan.key.put(key, &at, bytes)?;
            let own_key = (bytes.len() > start).then_some(start..bytes.len());
            made.push(Made { plan: *number, key: own_key, value: body });
        }
        Ok(())
    }

    fn all_hold(&self, plan: &Steps, value: &[u8], places: &[Place]) -> Result<bool, Left> {
        for (number, row) in plan.rows.iter().enumerate() {
            if Some(number) != plan.indexed && !row.holds(value, places)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the record's key is that of the value.
fn check_key(writer: &Writer, at: &Source<'_>, key: &[u8], text: &mut Vec<u8>) -> Result<(), Left> {
    text.clear();
    for (number, part) in writer.key.iter().enumerate() {
        if number > 0 {
            text.push(b'|');
        }
        part.with(at, |part| text.extend_from_slice(part))?;
    }
    if text == key { Ok(()) } else { Err(Left) }
}
