// SPDX-License-Identifier: Apache-2.0
//! What is known about a request: condition keys and their values.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The name of a condition key. Names are compared without regard to case.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyName {
    hash: u64,
    lower: String,
}

impl KeyName {
    pub(crate) fn new(name: &str) -> Self {
        let mut lower = String::with_capacity(name.len());
        push_lower(&mut lower, name);
        Self {
            hash: hash(lower.as_bytes()),
            lower,
        }
    }

    /// Whether it begins like this, whatever the letters' case. `prefix` is ASCII, so no letter of
    /// another alphabet is one of its.
    pub(crate) fn begins(&self, prefix: &str) -> bool {
        let start = self.lower.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    /// Whether it is the one that is written like this.
    pub(crate) fn is(&self, name: &str) -> bool {
        if name.is_ascii() {
            self.lower.eq_ignore_ascii_case(name)
        } else {
            *self == KeyName::new(name)
        }
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.lower)
    }
}

/// The condition keys of a request.
///
/// Names are case-insensitive. A name that is set again gets one value more: a client that sends
/// `a` and `A` in an encryption context does not thereby hide one of them, nor choose which one
/// counts: see [`Values::is_ambiguous`]. That is so across what is shared, too.
#[derive(Default)]
pub struct Context {
    own: Facts,
    shared: Vec<Arc<Facts>>,
}

/// Condition keys that are the same for several questions, put together once.
#[derive(Clone)]
pub struct SharedContext {
    layers: Vec<Arc<Facts>>,
}

/// Names and their values.
#[derive(Default)]
struct Facts {
    /// All names (in lower case) and values, one behind the other.
    text: String,
    entries: Vec<Entry>,
    values: Vec<Range<usize>>,
}

struct Entry {
    hash: u64,
    name: Range<usize>,
    values: Range<usize>,
    is_list: bool,
    is_ambiguous: bool,
}

impl Context {
    /// A context without keys.
    pub fn new() -> Self {
        Self {
            own: Facts::with_capacity(1024, 32),
            shared: Vec::new(),
        }
    }

    /// A context that has the keys of all of `shared`. It takes no memory for keys of its own before
    /// it has one.
    pub fn over(shared: &[&SharedContext]) -> Self {
        let mut layers = Vec::with_capacity(shared.len());
        layers.extend(shared.iter().flat_map(|of| of.layers.iter().cloned()));
        Self {
            own: Facts::default(),
            shared: layers,
        }
    }

    /// What is known now, for other contexts to stand on.
    pub fn share(self) -> SharedContext {
        let mut layers = self.shared;
        layers.push(Arc::new(self.own));
        SharedContext { layers }
    }

    /// A key that has one value by its nature, like `aws:SourceIp`.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.own.insert(name, std::iter::once(value), false);
        self
    }

    /// A key that has any number of values by its nature, like `kms:EncryptionContextKeys`. Such a
    /// key cannot be used as a policy variable. Without values it is as if it was not there.
    pub fn set_all<V: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.own.insert(name, values, true);
        self
    }

    /// The values of a key; none if it is absent.
    pub(crate) fn values<'a>(&'a self, name: &'a KeyName) -> Values<'a> {
        let mut values = Values {
            context: self,
            name,
            only: None,
            is_list: false,
            is_ambiguous: false,
            is_absent: true,
        };
        let mut found = 0_usize;
        let mut all_lists = true;
        for (facts, entry) in self.entries(name) {
            found = found.saturating_add(1);
            values.only = (found == 1).then_some((facts, entry));
            all_lists &= entry.is_only_lists();
            values.is_list |= entry.is_list || found > 1;
            values.is_ambiguous |= entry.is_ambiguous || (found > 1 && !all_lists);
            values.is_absent &= entry.values.is_empty();
        }
        values
    }

    /// What the key stands for as a policy variable.
    pub(crate) fn variable<'a>(&'a self, name: &'a KeyName) -> Option<&'a str> {
        let values = self.values(name);
        if values.is_list {
            return None;
        }
        // What is set in several places is a list.
        let (facts, entry) = values.only?;
        let value = facts.texts(entry).next()?;
        (!value.is_empty()).then_some(value)
    }

    /// Where a key is set: at most once by each of those that stand below.
    fn entries<'a>(&'a self, name: &'a KeyName) -> impl Iterator<Item = (&'a Facts, &'a Entry)> {
        self.layers().filter_map(|facts| {
            let at = facts.find(name.hash, &name.lower)?;
            Some((facts, facts.entries.get(at)?))
        })
    }

    fn layers(&self) -> impl Iterator<Item = &Facts> {
        std::iter::once(&self.own).chain(self.shared.iter().map(Arc::as_ref))
    }
}

