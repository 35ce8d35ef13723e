// SPDX-License-Identifier: Apache-2.0
//! Comparing a text with a pattern, in a time that no policy and no request can blow up.
//!
//! A pattern is cut at its `*`. The first piece has to stand at the start of the text and the last
//! one at its end; each between has to stand at its earliest place behind the one before, which is
//! enough. So nothing is tried twice, and what remains is to find one piece in a text:
//!
//! - a piece without `?` is found by the search of the standard library, in linear time;
//! - one with `?` by a set of places that moves along the text (R. Baeza-Yates and G. Gonnet, "A
//!   new approach to text searching", 1992): 64 characters of the piece at once.

use std::collections::HashMap;

use crate::pattern::{Case, Token};

/// Whether the tokens describe all of `subject`.
pub(crate) fn glob(tokens: &[Token], subject: &str, case: Case) -> bool {
    // Most patterns, told without being taken apart.
    match (tokens, case) {
        ([Token::Many], _) => return true,
        ([Token::Text(text)], Case::Matters) => return subject == text,
        ([Token::Text(text)], Case::Ignored) => return subject.eq_ignore_ascii_case(text),
        ([Token::Text(_), Token::Many], _) => {
            return behind(tokens.get(..1).unwrap_or_default(), subject, case).is_some();
        }
        _ => {}
    }
    // Patterns are resolved before; what could not be matches nothing.
    if tokens
        .iter()
        .any(|token| matches!(token, Token::Variable { .. }))
    {
        return false;
    }
    let mut pieces = tokens.split(|token| *token == Token::Many);
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = behind(first, subject, case) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match find(piece, rest, case) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    ends_with(last, rest, case)
}

/// What stands behind a piece at the start of a text.
fn behind<'a>(piece: &[Token], text: &'a str, case: Case) -> Option<&'a str> {
    piece.iter().try_fold(text, |rest, token| match token {
        Token::Text(text) => match case {
            Case::Matters => rest.strip_prefix(text.as_str()),
            Case::Ignored => {
                let start = rest.get(..text.len())?;
                let rest = rest.get(text.len()..)?;
                start.eq_ignore_ascii_case(text).then_some(rest)
            }
        },
        _ => without_first(rest),
    })
}

/// Whether a text ends with a piece.
fn ends_with(piece: &[Token], text: &str, case: Case) -> bool {
    let before = piece
        .iter()
        .rev()
        .try_fold(text, |rest, token| match token {
            Token::Text(text) => match case {
                Case::Matters => rest.strip_suffix(text.as_str()),
                Case::Ignored => {
                    let from = rest.len().checked_sub(text.len())?;
                    let end = rest.get(from..)?;
                    end.eq_ignore_ascii_case(text).then_some(rest.get(..from)?)
                }
            },
            _ => without_last(rest),
        });
    before.is_some()
}

/// What stands behind the first place of a piece in a text.
fn find<'a>(piece: &[Token], text: &'a str, case: Case) -> Option<&'a str> {
    if let ([Token::Text(wanted)], Case::Matters) = (piece, case) {
        return text.split_once(wanted.as_str()).map(|(_, behind)| behind);
    }
    // Most texts lack one of the words, which the standard library sees much sooner.
    let lacks = |token: &Token| match token {
        Token::Text(word) => !text.contains(word.as_str()),
        _ => false,
    };
    if case == Case::Matters && piece.iter().any(lacks) {
        return None;
    }
    let letters = letters(piece, case, text.len())?;
    // For what is short the simple way is the quick one, and needs no memory.
    if letters.len().saturating_mul(text.len()) <= SIMPLE_MAX {
        let mut rest = text;
        loop {
            if let Some(behind) = behind(piece, rest, case) {
                return Some(behind);
            }
            rest = without_first(rest)?;
        }
    }
    if letters.len() <= WORD_BITS {
        find_few_letters(&letters, text, case)
    } else {
        find_letters(&letters, text, case)
    }
}

/// The characters of a piece, `None` for `?`; not of one that is longer than `longest`.
fn letters(piece: &[Token], case: Case, longest: usize) -> Option<Vec<Option<char>>> {
    let mut letters = Vec::new();
    for token in piece {
        match token {
            Token::Text(text) if letters.len().saturating_add(text.len() / 4) <= longest => {
                letters.extend(text.chars().map(|letter| Some(folded(letter, case))));
            }
            Token::Text(_) => return None,
            _ => letters.push(None),
        }
        if letters.len() > longest {
            return None;
        }
    }
    Some(letters)
}

/// [`find_letters`] for no more letters than one word has bits.
fn find_few_letters<'a>(letters: &[Option<char>], text: &'a str, case: Case) -> Option<&'a str> {
    let (mut any, mut ascii, mut others) = (0_u64, [0_u64; 128], Vec::new());
    for (at, letter) in letters.iter().enumerate() {
        let bit = 1_u64 << (at % WORD_BITS);
        match letter {
            None => any |= bit,
            Some(letter) => match ascii.get_mut(index(*letter)) {
                Some(set) => *set |= bit,
                None => others.push((*letter, bit)),
            },
        }
    }
    let last_bit = 1_u64 << (letters.len().checked_sub(1)? % WORD_BITS);
    let mut set = 0_u64;
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        let letter = folded(letter, case);
        let own = ascii.get(index(letter)).copied().unwrap_or_else(|| {
            let same = others.iter().filter(|(other, _)| *other == letter);
            same.fold(0, |set, (_, bit)| set | bit)
        });
        set = (set << 1 | 1) & (own | any);
        if set & last_bit != 0 {
            return Some(rest.as_str());
        }
    }
    None
}

