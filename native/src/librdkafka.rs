//! The few functions of librdkafka that the fast lane calls, in the very library that the Python client has loaded.
//!
//! A client's handle is had by librdkafka's own means: this extension is a plugin (`plugin.library.paths`, "conf_init" in rdkafka.h),
//! and its `on_new` interceptor is told of every client that names it. Nothing here depends on how the Python client is made.
//! Neighbours: `sender` calls these.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::{Mutex, OnceLock};

pub type Handle = *mut c_void;

pub const NO_ERROR: c_int = 0;
pub const QUEUE_FULL: c_int = -184;
pub const TOO_LARGE: c_int = 10;
pub const INVALID_TOPIC: c_int = 17;

/// The kinds of arguments of `rd_kafka_producev` (rdkafka.h, rd_kafka_vtype_t).
pub mod argument {
    use std::ffi::c_int;
    pub const END: c_int = 0;
    pub const TOPIC: c_int = 2; // a handle, not a name
    pub const VALUE: c_int = 4;
    pub const KEY: c_int = 5;
    pub const FLAGS: c_int = 7;
    pub const HEADERS: c_int = 10;
    /// The client copies the value.
    pub const COPY: c_int = 2;
}

/// Told that something has come to a queue that was empty; it must call nothing of librdkafka.
pub type OnArrival = unsafe extern "C" fn(Handle, *mut c_void);
type OnNew = unsafe extern "C" fn(Handle, *const c_void, *mut c_void, *mut c_char, usize) -> c_int;
type OnAcknowledgement = unsafe extern "C" fn(Handle, *mut Message, *mut c_void) -> c_int;

pub struct Api {
    pub topic_new: unsafe extern "C" fn(Handle, *const c_char, *mut c_void) -> *mut c_void,
    pub topic_destroy: unsafe extern "C" fn(*mut c_void),
    pub topic_name: unsafe extern "C" fn(*const c_void) -> *const c_char,
    pub headers_new: unsafe extern "C" fn(usize) -> *mut c_void,
    pub headers_copy: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    pub headers_destroy: unsafe extern "C" fn(*mut c_void),
    pub header_add: unsafe extern "C" fn(*mut c_void, *const c_char, isize, *const c_void, isize) -> c_int,
    pub producev: unsafe extern "C" fn(Handle, ...) -> c_int,
    pub queue_new: unsafe extern "C" fn(Handle) -> *mut c_void,
    pub queue_of_partition: unsafe extern "C" fn(Handle, *const c_char, i32) -> *mut c_void,
    pub queue_forward: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub queue_destroy: unsafe extern "C" fn(*mut c_void),
    pub queue_tell: unsafe extern "C" fn(*mut c_void, Option<OnArrival>, *mut c_void),
    pub consume_batch: unsafe extern "C" fn(*mut c_void, c_int, *mut *mut Message, usize) -> isize,
    pub message_destroy: unsafe extern "C" fn(*mut Message),
    pub message_headers: unsafe extern "C" fn(*const Message, *mut *mut c_void) -> c_int,
    pub message_timestamp: unsafe extern "C" fn(*const Message, *mut c_int) -> i64,
    pub header_at: unsafe extern "C" fn(*const c_void, usize, *mut *const c_char, *mut *const c_void, *mut usize) -> c_int,
    conf_add_on_new: unsafe extern "C" fn(*mut c_void, *const c_char, OnNew, *mut c_void) -> c_int,
    add_on_acknowledgement: unsafe extern "C" fn(Handle, *const c_char, OnAcknowledgement, *mut c_void) -> c_int,
}

/// rd_kafka_message_t.
#[repr(C)]
pub struct Message {
    pub error: c_int,
    pub topic: *const c_void,
    pub partition: i32,
    pub value: *const u8,
    pub value_size: usize,
    pub key: *const u8,
    pub key_size: usize,
    pub offset: i64,
    _private: *mut c_void,
}

static API: OnceLock<Api> = OnceLock::new();
/// Client -> topics and error codes of what it could not deliver.
type Failures = HashMap<usize, Vec<(String, i32)>>;

static FAILURES: Mutex<Option<Failures>> = Mutex::new(None);
const MOST_FAILURES: usize = 100; // which topics cannot be written to is what matters, not how often
const NAME: &CStr = c"hutong";

thread_local! {
    static NEWEST: Cell<Handle> = const { Cell::new(std::ptr::null_mut()) };
}

