// SPDX-License-Identifier: Apache-2.0
//! Why a principal may not do something, in AWS's words.

use std::fmt;

use strongroom_policy::Decision;

/// A refusal of `authorize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessDenied {
    /// ARN of the principal.
    pub principal: String,
    /// For example `kms:Encrypt`.
    pub action: &'static str,
    /// ARN of what it was asked for, or `*`.
    pub resource: String,
    /// Which rule said no.
    pub decision: Decision,
}

impl AccessDenied {
    /// The end of the message: which rule said no.
    pub fn why(&self) -> String {
        self.decision.why_not(self.action).unwrap_or_default()
    }
}

impl fmt::Display for AccessDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            principal,
            action,
            resource,
            ..
        } = self;
        let why = self.why();
        write!(
            f,
            "User: {principal} is not authorized to perform: {action} on resource: {resource} {why}"
        )
    }
}
