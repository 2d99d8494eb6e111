//! Hutong's hot path: what `hutong.transcode` does in Python, over bytes and without Python objects.
//!
//! Only the plain case is done here. Whatever is malformed, refused or unforeseen is left to Python, which decides and explains:
//! so there is one place for every rule, and this module can only be faster, not different.

mod avro;
mod batch;
mod change;
mod emit;
mod headers;
mod identity;
mod inbox;
mod lane;
mod librdkafka;
mod pack;
mod plan;
mod rows;
mod sink;
mod text;
mod trace;
mod transcoder;
mod unpack;

use pyo3::prelude::*;

#[pymodule]
fn hutong_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<plan::Writer>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<transcoder::Transcoder>()?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<inbox::Inbox>()?;
    module.add_class::<inbox::Record>()?;
    module.add_class::<lane::Lane>()?;
    module.add_class::<pack::Packer>()?;
    module.add_class::<unpack::Unpacker>()?;
    module.add_class::<sink::Sender>()?;
    module.add_class::<sink::Collected>()?;
    module.add_function(wrap_pyfunction!(sink::expect_client, module)?)?;
    module.add_function(wrap_pyfunction!(sink::load_librdkafka, module)?)
}
