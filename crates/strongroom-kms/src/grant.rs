// SPDX-License-Identifier: Apache-2.0
//! Grants: what a key lets one more principal do, beside its policy.
//!
//! A grant id is 32 bytes: 8 of a hash of key and grantee, and 24 random ones. So the grants of a
//! principal on a key lie together in the table, for listings. A use of the key reads none but the
//! one that allows it (`grant_index.rs`).
//!
//! A grant acts from the moment it is committed until it is retired or revoked, so nobody needs a
//! grant token here. Tokens are made and checked all the same: a token is the identity of its
//! grant, sealed; it says nothing to its holder and cannot be made up.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::{Decode, Encode};
use serde_json::{Value, json};
use strongroom_format::EncryptionContext;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::grant_index::{GRANT_INDEX, count_write, removal, retiring_key};
use crate::key_id::{KeyUid, shortened};
use crate::material;
use crate::model::{KeySpec, KeyUsage};
use crate::rows::{GRANTS, KeyRow};
use crate::service::Kms;

/// Pairs of an encryption context that a grant insists on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum GrantConstraints {
    /// The request's context is these pairs.
    #[n(0)]
    EncryptionContextEquals(#[n(0)] BTreeMap<String, String>),
    /// The request's context has these pairs among others.
    #[n(1)]
    EncryptionContextSubset(#[n(0)] BTreeMap<String, String>),
}

impl GrantConstraints {
    /// The word of policies.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            GrantConstraints::EncryptionContextEquals(_) => "EncryptionContextEquals",
            GrantConstraints::EncryptionContextSubset(_) => "EncryptionContextSubset",
        }
    }

    pub(crate) fn pairs(&self) -> &BTreeMap<String, String> {
        match self {
            GrantConstraints::EncryptionContextEquals(pairs)
            | GrantConstraints::EncryptionContextSubset(pairs) => pairs,
        }
    }

    /// As an event shows it.
    pub(crate) fn told(&self) -> Value {
        let kind = match self {
            GrantConstraints::EncryptionContextEquals(_) => "encryptionContextEquals",
            GrantConstraints::EncryptionContextSubset(_) => "encryptionContextSubset",
        };
        json!({ kind: self.pairs() })
    }

    fn hold(&self, context: &EncryptionContext) -> bool {
        let has = |(name, value): (&String, &String)| context.get(name) == Some(value);
        let among = self.pairs().iter().all(has);
        match self {
            GrantConstraints::EncryptionContextEquals(pairs) => {
                among && context.len() == pairs.len()
            }
            GrantConstraints::EncryptionContextSubset(_) => among,
        }
    }

    /// Whether every context that these let through is let through by `outer` too.
    fn within(&self, outer: &GrantConstraints) -> bool {
        match (self, outer) {
            (
                GrantConstraints::EncryptionContextEquals(own),
                GrantConstraints::EncryptionContextEquals(outer),
            ) => own == outer,
            (
                GrantConstraints::EncryptionContextSubset(_),
                GrantConstraints::EncryptionContextEquals(_),
            ) => false,
            (own, outer) => {
                let own = own.pairs();
                let outer = outer.pairs();
                outer
                    .iter()
                    .all(|(name, value)| own.get(name) == Some(value))
            }
        }
    }
}

/// What a grant allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) operations: Vec<GrantOperation>,
    pub(crate) constraints: Option<GrantConstraints>,
}

impl Terms {
    /// Whether a grant on these terms allows no more than one on `outer`.
    fn within(&self, outer: &GrantRow) -> bool {
        let operations = self.operations.iter();
        let constrained = match (&self.constraints, &outer.constraints) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(outer)) => own.within(outer),
        };
        constrained
            && operations
                .into_iter()
                .all(|op| outer.operations.contains(op))
    }
}