/// Finds the functions in the library at this path, which must be loaded already.
#[allow(clippy::missing_transmute_annotations)] // the fields of Api say what each becomes
pub fn load(path: &str) -> Result<(), String> {
    if API.get().is_some() {
        return Ok(());
    }
    let name = CString::new(path).map_err(|_| "a path without zero bytes is needed".to_owned())?;
    // SAFETY: a library that is loaded already runs no initialiser; the handle is kept for ever.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return Err(format!("{path} is not loaded"));
    }
    macro_rules! function {
        ($name:literal) => {{
            // SAFETY: the symbols are functions of the types that rdkafka.h gives them.
            let found = unsafe { libc::dlsym(library, $name.as_ptr()) };
            if found.is_null() {
                return Err(format!("{path} has no function {:?}", $name));
            }
            unsafe { std::mem::transmute::<*mut c_void, _>(found) }
        }};
    }
    let api = Api {
        topic_new: function!(c"rd_kafka_topic_new"),
        topic_destroy: function!(c"rd_kafka_topic_destroy"),
        topic_name: function!(c"rd_kafka_topic_name"),
        headers_new: function!(c"rd_kafka_headers_new"),
        headers_copy: function!(c"rd_kafka_headers_copy"),
        headers_destroy: function!(c"rd_kafka_headers_destroy"),
        header_add: function!(c"rd_kafka_header_add"),
        producev: function!(c"rd_kafka_producev"),
        queue_new: function!(c"rd_kafka_queue_new"),
        queue_of_partition: function!(c"rd_kafka_queue_get_partition"),
        queue_forward: function!(c"rd_kafka_queue_forward"),
        queue_destroy: function!(c"rd_kafka_queue_destroy"),
        queue_tell: function!(c"rd_kafka_queue_cb_event_enable"),
        consume_batch: function!(c"rd_kafka_consume_batch_queue"),
        message_destroy: function!(c"rd_kafka_message_destroy"),
        message_headers: function!(c"rd_kafka_message_headers"),
        message_timestamp: function!(c"rd_kafka_message_timestamp"),
        header_at: function!(c"rd_kafka_header_get_all"),
        conf_add_on_new: function!(c"rd_kafka_conf_interceptor_add_on_new"),
        add_on_acknowledgement: function!(c"rd_kafka_interceptor_add_on_acknowledgement"),
    };
    let _ = API.set(api);
    // A delivery's headers are a dozen small pieces of memory, freed by another thread than took them. glibc's fast bins hold such
    // pieces back and merge them all at every large free, which cost a quarter of the router's processor time.
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number.
    unsafe {
        libc::mallopt(libc::M_MXFAST, 0);
    }
    Ok(())
}

/// The file that this extension was loaded from.
pub fn own_path() -> Option<String> {
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr fills the structure, and its texts live as long as the library.
    unsafe {
        let known = libc::dladdr(conf_init as *const c_void, &mut found);
        (known != 0 && !found.dli_fname.is_null()).then(|| CStr::from_ptr(found.dli_fname).to_string_lossy().into_owned())
    }
}

pub fn api() -> Option<&'static Api> {
    API.get()
}

/// The client that this thread made last, once.
pub fn take_newest() -> Option<Handle> {
    let handle = NEWEST.replace(std::ptr::null_mut());
    (!handle.is_null()).then_some(handle)
}

/// To be called before a client is made: one that failed on its way must not be taken for the next.
pub fn forget_newest() {
    NEWEST.set(std::ptr::null_mut());
}

/// Topics and error codes of records that were not delivered since the last call.
pub fn take_failures(client: Handle) -> Vec<(String, i32)> {
    let mut failures = FAILURES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    failures.as_mut().and_then(|all| all.remove(&(client as usize))).unwrap_or_default()
}

/// What librdkafka calls when a configuration names this library in `plugin.library.paths`.
///
/// # Safety
/// Only librdkafka calls this, with a configuration that it holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn conf_init(conf: *mut c_void, _opaque: *mut *mut c_void, _error: *mut c_char, _size: usize) -> c_int {
    match API.get() {
        Some(api) => unsafe { (api.conf_add_on_new)(conf, NAME.as_ptr(), on_new, std::ptr::null_mut()) },
        None => -1,
    }
}

unsafe extern "C" fn on_new(client: Handle, _: *const c_void, _: *mut c_void, _: *mut c_char, _: usize) -> c_int {
    NEWEST.set(client);
    take_failures(client); // of an earlier client at the same address
    match API.get() {
        Some(api) => unsafe { (api.add_on_acknowledgement)(client, NAME.as_ptr(), on_acknowledgement, std::ptr::null_mut()) },
        None => NO_ERROR,
    }
}

unsafe extern "C" fn on_acknowledgement(client: Handle, message: *mut Message, _: *mut c_void) -> c_int {
    // SAFETY: librdkafka passes a message that lives during the call.
    let message = unsafe { &*message };
    if message.error == NO_ERROR || message.topic.is_null() {
        return NO_ERROR;
    }
    let (Some(api), Ok(mut failures)) = (API.get(), FAILURES.lock()) else { return NO_ERROR };
    let of_client = failures.get_or_insert_default().entry(client as usize).or_default();
    if of_client.len() < MOST_FAILURES {
        let name = unsafe { CStr::from_ptr((api.topic_name)(message.topic)) };
        of_client.push((name.to_string_lossy().into_owned(), message.error));
    }
    NO_ERROR
}
