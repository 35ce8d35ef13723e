// SPDX-License-Identifier: Apache-2.0
//! The checker against histories that are right by their making, against ones that are wrong by
//! their making, and against trying all orders.

use super::*;
use crate::SimRng;

type Op = Operation<u8>;

fn op(call: Call, answer: Answer, called: u64, returned: u64) -> Op {
    Operation {
        key: 0,
        call,
        answer,
        called,
        returned,
    }
}

fn put(value: Value, called: u64, returned: u64) -> Op {
    op(
        Call::Put(value, When::Always),
        Answer::Done,
        called,
        returned,
    )
}

fn get(found: Option<Value>, called: u64, returned: u64) -> Op {
    op(Call::Get, Answer::Found(found), called, returned)
}

fn holds(history: &[Op]) -> bool {
    match check(history) {
        Verdict::Linearizable => true,
        Verdict::Violated { .. } => false,
        Verdict::Undecided { .. } => panic!("undecided: {history:?}"),
    }
}

#[test]
fn one_after_the_other() {
    assert!(holds(&[put(1, 0, 1), get(Some(1), 2, 3)]));
    assert!(!holds(&[put(1, 0, 1), get(None, 2, 3)]));
    assert!(!holds(&[get(Some(1), 0, 1), put(1, 2, 3)]));
}

#[test]
fn at_the_same_time_either_order_holds() {
    assert!(holds(&[put(1, 0, 9), get(None, 1, 2)]));
    assert!(holds(&[put(1, 0, 9), get(Some(1), 1, 2)]));
    // But once seen it stays.
    let history = [put(1, 0, 9), get(Some(1), 1, 2), get(None, 3, 4)];
    assert!(!holds(&history));
}

#[test]
fn an_unknown_write_may_come_late_or_never_but_only_once() {
    let unknown = op(Call::Put(7, When::Always), Answer::Unknown, 0, 0);
    assert!(holds(&[
        unknown.clone(),
        get(None, 5, 6),
        get(Some(7), 7, 8)
    ]));
    assert!(holds(&[unknown.clone(), get(None, 5, 6), put(2, 7, 8)]));
    let twice = [
        unknown.clone(),
        get(Some(7), 1, 2),
        put(2, 3, 4),
        get(Some(7), 5, 6),
    ];
    assert!(!holds(&twice));
    // Not before it was asked for.
    let early = op(Call::Put(7, When::Always), Answer::Unknown, 4, 0);
    assert!(!holds(&[early, get(Some(7), 0, 1)]));
}

#[test]
fn an_unknown_write_explains_a_condition_that_failed() {
    let unknown = op(Call::Put(7, When::Always), Answer::Unknown, 0, 0);
    let refused = op(Call::Put(8, When::Absent), Answer::Refused, 2, 3);
    assert!(holds(&[unknown, refused.clone()]));
    assert!(!holds(&[refused]));
}

#[test]
fn conditions_are_judged_against_the_value() {
    let swap = |from, to, answer, at| op(Call::Put(to, When::Is(from)), answer, at, at + 1);
    assert!(holds(&[
        put(1, 0, 1),
        swap(1, 2, Answer::Done, 2),
        swap(1, 3, Answer::Refused, 4),
        op(Call::Delete(When::Is(2)), Answer::Done, 6, 7),
        op(Call::Put(4, When::Absent), Answer::Done, 8, 9),
        op(Call::Get, Answer::FoundNot(2), 10, 11),
    ]));
    assert!(!holds(&[put(1, 0, 1), swap(1, 2, Answer::Refused, 2)]));
    assert!(!holds(&[put(1, 0, 1), swap(9, 2, Answer::Done, 2)]));
    assert!(!holds(&[
        put(1, 0, 1),
        op(Call::Get, Answer::FoundNot(1), 2, 3)
    ]));
    assert!(!holds(&[
        put(1, 0, 1),
        op(Call::Put(2, When::Absent), Answer::Done, 2, 3)
    ]));
}

