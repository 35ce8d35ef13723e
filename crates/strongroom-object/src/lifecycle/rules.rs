// SPDX-License-Identifier: Apache-2.0
//! A lifecycle configuration: its rules as they were given, and what S3 refuses.
//!
//! Whatever is stored went through [`LifecycleConfiguration::new`]: a rule that cannot act, or that
//! says two things, is refused when it is put, not overlooked when it is due.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use crate::compat::Compat;
use crate::storage_class::StorageClass;

/// Most rules of a bucket.
const RULES_MAX: usize = 1_000;
/// Longest id, UTF-16 units.
const ID_UNITS_MAX: usize = 255;
/// Longest prefix, bytes: no name is longer.
const PREFIX_BYTES_MAX: usize = 1_024;
/// Largest size in a filter, bytes.
const SIZE_MAX: u64 = 1_099_511_627_776_000;
/// Days that objects stay before they go to an infrequent access class, and in it.
const INFREQUENT_DAYS_MIN: u32 = 30;
/// Days that objects stay in GLACIER before they go on.
const GLACIER_DAYS_MIN: u32 = 90;

/// The lifecycle rules of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LifecycleConfiguration {
    #[n(0)]
    rules: Vec<LifecycleRule>,
    #[n(1)]
    minimum: TransitionMinimum,
}

/// Which objects are too small to be moved, where a rule says nothing of sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum TransitionMinimum {
    /// `all_storage_classes_128K`
    #[default]
    #[n(0)]
    AllClasses,
    /// `varies_by_storage_class`: archives take objects of any size.
    #[n(1)]
    ByClass,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LifecycleRule {
    /// Its name; an empty one is replaced by one that is made.
    #[n(0)]
    pub id: String,
    /// Whether it acts.
    #[n(1)]
    pub enabled: bool,
    /// Which objects it is about.
    #[n(2)]
    pub filter: LifecycleFilter,
    /// The end of current versions.
    #[n(3)]
    pub expiration: Option<Expiration>,
    /// Classes of current versions.
    #[n(4)]
    pub transitions: Vec<Transition>,
    /// The end of noncurrent versions.
    #[n(5)]
    pub noncurrent_expiration: Option<NoncurrentExpiration>,
    /// Classes of noncurrent versions.
    #[n(6)]
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// Days after which uploads are aborted.
    #[n(7)]
    pub abort_days: Option<u32>,
}

/// Which objects a rule is about, in the form in which it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LifecycleFilter {
    /// Names that begin so.
    #[n(0)]
    pub prefix: Option<String>,
    /// Objects of more bytes.
    #[n(1)]
    pub larger_than: Option<u64>,
    /// Objects of fewer bytes.
    #[n(2)]
    pub smaller_than: Option<u64>,
    /// Whether the prefix is one of the rule, without a filter: the first form of rules.
    #[n(3)]
    pub rule_prefix: bool,
    /// Whether `And` stands around.
    #[n(4)]
    pub and: bool,
}

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum When {
    /// So many days after.
    #[n(0)]
    Days(#[n(0)] u32),
    /// At a midnight, Unix time in milliseconds.
    #[n(1)]
    Date(#[n(0)] u64),
}

/// The end of current versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Expiration {
    /// They are deleted, as by a DELETE without a version id.
    #[n(0)]
    At(#[n(0)] When),
    /// Delete markers go that have nothing behind them; `false` says nothing.
    #[n(1)]
    DeleteMarker(#[n(0)] bool),
}

/// Another class for current versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Transition {
    /// When.
    #[n(0)]
    pub when: When,
    /// Which.
    #[n(1)]
    pub class: StorageClass,
}

/// The end of noncurrent versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NoncurrentExpiration {
    /// Days after they became noncurrent.
    #[n(0)]
    pub days: u32,
    /// How many newer noncurrent versions there must be.
    #[n(1)]
    pub newer: Option<u32>,
}

/// Another class for noncurrent versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NoncurrentTransition {
    /// Days after they became noncurrent.
    #[n(0)]
    pub days: u32,
    /// How many newer noncurrent versions there must be.
    #[n(1)]
    pub newer: Option<u32>,
    /// Which.
    #[n(2)]
    pub class: StorageClass,
}

