// SPDX-License-Identifier: Apache-2.0
//! Whether the server can serve, as monitoring asks it.

use strongroom_audit::Audit;
use strongroom_store::Store;
use strongroom_store::drive::HealthState;

/// Ready, or why not.
pub(crate) fn readiness(store: &Store, audit: &Audit) -> Result<(), String> {
    let status = store.status();
    let what = match status.health {
        HealthState::OutOfService if store.lacks_majority() => {
            return Err(
                "a majority of the drives with a copy of the tables failed or is away, and writes are out of \
                 service; `strongroom status` names the drives"
                    .to_owned(),
            );
        }
        HealthState::OutOfService => {
            format!(
                "drive {} is out of service after a failed flush",
                status.drive
            )
        }
        // A failed write ends these, too, though the drive may go on serving reads.
        HealthState::Online if !store.tables().is_in_service() => {
            "the tables are out of service after a failed write".to_owned()
        }
        HealthState::Online if !audit.is_in_service() => {
            "the audit log is out of service after a failed write".to_owned()
        }
        HealthState::Online => return Ok(()),
    };
    Err(format!(
        "{what}; restart the server when the drive is sound"
    ))
}