macro_rules! grant_operations {
    ($($number:literal $name:ident,)*) => {
        /// What a grant can allow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
        #[cbor(index_only)]
        pub enum GrantOperation { $(#[doc = concat!("`kms:", stringify!($name), "`")] #[n($number)] $name,)* }

        impl GrantOperation {
            /// Every operation.
            pub const ALL: &[GrantOperation] = &[$(GrantOperation::$name,)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(GrantOperation::$name => stringify!($name),)* }
            }

            /// The number in rows.
            pub(crate) fn number(self) -> u8 {
                match self { $(GrantOperation::$name => $number,)* }
            }

            fn action(self) -> KmsAction {
                match self { $(GrantOperation::$name => KmsAction::$name,)* }
            }
        }
    };
}

grant_operations! {
    0 Decrypt,
    1 Encrypt,
    2 GenerateDataKey,
    3 GenerateDataKeyWithoutPlaintext,
    4 ReEncryptFrom,
    5 ReEncryptTo,
    6 Sign,
    7 Verify,
    8 GetPublicKey,
    9 CreateGrant,
    10 RetireGrant,
    11 DescribeKey,
    12 GenerateDataKeyPair,
    13 GenerateDataKeyPairWithoutPlaintext,
    14 GenerateMac,
    15 VerifyMac,
    16 DeriveSharedSecret,
}

impl GrantOperation {
    pub(crate) fn parse(word: &str) -> Result<GrantOperation, Error> {
        let known = GrantOperation::ALL.iter().find(|op| op.as_str() == word);
        known.copied().ok_or_else(|| {
            let words: Vec<&str> = GrantOperation::ALL.iter().map(|op| op.as_str()).collect();
            Error::constraint(
                shortened(word),
                "operations",
                &format!("satisfy enum value set: [{}]", words.join(", ")),
            )
        })
    }

    /// Whether a key of this kind can do it.
    pub(crate) fn suits(self, spec: KeySpec, usage: KeyUsage) -> bool {
        use GrantOperation as Op;
        match self {
            Op::CreateGrant | Op::RetireGrant | Op::DescribeKey => true,
            Op::Encrypt | Op::Decrypt | Op::ReEncryptFrom | Op::ReEncryptTo => {
                usage == KeyUsage::EncryptDecrypt
            }
            Op::GenerateDataKey
            | Op::GenerateDataKeyWithoutPlaintext
            | Op::GenerateDataKeyPair
            | Op::GenerateDataKeyPairWithoutPlaintext => spec == KeySpec::SymmetricDefault,
            Op::Sign | Op::Verify => usage == KeyUsage::SignVerify,
            Op::GetPublicKey => {
                spec != KeySpec::SymmetricDefault && usage != KeyUsage::GenerateVerifyMac
            }
            Op::GenerateMac | Op::VerifyMac => usage == KeyUsage::GenerateVerifyMac,
            Op::DeriveSharedSecret => usage == KeyUsage::KeyAgreement,
        }
    }

    /// Constraints are about the encryption context, and these operations have none.
    pub(crate) fn is_unconstrained(self) -> bool {
        matches!(
            self,
            GrantOperation::CreateGrant | GrantOperation::RetireGrant | GrantOperation::DescribeKey
        )
    }
}

/// A principal, and the unique id that its ARN stood for when the grant was made.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GrantPrincipal {
    #[n(0)]
    pub(crate) arn: String,
    #[n(1)]
    pub(crate) unique_id: String,
}

impl GrantPrincipal {
    /// Whether this is the caller itself, not one of the same name after it.
    pub(crate) fn is(&self, caller: &strongroom_iam::Caller) -> bool {
        self.arn == caller.arn() && self.unique_id == caller.user_id()
    }
}

/// A grant on a key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GrantRow {
    #[n(0)]
    pub(crate) grantee: GrantPrincipal,
    #[n(1)]
    pub(crate) retiring: Option<GrantPrincipal>,
    #[n(2)]
    pub(crate) operations: Vec<GrantOperation>,
    #[n(3)]
    pub(crate) constraints: Option<GrantConstraints>,
    #[n(4)]
    pub(crate) name: Option<String>,
    #[n(5)]
    pub(crate) created_ms: u64,
}

