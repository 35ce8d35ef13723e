// SPDX-License-Identifier: Apache-2.0
//! CreateGrant.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;
use strongroom_store::{Precondition, Write};

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::grant::{
    ATTEMPTS_MAX, GRANTS_PER_KEY_MAX, GrantConstraints, GrantId, GrantOperation, GrantPrincipal,
    GrantRow, Terms, grant_key,
};
use crate::grant_index::{count_write, entries};
use crate::key_id::shortened;
use crate::key_state::refusal;
use crate::model::KeySpec;
use crate::rows::{GRANTS, KEYS, KeyRow};
use crate::service::{Found, Kms};

/// Parameters of CreateGrant.
#[derive(Clone, Debug, Default)]
pub struct CreateGrantInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// ARN of the principal that the grant is for.
    pub grantee_principal: String,
    /// ARN of the principal that may retire it.
    pub retiring_principal: Option<String>,
    /// Words of the wire, like `Decrypt`.
    pub operations: Vec<String>,
    /// The encryption context that requests must have; not together with `context_subset`.
    pub context_equals: Option<BTreeMap<String, String>>,
    /// What the encryption context of requests must have among others.
    pub context_subset: Option<BTreeMap<String, String>>,
    /// With a name, asking again for the same grant gives the grant that there is.
    pub name: Option<String>,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of CreateGrant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateGrantOutput {
    /// 64 hexadecimal digits.
    pub grant_id: String,
    /// A token, another one each time.
    pub grant_token: String,
}

impl Kms {
    /// Lets one more principal use a key; it may do so from the moment this returns.
    pub async fn create_grant(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: CreateGrantInput,
    ) -> Result<CreateGrantOutput, Error> {
        let mut event = Event::new(receipt, "CreateGrant", false, parameters(&input));
        let result = self.try_create_grant(caller, &input, &mut event).await;
        event.close(result).await
    }

    async fn try_create_grant(
        &self,
        caller: &Caller,
        input: &CreateGrantInput,
        event: &mut Event<'_>,
    ) -> Result<CreateGrantOutput, Error> {
        let terms = terms(input)?;
        let conditions = conditions(input, &terms, |principal| self.whole_arn(principal));
        let context = constrained_context(&terms)?;
        let ask = Ask::new(caller, event.via(), KmsAction::CreateGrant)
            .grant_tokens(&input.grant_tokens)
            .conditions(&conditions)
            .context(&context)
            .terms(&terms);
        let mut named = false;
        for _ in 0..ATTEMPTS_MAX {
            let found = self.find_without_alias(&input.key_id)?;
            let arn = found.row.arn(self.place());
            if !named {
                named = true;
                event.touches(&arn);
            }
            self.authorize(&ask, &found.row)?;
            if let Some(refusal) = refusal(&arn, found.row.state) {
                return Err(refusal);
            }
            check_key(&terms, &found.row, &arn)?;
            let row = GrantRow {
                grantee: self.grant_principal(&input.grantee_principal)?,
                retiring: match &input.retiring_principal {
                    Some(arn) => Some(self.grant_principal(arn)?),
                    None => None,
                },
                operations: terms.operations.clone(),
                constraints: terms.constraints.clone(),
                name: input.name.clone(),
                created_ms: self.now_ms(),
            };
            if input.dry_run {
                return Err(Error::DryRun);
            }
            let made = self.store_grant(&found, &row).await?;
            if let Some(id) = made {
                let grant_id = id.text();
                event.response(json!({ "grantId": grant_id, "keyId": arn }));
                return Ok(CreateGrantOutput {
                    grant_id,
                    grant_token: self.grant_token(found.row.uid(), id)?,
                });
            }
        }
        Err(Error::Internal("the key is being changed by others"))
    }

    /// Commits a grant on the key as it was when the grant was allowed, or finds the one with the
    /// same name and parameters; `None` if the key changed.
    async fn store_grant(&self, found: &Found, row: &GrantRow) -> Result<Option<GrantId>, Error> {
        let uid = found.row.uid();
        let _turn = self.turn(uid).await;
        // INVARIANT: the number is read first. Whoever makes a grant of this name after it was
        // looked for changes the number, and this commit fails.
        let (count, uncounted) = self.grant_count(uid)?;
        if let Some(same) = self.grant_of_terms(uid, row)? {
            return Ok(Some(same));
        }
        if count >= GRANTS_PER_KEY_MAX {
            return Err(Error::LimitExceeded(format!(
                "The key {} has {GRANTS_PER_KEY_MAX} grants, which is the limit.",
                found.row.arn(self.place())
            )));
        }
        self.check_room_for_form(uid, row)?;
        let id = GrantId::draw(uid, &row.grantee.arn)?;
        let key = grant_key(uid, id);
        let preconditions = vec![
            Precondition::SeqIs {
                table: KEYS,
                key: uid.0.to_vec(),
                seq: found.seq,
            },
            Precondition::Absent {
                table: GRANTS,
                key: key.clone(),
            },
            uncounted,
        ];
        let mut writes = entries(uid, id, row)?;
        writes.push(Write::Put {
            table: GRANTS,
            key,
            value: row.encode()?,
        });
        writes.push(count_write(uid, count.saturating_add(1)));
        let committed = self.commit(preconditions, writes).await?;
        Ok(committed.is_ok().then_some(id))
    }

    /// The ARN of a principal that a request names: an account id is its root user. Policies see
    /// this form alone.
    fn whole_arn(&self, principal: &str) -> String {
        if principal == self.place().account_id {
            crate::key_id::root_arn(principal)
        } else {
            principal.to_owned()
        }
    }

