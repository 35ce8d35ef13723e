// SPDX-License-Identifier: Apache-2.0
//! What the log was told already, so that it is not told every minute.

use std::collections::BTreeMap;

/// Troubles that are still there, each with its words and when they were logged.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<String, (String, u64)>);

impl Told {
    /// Takes the troubles that there are now, each under a name of its own. Returns those to log:
    /// what is new, what has changed, and what was logged a day ago.
    pub(crate) fn news(
        &mut self,
        now_ms: u64,
        troubles: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<(String, String)> {
        let mut still = BTreeMap::new();
        let mut news = Vec::new();
        for (name, words) in troubles {
            let told_ms = match self.0.get(&name) {
                Some((told, told_ms))
                    if *told == words && now_ms.saturating_sub(*told_ms) < REMINDER_MS =>
                {
                    *told_ms
                }
                _ => {
                    news.push((name.clone(), words.clone()));
                    now_ms
                }
            };
            still.insert(name, (words, told_ms));
        }
        self.0 = still;
        news
    }
}

const REMINDER_MS: u64 = 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn trouble(name: &str, words: &str) -> (String, String) {
        (name.to_owned(), words.to_owned())
    }

    /// A file of the vault that is kept was logged every minute, for months.
    #[test]
    fn what_stays_is_told_once_a_day_and_what_changes_at_once() {
        let mut told = Told::default();
        let (a, b) = (trouble("a", "is kept"), trouble("b", "cannot be read"));
        assert_eq!(told.news(0, [a.clone()]), from_ref(&a));
        for minute in 1..1_440 {
            assert_eq!(told.news(minute * 60_000, [a.clone()]), []);
        }
        assert_eq!(told.news(REMINDER_MS, [a.clone()]), from_ref(&a));
        let later_ms = REMINDER_MS + 60_000;
        assert_eq!(told.news(later_ms, [a.clone(), b.clone()]), from_ref(&b));
        let other = trouble("a", "is gone");
        assert_eq!(
            told.news(later_ms, [other.clone(), b.clone()]),
            from_ref(&other)
        );
        // What went and came back is new.
        assert_eq!(told.news(later_ms, [b.clone()]), []);
        assert_eq!(told.news(later_ms, [b, other.clone()]), [other]);
    }
}
