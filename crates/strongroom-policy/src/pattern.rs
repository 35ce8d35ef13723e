// SPDX-License-Identifier: Apache-2.0
//! Texts with wildcards and policy variables, taken apart once.
//!
//! What a variable stands for is always literal: a user called `*` gets one folder, not all.

use crate::context::{Context, KeyName};
use crate::glob::glob;

/// A text of a policy, ready to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    has_variables: bool,
}

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Exactly this.
    Text(String),
    /// `?`: one character.
    One,
    /// `*`: any characters, or none.
    Many,
    /// `${key}` or `${key, 'default'}`.
    Variable {
        name: KeyName,
        default: Option<String>,
    },
}

/// What in a text means more than itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// `*` and `?` are wildcards.
    pub(crate) wildcards: bool,
    /// `${..}` is replaced (version 2012-10-17).
    pub(crate) variables: bool,
}

/// How letters are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Matters,
    Ignored,
}

/// A variable that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadVariable;

impl Pattern {
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, BadVariable> {
        let mut tokens = Tokens::default();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if syntax.variables
                && let Some(inside) = rest.strip_prefix("${")
            {
                let (inside, behind) = inside.split_once('}').ok_or(BadVariable)?;
                tokens.push_variable(inside)?;
                rest = behind;
                continue;
            }
            match character {
                '*' if syntax.wildcards => tokens.push(Token::Many),
                '?' if syntax.wildcards => tokens.push(Token::One),
                _ => tokens.text.push(character),
            }
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
        Ok(tokens.finish())
    }

    /// A text that is compared as it is.
    pub(crate) fn literal(text: &str) -> Self {
        let tokens = if text.is_empty() {
            Vec::new()
        } else {
            vec![Token::Text(text.to_owned())]
        };
        Self {
            tokens,
            has_variables: false,
        }
    }

    pub(crate) fn has_variables(&self) -> bool {
        self.has_variables
    }

    /// The condition keys that its variables stand for.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &KeyName> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Variable { name, .. } => Some(name),
            Token::Text(_) | Token::One | Token::Many => None,
        })
    }

    /// Whether it is `*` alone.
    pub(crate) fn is_everything(&self) -> bool {
        self.tokens == [Token::Many]
    }

    /// The parts between colons, at most `max` of them: the last one keeps its colons. Only
    /// colons that the pattern itself has count.
    pub(crate) fn split_at_colons(&self, max: usize) -> Vec<Pattern> {
        let mut parts = Vec::new();
        let mut tokens = Tokens::default();
        for token in &self.tokens {
            let Token::Text(text) = token else {
                tokens.push(token.clone());
                continue;
            };
            let mut rest = text.as_str();
            while parts.len().saturating_add(1) < max
                && let Some((before, behind)) = rest.split_once(':')
            {
                tokens.text.push_str(before);
                parts.push(std::mem::take(&mut tokens).finish());
                rest = behind;
            }
            tokens.text.push_str(rest);
        }
        parts.push(tokens.finish());
        parts
    }

    /// The same with every variable replaced; `None` if one has no value, or if it describes no
    /// text of at most `longest` bytes.
    pub(crate) fn resolved(&self, context: &Context, longest: usize) -> Option<Pattern> {
        self.replaced(context, None, longest)
    }

    /// Whether it would describe `subject` if variables without a value could be anything.
    pub(crate) fn may_match(&self, subject: &str, case: Case, context: &Context) -> bool {
        self.replaced(context, Some(&Token::Many), subject.len())
            .is_some_and(|pattern| glob(&pattern.tokens, subject, case))
    }

    fn replaced(
        &self,
        context: &Context,
        without_value: Option<&Token>,
        longest: usize,
    ) -> Option<Pattern> {
        let mut tokens = Tokens::default();
        // How long a text is at least that it describes. A value of the request, written many
        // times over by a policy, must not cost more than the text that is compared.
        let mut least = 0_usize;
        for token in &self.tokens {
            if least > longest {
                return None;
            }
            match token {
                Token::Variable { name, default } => {
                    match value_of(name, default.as_deref(), context) {
                        Some(value) => {
                            least = least.saturating_add(value.len());
                            tokens.text.push_str(value);
                        }
                        None => tokens.push(without_value?.clone()),
                    }
                }
                Token::Text(text) => {
                    least = least.saturating_add(text.len());
                    tokens.text.push_str(text);
                }
                Token::One => {
                    least = least.saturating_add(1);
                    tokens.push(Token::One);
                }
                Token::Many => tokens.push(Token::Many),
            }
        }
        (least <= longest).then(|| tokens.finish())
    }

    /// Whether it describes all of `subject`. A variable without a value matches nothing.
    pub(crate) fn matches(&self, subject: &str, case: Case, context: &Context) -> bool {
        if self.has_variables {
            return self
                .resolved(context, subject.len())
                .is_some_and(|pattern| glob(&pattern.tokens, subject, case));
        }
        glob(&self.tokens, subject, case)
    }

    /// The same for a pattern that cannot have variables.
    pub(crate) fn matches_plain(&self, subject: &str, case: Case) -> bool {
        !self.has_variables && glob(&self.tokens, subject, case)
    }

    /// Whether it is exactly this text, in the Unicode sense of ignoring case; for patterns
    /// without wildcards.
    pub(crate) fn equals_ignoring_case(&self, subject: &str, context: &Context) -> bool {
        let same = |pattern: &Pattern| {
            let text = match pattern.tokens.as_slice() {
                [] => "",
                [Token::Text(text)] => text.as_str(),
                _ => return false,
            };
            if text.is_ascii() && subject.is_ascii() {
                text.eq_ignore_ascii_case(subject)
            } else {
                // No letter becomes more than three times as long or short.
                let near = |a: &str, b: &str| a.len() <= b.len().saturating_mul(LOWER_GROWTH_MAX);
                near(text, subject)
                    && near(subject, text)
                    && first_lower(text) == first_lower(subject)
                    && text.to_lowercase() == subject.to_lowercase()
            }
        };
        if self.has_variables {
            let longest = subject.len().saturating_mul(LOWER_GROWTH_MAX);
            let resolved = self.resolved(context, longest);
            return resolved.is_some_and(|pattern| same(&pattern));
        }
        same(self)
    }
}

