//! The threads that read: a few connections that can't write, each on its own thread and opened when it is first used.

use crate::sql::Sql;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use titan_protocol::StorageError;
use tokio::sync::{mpsc, oneshot};

/// Threads that read.
const READERS: usize = 2;
/// Queries that may wait; asking waits beyond.
const WAITING_QUERIES_MAX: usize = 256;

type Query = Box<dyn FnOnce(Result<&Sql, StorageError>) + Send>;

pub(crate) struct Readers {
    queries: Option<mpsc::Sender<Query>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Without threads; every query fails until they are started.
    pub(crate) fn none() -> Self {
        Self {
            queries: None,
            threads: Vec::new(),
        }
    }

    pub(crate) fn start(&mut self, path: &Path) -> Result<(), StorageError> {
        let (queries, waiting) = mpsc::channel(WAITING_QUERIES_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        self.queries = Some(queries);
        for _ in 0..READERS {
            let (path, waiting) = (path.to_owned(), Arc::clone(&waiting));
            let thread = std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || answer_queries(&path, &waiting))
                .map_err(|error| StorageError::Failed(format!("no thread to read on: {error}")))?;
            self.threads.push(thread);
        }
        Ok(())
    }

    /// Lets the threads end after the queries that wait, and waits for them.
    pub(crate) fn stop(&mut self) {
        self.queries = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _panicked = thread.join();
        }
    }

    /// Runs a query on one of the threads. Cancel-safe: a dropped future leaves a query that nobody reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Sql) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (answer, answered) = oneshot::channel();
        let run: Query = Box::new(move |sql| {
            if !answer.is_closed() {
                let _gone = answer.send(sql.and_then(query));
            }
        });
        let Some(queries) = &self.queries else {
            return Err(gone());
        };
        queries.send(run).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> StorageError {
    StorageError::Failed("a query ended without an answer: ask again".to_owned())
}

fn answer_queries(path: &Path, waiting: &Mutex<mpsc::Receiver<Query>>) {
    let mut opened: Option<Sql> = None;
    loop {
        // One thread waits for the next query, the others for their turn to wait.
        let Some(query) = waiting.lock().blocking_recv() else {
            return;
        };
        if opened.is_none() {
            match Sql::reader(path) {
                Ok(sql) => opened = Some(sql),
                Err(error) => {
                    query(Err(error));
                    continue;
                }
            }
        }
        if let Some(sql) = &opened {
            query(Ok(sql));
        }
    }
}
