// SPDX-License-Identifier: Apache-2.0
//! The public interface of the client library, as it is written, beside the listing that was agreed on.
//!
//! The listing is made from the source text alone: `unreachable_pub` sees to it that what is `pub` can be
//! reached from outside, and rustfmt that it is always written in the same way. What rustdoc knows beyond
//! it (auto traits, what a macro of another crate makes) is not in it.

use std::collections::HashSet;

use super::files::Source;

/// The crate whose users are not ours to ask.
const CRATE: &str = "crates/strongroom-client/";
const LISTING: &str = "crates/strongroom-client/api.txt";

pub(crate) fn check(sources: &[Source], findings: &mut Vec<String>) {
    let agreed = sources.iter().find(|source| source.path == LISTING);
    let agreed = agreed.map_or("", |source| source.text.as_str());
    let now = listing(sources);
    let missing = |some: &str, other: &str| -> Vec<String> {
        let other: Vec<&str> = other.lines().collect();
        let is_new = |line: &&str| !other.contains(line);
        some.lines().filter(is_new).map(str::to_owned).collect()
    };
    let (gone, new) = (missing(agreed, &now), missing(&now, agreed));
    for (sign, lines) in [("-", &gone), ("+", &new)] {
        for line in lines {
            findings.push(format!("{LISTING}: {sign} {}", line.trim()));
        }
    }
    if agreed != now {
        findings.push(format!(
            "{LISTING}: the public interface is another: `cargo xtask api` writes it anew, if that is meant \
             (CONTRIBUTING.md, \"Public interface\")"
        ));
    }
}

/// Writes the listing.
pub(crate) fn write() -> Result<(), String> {
    let text = listing(&super::files::sources()?);
    std::fs::write(crate::step::root().join(LISTING), text)
        .map_err(|error| format!("{LISTING}: {error}"))
}

