// SPDX-License-Identifier: Apache-2.0
//! How a grant is found among the 50,000 that a key may have, without reading the others.
//!
//! | table `kms_grant_index` | key | value |
//! |---|---|---|
//! | number of grants | 0, key uid | u32 |
//! | by retiring principal | 1, hash of the principal, key uid, grant id | one byte |
//! | by use | 2, key uid, hash of the grantee, operation u8, form 21, hash of pairs, grant id | names |
//! | by terms | 3, key uid, hash of everything in a grant that has a name, but its time | grant id |
//!
//! A request knows its grantee, operation and encryption context. What it cannot know is which of
//! its pairs a grant insists on, so grants are kept by *form*: what a grant that could be the one
//! looks like, without the values. Of each form that there is, one look tells whether a grant has
//! the values of this request, however many grants have others.
//!
//! ```text
//! form   = operations u32 (of CreateGrant, else 0), kind u8 (0 none, 1 equals, 2 subset), hash of names
//! names  = those of a subset; the context of the request has them, or not
//! pairs  = hash of the names and values: of the whole context, or of those names
//! ```
//!
//! A principal has at most 100 forms for one operation of a key: the names of encryption contexts
//! are an application's, and few; the values are as many as it likes.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256, digest};
use strongroom_store::{Precondition, TableId, Write};

use crate::authorize::Ask;
use crate::error::Error;
use crate::grant::{
    FoundGrant, GrantConstraints, GrantId, GrantOperation, GrantPrincipal, GrantRow,
};
use crate::key_id::KeyUid;
use crate::service::Kms;

/// Pairs of an encryption context, in the order of their names.
type Pairs<'a> = BTreeMap<&'a str, &'a str>;

impl Kms {
    /// Whether a grant to this principal allows what is asked.
    pub(crate) fn is_granted_to(
        &self,
        ask: &Ask<'_>,
        key: KeyUid,
        operation: GrantOperation,
        grantee: &GrantPrincipal,
    ) -> Result<bool, Error> {
        let prefix = use_prefix(key, grantee, operation);
        let wanted = Wanted::of(ask);
        let mut after = None;
        loop {
            let Some((form, names)) = self.next_form(&prefix, after.as_ref())? else {
                return Ok(false);
            };
            if let Some(pairs) = wanted.pairs_hash(&form, &names) {
                let exact = [prefix.as_slice(), &form.0, &pairs].concat();
                let rows = self.rows_behind(GRANT_INDEX, &exact, None, CANDIDATES_MAX)?;
                for (row_key, _) in rows {
                    let found = self.grant(key, id_at_end(&row_key)?)?;
                    if found.is_some_and(|g| g.row.grantee == *grantee && g.row.allows(ask)) {
                        return Ok(true);
                    }
                }
            }
            after = Some(form);
        }
    }

    /// The first form behind `after` that grants of a principal have for an operation, and the
    /// names of its pairs.
    fn next_form(
        &self,
        prefix: &[u8],
        after: Option<&Form>,
    ) -> Result<Option<(Form, Vec<String>)>, Error> {
        let behind = after.map(|form| [prefix, &form.0, &[0xff; PAIRS_BYTES + ID_BYTES]].concat());
        let rows = self.rows_behind(GRANT_INDEX, prefix, behind.as_deref(), 1)?;
        let Some((row_key, stored)) = rows.into_iter().next() else {
            return Ok(None);
        };
        let form = row_key.get(prefix.len()..);
        let form = form.and_then(|tail| tail.first_chunk::<FORM_BYTES>());
        let names = minicbor::decode(&stored.value).ok();
        match (form, names) {
            (Some(form), Some(names)) => Ok(Some((Form(*form), names))),
            _ => Err(damaged()),
        }
    }

    /// Refuses a grant of one more form than a principal may have for an operation.
    pub(crate) fn check_room_for_form(&self, key: KeyUid, row: &GrantRow) -> Result<(), Error> {
        for operation in &row.operations {
            let prefix = use_prefix(key, &row.grantee, *operation);
            let own = Form::of(row, *operation);
            let same = [prefix.as_slice(), &own.0].concat();
            if !self.rows_behind(GRANT_INDEX, &same, None, 1)?.is_empty() {
                continue;
            }
            let (mut after, mut forms) = (None, 0);
            while let Some((form, _)) = self.next_form(&prefix, after.as_ref())? {
                after = Some(form);
                forms += 1;
                if forms >= FORMS_MAX {
                    return Err(Error::LimitExceeded(format!(
                        "The grants of {} for {} insist on {FORMS_MAX} different sets of names in \
                         the encryption context, which is the limit.",
                        row.grantee.arn,
                        operation.as_str()
                    )));
                }
            }
        }
        Ok(())
    }

