// SPDX-License-Identifier: Apache-2.0
//! What was asked and answered, as a history that the judge of histories can read: it knows nothing
//! of the model, of copies or of starts.

use std::collections::BTreeMap;

use strongroom_store::Precondition;
use strongroom_testkit::linear::{self, Answer, Call, Operation, Value, Verdict, When};

use crate::model::{Change, Row};

/// Rows as the history knows them: by the numbers at the beginning of their values.
type Key = Vec<u8>;

/// Requests one after the other, each with its answer.
#[derive(Debug, Default)]
pub(super) struct Record {
    history: Vec<Operation<Key>>,
    now: u64,
    numbers: Value,
    /// Writes whose outcome is not known, as long as nobody found it out.
    unknown: Vec<Operation<Key>>,
}

impl Record {
    /// A number that no value had before.
    pub(super) fn number(&mut self) -> [u8; 8] {
        self.numbers += 1;
        self.numbers.to_be_bytes()
    }

    /// A row was read, or that there is none.
    pub(super) fn found(&mut self, key: &[u8], value: Option<&[u8]>) {
        let answer = Answer::Found(value.map(number_of));
        self.note(key, Call::Get, answer);
    }

    /// A commit was answered: each of its changes is a request of its own.
    pub(super) fn committed(
        &mut self,
        rows: &BTreeMap<Key, Row>,
        conditions: &[Precondition],
        changes: &[Change],
        answer: Answer,
    ) {
        for change in changes {
            let (key, value) = match change {
                Change::Put { key, value, .. } => (key, Some(number_of(value))),
                Change::Delete { key } => (key, None),
                Change::Adopt { .. } | Change::Share(_) | Change::Release(_) => continue,
            };
            let when = match when(rows, conditions, key) {
                Some(when) => when,
                None if answer == Answer::Refused => continue,
                None => When::Always,
            };
            let call = value.map_or(Call::Delete(when), |value| Call::Put(value, when));
            self.note(key, call, answer);
        }
    }

    /// It came out whether the writes of unknown outcome happened. From now on that is so.
    pub(super) fn is_known(&mut self, happened: bool) {
        for mut one in std::mem::take(&mut self.unknown) {
            if happened {
                self.now += 1;
                (one.answer, one.returned) = (Answer::Done, self.now);
                self.history.push(one);
            }
        }
    }

    /// Whether one copy, without faults, could have given these answers.
    pub(super) fn judge(mut self) -> Result<(), String> {
        self.history.append(&mut self.unknown);
        match linear::check(&self.history) {
            Verdict::Linearizable => Ok(()),
            Verdict::Undecided { key } => Err(format!("{}: too many orders", super::name(&key))),
            Verdict::Violated { key, stuck, value } => Err(format!(
                "{} is {value:?}, and none of these fits: {stuck:?}",
                super::name(&key)
            )),
        }
    }

    fn note(&mut self, key: &[u8], call: Call, answer: Answer) {
        let called = self.now + 1;
        self.now += 2;
        let one = Operation {
            key: key.to_vec(),
            call,
            answer,
            called,
            returned: self.now,
        };
        if answer == Answer::Unknown {
            self.unknown.push(one);
        } else {
            self.history.push(one);
        }
    }
}

/// The condition on a key, as far as the judge knows such: none for what it does not know.
fn when(rows: &BTreeMap<Key, Row>, conditions: &[Precondition], of: &Key) -> Option<When> {
    let mut on_key = conditions.iter().filter(|one| match one {
        Precondition::Absent { key, .. }
        | Precondition::Present { key, .. }
        | Precondition::SeqIs { key, .. } => key == of,
        Precondition::RangeEmpty { .. } => false,
    });
    match on_key.next() {
        None => Some(When::Always),
        Some(Precondition::Absent { .. }) => Some(When::Absent),
        Some(Precondition::SeqIs { key, seq, .. }) => {
            let row = rows.get(key).filter(|row| row.seq == *seq);
            // A row that was there once: no value has this number any more.
            Some(When::Is(row.map_or(0, |row| number_of(&row.value))))
        }
        Some(Precondition::Present { .. } | Precondition::RangeEmpty { .. }) => None,
    }
}

fn number_of(value: &[u8]) -> Value {
    value
        .first_chunk::<8>()
        .map_or(Value::MAX, |number| Value::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(record: &mut Record, answer: Answer) -> [u8; 8] {
        let number = record.number();
        let change = Change::Put {
            key: b"a".to_vec(),
            value: number.to_vec(),
            blob: None,
        };
        record.committed(&BTreeMap::new(), &[], &[change], answer);
        number
    }

    #[test]
    fn what_one_copy_could_have_answered_is_right() {
        let mut record = Record::default();
        let first = put(&mut record, Answer::Done);
        record.found(b"a", Some(&first));
        let second = put(&mut record, Answer::Unknown);
        record.found(b"a", Some(&first));
        record.is_known(true);
        record.found(b"a", Some(&second));
        record.judge().unwrap();
    }

    #[test]
    fn a_lost_write_an_old_value_and_one_that_came_back_are_wrong() {
        let mut lost = Record::default();
        put(&mut lost, Answer::Done);
        lost.found(b"a", None);
        lost.judge().unwrap_err();
        let mut old = Record::default();
        let first = put(&mut old, Answer::Done);
        put(&mut old, Answer::Done);
        old.found(b"a", Some(&first));
        old.judge().unwrap_err();
        let mut back = Record::default();
        let never = put(&mut back, Answer::Unknown);
        back.is_known(false);
        back.found(b"a", Some(&never));
        back.judge().unwrap_err();
    }
}
