// SPDX-License-Identifier: Apache-2.0
//! Histories as clients write them down: JSON, one request a line.
//!
//! ```text
//! {"key": "a", "call": 10, "return": 15, "op": "put", "value": "v1", "when": "absent",
//!  "result": "done"}
//! {"key": "a", "call": 12, "return": 17, "op": "get", "result": "found", "value": "v1"}
//! ```

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use strongroom_testkit::linear::{self, Answer, Call, Operation, Value, Verdict, When};

/// One line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    /// Moments of one clock, in any unit.
    call: u64,
    /// Nothing when there was no answer.
    #[serde(rename = "return")]
    returned: Option<u64>,
    op: Op,
    /// What was written, or what was found.
    value: Option<String>,
    /// `absent`, or the value that has to be there.
    when: Option<Condition>,
    result: Outcome,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Put,
    Delete,
    Get,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Condition {
    Absent,
    Is(String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Done,
    Refused,
    Found,
    Missing,
    FoundNot,
    Unknown,
}

/// Operations, and what their values were called.
type History = (Vec<Operation<String>>, HashMap<Value, String>);

/// Judges the history in a file.
pub(crate) fn judge(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let (history, names) = parse(&text)?;
    let name = |value: Value| names.get(&value).map_or("?", String::as_str);
    match linear::check(&history) {
        Verdict::Linearizable => Ok(format!("linearizable: {} requests", history.len())),
        Verdict::Undecided { key } => Err(format!("undecided: `{key}` has too many orders")),
        Verdict::Violated { key, stuck, value } => {
            let mut lines = vec![format!(
                "not linearizable: `{key}` is {}, and none of these fits:",
                value.map_or("nothing", name)
            )];
            for one in stuck {
                let Operation {
                    called, returned, ..
                } = one;
                let told = format!("{:?} -> {:?}", one.call, one.answer);
                let told = names.iter().fold(told, |told, (value, name)| {
                    told.replace(&format!("({value}"), &format!("({name}"))
                });
                lines.push(format!("  {called}..{returned}: {told}"));
            }
            Err(lines.join("\n"))
        }
    }
}

fn parse(text: &str) -> Result<History, String> {
    let mut numbers: HashMap<String, Value> = HashMap::new();
    let mut history = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let wrong = |what: String| format!("line {at}: {what}");
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let mut number = |value: String| {
            let next = Value::try_from(numbers.len()).unwrap_or(Value::MAX);
            *numbers.entry(value).or_insert(next)
        };
        let value = line.value.map(&mut number);
        let when = match line.when {
            None => When::Always,
            Some(Condition::Absent) => When::Absent,
            Some(Condition::Is(value)) => When::Is(number(value)),
        };
        let (call, answer) = match (line.op, line.result, value) {
            (Op::Get, Outcome::Found, Some(value)) => (Call::Get, Answer::Found(Some(value))),
            (Op::Get, Outcome::FoundNot, Some(value)) => (Call::Get, Answer::FoundNot(value)),
            (Op::Get, Outcome::Missing, None) => (Call::Get, Answer::Found(None)),
            (Op::Get, Outcome::Unknown, None) => (Call::Get, Answer::Unknown),
            (Op::Put, result, Some(value)) => (Call::Put(value, when), written(&result, at)?),
            (Op::Delete, result, None) => (Call::Delete(when), written(&result, at)?),
            (op, result, _) => return Err(wrong(format!("{op:?} cannot be {result:?} so"))),
        };
        let returned = match (line.returned, answer) {
            (Some(returned), _) if returned >= line.call => returned,
            (None, Answer::Unknown) => u64::MAX,
            _ => return Err(wrong("it ends before it begins".to_owned())),
        };
        history.push(Operation {
            key: line.key,
            call,
            answer,
            called: line.call,
            returned,
        });
    }
    let names = numbers.into_iter().map(|(name, value)| (value, name));
    Ok((history, names.collect()))
}

fn written(result: &Outcome, at: u64) -> Result<Answer, String> {
    match result {
        Outcome::Done => Ok(Answer::Done),
        Outcome::Refused => Ok(Answer::Refused),
        Outcome::Unknown => Ok(Answer::Unknown),
        other => Err(format!("line {at}: a write cannot be {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"key":"a","call":0,"return":1,"op":"put","value":"v1","result":"done"}
{"key":"a","call":2,"return":3,"op":"put","value":"v2","when":{"is":"v1"},"result":"done"}
{"key":"a","call":4,"return":5,"op":"put","value":"v3","when":"absent","result":"refused"}
{"key":"a","call":6,"op":"delete","result":"unknown"}
{"key":"a","call":7,"return":8,"op":"get","value":"v2","result":"found"}
{"key":"a","call":9,"return":10,"op":"get","result":"missing"}
{"key":"a","call":9,"return":10,"op":"get","value":"v2","result":"found-not"}"#;

    #[test]
    fn a_history_is_read() {
        let (history, names) = parse(GOOD).unwrap();
        assert_eq!((history.len(), names.len()), (7, 3));
        assert_eq!(linear::check(&history), Verdict::Linearizable);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "{}",
            r#"{"key":"a","call":5,"return":4,"op":"get","result":"missing"}"#,
            r#"{"key":"a","call":5,"op":"get","result":"missing"}"#,
            r#"{"key":"a","call":5,"return":6,"op":"get","result":"done"}"#,
            r#"{"key":"a","call":5,"return":6,"op":"get","result":"found"}"#,
            r#"{"key":"a","call":5,"return":6,"op":"put","result":"done"}"#,
            r#"{"key":"a","call":5,"return":6,"op":"put","value":"v","result":"found"}"#,
            r#"{"key":"a","call":5,"return":6,"op":"delete","value":"v","result":"done"}"#,
            r#"{"key":"a","call":5,"return":6,"op":"get","result":"missing","more":1}"#,
        ] {
            assert!(parse(&format!("{line}\n")).is_err(), "{line}");
        }
    }
}
