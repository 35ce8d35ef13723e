// SPDX-License-Identifier: Apache-2.0
//! The life of a drive within one process, as a table.
//!
//! ```text
//!   state          event          next
//!   Online         FlushFailed    OutOfService
//!   OutOfService   FlushFailed    OutOfService
//! ```
//!
//! There is no way back: after a failed flush the kernel may have dropped the dirty pages, and a
//! second flush that succeeds proves nothing about them. Only a new process, which reads from the
//! medium, may use the drive again.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::Error;

/// Whether a drive serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthState {
    /// Serves.
    Online,
    /// Answers every operation with [`Error::DriveOutOfService`].
    OutOfService,
}

/// What can happen to a drive's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HealthEvent {
    /// A flush to stable storage failed.
    FlushFailed,
}

/// The health of one drive, shared by its files.
#[derive(Debug)]
pub struct Health {
    drive: String,
    state: AtomicU8,
}

impl HealthState {
    /// The table above.
    #[must_use]
    pub fn after(self, event: HealthEvent) -> Self {
        match (self, event) {
            (Self::Online | Self::OutOfService, HealthEvent::FlushFailed) => Self::OutOfService,
        }
    }
}

impl Health {
    /// A drive that serves.
    pub fn new(drive: String) -> Self {
        Self {
            drive,
            state: AtomicU8::new(ONLINE),
        }
    }

    /// The present state.
    pub fn state(&self) -> HealthState {
        match self.state.load(Ordering::Acquire) {
            ONLINE => HealthState::Online,
            _ => HealthState::OutOfService,
        }
    }

    /// Moves along the table.
    pub fn record(&self, event: HealthEvent) {
        let before = self.state();
        let after = before.after(event);
        if after == HealthState::OutOfService {
            self.state.store(OUT_OF_SERVICE, Ordering::Release);
        }
        if before != after {
            tracing::error!(drive = %self.drive, "drive taken out of service: a flush failed");
            metrics::counter!("strongroom_drive_out_of_service_total").increment(1);
        }
    }

    /// Refuses when the drive does not serve.
    pub fn serving(&self) -> Result<(), Error> {
        match self.state() {
            HealthState::Online => Ok(()),
            HealthState::OutOfService => Err(Error::DriveOutOfService {
                drive: self.drive.clone(),
            }),
        }
    }
}

const ONLINE: u8 = 0;
const OUT_OF_SERVICE: u8 = 1;