/// The row of a bucket's configuration.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct LifecycleRow {
    /// The bucket's name: rows are found by its uid.
    #[n(0)]
    pub bucket: String,
    #[n(1)]
    pub configuration: LifecycleConfiguration,
}

/// What is wrong with a configuration, in S3's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleFault {
    /// It does not follow the schema.
    #[error("{0}")]
    Malformed(&'static str),
    /// A value is wrong.
    #[error("{0}")]
    Argument(String),
    /// Values do not go together.
    #[error("{0}")]
    Request(String),
}

impl LifecycleConfiguration {
    /// A configuration that S3 would take. Rules without an id get one of `new_id`.
    pub fn new(
        mut rules: Vec<LifecycleRule>,
        minimum: TransitionMinimum,
        compat: Compat,
        mut new_id: impl FnMut() -> String,
    ) -> Result<Self, LifecycleFault> {
        if rules.is_empty() || rules.len() > RULES_MAX {
            return Err(LifecycleFault::Malformed("no rules, or too many"));
        }
        let mut ids = BTreeSet::new();
        for rule in rules.iter().filter(|rule| !rule.id.is_empty()) {
            if rule.id.encode_utf16().count() > ID_UNITS_MAX {
                return argument("ID length should not exceed allowed limit of 255");
            }
            if !ids.insert(rule.id.clone()) {
                return argument("Rule ID must be unique. Found same ID for more than one rule");
            }
        }
        let first_form = rules.first().is_some_and(|rule| rule.filter.rule_prefix);
        for rule in &rules {
            rule.check(first_form, compat)?;
        }
        if first_form {
            check_overlaps(&rules)?;
        }
        for rule in rules.iter_mut().filter(|rule| rule.id.is_empty()) {
            rule.id = new_id();
        }
        Ok(Self { rules, minimum })
    }

    /// Its rules, as they were given.
    pub fn rules(&self) -> &[LifecycleRule] {
        &self.rules
    }

    /// Which objects are too small to be moved.
    pub fn minimum(&self) -> TransitionMinimum {
        self.minimum
    }
}

fn argument<T>(message: impl Into<String>) -> Result<T, LifecycleFault> {
    Err(LifecycleFault::Argument(message.into()))
}

fn request<T>(message: impl Into<String>) -> Result<T, LifecycleFault> {
    Err(LifecycleFault::Request(message.into()))
}

impl LifecycleRule {
    fn check(&self, first_form: bool, compat: Compat) -> Result<(), LifecycleFault> {
        if self.filter.rule_prefix && !first_form {
            return request(
                "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
            );
        }
        if !self.filter.rule_prefix && first_form {
            return request("Filter element can only be used in Lifecycle V2.");
        }
        self.filter.check()?;
        let silent = self.expiration.is_none()
            && self.transitions.is_empty()
            && self.noncurrent_expiration.is_none()
            && self.noncurrent_transitions.is_empty()
            && self.abort_days.is_none();
        if silent {
            return request("At least one action needs to be specified in a rule");
        }
        let sized = self.filter.larger_than.is_some() || self.filter.smaller_than.is_some();
        if sized && matches!(self.expiration, Some(Expiration::DeleteMarker(_))) {
            return request("ExpiredObjectDeleteMarker cannot be specified with Object Size.");
        }
        if sized && self.abort_days.is_some() {
            return request("AbortIncompleteMultipartUpload cannot be specified with Object Size.");
        }
        if self.abort_days == Some(0) {
            return argument(
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
            );
        }
        if self.expiration == Some(Expiration::At(When::Days(0))) {
            return argument("'Days' for Expiration action must be a positive integer");
        }
        self.check_newer(first_form)?;
        self.check_current(compat)?;
        self.check_noncurrent(compat)
    }