impl GrantRow {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::Internal("encoding a grant row"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<GrantRow, Error> {
        minicbor::decode(bytes).map_err(|_| Error::Corrupted {
            what: "a grant".to_owned(),
        })
    }

    /// Whether it allows what is asked, of its grantee.
    pub(crate) fn allows(&self, ask: &Ask<'_>) -> bool {
        let operation = self
            .operations
            .iter()
            .find(|operation| operation.action() == ask.action);
        let Some(operation) = operation else {
            return false;
        };
        if *operation == GrantOperation::CreateGrant {
            return ask.terms.is_some_and(|terms| terms.within(self));
        }
        match &self.constraints {
            None => true,
            Some(_) if operation.is_unconstrained() => true,
            Some(constraints) => ask.context.is_some_and(|context| constraints.hold(context)),
        }
    }
}

/// A grant and where its row stands.
pub(crate) struct FoundGrant {
    pub(crate) id: GrantId,
    pub(crate) row: GrantRow,
    pub(crate) seq: u64,
}

/// Identity of a grant among those of its key; 64 hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrantId(pub(crate) [u8; 32]);

impl GrantId {
    /// A new id for a grant to this principal.
    pub(crate) fn draw(key: KeyUid, grantee: &str) -> Result<GrantId, Error> {
        let mut id = [0; 32];
        material::fill(&mut id)?;
        let (head, _) = id.split_at_mut(HASH_BYTES);
        head.copy_from_slice(&grantee_hash(key, grantee));
        Ok(GrantId(id))
    }

    /// Reads the text form; `None` is the id of no grant.
    pub(crate) fn parse(text: &str) -> Option<GrantId> {
        let mut id = [0; 32];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(GrantId(id))
    }

    pub(crate) fn text(self) -> String {
        hex::encode(self.0)
    }
}

impl Kms {
    /// Whether a grant allows what no policy does. `by_identity` says whether the identity
    /// policies of the caller allow it: a grant to the account leaves it to them.
    pub(crate) fn granted(
        &self,
        ask: &Ask<'_>,
        key: &KeyRow,
        by_identity: impl Fn() -> bool,
    ) -> Result<bool, Error> {
        let mut operations = GrantOperation::ALL.iter();
        let operation = operations.find(|operation| operation.action() == ask.action);
        let Some(operation) = operation else {
            return Ok(false);
        };
        let caller = ask.caller;
        let own = GrantPrincipal {
            arn: caller.arn().to_owned(),
            unique_id: caller.user_id().to_owned(),
        };
        if self.is_granted_to(ask, key.uid(), *operation, &own)? {
            return Ok(true);
        }
        if caller.is_root() || !by_identity() {
            return Ok(false);
        }
        let account_id = caller.account_id();
        let account = GrantPrincipal {
            arn: crate::key_id::root_arn(account_id),
            unique_id: account_id.to_owned(),
        };
        self.is_granted_to(ask, key.uid(), *operation, &account)
    }

    /// Grants of a key behind `after`, in the order of their ids; with `grantee`, only those whose
    /// ids are drawn for this ARN.
    pub(crate) fn grants(
        &self,
        key: KeyUid,
        grantee: Option<&str>,
        after: Option<GrantId>,
        count: usize,
    ) -> Result<Vec<FoundGrant>, Error> {
        let prefix = match grantee {
            Some(arn) => [key.0.as_slice(), &grantee_hash(key, arn)].concat(),
            None => key.0.to_vec(),
        };
        let after = after.map(|id| grant_key(key, id));
        let rows = self.rows_behind(GRANTS, &prefix, after.as_deref(), count)?;
        rows.into_iter()
            .map(|(key, stored)| {
                let id = key.get(UID_BYTES..).and_then(|id| id.try_into().ok());
                let id = id.ok_or_else(|| Error::Corrupted {
                    what: "the id of a grant".to_owned(),
                })?;
                Ok(FoundGrant {
                    id: GrantId(id),
                    row: GrantRow::decode(&stored.value)?,
                    seq: stored.seq,
                })
            })
            .collect()
    }

    /// One grant of a key.
    pub(crate) fn grant(&self, key: KeyUid, id: GrantId) -> Result<Option<FoundGrant>, Error> {
        let stored = self.store().tables().get(GRANTS, &grant_key(key, id))?;
        stored
            .map(|stored| {
                Ok(FoundGrant {
                    id,
                    row: GrantRow::decode(&stored.value)?,
                    seq: stored.seq,
                })
            })
            .transpose()
    }

    /// Every token has to be one that was made here, of a grant that is still there. What it
    /// allows is decided by the grant, which acts with and without its token.
    pub(crate) fn check_grant_tokens(&self, tokens: &[String]) -> Result<(), Error> {
        for token in tokens {
            let (key, id) = self.open_grant_token(token)?;
            self.grant(key, id)?.ok_or(Error::InvalidGrantToken)?;
        }
        Ok(())
    }

