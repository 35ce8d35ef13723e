// SPDX-License-Identifier: Apache-2.0
//! Buffers that are used again.
//!
//! A part is made on one thread and let go on another. Allocators keep what is freed that way for a while,
//! so that an upload of four parts at a time held the memory of ten. Who takes its buffers from here holds
//! what is in use and no more.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that wait to be used. There are never more than were in use at once.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty one, with room if it was used before.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(buffer);
    }

    /// Takes back what was sent, unless somebody still looks at it.
    pub(super) fn give_sent(&self, sent: Bytes) {
        if let Ok(own) = sent.try_into_mut() {
            self.give(own.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_memory_comes_back() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.reserve_exact(1000);
        buffer.extend_from_slice(&[7; 900]);
        let (at, room) = (buffer.as_ptr(), buffer.capacity());
        buffers.give_sent(Bytes::from(buffer));
        let again = buffers.take();
        assert!(again.is_empty());
        assert_eq!((again.as_ptr(), again.capacity()), (at, room));
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[test]
    fn what_somebody_looks_at_is_not_used_again() {
        let buffers = Buffers::default();
        let sent = Bytes::from(vec![7; 900]);
        let looked_at = sent.clone();
        buffers.give_sent(sent);
        assert_eq!(buffers.take().capacity(), 0);
        assert_eq!(looked_at, [7; 900].as_slice());
    }
}
