// SPDX-License-Identifier: Apache-2.0
//! Whether the server can serve, as monitoring asks it.

use strongroom_store::Store;
use strongroom_store::drive::HealthState;

/// Ready, or why not.
pub(crate) fn readiness(store: &Store) -> Result<(), String> {
    let status = store.status();
    match status.health {
        HealthState::Online => Ok(()),
        HealthState::OutOfService => Err(format!(
            "drive {} is out of service after a failed flush; restart the server when the drive \
             is sound",
            status.drive
        )),
    }
}
