// SPDX-License-Identifier: Apache-2.0
//! Users of a world's account, with policies, and what they try.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_format::EncryptionContext;
use strongroom_iam::{Caller, Iam, IamOptions, dangerous_user_for_tests, generate_root_credential};
use strongroom_kms::{
    CiphertextBlob, CreateGrantInput, CreateGrantOutput, DecryptInput, DescribeKeyInput,
    EncryptInput, Error, PutKeyPolicyInput,
};
use strongroom_testkit::SimClock;

use crate::world::{ACCOUNT, NOON_MS, REGION, World};

/// Everything that IAM can allow of the key service.
pub(crate) const ALL_OF_KMS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
    "Action":"kms:*","Resource":"*"}}"#;
/// Nothing of the key service.
pub(crate) const NOTHING_OF_KMS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
    "Action":"s3:*","Resource":"*"}}"#;

pub(crate) fn root_arn() -> String {
    format!("arn:aws:iam::{ACCOUNT}:root")
}

pub(crate) fn user_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{name}")
}

/// A document of these statements.
pub(crate) fn policy(statements: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// A statement of a key policy.
pub(crate) fn statement(effect: &str, principal: &Value, action: &str) -> Value {
    json!({ "Effect": effect, "Principal": principal, "Action": action, "Resource": "*" })
}

/// The statement that leaves everything to the account.
pub(crate) fn delegation() -> Value {
    statement("Allow", &json!({ "AWS": root_arn() }), "kms:*")
}

impl World {
    /// The identity service of this world, known to its key service.
    pub(crate) async fn iam(&self) -> Iam {
        let clock = Arc::new(SimClock::new(NOON_MS));
        let options = IamOptions::new(ACCOUNT, REGION);
        let root = generate_root_credential().unwrap();
        let iam = Iam::open(&self.store, clock, options, root).await.unwrap();
        self.kms.know_users_of(&iam);
        iam
    }

    /// A new user; `None` is full access.
    pub(crate) async fn user(&self, iam: &Iam, name: &str, policy: Option<&str>) -> Caller {
        let added = iam.add_user_with_policy(self.receipt(), name, policy);
        added.await.unwrap();
        self.as_user(iam, name)
    }

    /// A request of a user.
    pub(crate) fn as_user(&self, iam: &Iam, name: &str) -> Caller {
        dangerous_user_for_tests(iam, self.caller.facts().clone(), name).unwrap()
    }

    pub(crate) async fn put_policy(&self, key_id: &str, document: &str) {
        let input = PutKeyPolicyInput {
            key_id: key_id.to_owned(),
            policy_name: None,
            policy: document.to_owned(),
            bypass_policy_lockout_safety_check: true,
        };
        let receipt = self.receipt();
        let put = self.kms.put_key_policy(&self.caller, &receipt, input).await;
        receipt.finish_recorded();
        put.unwrap();
    }

    pub(crate) async fn encrypt_as(
        &self,
        caller: &Caller,
        key_id: &str,
        context: &EncryptionContext,
        grant_tokens: &[&str],
    ) -> Result<Vec<u8>, Error> {
        let input = EncryptInput {
            key_id: key_id.to_owned(),
            plaintext: strongroom_kms::Plaintext::new(b"plain".to_vec()),
            context: context.clone(),
            algorithm: None,
            grant_tokens: grant_tokens.iter().map(|t| (*t).to_owned()).collect(),
            dry_run: false,
        };
        let receipt = self.audit.begin(caller.facts().clone());
        let result = self.kms.encrypt(caller, &receipt, input).await;
        receipt.finish_recorded();
        Ok(result?.ciphertext_blob.0)
    }

    pub(crate) async fn decrypt_as(
        &self,
        caller: &Caller,
        blob: &[u8],
        context: &EncryptionContext,
    ) -> Result<(), Error> {
        let input = DecryptInput {
            ciphertext_blob: CiphertextBlob(blob.to_vec()),
            context: context.clone(),
            key_id: None,
            algorithm: None,
            grant_tokens: Vec::new(),
            dry_run: false,
            ignore_ciphertext: false,
        };
        let receipt = self.audit.begin(caller.facts().clone());
        let result = self.kms.decrypt(caller, &receipt, input).await;
        receipt.finish_recorded();
        result.map(drop)
    }

    pub(crate) async fn describe_as(&self, caller: &Caller, key_id: &str) -> Result<(), Error> {
        let input = DescribeKeyInput {
            key_id: key_id.to_owned(),
            grant_tokens: Vec::new(),
        };
        let receipt = self.audit.begin(caller.facts().clone());
        let result = self.kms.describe_key(caller, &receipt, input).await;
        receipt.finish_recorded();
        result.map(drop)
    }

    pub(crate) async fn grant_as(
        &self,
        caller: &Caller,
        input: CreateGrantInput,
    ) -> Result<CreateGrantOutput, Error> {
        let receipt = self.audit.begin(caller.facts().clone());
        let result = self.kms.create_grant(caller, &receipt, input).await;
        receipt.finish_recorded();
        result
    }
}

/// A grant to a user.
pub(crate) fn grant_to(key_id: &str, name: &str, operations: &[&str]) -> CreateGrantInput {
    CreateGrantInput {
        key_id: key_id.to_owned(),
        grantee_principal: user_arn(name),
        operations: operations.iter().map(|op| (*op).to_owned()).collect(),
        ..CreateGrantInput::default()
    }
}

/// Why somebody was denied: the end of the message.
#[track_caller]
pub(crate) fn denial<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::AccessDenied(denied)) => denied.why(),
        other => panic!("{other:?}"),
    }
}

/// Whether the operation was done; a denial is the only other outcome.
#[track_caller]
pub(crate) fn allowed<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(Error::AccessDenied(_)) => false,
        other => panic!("{other:?}"),
    }
}