    /// A token of a grant; each is another one.
    pub(crate) fn grant_token(&self, key: KeyUid, id: GrantId) -> Result<String, Error> {
        let identity = [key.0.as_slice(), &id.0].concat();
        let token = self.keyring().seal_private(TOKEN_LABEL, &identity)?;
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// The key and the grant of a token.
    pub(crate) fn open_grant_token(&self, token: &str) -> Result<(KeyUid, GrantId), Error> {
        let opened = || {
            let token = URL_SAFE_NO_PAD.decode(token).ok()?;
            let identity = self.keyring().open_private(TOKEN_LABEL, &token).ok()?;
            let (uid, id) = identity.split_first_chunk::<UID_BYTES>()?;
            Some((KeyUid(*uid), GrantId(id.try_into().ok()?)))
        };
        opened().ok_or(Error::InvalidGrantToken)
    }

    /// Takes a grant away, if it is still there.
    pub(crate) async fn remove_grant(
        &self,
        key: KeyUid,
        grant: &FoundGrant,
    ) -> Result<bool, Error> {
        let _turn = self.turn(key).await;
        for _ in 0..ATTEMPTS_MAX {
            let (count, uncounted) = self.grant_count(key)?;
            let unchanged = Precondition::SeqIs {
                table: GRANTS,
                key: grant_key(key, grant.id),
                seq: grant.seq,
            };
            let mut writes = removal(key, grant.id, &grant.row)?;
            writes.push(Write::Delete {
                table: GRANTS,
                key: grant_key(key, grant.id),
            });
            writes.push(count_write(key, count.saturating_sub(1)));
            match self.commit(vec![unchanged, uncounted], writes).await? {
                Ok(()) => return Ok(true),
                Err(conflict) if conflict.index == 0 => return Ok(false),
                Err(_) => {}
            }
        }
        Err(Error::Internal("the grants are being changed by others"))
    }

    /// Takes all grants of a key away, in as many commits as it takes: for a key that nobody can
    /// use any more.
    pub(crate) async fn remove_all_grants(&self, key: KeyUid) -> Result<(), Error> {
        let mut some_damaged = false;
        loop {
            let page = self.rows_of(GRANTS, key, SCAN_ROWS)?;
            if page.is_empty() {
                break;
            }
            let mut writes = Vec::new();
            for (row_key, stored) in page {
                // A damaged grant does not stop its key's destruction.
                let grant = GrantRow::decode(&stored.value);
                some_damaged |= grant.is_err();
                let retiring = grant.ok().and_then(|grant| grant.retiring);
                let id = row_key.get(UID_BYTES..).and_then(|id| id.try_into().ok());
                if let (Some(retiring), Some(id)) = (retiring, id) {
                    writes.push(Write::Delete {
                        table: GRANT_INDEX,
                        key: retiring_key(&retiring, key, GrantId(id)),
                    });
                }
                writes.push(Write::Delete {
                    table: GRANTS,
                    key: row_key,
                });
            }
            // Without a precondition there is no conflict.
            let _done = self.commit(Vec::new(), writes).await?;
        }
        self.remove_from_grant_index(key, some_damaged).await
    }
}

/// A grant id that no grant of the key has.
pub(crate) fn invalid_grant_id(text: &str) -> Error {
    Error::InvalidGrantId(format!("The grant ID {} is not valid.", shortened(text)))
}

/// Key of a grant row.
pub(crate) fn grant_key(key: KeyUid, id: GrantId) -> Vec<u8> {
    [key.0.as_slice(), &id.0].concat()
}

fn grantee_hash(key: KeyUid, grantee: &str) -> [u8; HASH_BYTES] {
    let hash = digest(&SHA256, &[key.0.as_slice(), grantee.as_bytes()].concat());
    let mut short = [0; HASH_BYTES];
    for (to, from) in short.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    short
}

/// AWS's quota.
pub(crate) const GRANTS_PER_KEY_MAX: u32 = 50_000;
pub(crate) const ATTEMPTS_MAX: usize = 16;
pub(crate) const UID_BYTES: usize = 16;
const HASH_BYTES: usize = 8;
const SCAN_ROWS: usize = 512;
const TOKEN_LABEL: &str = "kms-grant-token";