    fn check_newer(&self, first_form: bool) -> Result<(), LifecycleFault> {
        if let Some(NoncurrentExpiration { days: 0, .. }) = self.noncurrent_expiration {
            return argument(
                "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
            );
        }
        let expiration = self.noncurrent_expiration.iter().map(|end| end.newer);
        let transitions = self.noncurrent_transitions.iter().map(|next| next.newer);
        for newer in expiration.chain(transitions).flatten() {
            if first_form {
                return request(
                    "NewerNoncurrentVersions element can only be used in Lifecycle V2.",
                );
            }
            if newer == 0 {
                return argument("'NewerNoncurrentVersions' must be a positive integer");
            }
        }
        Ok(())
    }

    /// Classes of current versions: each once, in the order of the waterfall, and before the end.
    fn check_current(&self, compat: Compat) -> Result<(), LifecycleFault> {
        let end = match self.expiration {
            Some(Expiration::At(when)) => Some(when),
            Some(Expiration::DeleteMarker(_)) | None => None,
        };
        let all = self.transitions.iter().map(|next| next.when).chain(end);
        let (mut days, mut dates) = (false, false);
        for when in all {
            days |= matches!(when, When::Days(_));
            dates |= matches!(when, When::Date(_));
        }
        if days && dates {
            return request(format!(
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for {}",
                self.filter
            ));
        }
        let steps = self.transitions.iter().map(|next| {
            let step = match next.when {
                When::Days(days) => days,
                When::Date(ms) => u32::try_from(ms / crate::restore::DAY_MS).unwrap_or(u32::MAX),
            };
            (next.class, step)
        });
        let field = if dates { "Date" } else { "Days" };
        let words = Words {
            action: "Transition",
            field,
            end: "Expiration",
        };
        let end = end.map(|end| match end {
            When::Days(days) => days,
            When::Date(ms) => u32::try_from(ms / crate::restore::DAY_MS).unwrap_or(u32::MAX),
        });
        self.check_steps(steps.collect(), end, words, compat)
    }

    fn check_noncurrent(&self, compat: Compat) -> Result<(), LifecycleFault> {
        let steps = self.noncurrent_transitions.iter();
        let steps = steps.map(|next| (next.class, next.days)).collect();
        let end = self.noncurrent_expiration.map(|end| end.days);
        let words = Words {
            action: "NoncurrentVersionTransition",
            field: "NoncurrentDays",
            end: "NoncurrentVersionExpiration",
        };
        self.check_steps(steps, end, words, compat)
    }

    fn check_steps(
        &self,
        mut steps: Vec<(StorageClass, u32)>,
        end: Option<u32>,
        words: Words,
        compat: Compat,
    ) -> Result<(), LifecycleFault> {
        let Words {
            action,
            field,
            end: end_action,
        } = words;
        let filter = &self.filter;
        if steps
            .iter()
            .any(|(class, _)| *class == StorageClass::Standard)
        {
            return Err(LifecycleFault::Malformed("a transition to STANDARD"));
        }
        let at_once = compat.moves_objects_day_by_day();
        for (class, days) in &steps {
            let infrequent = matches!(class, StorageClass::StandardIa | StorageClass::OneZoneIa);
            if field != "Date" && infrequent && *days < INFREQUENT_DAYS_MIN && !at_once {
                return argument(format!(
                    "'{field}' in {action} action must be greater than or equal to {INFREQUENT_DAYS_MIN} for storageClass '{}'",
                    class.name()
                ));
            }
        }
        steps.sort_by_key(|(class, _)| *class);
        for pair in steps.windows(2) {
            let [(warm, warm_days), (cold, cold_days)] = pair else {
                continue;
            };
            if warm == cold {
                return request(format!(
                    "'StorageClass' must be different for '{action}' actions in same 'Rule' with {filter}"
                ));
            }
            let least = match warm {
                _ if at_once => 1,
                StorageClass::Glacier => GLACIER_DAYS_MIN,
                _ => INFREQUENT_DAYS_MIN,
            };
            if *cold_days < warm_days.saturating_add(least) {
                return argument(format!(
                    "'{field}' in the '{action}' action for StorageClass '{}' for {filter} must be {least} days more than '{filter}' in the '{action}' action for StorageClass '{}'",
                    cold.name(),
                    warm.name()
                ));
            }
        }
        let last = steps.iter().map(|(_, days)| *days).max();
        if let (Some(end), Some(last)) = (end, last)
            && end <= last
        {
            let than = if field == "Date" { "later" } else { "greater" };
            return argument(format!(
                "'{field}' in the {end_action} action for {filter} must be {than} than '{field}' in the {action} action"
            ));
        }
        Ok(())
    }
}