#[test]
fn the_key_is_named_and_the_operation_that_does_not_fit() {
    let mut wrong = get(None, 2, 3);
    wrong.key = 9;
    let mut before = put(5, 0, 1);
    before.key = 9;
    let history = [put(1, 0, 1), get(Some(1), 2, 3), before, wrong.clone()];
    let Verdict::Violated { key, stuck, value } = check(&history) else {
        panic!("not found");
    };
    assert_eq!((key, stuck, value), (9, vec![wrong], Some(5)));
}

/// Every order of every choice of the unknown operations: slow and obviously right.
fn by_all_orders(operations: &[Op], value: Option<Value>) -> bool {
    let open = |one: &Op| one.answer == Answer::Unknown;
    if operations.iter().all(open) {
        return true;
    }
    (0..operations.len()).any(|at| {
        let mut others = operations.to_vec();
        let next = others.remove(at);
        let is_first = others
            .iter()
            .all(|other| open(other) || next.called <= other.returned);
        is_first && step(value, &next).is_some_and(|after| by_all_orders(&others, after))
    })
}

#[test]
fn small_histories_are_judged_as_by_trying_all_orders() {
    let mut verdicts = [0_u32; 2];
    for seed in 0..60_000 {
        let mut rng = SimRng::new(seed);
        let count = 1 + rng.index(6);
        let history: Vec<Op> = (0..count).map(|_| any_operation(&mut rng)).collect();
        let expected = by_all_orders(&history, None);
        assert_eq!(holds(&history), expected, "seed {seed}: {history:?}");
        verdicts[usize::from(expected)] += 1;
    }
    assert!(verdicts.iter().all(|count| *count > 5_000), "{verdicts:?}");
}

fn any_operation(rng: &mut SimRng) -> Op {
    let value = rng.below(3);
    let when = match rng.below(4) {
        0 => When::Absent,
        1 => When::Is(rng.below(3)),
        _ => When::Always,
    };
    let (call, answer) = match rng.below(5) {
        0 | 1 => (Call::Get, Answer::Found((value > 0).then_some(value))),
        2 => (Call::Delete(when), Answer::Done),
        _ => (Call::Put(value, when), Answer::Done),
    };
    let answer = match (rng.below(6), call) {
        (0, _) => Answer::Unknown,
        (1, Call::Get) => Answer::FoundNot(value),
        (1, _) if when != When::Always => Answer::Refused,
        _ => answer,
    };
    let called = rng.below(12);
    op(call, answer, called, called + 1 + rng.below(6))
}

/// A history of a register that is right by its making: every operation takes effect at one moment
/// between its call and its answer, some without an answer, some never.
fn right_history(rng: &mut SimRng, operations: u64) -> Vec<Op> {
    let mut moments = Vec::new();
    for number in 0..operations {
        let at = number * 10;
        let called = at.saturating_sub(rng.below(50));
        let is_lost = rng.one_in(20);
        moments.push((at, called, at + rng.below(50), is_lost));
    }
    let mut value = None;
    let mut written = Vec::new();
    let mut history = Vec::new();
    for (number, (at, called, returned, is_lost)) in (1..).zip(moments) {
        let known = written.last().copied().unwrap_or(0);
        let when = match rng.below(6) {
            0 => When::Absent,
            1 => When::Is(value.unwrap_or(known)),
            2 => When::Is(known),
            _ => When::Always,
        };
        let call = match rng.below(8) {
            0..3 => Call::Get,
            3 => Call::Delete(when),
            _ => Call::Put(number, when),
        };
        let mut one = op(call, Answer::Unknown, called, returned);
        let never = is_lost && rng.one_in(2);
        if !never {
            let answers = [Answer::Found(value), Answer::Done, Answer::Refused];
            let (answer, after) = answers
                .into_iter()
                .find_map(|answer| {
                    one.answer = answer;
                    step(value, &one).map(|after| (answer, after))
                })
                .unwrap();
            if after != value {
                written.extend(after);
            }
            (one.answer, value) = (answer, after);
        }
        if is_lost {
            one.answer = Answer::Unknown;
        }
        assert!(one.called <= at && at <= one.returned);
        history.push(one);
    }
    history
}