impl Facts {
    fn with_capacity(text_bytes: usize, keys: usize) -> Self {
        Self {
            text: String::with_capacity(text_bytes),
            entries: Vec::with_capacity(keys),
            values: Vec::with_capacity(keys),
        }
    }

    fn insert<V: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
        is_list: bool,
    ) {
        if self.entries.capacity() == 0 {
            *self = Self::with_capacity(128, 4);
        }
        let name_from = self.text.len();
        push_lower(&mut self.text, name);
        let name = name_from..self.text.len();
        let lower = self.text.get(name.clone()).unwrap_or_default();
        let hash = hash(lower.as_bytes());
        let known = self.find(hash, lower);
        let values_from = self.values.len();
        let (mut is_list, mut is_ambiguous) = (is_list, false);
        if let Some(index) = known {
            let old = self.entries.remove(index);
            is_ambiguous = !(is_list && old.is_only_lists());
            is_list = true;
            self.values.extend_from_within(old.values);
        }
        for value in values {
            let from = self.text.len();
            self.text.push_str(value.as_ref());
            self.values.push(from..self.text.len());
        }
        self.entries.push(Entry {
            hash,
            name,
            values: values_from..self.values.len(),
            is_list,
            is_ambiguous,
        });
    }

    fn find(&self, hash: u64, lower: &str) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.hash == hash && self.text.get(entry.name.clone()) == Some(lower)
        })
    }

    fn texts(&self, entry: &Entry) -> impl Iterator<Item = &str> {
        let ranges = self.values.get(entry.values.clone()).unwrap_or_default();
        ranges
            .iter()
            .map(|range| self.text.get(range.clone()).unwrap_or_default())
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.entries.iter();
        names.map(|entry| self.text.get(entry.name.clone()).unwrap_or_default())
    }
}

impl Entry {
    /// Whether all of its values were set as those of a key that has any number of them.
    fn is_only_lists(&self) -> bool {
        self.is_list && !self.is_ambiguous
    }
}

/// Names only: values may be what a client sent.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.layers().flat_map(Facts::names))
            .finish()
    }
}

/// Names only, as above.
impl fmt::Debug for SharedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layers.iter();
        f.debug_set()
            .entries(layers.flat_map(|facts| facts.names()))
            .finish()
    }
}

/// The values of one key.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    context: &'a Context,
    name: &'a KeyName,
    /// Where it is set, if in one place only.
    only: Option<(&'a Facts, &'a Entry)>,
    is_list: bool,
    is_ambiguous: bool,
    is_absent: bool,
}

impl<'a> Values<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let several = match self.only {
            Some(_) => None,
            None => Some(self.context.entries(self.name)),
        };
        let entries = self.only.into_iter().chain(several.into_iter().flatten());
        entries.flat_map(|(facts, entry)| facts.texts(entry))
    }

    /// Whether the key may have several values.
    pub(crate) fn is_list(&self) -> bool {
        self.is_list
    }

    /// Whether a key that has one value by its nature was set more than once: nobody knows which
    /// value is meant, and who made the request may have chosen them all.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// Whether the key is absent.
    pub(crate) fn is_absent(&self) -> bool {
        self.is_absent
    }

    /// Whether there is nothing in it: absent, or nothing but empty values.
    pub(crate) fn is_null(&self) -> bool {
        self.iter().all(str::is_empty)
    }
}

fn push_lower(out: &mut String, name: &str) {
    if name.is_ascii() {
        let from = out.len();
        out.push_str(name);
        if let Some(added) = out.get_mut(from..) {
            added.make_ascii_lowercase();
        }
    } else {
        out.push_str(&name.to_lowercase());
    }
}

