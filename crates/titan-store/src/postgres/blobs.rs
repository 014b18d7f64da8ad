//! Large values by the hash of their content, all in one table.

use super::Core;
use super::pool::{Fault, Work};
use super::schema::get;
use crate::blobs::verified;
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::Transaction;
use titan_protocol::{BlobId, Blobs, StorageError};

#[async_trait]
impl Blobs for Core {
    async fn put(&self, bytes: Bytes) -> Result<BlobId, StorageError> {
        let id = BlobId::of(&bytes);
        if !matches!(self.blob(&id).await, Ok(Some(_))) {
            let put = Put {
                id: id.clone(),
                bytes,
            };
            self.pool.write(&put).await?;
        }
        Ok(id)
    }

    async fn get(&self, id: &BlobId) -> Result<Option<Bytes>, StorageError> {
        self.blob(id).await
    }

    async fn delete(&self, id: &BlobId) -> Result<(), StorageError> {
        if self.pool.write(&Delete(id.clone())).await? {
            self.erase("blob").await?;
        }
        Ok(())
    }
}

impl Core {
    async fn blob(&self, id: &BlobId) -> Result<Option<Bytes>, StorageError> {
        let select = "SELECT bytes FROM blob WHERE id = $1";
        let rows = self.pool.rows(select, &[&id.as_str()]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        verified(id, get(&self.pool, row, 0)?).map(Some)
    }
}

struct Put {
    id: BlobId,
    bytes: Bytes,
}

#[async_trait]
impl Work for Put {
    type Done = ();

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        // What is there and damaged is replaced.
        let put = "INSERT INTO blob (id, bytes) VALUES ($1, $2) \
                   ON CONFLICT (id) DO UPDATE SET bytes = EXCLUDED.bytes WHERE blob.bytes <> EXCLUDED.bytes";
        let bytes: &[u8] = &self.bytes;
        transaction
            .execute(put, &[&self.id.as_str(), &bytes])
            .await?;
        Ok(())
    }
}

/// Tells whether there was one.
struct Delete(BlobId);

#[async_trait]
impl Work for Delete {
    type Done = bool;

    async fn run(&self, transaction: &Transaction<'_>) -> Result<bool, Fault> {
        let delete = "DELETE FROM blob WHERE id = $1";
        Ok(transaction.execute(delete, &[&self.0.as_str()]).await? > 0)
    }
}