    /// The grant of a key that has a name and is this one, but for its time.
    pub(crate) fn grant_of_terms(
        &self,
        key: KeyUid,
        row: &GrantRow,
    ) -> Result<Option<GrantId>, Error> {
        let Some(terms) = terms_key(key, row)? else {
            return Ok(None);
        };
        let Some(stored) = self.store().tables().get(GRANT_INDEX, &terms)? else {
            return Ok(None);
        };
        let id = GrantId(stored.value.try_into().map_err(|_| damaged())?);
        let created_ms = row.created_ms;
        let same = |other: &FoundGrant| {
            let other = other.row.clone();
            GrantRow {
                created_ms,
                ..other
            } == *row
        };
        Ok(self.grant(key, id)?.filter(same).map(|_| id))
    }

    /// How many grants a key has, and what makes a commit that counts differently fail.
    pub(crate) fn grant_count(&self, key: KeyUid) -> Result<(u32, Precondition), Error> {
        let table_key = count_key(key);
        let stored = self.store().tables().get(GRANT_INDEX, &table_key)?;
        let Some(stored) = stored else {
            let absent = Precondition::Absent {
                table: GRANT_INDEX,
                key: table_key,
            };
            return Ok((0, absent));
        };
        let count = stored.value.as_slice().try_into().map(u32::from_be_bytes);
        let count = count.map_err(|_| Error::Corrupted {
            what: "the number of grants of a key".to_owned(),
        })?;
        let unchanged = Precondition::SeqIs {
            table: GRANT_INDEX,
            key: table_key,
            seq: stored.seq,
        };
        Ok((count, unchanged))
    }

    /// Takes all entries of a key out of the index, of which no grant is left.
    pub(crate) async fn remove_from_grant_index(
        &self,
        key: KeyUid,
        some_damaged: bool,
    ) -> Result<(), Error> {
        if some_damaged {
            self.remove_from_retiring(key).await?;
        }
        for kind in [BY_USE, BY_TERMS, COUNTS] {
            let prefix = [&[kind], key.0.as_slice()].concat();
            loop {
                let rows = self.rows_behind(GRANT_INDEX, &prefix, None, REMOVED_ROWS)?;
                if rows.is_empty() {
                    break;
                }
                let writes = rows.into_iter().map(|(key, _)| delete(key));
                // Without a precondition there is no conflict.
                let _done = self.commit(Vec::new(), writes.collect()).await?;
            }
        }
        Ok(())
    }

    /// Takes all entries of a key out of the list by retiring principal, which damaged grants
    /// cannot name: by going through all of it.
    async fn remove_from_retiring(&self, key: KeyUid) -> Result<(), Error> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let all = &[BY_RETIRING];
            let rows = self.rows_behind(GRANT_INDEX, all, after.as_deref(), REMOVED_ROWS)?;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            let of_key = |row_key: &[u8]| {
                let behind = row_key.get(RETIRING_PREFIX_BYTES..);
                behind.is_some_and(|rest| rest.starts_with(&key.0))
            };
            let of_key = rows.into_iter().filter(|(row_key, _)| of_key(row_key));
            let writes: Vec<Write> = of_key.map(|(row_key, _)| delete(row_key)).collect();
            if !writes.is_empty() {
                let _done = self.commit(Vec::new(), writes).await?;
            }
        }
    }
}

/// The entries of a grant, beside the number of all of them.
pub(crate) fn entries(key: KeyUid, id: GrantId, row: &GrantRow) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    let mut put = |key: Vec<u8>, value: Vec<u8>| {
        writes.push(Write::Put {
            table: GRANT_INDEX,
            key,
            value,
        });
    };
    for operation in &row.operations {
        let names: Vec<&String> = match applying(row, *operation) {
            Some(GrantConstraints::EncryptionContextSubset(pairs)) => pairs.keys().collect(),
            _ => Vec::new(),
        };
        let names = minicbor::to_vec(names).map_err(|_| Error::Internal("encoding names"))?;
        put(use_key(key, id, row, *operation), names);
    }
    if let Some(retiring) = &row.retiring {
        put(retiring_key(retiring, key, id), vec![0]);
    }
    if let Some(terms) = terms_key(key, row)? {
        put(terms, id.0.to_vec());
    }
    Ok(writes)
}

