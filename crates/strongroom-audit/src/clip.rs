// SPDX-License-Identifier: Apache-2.0
//! What a client says may be longer than a record: here it is cut, and what was cut is said.
//!
//! ```text
//!   1. every text to the most that one of its name may have        a tab x 17,000 in Range -> 1 KiB
//!   2. if the whole is still too long, its members share the room, in this order:
//!        whose names say what was touched   whole, always
//!        numbers, flags, documents          up to what they need
//!        everything else                    each an equal share; who needs less leaves the rest
//!   3. each cut leaves a line: where, how long it was, and for some the SHA-256 of the whole
//! ```
//!
//! INVARIANT: a value is never left out as a whole, and a member of [`NAMES`] is left whole in what
//! S3 and KMS take: else a caller could blank its own event with a header that nobody reads.
//!
//! Pure. Lengths are of the JSON text as it will be written.

use std::borrow::Cow;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

/// What was cut out of one record.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    lines: Vec<Value>,
    /// Cuts that have no line.
    more: usize,
}

impl Cuts {
    /// `additionalEventData`, with what was cut.
    pub(crate) fn told(self, additional: Option<Cow<'_, Value>>) -> Option<Cow<'_, Value>> {
        if self.lines.is_empty() {
            return additional;
        }
        let mut members = match additional.map(Cow::into_owned) {
            Some(Value::Object(members)) => members,
            None | Some(Value::Null) => Map::new(),
            Some(other) => Map::from_iter([("value".to_owned(), other)]),
        };
        members.insert("clipped".to_owned(), Value::Array(self.lines));
        if self.more > 0 {
            members.insert("clippedMore".to_owned(), json!(self.more));
        }
        Some(Cow::Owned(Value::Object(members)))
    }

    fn push(&mut self, place: &Place<'_>, line: Value) {
        let (Value::Object(mut members), true) = (line, self.lines.len() < CUTS_MAX) else {
            self.more = self.more.saturating_add(1);
            return;
        };
        let place = place.pointer();
        let shown = cut(&place, PLACE_BYTES_MAX).to_owned();
        members.insert("at".to_owned(), Value::String(shown));
        self.lines.push(Value::Object(members));
    }
}

/// The value of `field`, at most [`FIELD_BYTES_MAX`] long as JSON.
pub(crate) fn bounded<'a>(
    field: &'static str,
    value: &'a Value,
    cuts: &mut Cuts,
) -> Cow<'a, Value> {
    // Nearly all need not be gone through byte by byte.
    if is_short(value) && bytes_max(value) <= FIELD_BYTES_MAX {
        return Cow::Borrowed(value);
    }
    let place = Place {
        outer: None,
        name: field,
    };
    let room = Room {
        bytes: FIELD_BYTES_MAX,
        rule: None,
    };
    Cow::Owned(clip(value, room, &place, cuts).unwrap_or_else(|| json!({})))
}

/// At most this many bytes of a text, cut at a character.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = text.floor_char_boundary(bytes_max);
    text.get(..end).unwrap_or_default()
}

/// What a member of this name may have.
#[derive(Clone, Copy, Debug)]
struct Rule {
    rank: Rank,
    /// Most bytes of each text in it, before JSON escapes anything.
    text_bytes: usize,
    /// Whether the digest of what was cut is told. A digest lets guesses be tested, so only what is
    /// known to be neither plaintext nor secret has one.
    has_digest: bool,
}

impl Rule {
    fn of(name: &str) -> Rule {
        let known = |names: &[(&str, usize)]| {
            let found = names.iter().find(|(known, _)| *known == name);
            found.map(|(_, text_bytes)| *text_bytes)
        };
        if let Some(text_bytes) = known(&NAMES) {
            return Rule {
                rank: Rank::Name,
                text_bytes,
                has_digest: true,
            };
        }
        if let Some(text_bytes) = known(&DOCUMENTS) {
            return Rule {
                rank: Rank::Document,
                text_bytes,
                has_digest: true,
            };
        }
        Rule {
            rank: Rank::Other,
            text_bytes: TEXT_BYTES_MAX,
            has_digest: DIGESTED.contains(&name),
        }
    }
}