/// The first character of a text in lower case. What it is depends on nothing behind it.
fn first_lower(text: &str) -> Option<char> {
    text.chars().next()?.to_lowercase().next()
}

/// The value of a variable: the key's only one, or the default. A key with several values cannot
/// be used as a variable, and an empty value is none.
fn value_of<'a>(
    name: &'a KeyName,
    default: Option<&'a str>,
    context: &'a Context,
) -> Option<&'a str> {
    context.variable(name).or(default)
}

/// Collects tokens, joining neighbouring texts.
#[derive(Default)]
struct Tokens {
    done: Vec<Token>,
    text: String,
    has_variables: bool,
}

impl Tokens {
    fn push(&mut self, token: Token) {
        self.flush();
        // `**` is `*`.
        if token == Token::Many && self.done.last() == Some(&Token::Many) {
            return;
        }
        self.has_variables |= matches!(token, Token::Variable { .. });
        self.done.push(token);
    }

    /// What stands in `${..}`.
    fn push_variable(&mut self, inside: &str) -> Result<(), BadVariable> {
        if let "*" | "?" | "$" = inside {
            self.text.push_str(inside);
            return Ok(());
        }
        let (name, default) = match inside.split_once(',') {
            None => (inside, None),
            Some((name, default)) => {
                let quoted = default.trim().strip_prefix('\'');
                let default = quoted.and_then(|text| text.strip_suffix('\''));
                (name, Some(default.ok_or(BadVariable)?.to_owned()))
            }
        };
        let name = name.trim();
        if name.is_empty() || name.contains(['$', '{', '*', '?', '\'']) {
            return Err(BadVariable);
        }
        let name = KeyName::new(name);
        self.push(Token::Variable { name, default });
        Ok(())
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.done.push(Token::Text(std::mem::take(&mut self.text)));
        }
    }

    fn finish(mut self) -> Pattern {
        self.flush();
        Pattern {
            tokens: self.done,
            has_variables: self.has_variables,
        }
    }
}

