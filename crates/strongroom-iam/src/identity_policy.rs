// SPDX-License-Identifier: Apache-2.0
//! Identity policies: what a user may ask for, in the language of IAM.
//!
//! A user has one policy or none; without one it has full access. What is decided with is always a
//! list of parsed policies, so that nobody above asks whether there is one: full access is a policy
//! that allows everything, and a stored policy that cannot be read any more is one that denies
//! everything.

use std::sync::Arc;

use strongroom_policy::{Policy, PolicyKind};

use crate::error::Error;

/// What a user may ask for, as `user list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No identity policy: everything.
    Full,
    /// What its identity policy allows.
    Policy,
    /// Nothing: the stored policy cannot be read.
    Damaged,
}

/// A policy document that was read.
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) parsed: Arc<Policy>,
}

impl Document {
    /// Reads a document that somebody wants to set.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let characters = text.chars().filter(|c| !c.is_ascii_whitespace()).count();
        if text.len() > DOCUMENT_BYTES_MAX || characters > DOCUMENT_CHARACTERS_MAX {
            return Err(Error::PolicyTooLong);
        }
        let parsed = parse(text).map_err(|reason| Error::MalformedPolicy { reason })?;
        Ok(Self {
            text: text.to_owned(),
            parsed,
        })
    }
}

/// The policies of a user, ready to be evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) access: Access,
    pub(crate) policies: Arc<[Arc<Policy>]>,
}

/// The two policies that are in no table.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    full: Granted,
    nothing: Granted,
}

impl BuiltIn {
    pub(crate) fn new() -> Result<Self, Error> {
        let nothing = parse(NO_ACCESS).map_err(|_| Error::Corrupted {
            place: "a policy of the program",
        })?;
        Ok(Self {
            full: Granted {
                access: Access::Full,
                policies: Arc::from([Arc::new(Policy::full_access())]),
            },
            nothing: Granted {
                access: Access::Damaged,
                policies: Arc::from([nothing]),
            },
        })
    }

    /// Of root, and of users without a policy.
    pub(crate) fn full_access(&self) -> Granted {
        self.full.clone()
    }

    /// Of users about whom it is not known what they may.
    pub(crate) fn no_access(&self) -> Granted {
        self.nothing.clone()
    }

    /// What a stored document gives. One that cannot be read gives nothing.
    pub(crate) fn stored(&self, document: Option<&str>) -> Granted {
        match document.map(parse) {
            None => self.full_access(),
            Some(Ok(parsed)) => granted(parsed),
            Some(Err(_)) => self.no_access(),
        }
    }
}

/// What a document that was just read gives.
pub(crate) fn granted(parsed: Arc<Policy>) -> Granted {
    Granted {
        access: Access::Policy,
        policies: Arc::from([parsed]),
    }
}

fn parse(text: &str) -> Result<Arc<Policy>, String> {
    Policy::parse(text, PolicyKind::Identity)
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

const NO_ACCESS: &str = r#"{
    "Version": "2012-10-17",
    "Statement": [{ "Effect": "Deny", "Action": "*", "Resource": "*" }]
}"#;
/// IAM's quota of a managed policy, which does not count white space.
const DOCUMENT_CHARACTERS_MAX: usize = 6_144;
const DOCUMENT_BYTES_MAX: usize = 20_480;