/// Who is served first where there is not enough room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Name,
    Document,
    Other,
}

/// Where a value stands: `requestParameters`, and the names and numbers below it.
#[derive(Clone, Copy)]
struct Place<'a> {
    outer: Option<&'a Place<'a>>,
    name: &'a str,
}

impl Place<'_> {
    /// A JSON Pointer (RFC 6901).
    fn pointer(&self) -> String {
        let outer = self.outer.map(Place::pointer).unwrap_or_default();
        let name = cut(self.name, PLACE_BYTES_MAX);
        format!("{outer}/{}", name.replace('~', "~0").replace('/', "~1"))
    }
}

/// How much of a value may stay.
#[derive(Clone, Copy)]
struct Room {
    /// Of JSON.
    bytes: usize,
    /// `None` for the whole field: each of its members has its own.
    rule: Option<Rule>,
}

/// The value cut to its room; `None` if there is not even room for an empty one.
fn clip(value: &Value, room: Room, place: &Place<'_>, cuts: &mut Cuts) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            (SCALAR_BYTES <= room.bytes).then(|| value.clone())
        }
        Value::String(text) => clip_text(text, room, place, cuts).map(Value::String),
        Value::Array(items) => {
            let inner = room.bytes.checked_sub(BRACKETS_BYTES)?;
            let needs = items
                .iter()
                .map(|item| (Rank::Other, needed(item, room.rule)));
            let shares = shares(needs, inner);
            let mut kept = Vec::new();
            for (number, (item, share)) in items.iter().zip(shares).enumerate() {
                let name = number.to_string();
                let place = Place {
                    outer: Some(place),
                    name: &name,
                };
                let room = Room {
                    bytes: share.saturating_sub(BETWEEN_BYTES),
                    rule: room.rule,
                };
                kept.extend(clip(item, room, &place, cuts));
            }
            tell_missing(items.len(), kept.len(), place, cuts);
            Some(Value::Array(kept))
        }
        Value::Object(members) => {
            let inner = room.bytes.checked_sub(BRACKETS_BYTES)?;
            let needs = members.iter().map(|(name, value)| {
                let rule = room.rule.unwrap_or_else(|| Rule::of(name));
                let rank = match value {
                    _ if room.rule.is_some() => Rank::Other,
                    Value::Null | Value::Bool(_) | Value::Number(_) => {
                        rule.rank.min(Rank::Document)
                    }
                    Value::String(_) | Value::Array(_) | Value::Object(_) => rule.rank,
                };
                let name = written(cut(name, rule.text_bytes));
                (rank, needed(value, Some(rule)).saturating_add(name))
            });
            let shares = shares(needs, inner);
            let kept = clip_members(members, &shares, room.rule, place, cuts);
            tell_missing(members.len(), kept.len(), place, cuts);
            Some(Value::Object(kept))
        }
    }
}

fn clip_members(
    members: &Map<String, Value>,
    shares: &[usize],
    rule: Option<Rule>,
    place: &Place<'_>,
    cuts: &mut Cuts,
) -> Map<String, Value> {
    let mut kept = Map::new();
    for ((name, value), share) in members.iter().zip(shares) {
        let rule = rule.unwrap_or_else(|| Rule::of(name));
        let place = Place {
            outer: Some(place),
            name,
        };
        // A long name leaves half of the room to its value.
        let whole = cut(name, rule.text_bytes);
        let name_bytes = if written(whole) <= share / 2 {
            written(whole)
        } else {
            let value_bytes = needed(value, Some(rule)).min(share / 2);
            share.saturating_sub(value_bytes)
        };
        let Some(shown) = cut_written(whole, name_bytes) else {
            continue;
        };
        let room = Room {
            bytes: share.saturating_sub(written(shown).saturating_add(BETWEEN_BYTES)),
            rule: Some(rule),
        };
        if kept.contains_key(shown) {
            continue;
        }
        let Some(value) = clip(value, room, &place, cuts) else {
            continue;
        };
        if shown.len() < name.len() {
            cuts.push(&place, json!({ "nameBytes": name.len() }));
        }
        kept.insert(shown.to_owned(), value);
    }
    kept
}

