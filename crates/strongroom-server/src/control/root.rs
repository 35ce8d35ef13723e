// SPDX-License-Identifier: Apache-2.0
//! What `strongroom root` does where the store is open.

use strongroom_kms::root::{EpochKind, Rotation, Share, SplitPlan};
use zeroize::Zeroizing;

use super::execute::{date, refused};
use super::{Answer, RootReport, RootRequest, ShownEpoch, ShownWrap};
use crate::error::Error;
use crate::root_key;
use crate::root_key::source::RootSource;
use crate::start::Rooms;

pub(super) async fn execute(rooms: &Rooms, act: &RootRequest) -> Result<Answer, Error> {
    let now_ms = rooms.clock.now_ms();
    match act {
        RootRequest::Show {} => show(rooms).await,
        RootRequest::Rotate { domain, sse_s3 } => {
            let rotation = Rotation {
                domain: *domain,
                sse_s3: *sse_s3,
            };
            rooms.keeper.rotate(rotation, now_ms).await?;
            show(rooms).await
        }
        RootRequest::Rekey { to } => {
            refuse_own_key(rooms, to).await?;
            let done = rooms.keeper.rekey(to.clone(), now_ms).await;
            done.map(|()| Answer::Done {})
        }
        RootRequest::Escrow { threshold, shares } => escrow(rooms, *threshold, *shares).await,
        RootRequest::Recover { shares, to } => recover(rooms, shares, to.clone()).await,
    }
}

async fn show(rooms: &Rooms) -> Result<Answer, Error> {
    let (wraps, epochs, source) = rooms.keeper.show().await?;
    let now_ms = rooms.clock.now_ms();
    let wraps = wraps.iter().map(|wrap| ShownWrap {
        what: root_key::describe(wrap),
        created: date(wrap.created_ms()),
    });
    let epochs = epochs.iter().map(|info| ShownEpoch {
        domain: info.kind == EpochKind::Domain,
        epoch: info.epoch,
        created: date(info.created_ms),
        age_days: now_ms.saturating_sub(info.created_ms) / DAY_MS,
    });
    Ok(Answer::Root(RootReport {
        in_use: source.describe(),
        wraps: wraps.collect(),
        epochs: epochs.collect(),
    }))
}

async fn escrow(rooms: &Rooms, threshold: u8, shares: u8) -> Result<Answer, Error> {
    let plan = SplitPlan::new(threshold, shares).map_err(refused)?;
    let shares = rooms.keeper.escrow(plan, rooms.clock.now_ms()).await?;
    Ok(Answer::Shares(
        shares.iter().map(Share::expose_secret).collect(),
    ))
}

async fn recover(
    rooms: &Rooms,
    shares: &[Zeroizing<String>],
    to: RootSource,
) -> Result<Answer, Error> {
    let shares = parse_shares(shares)?;
    refuse_own_key(rooms, &to).await?;
    let now_ms = rooms.clock.now_ms();
    rooms.keeper.recover(shares, to, now_ms).await?;
    Ok(Answer::Done {})
}

/// A key of this very store cannot seal its keyring: the next start would have to ask the key service
/// that this start opens.
async fn refuse_own_key(rooms: &Rooms, to: &RootSource) -> Result<(), Error> {
    let Some(arn) = root_key::kms_key_arn(to).await? else {
        return Ok(());
    };
    match rooms.kms.overview(&arn) {
        Ok(_) => Err(Error::Refused(format!(
            "the {} is a key of this store ({arn}): sealed with it the keyring could never be opened \
             again, since the key service that has it starts after that; take a key of another server",
            to.describe()
        ))),
        // Of another account, region or service, or another key.
        Err(kms)
            if matches!(
                kms.code(),
                "NotFoundException" | "InvalidArnException" | "ValidationException"
            ) =>
        {
            Ok(())
        }
        Err(kms) => Err(refused(kms)),
    }
}

/// Shares from their printed form.
pub(crate) fn parse_shares(texts: &[Zeroizing<String>]) -> Result<Vec<Share>, Error> {
    texts
        .iter()
        .map(|text| text.parse::<Share>().map_err(refused))
        .collect()
}

const DAY_MS: u64 = 24 * 3600 * 1000;
