// SPDX-License-Identifier: Apache-2.0
//! Is a history of concurrent requests one that a single copy could have given?
//!
//! The problem: with several clients at once no answer by itself is wrong. What has to hold is that
//! every operation can be put at one moment between its call and its answer so that, done one
//! after the other in that order, all give the answers that were seen.
//!
//! The approach is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with
//! the memory of Lowe ("Testing for linearizability", 2017): search the orders depth first, and
//! never visit the same (set of operations done, value) twice. Reads are done as soon as
//! they fit. Keys do not influence each other, so
//! each is judged alone (P-compositionality, Horn and Kroening 2015).
//!
//! An operation whose outcome is not known (the connection broke, the server was killed) stays open
//! to the end: it may take effect at any later moment, or never.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What a value is known by. Values of different writes have to differ.
pub type Value = u64;

/// One operation on one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation<K> {
    /// The key. Operations on different keys never influence each other.
    pub key: K,
    /// What was asked for.
    pub call: Call,
    /// What came back.
    pub answer: Answer,
    /// The moment before it was asked.
    pub called: u64,
    /// The moment after it was answered; of no meaning when the outcome is unknown.
    pub returned: u64,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// Write this value.
    Put(Value, When),
    /// Take the value away.
    Delete(When),
    /// Tell the value.
    Get,
}

/// Under which condition something is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// Always.
    Always,
    /// When there is no value.
    Absent,
    /// When this is the value.
    Is(Value),
}

/// What came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Of a write: the condition held, and it was done.
    Done,
    /// Of a write: the condition did not hold.
    Refused,
    /// Of a read: this is there, or nothing.
    Found(Option<Value>),
    /// Of a read that told less: something else than this is there, or nothing.
    FoundNot(Value),
    /// Nobody knows. The operation may take effect at any time from its call on, or never.
    Unknown,
}

/// What the search came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<K> {
    /// One copy could have answered so.
    Linearizable,
    /// No order of the operations on this key explains the answers.
    Violated {
        /// The key.
        key: K,
        /// In the order that got furthest, these were next, and none of them fits.
        stuck: Vec<Operation<K>>,
        /// The value then.
        value: Option<Value>,
    },
    /// The search was given up: too many orders for the memory allowed.
    Undecided {
        /// The key.
        key: K,
    },
}

/// Judges a history, in any order.
pub fn check<K: Ord + Clone>(history: &[Operation<K>]) -> Verdict<K> {
    let mut keys: BTreeMap<K, Vec<Operation<K>>> = BTreeMap::new();
    for operation in history {
        let of_key = keys.entry(operation.key.clone()).or_default();
        of_key.push(operation.clone());
    }
    for (key, mut operations) in keys {
        operations.sort_by_key(|operation| operation.called);
        drop_what_explains_nothing(&mut operations);
        let verdict = check_key(&key, &operations);
        if verdict != Verdict::Linearizable {
            return verdict;
        }
    }
    Verdict::Linearizable
}

/// A read without an answer tells nothing. A write of unknown outcome whose value nobody saw can
/// only have helped a condition to fail: where none failed it may as well never have happened.
fn drop_what_explains_nothing<K>(operations: &mut Vec<Operation<K>>) {
    let refused = |operation: &Operation<K>| {
        matches!(operation.answer, Answer::Refused | Answer::FoundNot(_))
    };
    operations.retain(|one| is_answered(one) || one.call != Call::Get);
    if operations.iter().any(refused) {
        return;
    }
    let seen: HashSet<Value> = operations.iter().flat_map(values_seen).collect();
    operations.retain(|operation| match (operation.call, operation.answer) {
        (Call::Put(value, _), Answer::Unknown) => seen.contains(&value),
        _ => true,
    });
}

fn values_seen<K>(operation: &Operation<K>) -> Vec<Value> {
    let mut seen = Vec::new();
    if let Call::Put(_, When::Is(value)) | Call::Delete(When::Is(value)) = operation.call {
        seen.push(value);
    }
    if let Answer::Found(Some(value)) = operation.answer {
        seen.push(value);
    }
    seen
}

/// Operations done so far, and the value that they leave.
#[derive(Clone, Debug)]
struct Node {
    /// Those whose answer is known.
    done: Bits,
    /// Those of unknown outcome that took effect.
    spent: Bits,
    value: Option<Value>,
    explained: usize,
}

/// Where the search has been: for what was done and the value, what it had cost in operations of
/// unknown outcome.
type Seen = HashMap<(Bits, Option<Value>), Vec<Bits>>;

