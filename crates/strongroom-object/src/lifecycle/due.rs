// SPDX-License-Identifier: Apache-2.0
//! What is due: a version, the rules of its bucket and a time in, an action out. No I/O, no clock.

use super::rules::{Expiration, LifecycleConfiguration, LifecycleRule, TransitionMinimum, When};
use crate::objects::ObjectsOptions;
use crate::storage_class::StorageClass;

/// Smaller objects are not moved, where a rule says nothing of sizes.
const TRANSITION_BYTES_MIN: u64 = 128 * 1024;

/// When a rule will delete an object: `x-amz-expiration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectExpiry {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// The rule.
    pub rule_id: String,
}

/// A version as rules see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version<'a> {
    pub name: &'a str,
    /// 0 for a delete marker.
    pub size: u64,
    pub created_ms: u64,
    /// `None` for a delete marker.
    pub class: Option<StorageClass>,
}

/// What stands around a version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing {
    /// Nothing is newer.
    Current {
        /// Nothing is older either.
        alone: bool,
        /// A delete keeps its bytes, behind a delete marker.
        kept: bool,
    },
    /// Since when something is newer, and how many noncurrent versions are.
    Noncurrent { since_ms: u64, newer: u32 },
}

/// What is to be done with a version, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due<'r> {
    pub act: Act,
    pub rule: &'r LifecycleRule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// As by a DELETE without a version id.
    Expire,
    /// A delete marker with nothing behind it goes.
    RemoveMarker,
    /// A noncurrent version goes for good.
    RemoveVersion,
    Move(StorageClass),
}

/// Rules and how time is counted.
#[derive(Clone, Copy)]
pub(super) struct Rules<'r> {
    pub configuration: &'r LifecycleConfiguration,
    pub options: &'r ObjectsOptions,
}

impl<'r> Rules<'r> {
    fn enabled(self) -> impl Iterator<Item = &'r LifecycleRule> {
        let rules = self.configuration.rules().iter();
        rules.filter(|rule| rule.enabled)
    }

    /// What is due for a version at a time. Of several classes the one furthest down the waterfall
    /// counts.
    pub(super) fn due(
        self,
        version: Version<'_>,
        standing: Standing,
        now_ms: u64,
    ) -> Option<Due<'r>> {
        match standing {
            Standing::Current { alone, kept } => self.due_current(version, alone, kept, now_ms),
            Standing::Noncurrent { since_ms, newer } => {
                self.due_noncurrent(version, since_ms, newer, now_ms)
            }
        }
    }

    fn due_current(
        self,
        version: Version<'_>,
        alone: bool,
        kept: bool,
        now_ms: u64,
    ) -> Option<Due<'r>> {
        let taking = |rule: &&LifecycleRule| rule.filter.takes(version.name, version.size);
        let is_marker = version.class.is_none();
        let ended = self.enabled().filter(taking).find(|rule| {
            match rule.expiration {
                // A marker has no end of its own, but for what it hides.
                Some(Expiration::At(when)) => {
                    (!is_marker || alone) && self.at(when, version.created_ms) <= now_ms
                }
                Some(Expiration::DeleteMarker(wanted)) => wanted && is_marker && alone,
                None => false,
            }
        });
        let act = if is_marker {
            Act::RemoveMarker
        } else {
            Act::Expire
        };
        let ended = ended.map(|rule| Due { act, rule });
        // As in S3, another class comes before a delete marker, and an end for good before both.
        if ended.is_some() && !kept {
            return ended;
        }
        let moves = self.enabled().filter(taking).flat_map(|rule| {
            let due = rule
                .transitions
                .iter()
                .filter(move |next| self.at(next.when, version.created_ms) <= now_ms);
            due.map(move |next| (next.class, rule))
        });
        self.furthest(version, moves).or(ended)
    }

    fn due_noncurrent(
        self,
        version: Version<'_>,
        since_ms: u64,
        newer: u32,
        now_ms: u64,
    ) -> Option<Due<'r>> {
        let taking = |rule: &&LifecycleRule| rule.filter.takes(version.name, version.size);
        let reached = |days: u32, wanted: Option<u32>| {
            wanted.is_none_or(|wanted| newer >= wanted)
                && self.options.days_later(since_ms, days) <= now_ms
        };
        let ended = self.enabled().filter(taking).find(|rule| {
            let end = rule.noncurrent_expiration;
            end.is_some_and(|end| reached(end.days, end.newer))
        });
        if let Some(rule) = ended {
            let act = Act::RemoveVersion;
            return Some(Due { act, rule });
        }
        let moves = self.enabled().filter(taking).flat_map(|rule| {
            let all = rule.noncurrent_transitions.iter();
            let due = all.filter(move |next| reached(next.days, next.newer));
            due.map(move |next| (next.class, rule))
        });
        self.furthest(version, moves)
    }

    fn furthest(
        self,
        version: Version<'_>,
        moves: impl Iterator<Item = (StorageClass, &'r LifecycleRule)>,
    ) -> Option<Due<'r>> {
        let class = version.class?;
        let allowed =
            moves.filter(|(to, rule)| *to > class && self.is_large_enough(version, *to, rule));
        let (to, rule) = allowed.max_by_key(|(to, _)| *to)?;
        let act = Act::Move(to);
        Some(Due { act, rule })
    }

    fn is_large_enough(self, version: Version<'_>, to: StorageClass, rule: &LifecycleRule) -> bool {
        let says_sizes = rule.filter.larger_than.is_some() || rule.filter.smaller_than.is_some();
        let any_size = match self.configuration.minimum() {
            TransitionMinimum::AllClasses => false,
            TransitionMinimum::ByClass => to.is_archive(),
        };
        says_sizes || any_size || version.size >= TRANSITION_BYTES_MIN
    }

    fn at(self, when: When, from_ms: u64) -> u64 {
        match when {
            When::Days(days) => self.options.days_later(from_ms, days),
            When::Date(at_ms) => at_ms,
        }
    }

    /// When a current object will be deleted; of several rules the earliest says.
    pub(super) fn expiry(self, name: &str, size: u64, created_ms: u64) -> Option<ObjectExpiry> {
        let rules = self.enabled().filter(|rule| rule.filter.takes(name, size));
        let ends = rules.filter_map(|rule| match rule.expiration {
            Some(Expiration::At(when)) => Some((self.at(when, created_ms), rule)),
            Some(Expiration::DeleteMarker(_)) | None => None,
        });
        // `min_by_key` takes the first of several that are equal.
        let (at_ms, rule) = ends.min_by_key(|(at_ms, _)| *at_ms)?;
        Some(ObjectExpiry {
            at_ms,
            rule_id: rule.id.clone(),
        })
    }

    /// When an upload will be aborted, and by which rule.
    pub(super) fn abort(self, name: &str, initiated_ms: u64) -> Option<(u64, &'r LifecycleRule)> {
        let rules = self.enabled().filter(|rule| rule.filter.takes_name(name));
        let ends = rules.filter_map(|rule| {
            let days = rule.abort_days?;
            Some((self.options.days_later(initiated_ms, days), rule))
        });
        ends.min_by_key(|(at_ms, _)| *at_ms)
    }
}

#[cfg(test)]
mod tests;
