// SPDX-License-Identifier: Apache-2.0
//! `strongroom root show | rotate | rekey | escrow | recover`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use strongroom_store::drive::small_file;
use strongroom_store::env::{Clock as _, SystemClock};
use zeroize::Zeroizing;

use crate::cli::root::{RootArgs, RootCommand, ToArgs};
use crate::config::Place;
use crate::control::root::parse_shares;
use crate::control::{Answer, Request, RootReport, RootRequest, ShownEpoch, client};
use crate::error::Error;
use crate::output;
use crate::root_key;
use crate::root_key::source::RootSource;
use crate::start::Rooms;

pub(crate) async fn run(command: RootCommand) -> Result<(), Error> {
    let (place, _file) = Place::resolve(command.place())?;
    match command {
        RootCommand::Show { .. } => show(&place, RootRequest::Show {}).await,
        RootCommand::Rotate { domain, sse_s3, .. } => {
            let both = !domain && !sse_s3;
            let request = RootRequest::Rotate {
                domain: domain || both,
                sse_s3: sse_s3 || both,
            };
            show(&place, request).await
        }
        RootCommand::Rekey { to, .. } => rekey(&place, *to).await,
        RootCommand::Escrow {
            shares, threshold, ..
        } => escrow(&place, threshold, shares).await,
        RootCommand::Recover {
            share_files, to, ..
        } => recover(place, &share_files, *to).await,
    }
}

async fn show(place: &Place, act: RootRequest) -> Result<(), Error> {
    match client::ask(place, &Request::Root { act }, &|_| ()).await? {
        Answer::Root(report) => output::print(&shown(&report)),
        _ => Err(another_answer()),
    }
}

fn shown(report: &RootReport) -> String {
    let mut text = format!(
        "unsealed by: {}\n\nThe keyring opens with any of:\n",
        report.in_use
    );
    for wrap in &report.wraps {
        // Writing to a string cannot fail.
        let _ok = writeln!(text, "  {}, since {}", wrap.what, wrap.created);
    }
    for (title, domain) in [("domain keys", true), ("SSE-S3 root", false)] {
        let mut epochs = report.epochs.iter().filter(|e| e.domain == domain).rev();
        let line = |epoch: &ShownEpoch| {
            format!(
                "epoch {}, {}, {} days old",
                epoch.epoch, epoch.created, epoch.age_days
            )
        };
        if let Some(newest) = epochs.next() {
            let _ok = writeln!(text, "\n{title}:\n  in use:   {}", line(newest));
        }
        for older in epochs {
            let _ok = writeln!(text, "  kept:     {}", line(older));
        }
    }
    text
}

async fn rekey(place: &Place, to: ToArgs) -> Result<(), Error> {
    let to = wanted(to)?;
    let act = RootRequest::Rekey { to: to.clone() };
    let request = Request::Root { act };
    match client::ask(place, &request, &|_| ()).await? {
        Answer::Done {} => output::print(&format!(
            "The keyring is sealed with the {} now; another secret, as the old one, does not open it.\n\
             Start the server from now on with:\n\n  {}\n\n\
             If the old secret could be in the wrong hands, destroy it and copies of the old \
             `keyring`. If there are shares,\nmake new ones then (`strongroom root escrow`): until \
             that, the old secret and an old copy together open\nthis keyring, too.\n",
            to.describe(),
            to.flags()
        )),
        _ => Err(another_answer()),
    }
}

async fn escrow(place: &Place, threshold: u8, shares: u8) -> Result<(), Error> {
    let act = RootRequest::Escrow { threshold, shares };
    let request = Request::Root { act };
    let Answer::Shares(shares) = client::ask(place, &request, &|_| ()).await? else {
        return Err(another_answer());
    };
    let mut text = Zeroizing::new(String::new());
    for share in &shares {
        let _ok = writeln!(text, "{}", share.as_str());
    }
    let _ok = write!(
        text,
        "\n{} shares, one a line; this is the only time they are shown. Any {threshold} of them \
         open the keyring\n(`strongroom root recover`), fewer say nothing. Keep them, and a copy \
         of the keyring file,\nwith different people and apart from the data. Shares made before \
         are of no use any more.\n",
        shares.len()
    );
    output::print_once(
        &text,
        "the new shares are lost, and shares made before are of no use any more: run `strongroom root \
         escrow` again",
    )
}

async fn recover(mut place: Place, files: &[PathBuf], to: ToArgs) -> Result<(), Error> {
    let to = wanted(to)?;
    let shares = read_shares(files)?;
    // Noticed here, what is mistyped needs no server.
    let parsed = parse_shares(&shares)?;
    let count = parsed.len();
    let act = RootRequest::Recover {
        shares,
        to: to.clone(),
    };
    let request = Request::Root { act };
    match client::ask_server(&place.data, &request, &|_| ()).await? {
        Some(Answer::Done {}) => {}
        Some(_) => return Err(another_answer()),
        None => {
            // Nobody could open the store for us: first the keyring, then the rest, with a
            // record of what happened.
            let held = place.data.hold()?;
            root_key::recover_closed(&place, parsed, to.clone(), SystemClock.now_ms()).await?;
            drop(held);
            place.root = to.clone();
            let rooms = Rooms::open_existing(&place).await?;
            let asked = json!({ "shares": count, "to": to.describe() });
            rooms.record_done("RecoverRoot", asked, Value::Null).await?;
            rooms.close().await?;
        }
    }
    output::print(&format!(
        "The keyring is open again, and sealed with the {}.\n\
         Start the server from now on with:\n\n  {}\n\n\
         The shares still open it: if they were shown to others, make new ones \
         (`strongroom root escrow`).\n",
        to.describe(),
        to.flags()
    ))
}

fn wanted(to: ToArgs) -> Result<RootSource, Error> {
    let to = RootArgs::from(to).source("to-").map_err(Error::Config)?;
    let nothing = || {
        Error::Config(
            "say what shall unseal the keyring: --to-root-key-file, --to-passphrase-file, \
             --to-pkcs11-module or --to-root-kms-endpoint with its companions"
                .to_owned(),
        )
    };
    to.ok_or_else(nothing)?.absolute()
}

/// The lines that hold something, of files or of standard input.
fn read_shares(files: &[PathBuf]) -> Result<Vec<Zeroizing<String>>, Error> {
    let mut texts = Vec::new();
    for file in files {
        let bytes = small_file::read(file)
            .map_err(Error::file("read the shares in", file))?
            .map(Zeroizing::new)
            .ok_or_else(|| Error::Config(format!("`{}` does not exist", file.display())))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Error::Config(format!("`{}` is not UTF-8", file.display())))?;
        texts.push(Zeroizing::new(text.to_owned()));
    }
    if files.is_empty() {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin()
            .take(SHARES_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|e| Error::io("cannot read shares from standard input", e))?;
        texts.push(text);
    }
    let lines = texts.iter().flat_map(|text| text.lines());
    Ok(lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| Zeroizing::new(line.to_owned()))
        .collect())
}

fn another_answer() -> Error {
    Error::Refused("the server gave another answer".to_owned())
}

const SHARES_BYTES_MAX: u64 = 16 * 1024;
