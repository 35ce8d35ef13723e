// SPDX-License-Identifier: Apache-2.0
//! One step of a future, by hand.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Polls a future once, and leaves it there: what it waits for wakes nobody. So a test has begun
/// something and knows that it is on its way, and it goes on only when it is polled again.
pub fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
