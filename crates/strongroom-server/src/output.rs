// SPDX-License-Identifier: Apache-2.0
//! Standard output, written so that a closed pipe (`strongroom user list | head -1`) is no panic.

use std::io::Write as _;

use crate::error::Error;

pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", e))
        }
        _ => Ok(()),
    }
}
