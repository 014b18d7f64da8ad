//! The files of one family of languages, and who uses whom among them.
//!
//! That is a function of the files' facts alone, so that a graph that changed is the one made anew. It takes seconds for
//! large folders; so when a few files of many have changed, all is worked out on a thread of its own, and until that has
//! ended, questions are answered from what is kept of the others and what the changed files do among them.

use crate::facts::FileFacts;
use crate::languages::Family;
use crate::link::{Files, Linked, Links, differing};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Changed files that are followed among the others; where there are more, an answer waits for all of it.
const REVISED_MAX: usize = 64;

#[derive(Default)]
pub(crate) struct Group {
    files: BTreeMap<Arc<str>, Arc<FileFacts>>,
    /// What questions about these files are answered from.
    answer: OnceLock<Answer>,
    /// What it was before the files changed.
    before: Option<Links>,
    /// The files that all was worked out of last.
    whole: Files,
    work: Option<Work>,
}

struct Answer {
    links: Links,
    /// Changed files of which it is not worked out yet what others make of them.
    unsettled: usize,
}

/// All is being worked out on a thread, until this is dropped.
struct Work {
    files: Files,
    began: Instant,
    found: Receiver<Links>,
    is_unwanted: Arc<AtomicBool>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}

impl Work {
    fn start(family: Family, files: Files) -> Option<Self> {
        let (send, found) = sync_channel(1);
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let (wanted, all) = (Arc::clone(&is_unwanted), files.clone());
        let work = move || {
            let links = Links::new(family, all, &wanted);
            // Whoever asked may have stopped waiting.
            let _ = send.send(links);
        };
        let thread = std::thread::Builder::new().name("titan-code".to_owned());
        thread.spawn(work).ok()?;
        Some(Self {
            files,
            began: Instant::now(),
            found,
            is_unwanted,
        })
    }

    /// What was found, after waiting for so long; without a limit where there is none.
    fn wait(&self, limit: Option<Duration>) -> Result<Links, RecvTimeoutError> {
        match limit {
            Some(limit) => self.found.recv_timeout(limit),
            None => Ok(self.found.recv()?),
        }
    }
}

impl Group {
    pub(crate) fn facts(&self, path: &str) -> Option<&Arc<FileFacts>> {
        self.files.get(path)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<FileFacts>> {
        self.files.values()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<FileFacts>)> {
        self.files.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn insert(&mut self, path: &str, facts: FileFacts) {
        self.change();
        self.files.insert(path.into(), Arc::new(facts));
    }

    pub(crate) fn remove(&mut self, path: &str) {
        if self.files.remove(path).is_some() {
            self.change();
        }
    }

    fn change(&mut self) {
        if let Some(answer) = self.answer.take() {
            if answer.unsettled == 0 {
                self.whole = answer.links.linked.files.clone();
            }
            self.before = Some(answer.links);
        }
    }

    fn list(&self) -> Files {
        let files = self.files.iter();
        files
            .map(|(path, facts)| (Arc::clone(path), Arc::clone(facts)))
            .collect()
    }

    /// Who uses whom. All is worked out at once where nothing is known of these files.
    pub(crate) fn linked(&self, family: Family) -> &Linked {
        let answer = self.answer.get_or_init(|| Answer {
            links: Links::new(family, self.list(), &AtomicBool::new(false)),
            unsettled: 0,
        });
        &answer.links.linked
    }

    pub(crate) fn unsettled(&self) -> usize {
        self.answer.get().map_or(0, |answer| answer.unsettled)
    }

    /// Makes an answer ready for the files as they are now. If some changed, all is worked out in the background, and
    /// waited for where it will not take longer than this; else the changed ones are followed among the others.
    pub(crate) fn settle(&mut self, family: Family, patience: Duration) {
        match self.answer.get() {
            Some(answer) if answer.unsettled == 0 => {
                self.work = None;
                return;
            }
            None if self.before.is_none() => return,
            _ => {}
        }
        let until = Instant::now().checked_add(patience);
        let files = self.list();
        loop {
            let work = self.work.take();
            let Some(work) = work.or_else(|| Work::start(family, files.clone())) else {
                // Without a thread it is worked out where it is asked for.
                self.before = None;
                self.answer = OnceLock::new();
                return;
            };
            match work.wait(self.worth_waiting(&work, &files, until)) {
                Ok(links) if differing(&work.files, &files) == 0 => {
                    self.before = None;
                    self.answer = OnceLock::from(Answer {
                        links,
                        unsettled: 0,
                    });
                    return;
                }
                Ok(links) => {
                    self.whole = work.files.clone();
                    self.before = Some(links);
                    self.answer = OnceLock::new();
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.work = Some(work);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.before = None;
                    self.answer = OnceLock::new();
                    return;
                }
            }
        }
        if self.answer.get().is_none()
            && let Some(before) = self.before.take()
        {
            let unsettled = differing(&self.whole, &files);
            let links = before.revised(family, files);
            self.answer = OnceLock::from(Answer { links, unsettled });
        }
    }

    /// How long it is sensible to wait for what is being worked out; `None` where there is nothing else to tell.
    fn worth_waiting(
        &self,
        work: &Work,
        files: &Files,
        until: Option<Instant>,
    ) -> Option<Duration> {
        if differing(&self.whole, files) > REVISED_MAX {
            return None;
        }
        let known = self.answer.get().map(|answer| &answer.links);
        let took = known
            .or(self.before.as_ref())
            .map_or(Duration::ZERO, |it| it.took);
        let left = until?.saturating_duration_since(Instant::now());
        let is_due = work.began.elapsed() + left >= took;
        Some(if is_due { left } else { Duration::ZERO })
    }
}
