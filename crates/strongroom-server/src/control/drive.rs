// SPDX-License-Identifier: Apache-2.0
//! Drives: what commands ask about them, and what they are told.

use serde::{Deserialize, Serialize};
use strongroom_store::drive::{DriveNo, DriveState};
use strongroom_store::layout::Redundancy;
use strongroom_store::{DriveStatus, GivenDrive, Protection};

use super::Answer;
use crate::config::stands_alone;
use crate::error::Error;
use crate::start::Rooms;

/// What `strongroom drive` asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum DriveRequest {
    Add {
        facility: String,
        place: String,
    },
    Drain {
        number: u16,
        cancel: bool,
    },
    Remove {
        number: u16,
    },
    Replace {
        facility: String,
        place: String,
        number: Option<u16>,
        #[serde(default)]
        accept_loss: bool,
    },
}

/// How the store is, in words and numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StatusReport {
    /// Why requests are refused, as `/health/ready` says it; none when they are served.
    #[serde(default)]
    pub(crate) out_of_service: Option<String>,
    /// True when, and only when, nothing is owed.
    pub(crate) full_redundancy: bool,
    /// What is owed, in words.
    pub(crate) owed: Vec<String>,
    /// Data and parity shards of new blobs, as in `4+2`.
    pub(crate) redundancy: String,
    pub(crate) data_shards: u8,
    pub(crate) parity_shards: u8,
    /// The storage classes that are kept otherwise than `STANDARD`.
    pub(crate) classes: Vec<ClassReport>,
    /// What was asked for, when the drives do not suffice for it.
    pub(crate) wished: Option<String>,
    pub(crate) owed_shards: u64,
    pub(crate) lost_shards: u64,
    pub(crate) leaving_shards: u64,
    pub(crate) damaged_blobs: u64,
    /// How scrub and heal are going.
    pub(crate) care: Option<super::CareStatus>,
    pub(crate) facilities: Vec<FacilityReport>,
    pub(crate) drives: Vec<DriveReport>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClassReport {
    pub(crate) names: Vec<String>,
    /// Data and parity shards of new bodies, as in `1+1`.
    pub(crate) redundancy: String,
    pub(crate) parity_shards: u8,
    /// All shards of a body lie in one facility.
    pub(crate) one_facility: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FacilityReport {
    pub(crate) name: String,
    /// Drives that it should have, and those of them that serve.
    pub(crate) drives: u64,
    pub(crate) online: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DriveReport {
    pub(crate) number: u16,
    pub(crate) facility: String,
    pub(crate) state: String,
    /// Takes nothing new, though it serves.
    pub(crate) full: bool,
    /// Its copy of the tables: `whole`, `behind`, or none.
    pub(crate) tables: Option<String>,
    pub(crate) place: String,
    pub(crate) uid: String,
    pub(crate) note: Option<String>,
    pub(crate) replaced_by: Option<u16>,
}

pub(super) async fn execute(rooms: &Rooms, act: &DriveRequest) -> Result<Answer, Error> {
    let store = &rooms.store;
    let given = |facility: &String, place: &String| GivenDrive {
        facility: facility.clone(),
        place: place.clone(),
    };
    if let DriveRequest::Add { place, .. } | DriveRequest::Replace { place, .. } = act {
        let found = store.protection().await.map_err(refused)?;
        let drives = found.into_iter().flat_map(|found| found.drives);
        let stay = drives.filter(|of| !matches!(of.state, DriveState::Removed | DriveState::Lost));
        let places: Vec<_> = stay.map(|of| of.place).collect();
        stands_alone(place, places.iter().map(String::as_str))?;
    }
    let done = match act {
        DriveRequest::Add { facility, place } => {
            let added = store.add_drive(given(facility, place)).await;
            (added.map_err(refused)?, None)
        }
        DriveRequest::Drain { number, cancel } => {
            let number = DriveNo(*number);
            let done = if *cancel {
                store.keep_drive(number).await
            } else {
                store.drain_drive(number).await
            };
            done.map_err(refused)?;
            (number, None)
        }
        DriveRequest::Remove { number } => {
            let number = DriveNo(*number);
            store.remove_drive(number).await.map_err(refused)?;
            (number, None)
        }
        DriveRequest::Replace {
            facility,
            place,
            number,
            accept_loss,
        } => {
            let (given, number) = (given(facility, place), number.map(DriveNo));
            let replaced = if *accept_loss {
                store.replace_drive_and_accept_loss(given, number).await
            } else {
                store.replace_drive(given, number).await
            };
            let (lost, new) = replaced.map_err(refused)?;
            (new, Some(lost))
        }
    };
    let (number, replaces) = done;
    Ok(Answer::Drive {
        number: number.0,
        replaces: replaces.map(|lost| lost.0),
    })
}

pub(super) async fn status(rooms: &Rooms) -> Result<Answer, Error> {
    let found = rooms.store.protection().await.map_err(refused)?;
    let found = found.ok_or_else(|| Error::Refused("the store has no members".to_owned()))?;
    let mut report = report(&found, super::scrub::care_status(rooms)?);
    report.out_of_service = crate::health::readiness(&rooms.store, &rooms.audit).err();
    Ok(Answer::Status(Box::new(report)))
}

fn report(found: &Protection, care: super::CareStatus) -> StatusReport {
    let in_words = |of: Redundancy| format!("{}+{}", of.data(), of.parity());
    let redundancy = in_words(found.redundancy);
    let wished = found.wished.map(in_words);
    StatusReport {
        out_of_service: None,
        full_redundancy: found.is_full(),
        owed: found.shortcomings(),
        wished: wished.filter(|wished| *wished != redundancy),
        redundancy,
        data_shards: found.redundancy.data(),
        parity_shards: found.redundancy.parity(),
        classes: classes(found),
        owed_shards: found.owed_shards,
        lost_shards: found.lost_shards,
        leaving_shards: found.leaving_shards,
        damaged_blobs: found.damaged_blobs,
        care: Some(care),
        facilities: facilities(&found.drives),
        drives: found.drives.iter().map(drive).collect(),
    }
}

fn classes(found: &Protection) -> Vec<ClassReport> {
    let report = |names: &[&str], of: Redundancy, one_facility| ClassReport {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        redundancy: format!("{}+{}", of.data(), of.parity()),
        parity_shards: of.parity(),
        one_facility,
    };
    let one_facility = found
        .one_facility
        .map(|of| report(&["ONEZONE_IA"], of, true));
    let archive = found
        .archive
        .map(|of| report(&["GLACIER", "DEEP_ARCHIVE"], of, false));
    one_facility.into_iter().chain(archive).collect()
}

fn drive(found: &DriveStatus) -> DriveReport {
    let copy = |is_live| if is_live { "whole" } else { "behind" };
    DriveReport {
        number: found.number.0,
        facility: found.facility.clone(),
        state: found.state.as_str().to_owned(),
        full: found.state.serves() && !found.has_room,
        tables: found.copy_is_live.map(|is_live| copy(is_live).to_owned()),
        place: found.place.clone(),
        uid: found.uid.clone(),
        note: found.note.clone(),
        replaced_by: found.replaced_by.map(|by| by.0),
    }
}

fn facilities(drives: &[DriveStatus]) -> Vec<FacilityReport> {
    let mut facilities = Vec::<FacilityReport>::new();
    for drive in drives {
        if matches!(drive.state, DriveState::Lost | DriveState::Removed) {
            continue;
        }
        let online = u64::from(drive.state.serves());
        match facilities.iter_mut().find(|of| of.name == drive.facility) {
            Some(facility) => {
                facility.drives = facility.drives.saturating_add(1);
                facility.online = facility.online.saturating_add(online);
            }
            None => facilities.push(FacilityReport {
                name: drive.facility.clone(),
                drives: 1,
                online,
            }),
        }
    }
    facilities.sort_by(|one, other| one.name.cmp(&other.name));
    facilities
}

fn refused(error: impl std::error::Error) -> Error {
    Error::Refused(crate::error::whole(&error))
}