fn check_key<K: Clone>(key: &K, operations: &[Operation<K>]) -> Verdict<K> {
    let to_explain = operations.iter().filter(|one| is_answered(one)).count();
    let first = Node {
        done: Bits::new(operations.len()),
        spent: Bits::new(operations.len()),
        value: None,
        explained: 0,
    };
    let mut furthest = first.clone();
    let (mut seen, mut stack) = (Seen::new(), vec![first]);
    let mut visited = 0_usize;
    while let Some(mut node) = stack.pop() {
        let next = settle(operations, &mut node);
        if node.explained == to_explain {
            return Verdict::Linearizable;
        }
        if !is_new(&mut seen, &node) {
            continue;
        }
        if node.explained > furthest.explained {
            furthest = node.clone();
        }
        for (index, operation) in next {
            let Some(value) = step(node.value, operation) else {
                continue;
            };
            let mut after = node.clone();
            after.value = value;
            if is_answered(operation) {
                after.done.set(index);
                after.explained = after.explained.saturating_add(1);
            } else if value == node.value {
                // That it happened changes nothing: it may as well happen later, or never.
                continue;
            } else {
                after.spent.set(index);
            }
            stack.push(after);
        }
        visited = visited.saturating_add(1);
        if visited > NODES_MAX {
            return Verdict::Undecided { key: key.clone() };
        }
    }
    let next = candidates(operations, &furthest);
    Verdict::Violated {
        key: key.clone(),
        stuck: next.into_iter().map(|(_, one)| one.clone()).collect(),
        value: furthest.value,
    }
}

fn is_answered<K>(operation: &Operation<K>) -> bool {
    operation.answer != Answer::Unknown
}

/// Does what fits now and never changes anything, reads and refusals: whatever order explains the
/// rest, it explains it with these in front, too. Returns what may come then, in the order in which to try it, last first.
fn settle<'a, K>(
    operations: &'a [Operation<K>],
    node: &mut Node,
) -> Vec<(usize, &'a Operation<K>)> {
    loop {
        let mut next = candidates(operations, node);
        let idle = |(_, one): &&(usize, &Operation<K>)| {
            !matches!(one.answer, Answer::Unknown | Answer::Done) && step(node.value, one).is_some()
        };
        let Some(&(index, _)) = next.iter().find(idle) else {
            next.reverse();
            next.sort_by_key(|(_, operation)| is_answered(operation));
            return next;
        };
        node.done.set(index);
        node.explained = node.explained.saturating_add(1);
    }
}

/// Whether nobody has been here at the same cost or for less.
fn is_new(seen: &mut Seen, node: &Node) -> bool {
    let costs = seen.entry((node.done.clone(), node.value)).or_default();
    if costs.iter().any(|cost| cost.is_within(&node.spent)) {
        return false;
    }
    costs.retain(|cost| !node.spent.is_within(cost));
    costs.push(node.spent.clone());
    true
}

/// What may come next: everything that was called before the first of the others returned.
fn candidates<'a, K>(
    operations: &'a [Operation<K>],
    node: &Node,
) -> Vec<(usize, &'a Operation<K>)> {
    let mut first_return = u64::MAX;
    let mut found = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        if operation.called > first_return {
            break;
        }
        if node.done.has(index) || node.spent.has(index) {
            continue;
        }
        if is_answered(operation) {
            first_return = first_return.min(operation.returned);
        }
        found.push((index, operation));
    }
    found.retain(|(_, operation)| operation.called <= first_return);
    found
}

/// The value after an operation; `None` when its answer does not fit the value before.
#[expect(
    clippy::option_option,
    reason = "no value is a value; no answer that fits is another thing"
)]
fn step<K>(value: Option<Value>, operation: &Operation<K>) -> Option<Option<Value>> {
    let (when, after) = match operation.call {
        Call::Put(written, when) => (when, Some(written)),
        Call::Delete(when) => (when, None),
        Call::Get => {
            let fits = match operation.answer {
                Answer::Found(found) => found == value,
                Answer::FoundNot(other) => value != Some(other),
                Answer::Unknown => true,
                Answer::Done | Answer::Refused => false,
            };
            return fits.then_some(value);
        }
    };
    let holds = match when {
        When::Always => true,
        When::Absent => value.is_none(),
        When::Is(wanted) => value == Some(wanted),
    };
    match (operation.answer, holds) {
        (Answer::Done | Answer::Unknown, true) => Some(after),
        (Answer::Refused | Answer::Unknown, false) => Some(value),
        _ => None,
    }
}

/// A set of small numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn has(&self, at: usize) -> bool {
        let word = self.0.get(at / 64);
        word.is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    fn set(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn is_within(&self, other: &Self) -> bool {
        let mut words = self.0.iter().zip(&other.0);
        words.all(|(ours, theirs)| ours & !theirs == 0)
    }
}

/// Some hundred megabytes.
const NODES_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests;