/// How much longer a text can be than the same text in small letters, or the other way round.
const LOWER_GROWTH_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syntax = Syntax {
        wildcards: true,
        variables: true,
    };

    fn matches(pattern: &str, subject: &str) -> bool {
        let mut context = Context::new();
        context.set("aws:username", "ann*");
        context.set("aws:empty", "");
        context.set_all("aws:many", ["x"]);
        let pattern = Pattern::parse(pattern, ALL).unwrap();
        pattern.matches(subject, Case::Matters, &context)
    }

    /// Where letters in lower case are more than one character, or depend on where they stand.
    #[test]
    fn texts_without_regard_to_case_are_compared_whole() {
        let context = Context::new();
        for (text, subject, same) in [
            ("\u{c9}a", "\u{e9}A", true),
            ("\u{130}x", "i\u{307}x", true),
            ("\u{130}", "i", false),
            ("\u{3a3}\u{391}", "\u{3c3}\u{3b1}", true),
            ("\u{391}\u{3a3}", "\u{3b1}\u{3c2}", true),
            ("\u{3a3}", "\u{3c2}", false),
            ("\u{212a}ey", "Key", true),
            ("\u{e9}a", "a\u{e9}", false),
            ("\u{e9}a", "\u{e9}b", false),
            ("", "\u{e9}", false),
        ] {
            let pattern = Pattern::literal(text);
            assert_eq!(
                pattern.equals_ignoring_case(subject, &context),
                same,
                "{text} {subject}"
            );
            let other = Pattern::literal(subject);
            assert_eq!(
                other.equals_ignoring_case(text, &context),
                same,
                "{subject} {text}"
            );
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, subject) in [
            ("", ""),
            ("*", ""),
            ("*", "a:b/c"),
            ("**", "x"),
            ("a*", "a"),
            ("a*", "a:b"),
            ("*a", "a"),
            ("*a", "bca"),
            ("a*b*c", "abbc"),
            ("a*b*c", "axbxbxc"),
            ("?", "\u{e9}"),
            ("a?c", "abc"),
            ("*?", "a"),
            ("?*?", "ab"),
            ("*ab", "aab"),
            ("*aab*", "aaab"),
            ("a$b", "a$b"),
            ("a{b}", "a{b}"),
        ] {
            assert!(matches(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in [
            ("", "a"),
            ("a", ""),
            ("a", "A"),
            ("a*", "b"),
            ("*a", "ab"),
            ("a*b*c", "acb"),
            ("?", ""),
            ("?", "ab"),
            ("a?c", "ac"),
            ("*?", ""),
            ("?*?", "a"),
            ("a.c", "abc"),
            ("*ab", "aba"),
        ] {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
    }

    #[test]
    fn variables_are_literal_and_escapes_are_characters() {
        for (pattern, subject, expected) in [
            ("home/${aws:username}/x", "home/ann*/x", true),
            ("home/${aws:username}/x", "home/annie/x", false),
            ("${AWS:UserName}", "ann*", true),
            ("${aws:nobody}", "", false),
            ("${aws:nobody}", "${aws:nobody}", false),
            ("${aws:nobody, 'x'}", "x", true),
            ("${aws:nobody,'a*'}", "abc", false),
            ("${aws:nobody,''}z", "z", true),
            ("${aws:username, 'x'}", "x", false),
            ("${aws:empty}", "", false),
            ("${aws:empty, 'x'}", "x", true),
            ("${aws:many}", "x", false),
            ("${*}", "*", true),
            ("${*}", "a", false),
            ("${?}", "?", true),
            ("${?}", "a", false),
            ("${$}{a}", "${a}", true),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
        for bad in [
            "${", "${}", "${a", "${ }", "${a, b}", "${a, 'b}", "${${a}}", "${a*}",
        ] {
            assert_eq!(Pattern::parse(bad, ALL), Err(BadVariable), "{bad}");
        }
        let old = Syntax {
            variables: false,
            ..ALL
        };
        let pattern = Pattern::parse("${a", old).unwrap();
        assert!(pattern.matches("${a", Case::Matters, &Context::new()));
    }

    #[test]
    fn splitting_at_colons() {
        let parts = |text| Pattern::parse(text, ALL).unwrap().split_at_colons(3).len();
        assert_eq!(
            [parts("a"), parts("a:b"), parts("a:b:c:d"), parts("*:*:*")],
            [1, 2, 3, 3]
        );
        assert_eq!(parts("${a:b:c}"), 1);
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = format!("{}b", "*a".repeat(2000));
        assert!(!matches(&pattern, &"a".repeat(8000)));
    }
}
