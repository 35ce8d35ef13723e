// SPDX-License-Identifier: Apache-2.0
//! What is known about a request: condition keys and their values.

use std::fmt;
use std::ops::Range;

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
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.lower)
    }
}

/// The condition keys of a request.
///
/// Names are case-insensitive. A name that is set again gets one value more: a client that sends
/// `a` and `A` in an encryption context does not thereby hide one of them.
#[derive(Default)]
pub struct Context {
    /// All names (in lower case) and values, one behind the other.
    text: String,
    entries: Vec<Entry>,
    values: Vec<Range<usize>>,
}

#[derive(Clone)]
struct Entry {
    hash: u64,
    name: Range<usize>,
    values: Range<usize>,
    is_list: bool,
}

impl Context {
    /// A context without keys.
    pub fn new() -> Self {
        Self {
            text: String::with_capacity(1024),
            entries: Vec::with_capacity(32),
            values: Vec::with_capacity(32),
        }
    }

    /// A key that has one value by its nature, like `aws:SourceIp`.
    pub fn set(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.insert(name, std::iter::once(value), false)
    }

    /// A key that has any number of values by its nature, like `kms:EncryptionContextKeys`. Such a
    /// key cannot be used as a policy variable. Without values it is as if it was not there.
    pub fn set_all<V: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.insert(name, values, true)
    }

    fn insert<V: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
        is_list: bool,
    ) -> &mut Self {
        let name_from = self.text.len();
        push_lower(&mut self.text, name);
        let name = name_from..self.text.len();
        let lower = self.text.get(name.clone()).unwrap_or_default();
        let hash = hash(lower.as_bytes());
        let known = self.find(hash, lower);
        let values_from = self.values.len();
        let mut is_list = is_list;
        if let Some(index) = known {
            let old = self.entries.remove(index);
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
        });
        self
    }

    /// The values of a key; none if it is absent.
    pub(crate) fn values(&self, name: &KeyName) -> Values<'_> {
        let index = self.find(name.hash, &name.lower);
        let entry = index.and_then(|index| self.entries.get(index));
        let ranges = entry.and_then(|entry| self.values.get(entry.values.clone()));
        Values {
            text: &self.text,
            ranges: ranges.unwrap_or_default(),
            is_list: entry.is_some_and(|entry| entry.is_list),
        }
    }

    /// What the key stands for as a policy variable.
    pub(crate) fn variable(&self, name: &KeyName) -> Option<&str> {
        let entry = self.entries.get(self.find(name.hash, &name.lower)?)?;
        if entry.is_list {
            return None;
        }
        let value = self.values(name).iter().next()?;
        (!value.is_empty()).then_some(value)
    }

    fn find(&self, hash: u64, lower: &str) -> Option<usize> {
        self.entries.iter().position(|entry| {
            entry.hash == hash && self.text.get(entry.name.clone()) == Some(lower)
        })
    }
}

/// With room for more: a context is copied to be added to.
impl Clone for Context {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.text.push_str(&self.text);
        copy.entries.extend_from_slice(&self.entries);
        copy.values.extend_from_slice(&self.values);
        copy
    }
}

/// Names only: values may be what a client sent.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter();
        f.debug_set()
            .entries(names.map(|entry| self.text.get(entry.name.clone()).unwrap_or_default()))
            .finish()
    }
}

/// The values of one key.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    text: &'a str,
    ranges: &'a [Range<usize>],
    is_list: bool,
}

impl<'a> Values<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.text;
        let ranges = self.ranges.iter();
        ranges.map(move |range| text.get(range.clone()).unwrap_or_default())
    }

    /// Whether the key may have several values.
    pub(crate) fn is_list(&self) -> bool {
        self.is_list
    }

    /// Whether the key is absent.
    pub(crate) fn is_absent(&self) -> bool {
        self.ranges.is_empty()
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

/// FNV-1a: only to look at few names; equality is decided by the names themselves.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
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
        let values = context.values(&KeyName::new("kms:encryptioncontext:app"));
        assert_eq!(values.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(context.variable(&KeyName::new("AWS:UserName")), Some("x"));
        assert_eq!(
            context.variable(&KeyName::new("kms:EncryptionContext:App")),
            None
        );
        assert!(context.values(&KeyName::new("K")).is_absent());
        assert!(!format!("{context:?}").contains("\"a\""));
        let mut copy = context.clone();
        copy.set("aws:username", "y").set("more", "z");
        let name = KeyName::new("kms:encryptioncontext:app");
        assert_eq!(copy.values(&name).iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(copy.variable(&KeyName::new("more")), Some("z"));
        assert_eq!(copy.variable(&KeyName::new("aws:username")), None, "two");
        assert_eq!(context.variable(&KeyName::new("aws:username")), Some("x"));
        assert_eq!(context.variable(&KeyName::new("more")), None);
    }
}