/// What takes the entries of a grant away again.
pub(crate) fn removal(key: KeyUid, id: GrantId, row: &GrantRow) -> Result<Vec<Write>, Error> {
    let entries = entries(key, id, row)?.into_iter();
    Ok(entries
        .filter_map(|write| match write {
            Write::Put { key, .. } => Some(delete(key)),
            _ => None,
        })
        .collect())
}

/// The write that keeps the number of grants.
pub(crate) fn count_write(key: KeyUid, count: u32) -> Write {
    Write::Put {
        table: GRANT_INDEX,
        key: count_key(key),
        value: count.to_be_bytes().to_vec(),
    }
}

/// What the keys of all grants with this retiring principal begin with.
pub(crate) fn retiring_prefix(principal: &GrantPrincipal) -> Vec<u8> {
    [&[BY_RETIRING], principal_hash(principal).as_slice()].concat()
}

/// Key of the entry of a grant under its retiring principal.
pub(crate) fn retiring_key(principal: &GrantPrincipal, key: KeyUid, id: GrantId) -> Vec<u8> {
    [retiring_prefix(principal).as_slice(), &key.0, &id.0].concat()
}

/// What a grant looks like, without the values of its constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form([u8; FORM_BYTES]);

impl Form {
    fn of(row: &GrantRow, operation: GrantOperation) -> Form {
        let mask = if operation == GrantOperation::CreateGrant {
            mask(&row.operations)
        } else {
            0
        };
        let (kind, names) = match applying(row, operation) {
            None => (ANY, [0; NAMES_BYTES]),
            Some(GrantConstraints::EncryptionContextEquals(_)) => (EQUALS, [0; NAMES_BYTES]),
            Some(GrantConstraints::EncryptionContextSubset(pairs)) => {
                (SUBSET, hash(pairs.keys().map(String::as_str)))
            }
        };
        let mut form = [0; FORM_BYTES];
        let bytes = mask.to_be_bytes().into_iter().chain([kind]).chain(names);
        for (to, from) in form.iter_mut().zip(bytes) {
            *to = from;
        }
        Form(form)
    }

    /// The operations that may be passed on, and the kind of constraint.
    fn head(&self) -> (u32, u8) {
        let [a, b, c, d, kind, ..] = self.0;
        (u32::from_be_bytes([a, b, c, d]), kind)
    }
}

/// What a request has that a grant may insist on.
struct Wanted<'a> {
    /// Operations to pass on.
    mask: u32,
    /// Its encryption context, or the constraint of the grant that it asks for.
    pairs: Option<Pairs<'a>>,
}

