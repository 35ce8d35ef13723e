// SPDX-License-Identifier: Apache-2.0
//! `strongroom rebuild`: tables made of what the files of the objects say.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use strongroom_object::{RebuildReport, Rebuilder};
use strongroom_store::blob::{SURVEY_FOLDERS, SurveyOptions, SurveyReport};
use strongroom_store::layout::UnitLayout;
use strongroom_store::rebuild::{FoundDrive, FoundDrives};
use strongroom_store::table::TableOptions;

use crate::cli::rebuild::RebuildArgs;
use crate::config::Place;
use crate::error::Error;
use crate::output;
use crate::root_key::Keeper;
use crate::start::{Rooms, store_drives};

/// What was found, and what became of it.
struct Outcome {
    is_dry_run: bool,
    survey: SurveyReport,
    report: RebuildReport,
    drives: Vec<FoundDrive>,
    rows: u64,
    /// Key material that is back and does not open, in words.
    shut: Vec<String>,
}

pub(crate) async fn run(args: RebuildArgs) -> Result<(), Error> {
    let (mut place, _file) = Place::resolve(&args.place)?;
    place.name_drives(&args.named.drives)?;
    let held = place.data.hold()?;
    let keeper = Keeper::open(&place).await?;
    let drives = store_drives(&place)?;
    let bar = if args.quiet || args.json {
        ProgressBar::hidden()
    } else {
        progress_bar()
    };
    let (is_dry_run, accept_loss, options) = (
        args.dry_run,
        args.accept_loss,
        SurveyOptions {
            check_units: args.read_all,
        },
    );
    let of_work = bar.clone();
    let work = move || -> Result<Outcome, Error> {
        let keyring = Arc::clone(keeper.keyring());
        let found = FoundDrives::open(drives, keyring.at_rest(), UnitLayout::PRODUCT)
            .map_err(Error::room("cannot find the drives"))?;
        // Refused before hours are spent on reading.
        if !is_dry_run {
            found
                .refuse_tables(accept_loss)
                .map_err(Error::room("cannot rebuild"))?;
        }
        let mut rebuilder = Rebuilder::new(&keyring, found.cluster_id());
        let all = found.drives();
        rebuilder.drives_away(all.iter().filter(|drive| !drive.is_there).count());
        let survey = found.survey(
            options,
            |folder| of_work.set_position(folder),
            |blob| {
                rebuilder.take(blob);
                Ok::<(), std::convert::Infallible>(())
            },
        );
        let mut survey = match survey {
            Ok(survey) => survey,
            Err(never) => match never {},
        };
        skip_lost(&mut rebuilder, &mut survey);
        let plan = rebuilder
            .plan()
            .map_err(Error::room("cannot plan the tables"))?;
        let report = plan.report().clone();
        let mut rows = 0;
        if !is_dry_run {
            let tables = found
                .begin(TableOptions::default(), accept_loss)
                .map_err(Error::room("cannot rebuild"))?;
            rows = plan.put(tables).map_err(Error::room("cannot rebuild"))?;
        }
        Ok(Outcome {
            is_dry_run,
            survey,
            report,
            drives: all,
            rows,
            shut: Vec::new(),
        })
    };
    let outcome = tokio::task::spawn_blocking(work).await;
    bar.finish_and_clear();
    let mut outcome =
        outcome.map_err(|_| Error::Refused("the rebuild did not end".to_owned()))??;
    drop(held);
    if !outcome.is_dry_run {
        look_at_it(&place, &mut outcome).await?;
    }
    if args.json {
        output::print_json(&outcome.json())?;
    } else {
        output::print(&outcome.words())?;
    }
    match outcome.lost() {
        0 => Ok(()),
        lost => Err(Error::Damaged(lost)),
    }
}

