// SPDX-License-Identifier: Apache-2.0
//! Work that takes milliseconds to seconds of a processor: RSA with private keys, and making RSA
//! keys. It runs beside the threads that serve connections, a bounded number at a time, so that
//! many such requests wait for each other and not everybody for them.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::Error;
use crate::model::KeySpec;

/// Runs `work` on a thread that may be busy. When the caller goes away it still ends.
pub(crate) async fn beside<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    let slot = SLOTS.acquire().await;
    let slot = slot.map_err(|_| Error::Internal("the slots of heavy work are closed"))?;
    let done = spawn_blocking(move || {
        let done = work();
        drop(slot);
        done
    });
    done.await
        .map_err(|_| Error::Internal("heavy work ended without an answer"))?
}

/// Runs `work` with a key of `spec`: in place if that is quick.
pub(crate) async fn with_key_of<T, F>(spec: KeySpec, work: F) -> Result<T, Error>
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
