//! The spans of sampled events: who they are. What they say is Python's to tell, once all is committed.
//!
//! Neighbour: `lane` names them in the deliveries' headers.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::batch::Slice;

/// Bytes of a `traceparent`: version, trace, span, flags (W3C Trace Context, section 3.2).
const LENGTH: usize = 55;
const SPAN: std::ops::Range<usize> = 36..52;

/// An event that was routed, and what was delivered of it: agreement, topic, span.
pub struct Trace {
    pub at: usize,
    pub span: u64,
    pub deliveries: Vec<(String, String, u64)>,
}

impl Trace {
    pub fn new(at: usize, ids: &mut Ids) -> Trace {
        Trace { at, span: ids.next(), deliveries: Vec::new() }
    }
}

/// Random numbers, none of them 0: SplitMix64 from a seed of the system's.
pub struct Ids(u64);

impl Ids {
    pub fn new() -> Ids {
        Ids(RandomState::new().build_hasher().finish())
    }

    pub fn next(&mut self) -> u64 {
        loop {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            if mixed != 0 {
                return mixed;
            }
        }
    }
}

/// The event's `traceparent`, where its publisher's sampler has chosen it: the lowest of the flags says so.
pub fn sampled_traceparent(headers: &[(Slice, Slice)]) -> Option<&[u8]> {
    let (_, value) = headers.iter().find(|(name, _)| name.get() == b"traceparent")?;
    let value = value.get();
    let flag = value.last().is_some_and(|last| matches!(last, b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f'));
    (value.len() == LENGTH && flag).then_some(value)
}

/// The same with another span.
pub fn own_traceparent(traceparent: &[u8], span: u64) -> [u8; LENGTH] {
    let mut own = [0; LENGTH];
    own.copy_from_slice(traceparent);
    for (at, place) in SPAN.enumerate() {
        own[place] = b"0123456789abcdef"[(span >> (60 - 4 * at)) as usize & 15];
    }
    own
}