/// As FNV-1a, by eight bytes: only to look at few names; equality is decided by the names
/// themselves.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().map(|byte| u64::from(*byte));
    words.chain(rest).fold(0xcbf2_9ce4_8422_2325, |hash, part| {
        (hash ^ part).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_add_up() {
        let mut context = Context::new();
        context.set("kms:EncryptionContext:App", "a");
        context
            .set("aws:username", "x")
            .set_all("k", Vec::<String>::new());
        context.set("KMS:encryptioncontext:aPP", "b");
        let name = KeyName::new("kms:encryptioncontext:app");
        let values = context.values(&name);
        assert_eq!(values.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(values.is_ambiguous());
        assert!(!context.values(&KeyName::new("aws:username")).is_ambiguous());
        assert_eq!(context.variable(&KeyName::new("AWS:UserName")), Some("x"));
        assert_eq!(
            context.variable(&KeyName::new("kms:EncryptionContext:App")),
            None
        );
        assert!(context.values(&KeyName::new("K")).is_absent());
        assert!(!format!("{context:?}").contains("\"a\""));
        let shared = context.share();
        assert!(!format!("{shared:?}").contains("\"a\""));
        let mut over = Context::over(&[&shared]);
        over.set("aws:username", "y").set("more", "z");
        assert_eq!(over.values(&name).iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(over.variable(&KeyName::new("more")), Some("z"));
        assert_eq!(over.variable(&KeyName::new("aws:username")), None, "two");
        let again = Context::over(&[&shared]);
        assert_eq!(again.variable(&KeyName::new("aws:username")), Some("x"));
        assert_eq!(again.variable(&KeyName::new("more")), None);
    }

    #[test]
    fn a_name_is_told_whatever_its_letters() {
        for (name, other, same) in [
            ("kms:ViaService", "KMS:viaservice", true),
            ("kms:ViaService", "kms:ViaServices", false),
            ("aws:TAG/\u{c4}", "aws:tag/\u{e4}", true),
            ("aws:TAG/\u{c4}", "aws:tag/a", false),
            // The sign for kelvin is a `k` in small letters.
            ("\u{212a}ms:x", "kms:x", true),
            ("kms:x", "\u{212a}ms:x", true),
        ] {
            assert_eq!(KeyName::new(name).is(other), same, "{name} {other}");
            assert_eq!(KeyName::new(name) == KeyName::new(other), same, "{name}");
        }
    }

    type Known = (&'static str, &'static [&'static str], bool);

    fn put(context: &mut Context, (name, values, is_list): Known) {
        match values {
            [value] if !is_list => context.set(name, value),
            _ => context.set_all(name, values),
        };
    }

    /// Whoever finds two values of a key in two places must not see one of them only, nor take it for
    /// a key with one value.
    #[test]
    fn it_makes_no_difference_who_shares_what() {
        let all: [Known; 8] = [
            ("k", &["1"], false),
            ("K", &["2"], false),
            ("list", &["a"], true),
            ("LIST", &["b", "c"], true),
            ("none", &[], true),
            ("NONE", &["late"], false),
            ("once", &["o"], false),
            ("empty", &[""], false),
        ];
        for split in 0..4_u32.pow(8) {
            let place = |at: u32| usize::try_from(split / 4_u32.pow(at) % 4).unwrap();
            let mut layers: [Context; 4] = std::array::from_fn(|_| Context::new());
            let mut flat = Context::new();
            for (at, known) in (0..).zip(all) {
                put(&mut layers[place(at)], known);
                put(&mut flat, known);
            }
            // The first stands on nothing, the second on it, the last on both and the third.
            let [first, second, third, last] = layers.map(Context::share);
            let second = Context::over(&[&first, &second]).share();
            let over = Context::over(&[&second, &third, &last]);
            for name in ["k", "list", "none", "once", "empty", "absent"] {
                let name = KeyName::new(name);
                let (one, other) = (over.values(&name), flat.values(&name));
                let sorted = |values: Values<'_>| {
                    let mut texts: Vec<String> = values.iter().map(str::to_owned).collect();
                    texts.sort();
                    texts
                };
                assert_eq!(sorted(one), sorted(other), "{name:?} {split}");
                assert_eq!(one.is_absent(), other.is_absent(), "{name:?} {split}");
                assert_eq!(one.is_list(), other.is_list(), "{name:?} {split}");
                assert_eq!(one.is_ambiguous(), other.is_ambiguous(), "{name:?} {split}");
                assert_eq!(one.is_null(), other.is_null(), "{name:?} {split}");
                assert_eq!(over.variable(&name), flat.variable(&name), "{split}");
            }
        }
    }
}