/// Opens the store as any other, so that what is wrong is heard of now and not at the next start.
async fn look_at_it(place: &Place, outcome: &mut Outcome) -> Result<(), Error> {
    let rooms = Rooms::open_existing(place).await?;
    let vault = rooms.kms.verify_vault().await;
    let vault = vault.map_err(Error::room("cannot read the vault"))?;
    outcome.shut = vault.damaged;
    rooms
        .record_done("RebuildTables", Value::Null, outcome.recorded())
        .await?;
    rooms.close().await
}

/// Names the blobs that cannot be read; of those that are told of in several ways the right one is
/// taken.
fn skip_lost(rebuilder: &mut Rebuilder<'_>, survey: &mut SurveyReport) {
    for blob in &survey.unreadable {
        rebuilder.skip(blob, "too few of its shards are there");
    }
    for accounts in std::mem::take(&mut survey.contradicted) {
        rebuilder.take_one_of(accounts);
    }
    for blob in survey.damaged.iter().filter_map(|damage| damage.blob) {
        rebuilder.damaged_file(blob);
        rebuilder.skip_unless_seen(blob, "no whole shard of it is there");
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(SURVEY_FOLDERS).with_message("reading the files of the objects");
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent}%, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

impl Outcome {
    /// Blobs that do not come back, and keys that do not open what is back.
    fn lost(&self) -> u64 {
        count(&self.report.skipped).saturating_add(count(&self.shut))
    }

    /// What the audit log says of it.
    fn recorded(&self) -> Value {
        let report = &self.report;
        json!({
            "buckets": report.buckets,
            "objects": report.objects,
            "uploads": report.uploads.len(),
            "keyIds": report.kms_keys.iter().map(|key| &key.key_id).collect::<Vec<_>>(),
            "notBack": report.skipped.len(),
            "mayHaveBeenDeleted": report.possible_returns.len(),
            "rows": self.rows,
        })
    }

    /// Everything that an operator wants to know, the worst first.
    fn words(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut line = |words: &str| {
            let _ok = writeln!(text, "{}", output::on_one_line(words));
        };
        for drive in self.drives.iter().filter(|drive| !drive.is_there) {
            line(&format!(
                "NOT THERE  drive {} {}",
                drive.number, drive.place
            ));
        }
        for damage in &self.survey.damaged {
            let (drive, place) = (damage.drive, &damage.place);
            line(&format!(
                "damaged  drive {drive} {place}: {}",
                damage.reason
            ));
        }
        for skipped in &self.report.skipped {
            let of = skipped.of.as_deref().unwrap_or("of nobody knows what");
            let (blob, reason) = (skipped.blob, skipped.reason);
            line(&format!("NOT BACK  blob {blob}, {of}: {reason}"));
        }
        for upload in &self.report.uploads {
            let (bucket, key, id) = (&upload.bucket, &upload.object_key, &upload.upload_id);
            let bytes = upload.parts.iter().map(|(_, bytes)| *bytes);
            let bytes = bytes.fold(0_u64, u64::saturating_add);
            line(&format!(
                "open upload  s3://{bucket}/{key}, {id}: {} parts, {} (nothing tells that it was \
                 completed; it may have been aborted, or completed and deleted; a last part of up to 32 KiB \
                 would be missing)",
                upload.parts.len(),
                HumanBytes(bytes)
            ));
        }
        for back in &self.report.possible_returns {
            let (of, files, once) = (&back.of, back.files, back.files_once);
            line(&format!(
                "MAY HAVE BEEN DELETED  {of}: {files} of its {once} files are there, and neither damage \
                 nor a drive that is away explains it"
            ));
        }
        for bucket in &self.report.without_markers {
            line(&format!(
                "MAY HAVE BEEN DELETED  s3://{bucket}/*: the bucket kept versions; what a delete marker hid is \
                 visible again"
            ));
        }
        for key in &self.report.kms_keys {
            let state = if key.is_enabled {
                "enabled"
            } else {
                "disabled"
            };
            line(&format!("KMS key  {}: {state}", key.key_id));
        }
        for damage in &self.shut {
            line(&format!("DOES NOT OPEN  {damage}: nor what lies under it"));
        }
        for bucket in &self.report.buckets {
            line(&format!("bucket  {bucket}: private, nothing configured"));
        }
        let report = &self.report;
        let will = if self.is_dry_run { "would be" } else { "are" };
        line(&format!(
            "{} objects ({}), {} open uploads and {} KMS keys in {} buckets {will} back; {} blobs are \
             not",
            report.objects,
            HumanBytes(report.object_bytes),
            report.uploads.len(),
            report.kms_keys.len(),
            report.buckets.len(),
            report.skipped.len()
        ));
        if report.missing_shards > 0 {
            line(&format!(
                "{} blobs lack shards, which are healed while the server runs",
                report.missing_shards
            ));
        }
        if !self.is_dry_run {
            line(&format!("{} rows were written", self.rows));
        }
        text.push_str(NEVER_BACK);
        if !self.is_dry_run {
            text.push_str(AFTERWARDS);
        }
        text
    }

    fn json(&self) -> Value {
        let report = &self.report;
        let uploads = report.uploads.iter().map(|upload| {
            let parts = upload.parts.iter();
            let parts = parts.map(|(number, bytes)| json!({"number": number, "bytes": bytes}));
            json!({
                "bucket": upload.bucket,
                "object_key": upload.object_key,
                "upload_id": upload.upload_id,
                "parts": parts.collect::<Vec<_>>(),
            })
        });
        let keys = report.kms_keys.iter();
        let keys = keys.map(|key| json!({"key_id": key.key_id, "enabled": key.is_enabled}));
        let skipped = report.skipped.iter().map(|skipped| {
            json!({
                "blob": skipped.blob.to_string(),
                "of": skipped.of,
                "reason": skipped.reason,
            })
        });
        let returns = report.possible_returns.iter().map(|back| {
            json!({
                "of": back.of,
                "files": back.files,
                "files_once": back.files_once,
            })
        });
        let damaged = self.survey.damaged.iter().map(|damage| {
            json!({
                "drive": damage.drive.to_string(),
                "place": damage.place,
                "reason": damage.reason,
            })
        });
        let away = self.drives.iter().filter(|drive| !drive.is_there);
        json!({
            "dry_run": self.is_dry_run,
            "buckets": report.buckets,
            "objects": report.objects,
            "object_bytes": report.object_bytes,
            "uploads": uploads.collect::<Vec<_>>(),
            "kms_keys": keys.collect::<Vec<_>>(),
            "not_back": skipped.collect::<Vec<_>>(),
            "may_have_been_deleted": returns.collect::<Vec<_>>(),
            "buckets_without_delete_markers": report.without_markers,
            "does_not_open": self.shut,
            "damaged_files": damaged.collect::<Vec<_>>(),
            "drives_away": away.map(|drive| drive.place.as_str()).collect::<Vec<_>>(),
            "blobs_that_lack_shards": report.missing_shards,
            "rows": self.rows,
        })
    }
}

fn count<T>(of: &[T]) -> u64 {
    u64::try_from(of.len()).unwrap_or(u64::MAX)
}

const NEVER_BACK: &str = "\
Never back: objects of up to 32 KiB, copies that stand on the bytes of their source, users and their
policies, KMS keys that no object found lies under, key policies and grants, what buckets were configured
to do, tags, storage classes given later that moved no bytes. Deletions are not known: what was being deleted
or uploaded when the tables were lost may be back without being named above, and an older version may be
the newest. Nor is another key that an object was put under later (UpdateObjectEncryption, `strongroom rewrap
--bucket`), unless its bytes were moved since: it is back under its first one, which may be in more hands.
Versions have new ids.
";
const AFTERWARDS: &str = "\
Start the server, then run `strongroom verify`. Files that no object stands for, and secrets of keys that
are not back, are kept until `strongroom restore finish`.
";
