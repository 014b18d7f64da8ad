//! What a component may import, a module for each capability. Only these functions import it, so that a component imports
//! what its tool calls and no more.

use std::mem::MaybeUninit;

/// An address and a length in what a host gives.
#[derive(Clone, Copy)]
#[repr(C)]
struct Slice {
    at: *mut u8,
    n: usize,
}

impl Slice {
    /// # Safety
    /// The host put it there, in room that it asked for, and it is read once.
    unsafe fn bytes(self) -> Vec<u8> {
        match self.n {
            0 => Vec::new(),
            // SAFETY: room is taken from the one allocator, of just this length.
            n => unsafe { Vec::from_raw_parts(self.at, n, n) },
        }
    }

    /// # Safety
    /// As for [`Slice::bytes`], and it is a text.
    unsafe fn text(self) -> String {
        // SAFETY: hosts give nothing but UTF-8 for a text.
        unsafe { String::from_utf8_unchecked(self.bytes()) }
    }
}

/// Something, an error or nothing, as a host gives it.
#[repr(C)]
struct Given {
    kind: u8,
    what: Slice,
}

impl Given {
    /// # Safety
    /// `ask` writes all of it.
    #[inline(never)]
    unsafe fn by(ask: &dyn Fn(*mut Self)) -> Self {
        let mut given = MaybeUninit::<Self>::zeroed();
        ask(given.as_mut_ptr());
        // SAFETY: as above.
        unsafe { given.assume_init() }
    }
}

/// Lines that stand below the tool's output.
pub mod log {
    #[link(wasm_import_module = "titanclaw:tool/log@0.2.0")]
    unsafe extern "C" {
        #[link_name = "write"]
        fn ask(at: *const u8, n: usize);
    }

    /// Adds a line.
    #[inline(never)]
    pub fn write(line: &str) {
        // SAFETY: the host only reads it.
        unsafe { ask(line.as_ptr(), line.len()) }
    }
}

/// The time of day.
pub mod clock {
    #[link(wasm_import_module = "titanclaw:tool/clock@0.2.0")]
    unsafe extern "C" {
        #[link_name = "now"]
        fn ask() -> u64;
    }

    /// Milliseconds since the beginning of 1970.
    #[inline(never)]
    pub fn now() -> u64 {
        // SAFETY: nothing is given.
        unsafe { ask() }
    }

    /// Now, in UTC.
    #[inline(never)]
    pub fn utc() -> crate::time::DateTime {
        crate::time::DateTime::from_millis(i64::try_from(now()).unwrap_or(i64::MAX))
    }

    /// The day that it is in UTC.
    #[inline(never)]
    pub fn today() -> crate::time::Date {
        utc().date()
    }
}

/// Numbers that nobody can foretell.
pub mod random {
    #[link(wasm_import_module = "titanclaw:tool/random@0.2.0")]
    unsafe extern "C" {
        #[link_name = "next"]
        fn ask() -> u64;
    }

    /// Any number.
    #[inline(never)]
    pub fn next() -> u64 {
        // SAFETY: nothing is given.
        unsafe { ask() }
    }

    /// A number below `n`, each as likely; 0 if `n` is 0.
    #[inline(never)]
    pub fn below(n: u64) -> u64 {
        u64::try_from(u128::from(next()) * u128::from(n) >> 64).unwrap_or_default()
    }
}

/// What the tool keeps from call to call.
pub mod state {
    use super::{Given, Slice};
    use crate::{Error, Result};
    use std::mem::MaybeUninit;

    #[link(wasm_import_module = "titanclaw:tool/state@0.2.0")]
    unsafe extern "C" {
        #[link_name = "get"]
        fn ask_get(key: *const u8, n: usize, given: *mut Given);
        #[link_name = "set"]
        fn ask_set(key: *const u8, n: usize, value: *const u8, value_n: usize, given: *mut Given);
        #[link_name = "delete"]
        fn ask_delete(key: *const u8, n: usize, given: *mut Given);
        #[link_name = "keys"]
        fn ask_keys(given: *mut Slice);
    }

    /// The text that is kept under a key, if there is one.
    #[inline(never)]
    pub fn get(key: &str) -> Option<String> {
        // SAFETY: what is given is written whole by the host and read once.
        unsafe {
            let given = Given::by(&|given| ask_get(key.as_ptr(), key.len(), given));
            (given.kind != 0).then(|| String::from_utf8_lossy(&given.what.bytes()).into_owned())
        }
    }

