// SPDX-License-Identifier: Apache-2.0
//! Work that takes milliseconds to seconds of a processor: RSA with private keys, and making RSA
//! keys. It runs beside the threads that serve connections, a bounded number at a time, so that
//! many such requests wait for each other and not everybody for them.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::event::Event;
use crate::model::KeySpec;

/// A turn to do work with a key.
pub(crate) struct Turn {
    /// `None` for work that is quick.
    slot: Option<SemaphorePermit<'static>>,
    waited: bool,
}

impl Turn {
    /// A turn for heavy work.
    async fn heavy() -> Result<Turn, Error> {
        if let Ok(slot) = SLOTS.try_acquire() {
            return Ok(Turn {
                slot: Some(slot),
                waited: false,
            });
        }
        let slot = SLOTS.acquire().await;
        let slot = slot.map_err(|_| Error::Internal("the slots of heavy work are closed"))?;
        Ok(Turn {
            slot: Some(slot),
            waited: true,
        })
    }

    /// Does the work: heavy work on a thread that may be busy. When the caller goes away it still
    /// ends.
    pub(crate) async fn run<T, F>(self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Error> + Send + 'static,
    {
        let Some(slot) = self.slot else {
            return work();
        };
        let done = spawn_blocking(move || {
            let done = work();
            drop(slot);
            done
        });
        done.await
            .map_err(|_| Error::Internal("heavy work ended without an answer"))?
    }
}

/// What `ask` finds allowed, and a turn to do it. If others had to be waited for, it is asked
/// again: the key may have been disabled meanwhile, or its policy changed.
pub(crate) async fn in_turn<T>(
    event: &mut Event<'_>,
    is_heavy: impl Fn(&T) -> bool,
    ask: impl Fn(&mut Event<'_>) -> Result<T, Error>,
) -> Result<(T, Turn), Error> {
    let allowed = ask(event)?;
    if !is_heavy(&allowed) {
        let at_once = Turn {
            slot: None,
            waited: false,
        };
        return Ok((allowed, at_once));
    }
    let turn = Turn::heavy().await?;
    if !turn.waited {
        return Ok((allowed, turn));
    }
    event.start_over();
    Ok((ask(event)?, turn))
}

/// Runs `work` on a thread that may be busy, for which no key has to be asked.
pub(crate) async fn beside<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    Turn::heavy().await?.run(work).await
}

/// The same for work that makes a key of `spec`: in place if that is quick.
pub(crate) async fn make_key_of<T, F>(spec: KeySpec, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    if spec.is_rsa() {
        beside(work).await
    } else {
        work()
    }
}

/// One for each processor: what they share out is the machine's, whichever service asks.
static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, NonZeroUsize::get);
    Semaphore::new(processors)
});
