//! Follows the journal: what was, then what comes, without gaps or repeats.

use crate::lineage::Reader;
use futures::stream::{self, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use titan_protocol::{BoxStream, ClientError, Delivery, Event, Journal, Record, Seq, SessionId};

/// Records that are read from the journal at one time.
const READ_RECORDS_MAX: usize = 1024;

struct Follow {
    journal: Arc<dyn Journal>,
    session: Option<SessionId>,
    live: BoxStream<Delivery>,
    after: Seq,
    /// Reads what is behind, while something is.
    reader: Option<Reader>,
    ready: VecDeque<Record>,
    is_behind: bool,
}

/// All records after `after`, then those to come. Ends when the journal does, or after an error.
pub(crate) fn follow(
    journal: Arc<dyn Journal>,
    session: Option<SessionId>,
    after: Seq,
) -> BoxStream<Result<Record, ClientError>> {
    // Subscribed before the first read, so that nothing falls between the two.
    let live = journal.subscribe(session);
    let follow = Follow {
        journal,
        session,
        live,
        after,
        reader: None,
        ready: VecDeque::new(),
        is_behind: true,
    };
    stream::unfold(Some(follow), |follow| async {
        let mut follow = follow?;
        match follow.next().await {
            Ok(Some(record)) => Some((Ok(record), Some(follow))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl Follow {
    async fn read_on(&mut self) -> Result<(), ClientError> {
        let Some(session) = self.session else {
            let records = self
                .journal
                .read(None, self.after, READ_RECORDS_MAX)
                .await?;
            self.is_behind = records.len() == READ_RECORDS_MAX;
            self.ready.extend(records);
            return Ok(());
        };
        let journal = &self.journal;
        let reader = self
            .reader
            .get_or_insert_with(|| Reader::new(journal.clone(), session, self.after));
        let page = reader.next(READ_RECORDS_MAX).await?;
        if page.is_last {
            self.is_behind = false;
            self.reader = None;
        }
        let told = page
            .records
            .into_iter()
            .map(|record| Record { session, ..record });
        self.ready.extend(told);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Record>, ClientError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                if record.seq > self.after {
                    self.after = record.seq;
                    return Ok(Some(record));
                }
                continue;
            }
            if self.is_behind {
                self.read_on().await?;
                continue;
            }
            match self.live.next().await {
                // A branch that begins while it is followed: what it shares comes before it.
                Some(Delivery::Record(record))
                    if self.session.is_some()
                        && matches!(record.event, Event::SessionBranched { .. }) =>
                {
                    self.is_behind = true;
                }
                Some(Delivery::Record(record)) => self.ready.push_back(record),
                Some(Delivery::Lagged { .. }) => self.is_behind = true,
                None => return Ok(None),
            }
        }
    }
}