const SEEDS: u64 = 400;
const LENGTH: u64 = 120;

#[test]
fn what_is_right_by_its_making_is_never_flagged() {
    for seed in 0..SEEDS {
        let history = right_history(&mut SimRng::new(seed), LENGTH);
        assert!(holds(&history), "seed {seed}");
    }
}

/// A read that shows what was overwritten before the read began.
fn with_stale_read(rng: &mut SimRng, mut history: Vec<Op>) -> Vec<Op> {
    let end = history.iter().map(|one| one.returned).max().unwrap();
    let (old, new) = (1_000_001, 1_000_002);
    let at = end + 1 + rng.below(5);
    history.extend([
        put(old, at, at + 3),
        get(Some(old), at + 4, at + 5),
        put(new, at + 6, at + 8),
        get(Some(old), at + 9, at + 12),
    ]);
    history
}

/// Two writes on the condition of one and the same value, and both were done.
fn with_lost_update(rng: &mut SimRng, mut history: Vec<Op>) -> Vec<Op> {
    let end = history.iter().map(|one| one.returned).max().unwrap();
    let (seen, at) = (1_000_001, end + 1);
    let swap = |to, called, returned| {
        op(
            Call::Put(to, When::Is(seen)),
            Answer::Done,
            called,
            returned,
        )
    };
    let later = at + 4 + rng.below(4);
    history.extend([
        put(seen, at, at + 2),
        swap(1_000_002, at + 3, at + 9),
        swap(1_000_003, later, later + 5),
    ]);
    history
}

/// A value that is there again after its delete was answered.
fn with_resurrected_delete(rng: &mut SimRng, mut history: Vec<Op>) -> Vec<Op> {
    let end = history.iter().map(|one| one.returned).max().unwrap();
    let (value, at) = (1_000_001, end + 1);
    let later = at + 6 + rng.below(9);
    history.extend([
        put(value, at, at + 2),
        op(Call::Delete(When::Always), Answer::Done, at + 3, at + 5),
        get(Some(value), later, later + 5),
    ]);
    history
}

/// A read in the middle of the history that shows a value overwritten long before.
fn with_read_of_the_past(rng: &mut SimRng, mut history: Vec<Op>) -> Option<Vec<Op>> {
    let puts: Vec<Op> = history
        .iter()
        .filter(|one| matches!(one.call, Call::Put(_, When::Always)) && one.answer == Answer::Done)
        .cloned()
        .collect();
    let old = puts.get(rng.index(puts.len() / 2))?;
    let Call::Put(value, _) = old.call else {
        return None;
    };
    let over = puts.iter().find(|one| one.called > old.returned)?;
    let read = history
        .iter_mut()
        .find(|one| matches!(one.answer, Answer::Found(_)) && one.called > over.returned)?;
    read.answer = Answer::Found(Some(value));
    Some(history)
}

#[test]
fn every_injected_anomaly_is_flagged() {
    let anomalies = [with_stale_read, with_lost_update, with_resurrected_delete];
    for seed in 0..SEEDS {
        let mut rng = SimRng::new(seed);
        let history = right_history(&mut rng, LENGTH);
        for (number, inject) in anomalies.iter().enumerate() {
            let spoiled = inject(&mut rng, history.clone());
            assert!(!holds(&spoiled), "seed {seed}, anomaly {number}");
        }
    }
}

#[test]
fn reads_of_the_past_are_flagged_wherever_they_are() {
    let mut injected = 0;
    for seed in 0..SEEDS {
        let mut rng = SimRng::new(seed);
        let history = right_history(&mut rng, LENGTH);
        if let Some(spoiled) = with_read_of_the_past(&mut rng, history) {
            assert!(!holds(&spoiled), "seed {seed}");
            injected += 1;
        }
    }
    assert!(injected > SEEDS / 2, "{injected}");
}
