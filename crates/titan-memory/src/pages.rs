//! Pages that were read: what `fetch` gave in a turn that ended well is a document of strangers.
//!
//! Nothing that a page says is followed: it is found as what others wrote, with its address and time, and goes with its
//! session. A page that was read again is the newer one; what it said before is history, as far as there is room.

use crate::documents::{checked, document_of, fingerprint, told};
use crate::memory::GraphMemory;
use crate::state::State;
use crate::text::heading_of;
use titan_protocol::{
    BlobId, MemoryDocument, MemoryDraft, MemoryKind, MemoryOrigin, ReadIn, StorageError, UnixMillis,
};

/// The tool that reads pages. No other tool has its name.
pub(crate) const TOOL: &str = "fetch";
/// What is kept of one page, in bytes.
const PAGE_BYTES_MAX: usize = 64 << 10;
/// Pages that are kept of one turn.
pub(crate) const OF_A_TURN_MAX: usize = 20;
/// Pages that are kept in all; the one that was read longest ago makes room.
const PAGES_MAX: usize = 2_000;
/// What one page said before, as often as that is kept.
const EARLIER_MAX: usize = 3;

/// A page as the journal has it.
pub(crate) struct Page {
    /// What the model was shown of it.
    pub(crate) text: String,
    /// All of it, where that was more.
    pub(crate) whole: Option<BlobId>,
    pub(crate) at: UnixMillis,
}

/// What is kept of a page: what `fetch` says is its address, its title and its text.
fn draft_of(shown: &str) -> Option<MemoryDraft> {
    let mut rest = shown;
    let mut address = None;
    // Above the page stands its address, and above that a status that is not the usual one.
    while address.is_none() {
        let (line, below) = rest.split_once('\n')?;
        let said = line.strip_prefix('[')?.strip_suffix(']')?;
        address = said.contains("://").then(|| said.to_owned());
        rest = below;
    }
    let address = address?;
    let (first, below) = rest.split_once('\n').unwrap_or((rest, ""));
    let (title, text) = match first.strip_prefix("title: ") {
        Some(title) => (Some(title.to_owned()), below),
        None => (rest.lines().find_map(heading_of), rest),
    };
    let text = &text[..text.floor_char_boundary(PAGE_BYTES_MAX)];
    let title = title.unwrap_or_else(|| address.clone());
    Some(MemoryDraft {
        kind: MemoryKind::Page,
        title: crate::said::begin(&title, TITLE_CHARS_MAX),
        text: text.to_owned(),
        source: Some(address),
        origin: MemoryOrigin::Untrusted,
        ..MemoryDraft::default()
    })
}

/// The longest title, in characters.
const TITLE_CHARS_MAX: usize = 200;

impl GraphMemory {
    /// The document of a page, if there is something to keep.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn page(
        &self,
        page: Page,
        read_in: ReadIn,
    ) -> Result<Option<MemoryDocument>, StorageError> {
        let whole = match (&page.whole, &self.ports.blobs) {
            (Some(whole), Some(blobs)) => blobs.get(whole).await?,
            _ => None,
        };
        let whole = whole.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let draft = draft_of(whole.as_deref().unwrap_or(&page.text));
        // What is empty, or has an address that is too long to be a source, is left out.
        let draft = draft.and_then(|draft| checked(draft).ok());
        Ok(draft.map(|draft| MemoryDocument {
            read_in: Some(read_in),
            ..document_of(draft, page.at)
        }))
    }

    /// Keeps a page in the place of what it said before.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub(crate) async fn keep_page(
        &self,
        state: &mut State,
        page: MemoryDocument,
    ) -> Result<(), StorageError> {
        let read_at = page.at;
        let said_before = state.by_fingerprint.get(&fingerprint(&page)).cloned();
        let said_before = match said_before {
            Some(id) => self
                .ports
                .search
                .get(&self.collection, &id)
                .await?
                .map(told),
            None => None,
        };
        let page = match said_before {
            // It says the same as then, and is now what this session read.
            Some(same) => MemoryDocument {
                changed_at: Some(read_at),
                valid_until: None,
                superseded_by: None,
                read_in: page.read_in,
                ..same
            },
            None => page,
        };
        let older = state.page_of(page.source.as_deref().unwrap_or_default());
        self.store(state, &page).await?;
        state.insert(&page);
        if let Some(older) = older.filter(|older| *older != page.id) {
            self.supersede(state, &older, &page.id, read_at).await?;
        }
        for id in state.pages_without_room(&page, EARLIER_MAX, PAGES_MAX) {
            self.erase(state, &id).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_address_its_title_and_its_text() {
        let draft = |shown: &str| draft_of(shown).map(|it| (it.source, it.title, it.text));
        let some = |source: &str, title: &str, text: &str| {
            Some((Some(source.to_owned()), title.to_owned(), text.to_owned()))
        };
        let address = "https://tea.test/";
        assert_eq!(
            draft("[https://tea.test/]\ntitle: Tea\n\n# Green\nIt grows."),
            some(address, "Tea", "\n# Green\nIt grows.")
        );
        assert_eq!(
            draft("[status 203]\n[https://tea.test/]\nx\n# Green\ny"),
            some(address, "Green", "x\n# Green\ny")
        );
        assert_eq!(
            draft("[https://tea.test/]\nplain"),
            some(address, address, "plain")
        );
        for odd in [
            "",
            "plain",
            "[status 200]",
            "[no address]\nx",
            "https://tea.test/\nx",
        ] {
            assert_eq!(draft(odd), None, "{odd:?}");
        }
        let long = format!("[https://tea.test/]\n{}", "ä".repeat(PAGE_BYTES_MAX));
        let text = draft_of(&long).expect("a page").text;
        assert!(text.len() <= PAGE_BYTES_MAX && text.len() > PAGE_BYTES_MAX - 2);
    }
}
