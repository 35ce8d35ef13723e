// SPDX-License-Identifier: Apache-2.0
//! ListRetirableGrants.

use strongroom_kms::ListRetirableGrantsInput;

use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{LIMIT, MARKER, PRINCIPAL};
use super::reply::Reply;
use super::{Call, list_grants};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    if members.present("RetiringServicePrincipal") {
        return Err(KmsFault::not_yet("The parameter RetiringServicePrincipal"));
    }
    let input = ListRetirableGrantsInput {
        retiring_principal: members.required_text("RetiringPrincipal", PRINCIPAL)?,
        limit: members.integer("Limit", LIMIT)?,
        marker: members.text("Marker", MARKER)?,
    };
    members.finish()?;
    let output = call
        .kms
        .list_retirable_grants(call.caller, call.receipt, input)
        .await?;
    list_grants::reply(&output)
}