fn clip_text(text: &str, room: Room, place: &Place<'_>, cuts: &mut Cuts) -> Option<String> {
    let rule = room.rule.unwrap_or(Rule::of(place.name));
    let kept = cut_written(cut(text, rule.text_bytes), room.bytes)?;
    if kept.len() < text.len() {
        let line = if rule.has_digest {
            let digest = digest(&SHA256, text.as_bytes());
            json!({ "bytes": text.len(), "sha256": hex::encode(digest) })
        } else {
            json!({ "bytes": text.len() })
        };
        cuts.push(place, line);
    }
    Some(kept.to_owned())
}

fn tell_missing(there: usize, kept: usize, place: &Place<'_>, cuts: &mut Cuts) {
    if kept < there {
        cuts.push(place, json!({ "members": there, "kept": kept }));
    }
}

/// What each member gets of `room` bytes. By rank; of one rank, those that need least are served in
/// full and the others alike. Where even that would be too little, the last ones get nothing.
fn shares(needs: impl Iterator<Item = (Rank, usize)>, room: usize) -> Vec<usize> {
    let needs: Vec<(Rank, usize)> = needs.collect();
    let mut shares = vec![0; needs.len()];
    let mut left = room;
    for rank in [Rank::Name, Rank::Document, Rank::Other] {
        let mut of_rank: Vec<(usize, usize)> = needs
            .iter()
            .enumerate()
            .filter(|(_, (of, _))| *of == rank)
            .map(|(number, (_, need))| (*need, number))
            .collect();
        let of_later = needs
            .iter()
            .filter(|(of, _)| *of > rank)
            .map(|(_, need)| *need)
            .fold(0, usize::saturating_add);
        // Documents leave something for all the rest.
        let kept_back = match rank {
            Rank::Document => of_later.min(REST_BYTES_MIN).min(left / 2),
            Rank::Name | Rank::Other => 0,
        };
        let mut of_this = left.saturating_sub(kept_back);
        // So many that each has room for something that can be read.
        let mut wanted = 0_usize;
        let kept = of_rank.iter().take_while(|(need, _)| {
            wanted = wanted.saturating_add((*need).min(MEMBER_BYTES_MIN));
            wanted <= of_this
        });
        let kept = kept.count().clamp(1, MEMBERS_MAX);
        of_rank.truncate(kept);
        of_rank.sort_unstable();
        for (at, (need, number)) in of_rank.iter().enumerate() {
            let waiting = of_rank.len().saturating_sub(at).max(1);
            let share = (*need).min(of_this / waiting);
            of_this = of_this.saturating_sub(share);
            left = left.saturating_sub(share);
            if let Some(of_member) = shares.get_mut(*number) {
                *of_member = share;
            }
        }
    }
    shares
}

/// How long a value will be, with what stands between it and the next, if only its texts are cut.
fn needed(value: &Value, rule: Option<Rule>) -> usize {
    let text_bytes = |text: &str| {
        let rule = rule.map_or(TEXT_BYTES_MAX, |rule| rule.text_bytes);
        written(cut(text, rule))
    };
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => SCALAR_BYTES,
        Value::String(text) => text_bytes(text),
        Value::Array(items) => items
            .iter()
            .map(|item| needed(item, rule))
            .fold(BRACKETS_BYTES, usize::saturating_add),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| needed(value, rule).saturating_add(text_bytes(name)))
            .fold(BRACKETS_BYTES, usize::saturating_add),
    };
    inner.saturating_add(BETWEEN_BYTES)
}

/// As much of a text as can be written in so many bytes of JSON; `None` if its quotation marks
/// cannot.
fn cut_written(text: &str, bytes_max: usize) -> Option<&str> {
    let mut left = bytes_max.checked_sub(QUOTES_BYTES)?;
    for (at, character) in text.char_indices() {
        let bytes = character_bytes(character);
        if bytes > left {
            return text.get(..at);
        }
        left = left.saturating_sub(bytes);
    }
    Some(text)
}

/// How long a text is in JSON.
fn written(text: &str) -> usize {
    let bytes = text.chars().map(character_bytes);
    bytes.fold(QUOTES_BYTES, usize::saturating_add)
}