impl<'a> Wanted<'a> {
    fn of(ask: &Ask<'a>) -> Wanted<'a> {
        if let Some(terms) = ask.terms {
            let pairs = terms.constraints.as_ref().map(GrantConstraints::pairs);
            let pairs = pairs.map(|pairs| pairs.iter().map(|(n, v)| (&**n, &**v)).collect());
            let mask = mask(&terms.operations);
            return Wanted { mask, pairs };
        }
        let context = ask.context;
        let pairs = context.map(|context| context.iter().collect());
        Wanted { mask: 0, pairs }
    }

    /// The hash of the pairs that a grant of this form has if it is about this request; `None` if
    /// none of this form is.
    fn pairs_hash(&self, form: &Form, names: &[String]) -> Option<[u8; PAIRS_BYTES]> {
        let (mask, kind) = form.head();
        if self.mask & !mask != 0 {
            return None;
        }
        match kind {
            ANY => Some([0; PAIRS_BYTES]),
            EQUALS => Some(pairs_hash(self.pairs.as_ref()?)),
            _ => {
                let pairs = self.pairs.as_ref()?;
                let pair = |name: &'_ String| pairs.get_key_value(name.as_str());
                let some = names.iter().map(|name| pair(name).map(|(n, v)| (*n, *v)));
                Some(pairs_hash(&some.collect::<Option<Pairs<'_>>>()?))
            }
        }
    }
}

/// The constraints that count for an operation of a grant.
fn applying(row: &GrantRow, operation: GrantOperation) -> Option<&GrantConstraints> {
    let constraints = row.constraints.as_ref();
    let passed_on = operation == GrantOperation::CreateGrant;
    constraints.filter(|_| passed_on || !operation.is_unconstrained())
}

fn mask(operations: &[GrantOperation]) -> u32 {
    let bit = |operation: &GrantOperation| 1_u32.checked_shl(u32::from(operation.number()));
    operations
        .iter()
        .filter_map(bit)
        .fold(0, |all, bit| all | bit)
}

fn use_key(key: KeyUid, id: GrantId, row: &GrantRow, operation: GrantOperation) -> Vec<u8> {
    let pairs = match applying(row, operation) {
        None => [0; PAIRS_BYTES],
        Some(constraints) => {
            let pairs = constraints.pairs().iter();
            pairs_hash(&pairs.map(|(name, value)| (&**name, &**value)).collect())
        }
    };
    let form = Form::of(row, operation);
    let prefix = use_prefix(key, &row.grantee, operation);
    [prefix.as_slice(), &form.0, &pairs, &id.0].concat()
}

fn use_prefix(key: KeyUid, grantee: &GrantPrincipal, operation: GrantOperation) -> Vec<u8> {
    let grantee = principal_hash(grantee);
    [&[BY_USE], key.0.as_slice(), &grantee, &[operation.number()]].concat()
}

fn terms_key(key: KeyUid, row: &GrantRow) -> Result<Option<Vec<u8>>, Error> {
    if row.name.is_none() {
        return Ok(None);
    }
    let timeless = GrantRow {
        created_ms: 0,
        ..row.clone()
    };
    let terms = digest(&SHA256, &timeless.encode()?);
    Ok(Some(
        [&[BY_TERMS], key.0.as_slice(), terms.as_ref()].concat(),
    ))
}

fn count_key(key: KeyUid) -> Vec<u8> {
    [&[COUNTS], key.0.as_slice()].concat()
}

/// A name that is used again is another principal.
fn principal_hash(principal: &GrantPrincipal) -> [u8; HASH_BYTES] {
    hash([principal.arn.as_str(), &principal.unique_id])
}

fn pairs_hash(pairs: &Pairs<'_>) -> [u8; PAIRS_BYTES] {
    hash(pairs.iter().flat_map(|(name, value)| [*name, *value]))
}

/// A hash of texts, each behind its length.
fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> [u8; HASH_BYTES] {
    let mut hash = Context::new(&SHA256);
    for text in texts {
        hash.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let mut short = [0; HASH_BYTES];
    for (to, from) in short.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    short
}

fn id_at_end(row_key: &[u8]) -> Result<GrantId, Error> {
    let id = row_key.last_chunk::<ID_BYTES>();
    id.map(|id| GrantId(*id)).ok_or_else(damaged)
}

fn delete(key: Vec<u8>) -> Write {
    Write::Delete {
        table: GRANT_INDEX,
        key,
    }
}

fn damaged() -> Error {
    Error::Corrupted {
        what: "an entry of the index of grants".to_owned(),
    }
}

/// The number of grants of each key, and where to find them.
pub(crate) const GRANT_INDEX: TableId = TableId(5);
/// More than any application has sets of names.
pub(crate) const FORMS_MAX: usize = 100;
/// Entries with the same hashes are of grants that allow the same, so the first decides. An entry
/// may outlive its grant for a moment, while a key is taken away.
const CANDIDATES_MAX: usize = 4;
const REMOVED_ROWS: usize = 512;
const COUNTS: u8 = 0;
const BY_RETIRING: u8 = 1;
const BY_USE: u8 = 2;
const BY_TERMS: u8 = 3;
const ANY: u8 = 0;
const EQUALS: u8 = 1;
const SUBSET: u8 = 2;
const NAMES_BYTES: usize = HASH_BYTES;
const PAIRS_BYTES: usize = HASH_BYTES;
const FORM_BYTES: usize = 4 + 1 + NAMES_BYTES;
const ID_BYTES: usize = 32;
/// A byte and a hash.
const RETIRING_PREFIX_BYTES: usize = 1 + HASH_BYTES;
const HASH_BYTES: usize = 16;
