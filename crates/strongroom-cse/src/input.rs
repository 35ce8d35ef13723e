// SPDX-License-Identifier: Apache-2.0
//! Standard input as a stream.
//!
//! Reading it blocks for as long as its writer likes, and cannot be ended. So a thread of its own
//! does it, which nobody waits for: a command that is interrupted ends at once.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// Standard input.
pub(crate) fn standard() -> io::Result<Input> {
    Input::of(io::stdin())
}

/// What comes from a reader that blocks. Its end is an empty piece: a thread that is gone without
/// one has not come to it, and what it read must not be taken for the whole.
#[derive(Debug)]
pub(crate) struct Input {
    coming: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    read: usize,
    is_over: bool,
}

impl Input {
    fn of(mut from: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, coming) = mpsc::channel(PIECES);
        std::thread::Builder::new()
            .name("standard input".to_owned())
            .spawn(move || {
                loop {
                    let mut piece = vec![0; PIECE_BYTES];
                    let piece = match from.read(&mut piece) {
                        Ok(read) => {
                            piece.truncate(read);
                            Ok(piece)
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => Err(error),
                    };
                    let is_over = piece.as_ref().map_or(true, Vec::is_empty);
                    if sender.blocking_send(piece).is_err() || is_over {
                        return;
                    }
                }
            })?;
        Ok(Self {
            coming,
            piece: Vec::new(),
            read: 0,
            is_over: false,
        })
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= self.piece.len() && !self.is_over {
            let coming = ready!(self.coming.poll_recv(context));
            let gone = || Err(io::Error::other("its reader ended before its end"));
            self.piece = coming.unwrap_or_else(gone)?;
            self.read = 0;
            self.is_over = self.piece.is_empty();
        }
        let rest = self.piece.get(self.read..).unwrap_or_default();
        let len = rest.len().min(to.remaining());
        to.put_slice(rest.get(..len).unwrap_or_default());
        self.read = self.read.saturating_add(len);
        Poll::Ready(Ok(()))
    }
}

const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait to be encrypted.
const PIECES: usize = 2;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Gives its bytes in pieces of odd lengths, then fails or ends.
    struct Source {
        left: usize,
        fails: bool,
    }

    impl Read for Source {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let len = self.left.min(7001).min(to.len());
            to[..len].fill(5);
            self.left -= len;
            match len {
                0 if self.fails => Err(io::Error::other("gone")),
                len => Ok(len),
            }
        }
    }

    #[tokio::test]
    async fn all_of_it_comes_and_a_failure_is_no_end() {
        for left in [0, 1, 7001, 100_000] {
            for fails in [false, true] {
                let mut all = Vec::new();
                let mut input = Input::of(Source { left, fails }).unwrap();
                let ended = input.read_to_end(&mut all).await;
                assert_eq!(ended.is_err(), fails);
                assert!(all.len() == left && all.iter().all(|byte| *byte == 5));
            }
        }
    }

    /// A reader that dies looks like no end: what it had read would be stored as the whole.
    #[tokio::test]
    async fn a_reader_that_is_gone_is_no_end() {
        struct Dies(bool);
        impl Read for Dies {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                assert!(!std::mem::replace(&mut self.0, true), "as a test wants it");
                to[..5].fill(5);
                Ok(5)
            }
        }
        let mut all = Vec::new();
        let mut input = Input::of(Dies(false)).unwrap();
        assert!(input.read_to_end(&mut all).await.is_err());
        assert_eq!(all, [5; 5]);
    }

    #[tokio::test]
    async fn the_end_stays_the_end() {
        let mut input = Input::of(io::Cursor::new("abc")).unwrap();
        let mut all = String::new();
        input.read_to_string(&mut all).await.unwrap();
        assert_eq!(input.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(all, "abc");
    }

    /// A writer that never writes holds up nobody who does not want to read any more.
    #[test]
    fn a_reader_that_waits_for_ever_ends_with_its_runtime() {
        struct Never;
        impl Read for Never {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                loop {
                    std::thread::park();
                }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            let mut input = Input::of(Never).unwrap();
            let mut bytes = [0; 1];
            let read = input.read(&mut bytes);
            tokio::select! {
                biased;
                ended = read => panic!("{ended:?}"),
                () = std::future::ready(()) => {}
            }
        });
        // Would wait for what blocks on its threads, for ever.
        drop(runtime);
    }
}
