// SPDX-License-Identifier: Apache-2.0
//! Turns of those who change the same place of the tables.
//!
//! A commit holds only while what it was made for is as it was. So of all who change one name at a time
//! one succeeds with each round of commits, the others look again, and who is unlucky long enough would
//! give up, though nothing is wrong. Therefore who lost once waits for its turn: one of those goes on at
//! a time, in the order in which they came, and can lose only to who tries for the first time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

/// How often a commit is tried again after another change of the same place came first.
pub(crate) const COMMIT_TRIES_MAX: usize = 64;

/// The places at which somebody waits, by what stands for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Places>>);

type Places = HashMap<Vec<u8>, Place>;

#[derive(Debug, Default)]
struct Place {
    queue: Arc<Queue<()>>,
    /// Who waits or has its turn.
    takers: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    place: Vec<u8>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for a turn at `place`. Nobody takes two at a time, at whatever places.
    pub(crate) async fn take(&self, place: &[u8]) -> Turn {
        let queue = {
            let mut places = self.places();
            let at = places.entry(place.to_vec()).or_default();
            at.takers = at.takers.saturating_add(1);
            Arc::clone(&at.queue)
        };
        // Before the wait, so that who gives it up is not waited for.
        let mut turn = Turn {
            turns: self.clone(),
            place: place.to_vec(),
            held: None,
        };
        turn.held = Some(queue.lock_owned().await);
        turn
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut places = self.turns.places();
        if let Some(at) = places.get_mut(&self.place) {
            at.takers = at.takers.saturating_sub(1);
            if at.takers == 0 {
                places.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_at_a_time_at_each_place() {
        let turns = Turns::default();
        let inside: Arc<[AtomicUsize; 2]> = Arc::default();
        let mut takers = Vec::new();
        for number in 0..40 {
            let (turns, inside) = (turns.clone(), Arc::clone(&inside));
            takers.push(tokio::spawn(async move {
                let at = number % 2;
                let place = [b"a", b"b"][at];
                let _turn = turns.take(place).await;
                assert_eq!(inside[at].fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside[at].fetch_sub(1, Ordering::SeqCst);
            }));
        }
        for taker in takers {
            taker.await.unwrap();
        }
        assert!(turns.places().is_empty());
    }

    #[tokio::test]
    async fn who_waits_elsewhere_or_gives_up_is_not_waited_for() {
        let turns = Turns::default();
        let first = turns.take(b"a").await;
        let _other = turns.take(b"b").await;
        let brief = Duration::from_millis(10);
        let gave_up = tokio::time::timeout(brief, turns.take(b"a")).await;
        assert!(gave_up.is_err());
        assert_eq!(turns.places()[b"a".as_slice()].takers, 1);
        drop(first);
        assert!(!turns.places().contains_key(b"a".as_slice()));
        drop(turns.take(b"a").await);
        assert_eq!(turns.places().len(), 1);
    }
}
