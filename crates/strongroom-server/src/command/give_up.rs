// SPDX-License-Identifier: Apache-2.0
//! `strongroom drive give-up`: going on without drives that are lost for good.

use std::fmt::Write as _;

use serde_json::json;
use strongroom_store::drive::DriveNo;
use strongroom_store::layout::UnitLayout;
use strongroom_store::{GiveUp, LostDrive, TablesLeft};

use crate::cli::drive::DriveGiveUpArgs;
use crate::config::Place;
use crate::error::Error;
use crate::output;
use crate::root_key::Keeper;
use crate::start::{Rooms, store_drives};

pub(crate) async fn run(mut place: Place, args: DriveGiveUpArgs) -> Result<(), Error> {
    place.name_drives(&args.named.drives)?;
    // Never beside a server: what it serves from is not lost.
    let held = place.data.hold()?;
    let keeper = Keeper::open(&place).await?;
    let at_rest = keeper.keyring().at_rest();
    let drives = store_drives(&place)?;
    let lost: Vec<_> = args.numbers.iter().copied().map(DriveNo).collect();
    let (tables_of, accept_loss) = (args.tables_of.map(DriveNo), args.accept_loss);
    let work = move || -> Result<(Vec<LostDrive>, TablesLeft, String), Error> {
        let plan = GiveUp::plan(drives, at_rest, UnitLayout::PRODUCT, &lost, tables_of)
            .map_err(Error::room("cannot give these drives up"))?;
        let words = words(&plan);
        if !accept_loss {
            return Err(Error::Refused(format!(
                "nothing was changed. This is what would be done with `--accept-loss`:\n{words}"
            )));
        }
        let (lost, tables) = (plan.lost().to_vec(), plan.tables().clone());
        plan.carry_out().map_err(Error::room(
            "the drives may be given up, but not all that are left know it",
        ))?;
        Ok((lost, tables, words))
    };
    let done = tokio::task::spawn_blocking(work).await;
    let (lost, tables, words) =
        done.map_err(|_| Error::Refused("giving drives up did not end".to_owned()))??;
    drop(held);
    output::print(&words)?;
    // Whoever names the places of lost drives in a file is told at the next start.
    place
        .drives
        .retain(|named| lost.iter().all(|lost| lost.place != named.place));
    match tables {
        TablesLeft::Gone => output::print(
            "Next: `strongroom restore metadata FILE`; without a backup `strongroom rebuild`.\n",
        ),
        TablesLeft::Whole(from, _) | TablesLeft::Behind(from, _) => {
            look_at_it(&place, &lost, from).await?;
            output::print(NEXT)
        }
    }
}

/// Opens the store as any other, so that what is wrong is heard of now and not at the next start.
async fn look_at_it(place: &Place, lost: &[LostDrive], from: DriveNo) -> Result<(), Error> {
    let rooms = Rooms::open_existing(place).await?;
    let numbers: Vec<_> = lost.iter().map(|lost| lost.number.0).collect();
    rooms
        .record_done(
            "GiveUpDrives",
            json!({ "drives": numbers }),
            json!({ "tablesOf": from.0 }),
        )
        .await?;
    rooms.close().await
}

/// What is done, and what it costs.
fn words(plan: &GiveUp) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |words: String| {
        let _ok = writeln!(text, "{}", output::on_one_line(&words));
    };
    for LostDrive {
        number,
        facility,
        place,
    } in plan.lost()
    {
        line(format!(
            "drive {number} of facility {facility}, last at `{place}`, is given up for good: it is refused if it comes back"
        ));
    }
    match plan.tables() {
        TablesLeft::Whole(number, place) => {
            line(format!(
                "the tables go on from drive {number}, at `{place}`, which has every change that was answered"
            ));
            if !plan.is_remembered() {
                line(format!(
                    "BUT the data directory does not remember the drives: if drive {number} was away while the lost \
                     drives served without it, what was changed then is lost, and nobody is left who could tell"
                ));
            }
        }
        TablesLeft::Behind(number, place) => line(format!(
            "the tables go on from drive {number}, at `{place}`, WHICH MISSED CHANGES: whatever was written, changed or \
             deleted since it was left behind is as it was before; KMS keys that were destroyed since may be back"
        )),
        TablesLeft::Gone => line("no drive that is there has tables".to_owned()),
    }
    line(
        "bodies that too few of the drives left have shards of cannot be read any more; `strongroom verify` names them"
            .to_owned(),
    );
    text
}

const NEXT: &str = "Next: start the server, without naming the places of lost drives; take new drives in by `strongroom \
     drive add FACILITY:PATH`; run `strongroom verify`. Files that no row stands for are kept until \
     `strongroom restore finish`.\n";