/// How faults name an action.
#[derive(Debug, Clone, Copy)]
struct Words {
    action: &'static str,
    field: &'static str,
    end: &'static str,
}

impl LifecycleFilter {
    fn check(&self) -> Result<(), LifecycleFault> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if prefix.len() > PREFIX_BYTES_MAX {
            return argument("The maximum size of a prefix is 1024.");
        }
        let given = [
            self.prefix.is_some(),
            self.larger_than.is_some(),
            self.smaller_than.is_some(),
        ];
        let given = given.into_iter().filter(|given| *given).count();
        let in_form = match (self.rule_prefix, self.and) {
            (true, _) => given == 1 && self.prefix.is_some() && !self.and,
            (false, true) => given >= 2,
            (false, false) => given <= 1,
        };
        if !in_form {
            return Err(LifecycleFault::Malformed("a filter of another form"));
        }
        if self.larger_than.is_some_and(|bytes| bytes > SIZE_MAX) {
            return request("'ObjectSizeGreaterThan' should be between 0 and 1099511627776000.");
        }
        if self
            .smaller_than
            .is_some_and(|bytes| !(1..=SIZE_MAX).contains(&bytes))
        {
            return request("'ObjectSizeLessThan' should be between 1 and 1099511627776000.");
        }
        if let (Some(larger), Some(smaller)) = (self.larger_than, self.smaller_than)
            && smaller <= larger
        {
            return request(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
            );
        }
        Ok(())
    }

    /// Whether it takes a name and a size.
    pub(crate) fn takes(&self, name: &str, size: u64) -> bool {
        self.takes_name(name)
            && self.larger_than.is_none_or(|bytes| size > bytes)
            && self.smaller_than.is_none_or(|bytes| size < bytes)
    }

    /// Whether it takes a name, whatever the size.
    pub(crate) fn takes_name(&self, name: &str) -> bool {
        name.starts_with(self.prefix.as_deref().unwrap_or_default())
    }
}

impl std::fmt::Display for LifecycleFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if self.rule_prefix {
            write!(f, "prefix '{prefix}'")
        } else {
            write!(f, "filter '(prefix={prefix})'")
        }
    }
}

/// Rules of the first form may not do the same to the same names.
fn check_overlaps(rules: &[LifecycleRule]) -> Result<(), LifecycleFault> {
    type Kind = (&'static str, fn(&LifecycleRule) -> bool);
    let kinds: [Kind; 5] = [
        ("Expiration", |rule| rule.expiration.is_some()),
        ("Transition", |rule| !rule.transitions.is_empty()),
        ("NoncurrentVersionExpiration", |rule| {
            rule.noncurrent_expiration.is_some()
        }),
        ("NoncurrentVersionTransition", |rule| {
            !rule.noncurrent_transitions.is_empty()
        }),
        ("AbortIncompleteMultipartUpload", |rule| {
            rule.abort_days.is_some()
        }),
    ];
    for (kind, acts) in kinds {
        let acting = rules.iter().filter(|rule| acts(rule));
        let mut prefixes: Vec<&str> = acting
            .filter_map(|rule| rule.filter.prefix.as_deref())
            .collect();
        // Of sorted prefixes, one that begins another begins its neighbour.
        prefixes.sort_unstable();
        for pair in prefixes.windows(2) {
            if let [short, long] = pair
                && long.starts_with(short)
            {
                return request(format!(
                    "Found overlapping prefixes '{short}' and '{long}' for same action type '{kind}'"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