/// Bit `i` of the set says that the first `i + 1` letters stand just before this place.
fn find_letters<'a>(letters: &[Option<char>], text: &'a str, case: Case) -> Option<&'a str> {
    let words = letters.len().div_ceil(WORD_BITS);
    let mut any = vec![0_u64; words];
    let mut ascii = vec![Vec::new(); 128];
    let mut others: HashMap<char, Vec<u64>> = HashMap::new();
    for (at, letter) in letters.iter().enumerate() {
        let (word, bit) = (at / WORD_BITS, 1_u64 << (at % WORD_BITS));
        let set = match letter {
            Some(letter) => match ascii.get_mut(index(*letter)) {
                Some(set) => {
                    set.resize(words, 0);
                    set
                }
                None => others.entry(*letter).or_insert_with(|| vec![0; words]),
            },
            None => &mut any,
        };
        if let Some(set) = set.get_mut(word) {
            *set |= bit;
        }
    }
    let last = letters.len().checked_sub(1)?;
    let (last_word, last_bit) = (last / WORD_BITS, 1_u64 << (last % WORD_BITS));
    let none = vec![0_u64; words];
    let mut set = none.clone();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        let letter = folded(letter, case);
        let own = match ascii.get(index(letter)) {
            Some(set) if set.is_empty() => &none,
            Some(set) => set,
            None => others.get(&letter).unwrap_or(&none),
        };
        let mut carry = 1;
        for ((word, own), any) in set.iter_mut().zip(own).zip(&any) {
            let out = *word >> (WORD_BITS - 1);
            *word = (*word << 1 | carry) & (own | any);
            carry = out;
        }
        if set.get(last_word).is_some_and(|word| word & last_bit != 0) {
            return Some(rest.as_str());
        }
    }
    None
}

/// Where a letter stands in a list of all characters.
fn index(letter: char) -> usize {
    usize::try_from(u32::from(letter)).unwrap_or(usize::MAX)
}

fn folded(letter: char, case: Case) -> char {
    match case {
        Case::Matters => letter,
        Case::Ignored => letter.to_ascii_lowercase(),
    }
}

fn without_first(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next().map(|_| characters.as_str())
}

fn without_last(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next_back().map(|_| characters.as_str())
}

const WORD_BITS: usize = 64;
const SIMPLE_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, Syntax};

    const WILDCARDS: Syntax = Syntax {
        wildcards: true,
        variables: false,
    };

    fn matches(pattern: &str, subject: &str, case: Case) -> bool {
        let pattern = Pattern::parse(pattern, WILDCARDS).unwrap();
        pattern.matches_plain(subject, case)
    }

    /// The definition: a table of what each start of the pattern says of each start of the text.
    fn naive(pattern: &str, subject: &str) -> bool {
        let subject: Vec<char> = subject.chars().collect();
        let mut row: Vec<bool> = (0..=subject.len()).map(|at| at == 0).collect();
        for token in pattern.chars() {
            let mut next = vec![false; row.len()];
            for at in 0..row.len() {
                next[at] = match token {
                    '*' => row[at] || at > 0 && next[at - 1],
                    '?' => at > 0 && row[at - 1],
                    letter => at > 0 && row[at - 1] && subject[at - 1] == letter,
                };
            }
            row = next;
        }
        row[subject.len()]
    }

    fn draw(state: &mut u64, letters: &[char], len_max: u64) -> String {
        let mut next = || {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            *state >> 11
        };
        let len = next() % (len_max + 1);
        let at = |draw: u64| usize::try_from(draw).unwrap() % letters.len();
        (0..len).map(|_| letters[at(next())]).collect()
    }

    #[test]
    fn it_says_what_the_definition_says() {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        let mut matched = 0;
        for _ in 0..60_000 {
            let pattern = draw(&mut state, &['a', 'b', '\u{e9}', '?', '*', '*'], 9);
            let subject = draw(&mut state, &['a', 'b', '\u{e9}'], 12);
            let expected = naive(&pattern, &subject);
            matched += usize::from(expected);
            assert_eq!(
                matches(&pattern, &subject, Case::Matters),
                expected,
                "{pattern} {subject}"
            );
            let upper = subject.to_ascii_uppercase();
            assert_eq!(
                matches(&pattern, &upper, Case::Ignored),
                expected,
                "{pattern} {upper}"
            );
        }
        assert!((5_000..55_000).contains(&matched), "{matched}");
    }

    #[test]
    fn long_pieces_say_what_the_definition_says() {
        let mut state = 0x1234_5678_9abc_def1;
        let mut matched = 0;
        // Of each way to look for a piece: one word of bits, just one more letter, several words.
        for len in [5, 20, 62, 63, 64, 65, 150].into_iter().cycle().take(700) {
            let subject = draw(&mut state, &['a', 'b', '\u{e9}'], 600);
            // A part of the text with holes, so that it is there, or almost.
            let part: String = subject
                .chars()
                .skip(subject.chars().count() / 4)
                .take(len)
                .enumerate()
                .map(|(at, letter)| if at % 3 == 0 { '?' } else { letter })
                .collect();
            let end = draw(&mut state, &['?', 'a'], 3);
            let pattern = format!("*{part}{end}*");
            let expected = naive(&pattern, &subject);
            matched += usize::from(expected);
            assert_eq!(matches(&pattern, &subject, Case::Matters), expected);
            let upper = subject.to_ascii_uppercase();
            assert_eq!(matches(&pattern, &upper, Case::Ignored), expected);
        }
        assert!((100..600).contains(&matched), "{matched}");
    }
}