fn character_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..' ' => 6,
        other => other.len_utf8(),
    }
}

/// Whether no text and no number of members has to be looked at more closely.
fn is_short(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.len() <= TEXT_BYTES_MAX,
        Value::Array(items) => items.len() <= MEMBERS_MAX && items.iter().all(is_short),
        Value::Object(members) => {
            members.len() <= MEMBERS_MAX
                && members
                    .iter()
                    .all(|(name, value)| name.len() <= TEXT_BYTES_MAX && is_short(value))
        }
    }
}

/// How long a value can be as JSON.
fn bytes_max(value: &Value) -> usize {
    let of_text = |text: &str| text.len().saturating_mul(6).saturating_add(QUOTES_BYTES);
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => SCALAR_BYTES,
        Value::String(text) => of_text(text),
        Value::Array(items) => items
            .iter()
            .map(bytes_max)
            .fold(BRACKETS_BYTES, usize::saturating_add),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| bytes_max(value).saturating_add(of_text(name)))
            .fold(BRACKETS_BYTES, usize::saturating_add),
    };
    inner.saturating_add(BETWEEN_BYTES)
}

/// CloudTrail's bound of `requestParameters` and `responseElements`.
pub(crate) const FIELD_BYTES_MAX: usize = 100 * 1024;
/// A text that is neither a name nor a document.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;
/// The most that all cuts of a record take: their place, three numbers, a digest and the names of
/// these.
pub(crate) const TOLD_BYTES_MAX: usize = CUTS_MAX * (6 * PLACE_BYTES_MAX + 256) + 64;

/// What was touched. These lengths are the most that S3 and KMS take; a copy source may be
/// percent-encoded.
const NAMES: [(&str, usize); 10] = [
    ("bucketName", 1024),
    ("key", 1024),
    ("versionId", 1024),
    ("uploadId", 1024),
    ("x-amz-copy-source", 4096),
    ("keyId", 1024),
    ("sourceKeyId", 1024),
    ("destinationKeyId", 1024),
    ("targetKeyId", 1024),
    ("aliasName", 1024),
];
/// Policies and encryption contexts are longer, and needed as a whole to know what was decided.
const DOCUMENTS: [(&str, usize); 7] = [
    ("policy", 32 * 1024),
    ("policyDocument", 32 * 1024),
    ("x-amz-server-side-encryption-context", 12 * 1024),
    ("encryptionContext", 8 * 1024),
    ("sourceEncryptionContext", 8 * 1024),
    ("destinationEncryptionContext", 8 * 1024),
    ("constraints", 8 * 1024),
];
/// Others whose digest tells nothing that may not be known.
const DIGESTED: [&str; 8] = [
    "prefix",
    "delimiter",
    "marker",
    "key-marker",
    "start-after",
    "continuation-token",
    "range",
    "x-amz-copy-source-range",
];
const MEMBERS_MAX: usize = 1000;
const CUTS_MAX: usize = 32;
const PLACE_BYTES_MAX: usize = 128;
/// A member that needs no more is there whole, or not at all.
const MEMBER_BYTES_MIN: usize = 256;
const REST_BYTES_MIN: usize = 20 * 1024;
const QUOTES_BYTES: usize = 2;
const BRACKETS_BYTES: usize = 2;
/// A colon and a comma.
const BETWEEN_BYTES: usize = 2;
/// The longest number.
const SCALAR_BYTES: usize = 24;

/// All names together, each byte written as six, leave room for what else there is.
const fn names_bytes_max() -> usize {
    let mut sum = 0;
    let mut left: &[(&str, usize)] = &NAMES;
    while let [(name, text_bytes), rest @ ..] = left {
        sum += name.len() + 6 * *text_bytes + 2 * QUOTES_BYTES + 2 * BETWEEN_BYTES;
        left = rest;
    }
    sum
}

const _: () = assert!(names_bytes_max() + REST_BYTES_MIN < FIELD_BYTES_MAX);
// A policy of nothing but quotation marks beside the id of its key.
const _: () = assert!(2 * 32 * 1024 + 6 * 1024 + REST_BYTES_MIN + 1024 < FIELD_BYTES_MAX);