    /// Keeps a text, in the place of the one before.
    ///
    /// # Errors
    /// When it does not fit.
    #[inline(never)]
    pub fn set(key: &str, value: &str) -> Result<()> {
        let (at, n) = (value.as_ptr(), value.len());
        done(&|given| {
            // SAFETY: the host only reads the texts, and writes all of `given`.
            unsafe { ask_set(key.as_ptr(), key.len(), at, n, given) }
        })
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// When that fails.
    #[inline(never)]
    pub fn delete(key: &str) -> Result<()> {
        // SAFETY: as for `set`.
        done(&|given| unsafe { ask_delete(key.as_ptr(), key.len(), given) })
    }

    /// All keys, in order.
    #[inline(never)]
    pub fn keys() -> Vec<String> {
        let mut given = MaybeUninit::<Slice>::zeroed();
        // SAFETY: the host writes a list of texts, which are read once; the list itself stays.
        unsafe {
            ask_keys(given.as_mut_ptr());
            let Slice { at, n } = given.assume_init();
            let texts = at.cast::<Slice>();
            (0..n).map(|i| (*texts.add(i)).text()).collect()
        }
    }

    fn done(ask: &dyn Fn(*mut Given)) -> Result<()> {
        // SAFETY: the host writes all of it; it is read once.
        unsafe {
            let given = Given::by(ask);
            match given.kind {
                0 => Ok(()),
                _ => Err(Error::from(given.what.text())),
            }
        }
    }
}

/// Requests to the hosts that the tool declares.
pub mod http {
    use super::Slice;
    use crate::{Error, Result, Value};
    use std::mem::MaybeUninit;

    #[link(wasm_import_module = "titanclaw:tool/http@0.2.0")]
    unsafe extern "C" {
        #[link_name = "get"]
        fn ask_get(url: *const u8, n: usize, given: *mut Given);
        #[link_name = "post"]
        fn ask_post(
            url: *const u8,
            n: usize,
            kind: *const u8,
            kind_n: usize,
            body: *const u8,
            body_n: usize,
            given: *mut Given,
        );
    }

    /// What came back, or the text of an error in the place of `status`.
    #[repr(C)]
    struct Given {
        kind: u8,
        status: u32,
        content_type_at: u32,
        content_type_n: u32,
        location: Slice,
        body: Slice,
    }

    /// What came back. An error of the server is an answer too.
    #[derive(Debug, Clone)]
    pub struct Response {
        /// 200 and the like.
        pub status: u16,
        /// The type of the body, as the server says.
        pub content_type: String,
        /// Where the answer points to, if it is elsewhere.
        pub location: String,
        /// At most 2 MiB.
        pub body: Vec<u8>,
    }

    impl Response {
        /// The body as a text.
        #[inline(never)]
        pub fn text(&self) -> String {
            String::from_utf8_lossy(&self.body).into_owned()
        }

        /// The body as JSON.
        ///
        /// # Errors
        /// When it is none.
        #[inline(never)]
        pub fn json(&self) -> Result<Value> {
            crate::json::parse(&self.text())
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// When there is no answer.
    #[inline(never)]
    pub fn get(url: &str) -> Result<Response> {
        // SAFETY: the host only reads the text, and writes all of `given`.
        response(&|given| unsafe { ask_get(url.as_ptr(), url.len(), given) })
    }

    /// Sends a body.
    ///
    /// # Errors
    /// When there is no answer.
    #[inline(never)]
    pub fn post(url: &str, content_type: &str, body: &str) -> Result<Response> {
        let (kind, kind_n) = (content_type.as_ptr(), content_type.len());
        response(&|given| {
            // SAFETY: as for `get`.
            unsafe {
                ask_post(
                    url.as_ptr(),
                    url.len(),
                    kind,
                    kind_n,
                    body.as_ptr(),
                    body.len(),
                    given,
                )
            }
        })
    }

    fn response(ask: &dyn Fn(*mut Given)) -> Result<Response> {
        let mut given = MaybeUninit::<Given>::zeroed();
        ask(given.as_mut_ptr());
        // SAFETY: the host has written all of it, or the error and zeroes are left; each text is read once.
        unsafe {
            let given = given.assume_init();
            if given.kind != 0 {
                let text = Slice {
                    at: given.status as *mut u8,
                    n: given.content_type_at as usize,
                };
                return Err(Error::from(text.text()));
            }
            let at = given.content_type_at as *mut u8;
            let content_type = Slice {
                at,
                n: given.content_type_n as usize,
            };
            Ok(Response {
                // The host writes two bytes of these four.
                status: (given.status & 0xffff) as u16,
                content_type: content_type.text(),
                location: given.location.text(),
                body: given.body.bytes(),
            })
        }
    }
}

/// Calls of the tools that the tool declares.
pub mod tools {
    use super::Given;
    use crate::{Error, Result, Value};

    #[link(wasm_import_module = "titanclaw:tool/tools@0.2.0")]
    unsafe extern "C" {
        #[link_name = "call"]
        fn ask(
            name: *const u8,
            n: usize,
            arguments: *const u8,
            arguments_n: usize,
            given: *mut Given,
        );
    }

    /// Calls a tool with an object, and gives its output.
    ///
    /// # Errors
    /// When it was not run, or what it says went wrong.
    #[inline(never)]
    pub fn call(name: &str, arguments: &Value) -> Result<String> {
        let arguments = arguments.to_string();
        let (at, n) = (arguments.as_ptr(), arguments.len());
        // SAFETY: the host only reads the texts, and writes all of what is given, which is read once.
        unsafe {
            let given = Given::by(&|given| ask(name.as_ptr(), name.len(), at, n, given));
            let text = given.what.text();
            match given.kind {
                0 => Ok(text),
                _ => Err(Error::from(text)),
            }
        }
    }
}