    /// A principal that a grant names: it has to exist.
    fn grant_principal(&self, arn: &str) -> Result<GrantPrincipal, Error> {
        let whole = self.whole_arn(arn);
        let unique_id = self.unique_id(&whole).ok_or_else(|| {
            Error::InvalidArn(format!(
                "ARN does not refer to a valid principal: {}",
                shortened(arn)
            ))
        })?;
        Ok(GrantPrincipal {
            arn: whole,
            unique_id,
        })
    }
}

/// What the grant would allow, as far as the request alone decides it.
fn terms(input: &CreateGrantInput) -> Result<Terms, Error> {
    if input.operations.is_empty() {
        let must = "have length greater than or equal to 1";
        return Err(Error::constraint("[]", "operations", must));
    }
    let mut operations = Vec::new();
    for word in &input.operations {
        let operation = GrantOperation::parse(word)?;
        if !operations.contains(&operation) {
            operations.push(operation);
        }
    }
    operations.sort_unstable();
    if let Some(name) = &input.name {
        check_name(name)?;
    }
    let constraints = match (&input.context_equals, &input.context_subset) {
        (None, None) => None,
        (Some(pairs), None) => Some(GrantConstraints::EncryptionContextEquals(pairs.clone())),
        (None, Some(pairs)) => Some(GrantConstraints::EncryptionContextSubset(pairs.clone())),
        (Some(_), Some(_)) => {
            return Err(Error::Validation(
                "Grant constraints can have EncryptionContextEquals or EncryptionContextSubset, \
                 not both."
                    .to_owned(),
            ));
        }
    };
    if let Some(constraints) = &constraints {
        check_pairs(constraints.pairs())?;
    }
    Ok(Terms {
        operations,
        constraints,
    })
}

fn check_pairs(pairs: &BTreeMap<String, String>) -> Result<(), Error> {
    let characters = |text: &String| (1..=PAIR_CHARACTERS_MAX).contains(&text.chars().count());
    let fits = pairs
        .iter()
        .all(|(name, value)| characters(name) && characters(value));
    if pairs.is_empty() || pairs.len() > PAIRS_MAX || !fits {
        return Err(Error::Validation(format!(
            "Grant constraints must have 1 to {PAIRS_MAX} encryption context pairs of at most \
             {PAIR_CHARACTERS_MAX} characters."
        )));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let must = "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$";
    Err(Error::constraint(shortened(name), "name", must))
}

/// What the key does not do cannot be granted.
fn check_key(terms: &Terms, row: &KeyRow, arn: &str) -> Result<(), Error> {
    let unfit = terms
        .operations
        .iter()
        .find(|operation| !operation.suits(row.spec, row.usage));
    if let Some(operation) = unfit {
        return Err(Error::Validation(format!(
            "The operation {} is not supported on {arn}, whose key spec is {} and key usage is {}.",
            operation.as_str(),
            row.spec.as_str(),
            row.usage.as_str()
        )));
    }
    if terms.constraints.is_some() && row.spec != KeySpec::SymmetricDefault {
        return Err(Error::Validation(
            "Encryption context constraints are supported on symmetric encryption keys only."
                .to_owned(),
        ));
    }
    Ok(())
}

fn conditions(
    input: &CreateGrantInput,
    terms: &Terms,
    whole_arn: impl Fn(&str) -> String,
) -> Vec<(&'static str, String)> {
    let mut conditions = vec![
        ("kms:GranteePrincipal", whole_arn(&input.grantee_principal)),
        ("kms:GrantIsForAWSResource", "false".to_owned()),
    ];
    if let Some(arn) = &input.retiring_principal {
        conditions.push(("kms:RetiringPrincipal", whole_arn(arn)));
    }
    if let Some(constraints) = &terms.constraints {
        conditions.push(("kms:GrantConstraintType", constraints.kind().to_owned()));
    }
    for operation in &terms.operations {
        conditions.push(("kms:GrantOperations", operation.as_str().to_owned()));
    }
    conditions
}

/// `kms:EncryptionContext:..` of CreateGrant is about the pairs of the constraint.
fn constrained_context(terms: &Terms) -> Result<EncryptionContext, Error> {
    let mut context = EncryptionContext::new();
    for (name, value) in terms.constraints.iter().flat_map(GrantConstraints::pairs) {
        context
            .insert(name, value)
            .map_err(|_| Error::Internal("the pairs of a constraint"))?;
    }
    Ok(context)
}

fn parameters(input: &CreateGrantInput) -> Value {
    let operations = input.operations.iter().take(GrantOperation::ALL.len());
    let mut parameters = json!({
        "keyId": asked(&input.key_id),
        "granteePrincipal": asked(&input.grantee_principal),
        "operations": operations.map(|word| shortened(word)).collect::<Vec<_>>(),
    });
    let optional = [
        (
            "retiringPrincipal",
            input.retiring_principal.as_deref().map(asked),
        ),
        ("name", input.name.as_deref().map(asked)),
        (
            "constraints",
            terms(input)
                .ok()
                .and_then(|terms| Some(terms.constraints?.told())),
        ),
    ];
    for (name, value) in optional {
        if let (Value::Object(members), Some(value)) = (&mut parameters, value) {
            members.insert(name.to_owned(), value);
        }
    }
    parameters
}

const PAIRS_MAX: usize = 8;
const PAIR_CHARACTERS_MAX: usize = 384;
const NAME_BYTES_MAX: usize = 256;
