//! Where the gateway of this process is, for those who ask over the control socket.

use std::sync::{Arc, OnceLock};

/// The gateway's door, if there is one. Set once, when it is open.
#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<OnceLock<Opened>>);

struct Opened {
    page: String,
    link: Box<dyn Fn() -> String + Send + Sync>,
}

impl Doors {
    /// Says where the page is, and what makes links that open it. A second time changes nothing.
    pub(crate) fn set(&self, page: String, link: impl Fn() -> String + Send + Sync + 'static) {
        self.0.get_or_init(|| Opened {
            page,
            link: Box::new(link),
        });
    }

    /// Where the page is.
    pub(crate) fn page(&self) -> Option<String> {
        self.0.get().map(|opened| opened.page.clone())
    }

    /// A link that opens the page in one browser.
    pub(crate) fn link(&self) -> Option<String> {
        self.0.get().map(|opened| (opened.link)())
    }
}
