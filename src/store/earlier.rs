//! Earlier results of a stage whose rows can be taken over by a later one, newest first.
//!
//! Only what this store's own runs made, and only while the replies it rests on are those that count: what came in an
//! archive, or was made before replies were replaced, is not among them. Never needed: without it a run costs more, and
//! comes to the same.

use rusqlite::params;
use serde_json::Value;

use super::{Receipt, Store, StoreError};
use crate::ids::StageId;
use crate::key::BlobId;

/// Results kept in mind of one stage of a pipeline.
const KEPT: i64 = 8;

/// An earlier result of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// What it was made of.
    pub recipe: Value,
    /// What came out.
    pub receipt: Receipt,
    /// What each row came to: a list whose form is that of whoever made it.
    pub shares: BlobId,
    /// How many rows it took.
    pub taken: u64,
}

impl Store {
    /// Notes that a stage of a pipeline has a result whose rows can be taken over. Its receipt is kept already.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn note_earlier(
        &self,
        pipeline: &str,
        stage: &StageId,
        receipt: &Receipt,
        shares: &BlobId,
        taken: u64,
    ) -> Result<(), StoreError> {
        let mut index = self.index();
        let failed = |error: rusqlite::Error| self.failed(&error);
        let transaction = index.transaction().map_err(failed)?;
        transaction
            .execute(
                "INSERT OR REPLACE INTO earlier (pipeline, stage, number, key, output, calls, shares, taken)
                 SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, ?4, ?5, ?6, ?7
                 FROM earlier WHERE pipeline = ?1 AND stage = ?2",
                params![
                    pipeline,
                    stage.as_str(),
                    receipt.key.as_bytes(),
                    receipt.output.as_bytes(),
                    receipt.calls.as_ref().map(BlobId::as_bytes),
                    shares.as_bytes(),
                    taken.cast_signed(),
                ],
            )
            .map_err(failed)?;
        transaction
            .execute(
                "DELETE FROM earlier WHERE pipeline = ?1 AND stage = ?2 AND number <= (
                     SELECT max(number) FROM earlier WHERE pipeline = ?1 AND stage = ?2
                 ) - ?3",
                params![pipeline, stage.as_str(), KEPT],
            )
            .map_err(failed)?;
        transaction.commit().map_err(failed)
    }

    /// The earlier results of a stage of a pipeline, the newest first. Whether their blobs are whole is not said.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn earlier(&self, pipeline: &str, stage: &StageId) -> Result<Vec<Earlier>, StoreError> {
        type Found = (String, String, [u8; 32], Option<[u8; 32]>, [u8; 32], i64);
        let index = self.index();
        let failed = |error: rusqlite::Error| self.failed(&error);
        let mut query = index
            .prepare_cached(
                "SELECT recipe, receipt, output, calls, shares, taken FROM earlier JOIN receipts USING (key)
                 WHERE pipeline = ?1 AND stage = ?2 ORDER BY number DESC",
            )
            .map_err(failed)?;
        let rows = query
            .query_map(params![pipeline, stage.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })
            .map_err(failed)?;
        let mut earlier = Vec::new();
        for found in rows {
            let (recipe, receipt, output, calls, shares, taken): Found = found.map_err(failed)?;
            // One that cannot be read is as good as none.
            let (Ok(recipe), Ok(receipt)) = (serde_json::from_str(&recipe), serde_json::from_str::<Receipt>(&receipt))
            else {
                continue;
            };
            // Another result may have taken its place under the same key since.
            if *receipt.output.as_bytes() == output && receipt.calls.map(|calls| *calls.as_bytes()) == calls {
                let (shares, taken) = (BlobId::from_bytes(shares), taken.cast_unsigned());
                earlier.push(Earlier { recipe, receipt, shares, taken });
            }
        }
        Ok(earlier)
    }

    /// Forgets all earlier results: replies that they rest on are about to be replaced.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn forget_earlier(&self) -> Result<(), StoreError> {
        self.index().execute("DELETE FROM earlier", []).map(drop).map_err(|error| self.failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{put_result, recipe};

    fn found(store: &Store, pipeline: &str) -> Vec<u64> {
        let earlier = store.earlier(pipeline, &StageId::new("s").unwrap()).unwrap();
        earlier.iter().map(|earlier| earlier.taken).collect()
    }

    #[tokio::test]
    async fn the_newest_results_of_a_stage_are_found() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let stage = StageId::new("s").unwrap();
        let note = |key, pipeline: &str, taken| {
            let receipt = store.receipt(&key).unwrap().unwrap();
            store.note_earlier(pipeline, &stage, &receipt, &BlobId::of(b"shares"), taken).unwrap();
        };
        let mut keys = Vec::new();
        for n in 0..10 {
            let key = put_result(&store, n, &[1], 0).await;
            note(key, "p", n.into());
            keys.push(key);
        }
        note(keys[0], "q", 77);
        assert_eq!((found(&store, "p"), found(&store, "q")), (vec![9, 8, 7, 6, 5, 4, 3, 2], vec![77]));
        assert_eq!(found(&store, "r"), Vec::<u64>::new());
        // What is made once more is the newest.
        note(keys[5], "p", 55);
        assert_eq!(found(&store, "p"), [55, 9, 8, 7, 6, 4, 3]);
        let earlier = store.earlier("p", &stage).unwrap();
        assert_eq!(earlier[0].recipe, serde_json::from_str::<Value>(recipe(5).canonical()).unwrap());

        // Without its receipt, or with another result under its key, it is none.
        store.drop_receipt(&keys[9]).unwrap();
        let receipt = store.receipt(&keys[8]).unwrap().unwrap();
        store.replace_receipt(&recipe(8), &Receipt { output: BlobId::of(b"other"), ..receipt }).unwrap();
        let receipt = store.receipt(&keys[7]).unwrap().unwrap();
        store.replace_receipt(&recipe(7), &Receipt { calls: None, ..receipt }).unwrap();
        assert_eq!(found(&store, "p"), [55, 6, 4, 3]);
        store.forget_earlier().unwrap();
        assert_eq!((found(&store, "p"), found(&store, "q")), (vec![], vec![]));
    }
}