/// One block for each file that has something public, one line for each thing.
fn listing(sources: &[Source]) -> String {
    let of_crate = |source: &&Source| {
        let inside = source.path.strip_prefix(CRATE).unwrap_or_default();
        // What only tests and fuzz targets see is nobody's interface.
        inside.starts_with("src/") && !inside.contains("/fuzzing/") && source.is_rust()
    };
    let mut files: Vec<&Source> = sources.iter().filter(of_crate).collect();
    files.sort_by_key(|source| &source.path);
    let public: HashSet<&str> = files
        .iter()
        .flat_map(|source| public_names(source))
        .collect();
    let mut text = String::from(
        "Public interface of strongroom-client, written by `cargo xtask api`, checked by `cargo xtask tidy`.\n",
    );
    for source in files {
        let product: Vec<&str> = source.product_lines().map(|(_, line)| line).collect();
        let mut lines = Vec::new();
        items(&without_words(&product.join("\n")), "", &mut lines);
        lines.retain(|line| !is_of_private(line, &public));
        if !lines.is_empty() {
            text.push('\n');
            text.push_str(source.path.trim_start_matches(CRATE));
            text.push('\n');
        }
        for line in lines {
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Names of types and traits that others can use.
fn public_names(source: &Source) -> impl Iterator<Item = &str> {
    let kinds = ["pub struct ", "pub enum ", "pub trait "];
    source.product_lines().filter_map(move |(_, line)| {
        let behind = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
        Some(identifier(behind))
    })
}

/// Whether a line is the implementation of a trait for what nobody outside can name.
fn is_of_private(line: &str, public: &HashSet<&str>) -> bool {
    let Some((head, whose)) = line.split_once(" for ") else {
        return false;
    };
    let Some((_, of)) = head.split_once("impl") else {
        return false;
    };
    // Behind what the implementation is generic over, and without the path.
    let of = if of.starts_with('<') {
        of.get(closing(of, '<', '>')..).unwrap_or_default()
    } else {
        of
    };
    let last = |path: &str| {
        let path = path.trim().split(['<', ' ']).next().unwrap_or_default();
        identifier(path.rsplit("::").next().unwrap_or_default()).to_owned()
    };
    !public.contains(&*last(of)) && !public.contains(&*last(whose))
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// The public ones of the items in `text`; `prefix` says what they are in.
fn items(text: &str, prefix: &str, lines: &mut Vec<String>) {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (attributes, after) = attributes(rest);
        let (head, body, next) = item(after);
        let head = spaces(head);
        let shown = |what: &str| spaces(&format!("{prefix}{attributes} {what}"));
        let is_public = head.starts_with("pub ");
        let word = head.trim_start_matches("pub ").split(' ').next();
        match (word.unwrap_or_default(), body) {
            (word, Some(body)) if word == "impl" || word.starts_with("impl<") => {
                implementation(&attributes, &head, body, lines);
            }
            ("macro_rules!", Some(body)) => {
                // What it makes is public where it is used.
                let made = body.split("pub fn ").skip(1);
                lines.extend(made.map(|made| format!("{head}: pub fn {}", spaces(item(made).0))));
            }
            ("struct" | "union", Some(body)) if is_public => {
                lines.push(shown(&format!("{head} {{ {} }}", fields(body))));
            }
            ("enum", Some(body)) if is_public => {
                lines.push(shown(&format!("{head} {{ {} }}", spaces(&plain(body)))));
            }
            ("trait", Some(body)) if is_public => {
                lines.push(shown(&head));
                members(body, &format!("{}: ", name_of(&head)), lines);
            }
            ("mod", Some(body)) if is_public => {
                lines.push(shown(&head));
                items(body, &format!("{}: ", name_of(&head)), lines);
            }
            _ if is_public => lines.push(shown(value_less(&head))),
            // A macro of this crate that is used where items are.
            (word, Some(body)) if word.contains('!') => {
                lines.push(shown(&format!("{head} {{ {} }}", spaces(body))));
            }
            (word, None) if word.contains('!') => lines.push(shown(&head)),
            _ => {}
        }
        rest = next.trim_start();
    }
}

/// All of a trait's members; those with a body have a default.
fn members(text: &str, prefix: &str, lines: &mut Vec<String>) {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (attributes, after) = attributes(rest);
        let (head, body, next) = item(after);
        let default = if body.is_some() { " { .. }" } else { "" };
        lines.push(spaces(&format!("{prefix}{attributes} {head}{default}")));
        rest = next.trim_start();
    }
}

/// A trait's implementation, or the public ones of a type's own functions.
fn implementation(attributes: &str, head: &str, body: &str, lines: &mut Vec<String>) {
    let mut inside = Vec::new();
    items(body, "", &mut inside);
    if head.contains(" for ") {
        let types = body.split('\n').map(str::trim);
        let types = types.filter(|line| line.starts_with("type "));
        let types: Vec<String> = types.map(spaces).collect();
        lines.push(spaces(&format!("{attributes} {head} {}", types.join(" "))));
    } else {
        let whose = spaces(&format!("{attributes} {head}"));
        lines.extend(inside.into_iter().map(|line| format!("{whose}: {line}")));
    }
}

/// Public fields of a structure, and a sign for others.
fn fields(body: &str) -> String {
    let mut fields: Vec<String> = Vec::new();
    let mut has_others = false;
    for field in commas(&plain(body)) {
        let (attributes, field) = attributes(field.trim());
        if field.starts_with("pub ") {
            fields.push(spaces(&format!("{attributes} {field}")));
        } else if !field.trim().is_empty() {
            has_others = true;
        }
    }
    if has_others {
        fields.push("..".to_owned());
    }
    fields.join(", ")
}

/// Without the attributes that say nothing to a user.
fn plain(body: &str) -> String {
    let (mut left, mut rest) = (String::new(), body);
    while let Some(at) = rest.find("#[") {
        let (before, attribute) = rest.split_at(at);
        left.push_str(before);
        let (attribute, after) = attribute.split_at(closing(attribute, '[', ']'));
        if !is_hidden(attribute) {
            left.push_str(attribute);
        }
        rest = after;
    }
    left.push_str(rest);
    left
}

/// Whether an attribute changes nothing for who uses the thing.
fn is_hidden(attribute: &str) -> bool {
    let hidden = ["#[expect", "#[allow", "#![", "#[error", "#[must_use"];
    hidden.iter().any(|start| attribute.starts_with(start))
}

/// The parts of a list, where no bracket is open.
fn commas(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

/// The attributes at the beginning that a user sees, and what follows them.
fn attributes(text: &str) -> (String, &str) {
    let (mut seen, mut rest) = (String::new(), text);
    while rest.starts_with("#[") || rest.starts_with("#![") {
        let end = closing(rest, '[', ']');
        let (attribute, after) = rest.split_at(end);
        if !is_hidden(attribute) {
            seen.push_str(&spaces(attribute));
            seen.push(' ');
        }
        rest = after.trim_start();
    }
    (seen, rest)
}

/// An item's head, its body in braces if it has one, and what follows it.
fn item(text: &str) -> (&str, Option<&str>, &str) {
    let head: Vec<&str> = text.trim_start_matches("pub ").split(' ').take(2).collect();
    let ends_with_semicolon = matches!(head.as_slice(), ["use" | "static" | "type" | "const", ..])
        && head.get(1) != Some(&"fn");
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if ends_with_semicolon => depth += 1,
            '}' if ends_with_semicolon => depth -= 1,
            ';' if depth == 0 => {
                let (head, rest) = text.split_at(at);
                return (head, None, rest.get(1..).unwrap_or_default());
            }
            '{' if depth == 0 => {
                let (head, rest) = text.split_at(at);
                let end = closing(rest, '{', '}');
                let (body, after) = rest.split_at(end);
                let body = body.get(1..body.len().saturating_sub(1));
                return (head, Some(body.unwrap_or_default()), after);
            }
            _ => {}
        }
    }
    (text, None, "")
}

/// Where what the first bracket opened is closed, one behind it.
fn closing(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

/// The name behind `pub` and the keyword.
fn name_of(head: &str) -> &str {
    identifier(head.split(' ').nth(2).unwrap_or_default())
}

/// A constant's value may change, its type may not.
fn value_less(head: &str) -> &str {
    let is_constant = head.starts_with("pub const ") && !head.starts_with("pub const fn");
    let cut = if is_constant { head.find(" = ") } else { None };
    head.get(..cut.unwrap_or(head.len())).unwrap_or_default()
}

/// In one line, however long lines may be.
fn spaces(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    line.replace("( ", "(")
        .replace(" )", ")")
        .replace(",)", ")")
        .replace(", >", ">")
        .replace(", }", " }")
        .replace(" ;", ";")
        .trim_end_matches(',')
        .to_owned()
}

/// Without comments, and with nothing in strings and characters: what is left nests.
fn without_words(text: &str) -> String {
    let (mut left, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("r#\"") {
            left.push_str("\"\"");
            rest.find("\"#").map_or(rest.len(), |at| at + 2)
        } else if c == '"' {
            let end = string(rest);
            // Which feature, which ABI: short ones are part of the interface.
            let is_name = |b: char| b.is_alphanumeric() || b == '_' || b == '"';
            let word = rest.get(..end).unwrap_or_default();
            left.push_str(if word.chars().all(is_name) {
                word
            } else {
                "\"\""
            });
            end
        } else if let Some(end) = character(rest) {
            left.push_str("' '");
            end
        } else {
            left.push(c);
            c.len_utf8()
        };
        rest = rest.get(skip..).unwrap_or_default();
    }
    left
}

/// Length of the string that `text` begins with.
fn string(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// Length of the character that `text` begins with, if it is one and not a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, '\'') = chars.next()? else {
        return None;
    };
    let (_, first) = chars.next()?;
    if first == '\\' {
        let (_, escaped) = chars.next()?;
        let after = text.get(chars.next()?.0..)?;
        let end = after.find('\'')?;
        // '\'' and '\\' end at once, '\u{..}' later.
        let start = text.len() - after.len();
        return (escaped == 'u' || escaped == 'x' || end == 0).then_some(start + end + 1);
    }
    match chars.next()? {
        (at, '\'') => Some(at + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Vec<String> {
        let listing = listing(&[source("crates/strongroom-client/src/key.rs", text)]);
        let lines = listing.lines().filter_map(|line| line.strip_prefix("  "));
        lines.map(str::to_owned).collect()
    }

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    const TEXT: &str = r#"
//! A module { with a brace.
mod inner;
pub use inner::{A, B};
/// Says "it's {".
#[derive(Clone, Debug)]
#[must_use]
pub struct Key<'a> {
    /// Its name.
    pub name: BTreeMap<String, String>,
    pub(crate) hidden: &'a str,
}
struct Private {
    pub field: u8,
}
#[non_exhaustive]
pub enum Error {
    #[error("no `{0}`, '{'")]
    Io(#[from] io::Error),
    Other { part: Option<u32> },
}
pub const MAX: u64 = { 1 + 2 };
pub(crate) fn not_this() {}
impl Key<'_> {
    pub fn open(
        &self,
        at: u64,
    ) -> Result<(), Error> {
        let c = '{';
        let d = '\'';
        let e = "\"{";
        Ok(())
    }
    fn not_this(&self) {}
    #[cfg(feature = "aws")]
    pub async fn send(self) -> [u8; 2] {}
}
impl Iterator for Key<'_> {
    type Item = u8;
    fn next(&mut self) -> Option<u8> { None }
}
impl fmt::Debug for Private {
    fn fmt(&self) {}
}
impl<T: Send> Ring for T {
    type Out = ();
}
pub trait Ring: Send {
    type Out;
    fn wrap(&self) -> Self::Out;
    fn many(&self) -> bool { true }
}
macro_rules! settings {
    ($t:ident) => { impl $t { pub fn legacy(mut self, on: bool) -> Self { self } } };
}
settings!(Key);
"#;

    #[test]
    fn everything_public_is_a_line() {
        let expected = [
            "pub use inner::{A, B}",
            "#[derive(Clone, Debug)] pub struct Key<'a> { pub name: BTreeMap<String, String>, .. }",
            "#[non_exhaustive] pub enum Error { Io(#[from] io::Error), Other { part: Option<u32> } }",
            "pub const MAX: u64",
            "impl Key<'_>: pub fn open(&self, at: u64) -> Result<(), Error>",
            "impl Key<'_>: #[cfg(feature = \"aws\")] pub async fn send(self) -> [u8; 2]",
            "impl Iterator for Key<'_> type Item = u8;",
            "impl<T: Send> Ring for T type Out = ();",
            "pub trait Ring: Send",
            "Ring: type Out",
            "Ring: fn wrap(&self) -> Self::Out",
            "Ring: fn many(&self) -> bool { .. }",
            "macro_rules! settings: pub fn legacy(mut self, on: bool) -> Self",
            "settings!(Key)",
        ];
        assert_eq!(listed(TEXT), expected);
    }

    #[test]
    fn a_change_is_found_and_one_inside_is_not() {
        let path = "crates/strongroom-client/src/key.rs";
        let agreed = listing(&[source(path, TEXT)]);
        let found = |text: &str| {
            let mut findings = Vec::new();
            check(
                &[source(path, text), source(LISTING, &agreed)],
                &mut findings,
            );
            findings
        };
        assert!(found(TEXT).is_empty());
        assert!(found(&TEXT.replace("let c = '{'", "let c = '}'")).is_empty());
        assert!(found(&TEXT.replace("hidden: &'a str", "hidden: &'a u8")).is_empty());
        for (was, is) in [
            ("at: u64", "at: u32"),
            ("pub async fn send", "pub fn send"),
            ("part: Option<u32>", "part: u32"),
            ("#[non_exhaustive]", ""),
            ("derive(Clone, Debug)", "derive(Debug)"),
            ("pub(crate) hidden", "pub hidden"),
            ("fn wrap(&self)", "fn wrap(&mut self)"),
            ("{ true }", ";"),
            ("{A, B}", "A"),
            ("on: bool", "on: u8"),
            ("type Item = u8", "type Item = u16"),
            ("pub const MAX: u64", "pub const MAX: u32"),
            ("settings!(Key);", ""),
        ] {
            assert!(TEXT.contains(was), "{was}");
            assert!(found(&TEXT.replace(was, is)).len() >= 2, "{was} -> {is}");
        }
    }

    #[test]
    fn other_crates_and_tests_are_not_in_it() {
        let text = "pub fn f() {}\n#[cfg(test)]\nmod tests {\n    pub fn g() {}\n}\n";
        let listing = listing(&[
            source("crates/strongroom-client/src/a.rs", text),
            source(
                "crates/strongroom-client/src/fuzzing/mod.rs",
                "pub fn h() {}",
            ),
            source("crates/strongroom-client/tests/it/main.rs", "pub fn i() {}"),
            source("crates/strongroom-cse/src/lib.rs", "pub fn j() {}"),
        ]);
        let functions: Vec<_> = listing.lines().filter(|l| l.contains("pub fn")).collect();
        assert_eq!(functions, ["  pub fn f()"]);
    }
}
