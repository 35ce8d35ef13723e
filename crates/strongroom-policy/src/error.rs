// SPDX-License-Identifier: Apache-2.0
//! Why a policy document was refused, and where.

/// A document that is not a policy. Shows the element, the reason and the place in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{element}: {reason} (line {line}, column {column})")]
pub struct PolicyError {
    element: String,
    reason: Reason,
    line: usize,
    column: usize,
}

impl PolicyError {
    /// About `element`, at the byte `offset` of `text`.
    pub(crate) fn new(text: &str, offset: usize, element: &str, reason: Reason) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        let lines = before.matches('\n').count();
        let characters = in_line.chars().count();
        Self {
            element: if element.is_empty() {
                "policy".to_owned()
            } else {
                format!("`{element}`")
            },
            reason,
            line: lines.saturating_add(1),
            column: characters.saturating_add(1),
        }
    }

    /// What is wrong.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The element, for example `Statement[1].Condition.StringEquals`.
    pub fn element(&self) -> &str {
        &self.element
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn position(&self) -> (usize, usize) {
        (self.line, self.column)
    }
}

/// What can be wrong with a policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    // ---- the text ----
    /// Longer than the caller allows.
    #[error("the document is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// Not UTF-8.
    #[error("the document is not valid UTF-8")]
    NotUtf8,
    /// Begins with a byte order mark.
    #[error("the document begins with a byte order mark")]
    ByteOrderMark,
    /// Not JSON.
    #[error("not valid JSON: {0}")]
    Json(&'static str),
    /// Arrays and objects inside each other.
    #[error("nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// The same name twice in one object.
    #[error("the key `{0}` stands twice")]
    DuplicateKey(String),
    // ---- the grammar ----
    /// Not an element of the language in this place.
    #[error("unknown element `{0}`")]
    UnknownElement(String),
    /// An element that has to be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// Two elements that exclude each other.
    #[error("`{0}` and `{1}` exclude each other")]
    Both(&'static str, &'static str),
    /// A value of another type.
    #[error("expected {0}")]
    Expected(&'static str),
    /// An empty list or object where there has to be something.
    #[error("is empty")]
    Empty,
    /// A version of the language that does not exist.
    #[error("`{0}` is not a version of the policy language")]
    Version(String),
    /// `Effect` is something else.
    #[error("`{0}` is neither `Allow` nor `Deny`")]
    Effect(String),
    /// A statement id that may not be.
    #[error("`{0}` is not a statement id of an identity policy: letters and digits only")]
    Sid(String),
    /// The same statement id twice.
    #[error("the statement id `{0}` stands twice")]
    DuplicateSid(String),
    /// Identity policies are about their owner.
    #[error("identity policies have no `{0}`")]
    NotInIdentityPolicy(&'static str),
    /// AWS does not support it, since it would allow everyone else, without a signature too.
    #[error("`NotPrincipal` is for `Deny` only")]
    NotPrincipalAllow,
    // ---- single values ----
    /// Not a principal.
    #[error("`{0}` is not a principal")]
    Principal(String),
    /// Not a type of principal.
    #[error("`{0}` is not a type of principal")]
    PrincipalType(String),
    /// A principal that nobody is.
    #[error("there is no principal `{0}`")]
    NoSuchPrincipal(String),
    /// Not an action.
    #[error("`{0}` is not an action: `SERVICE:ACTION` or `*`")]
    Action(String),
    /// Not a resource.
    #[error("`{0}` is neither an ARN nor `*`")]
    Resource(String),
    /// A variable that cannot be read.
    #[error("`{0}` has a policy variable that cannot be read")]
    Variable(String),
    /// A variable in a part of an ARN that has none.
    #[error("`{0}` has a policy variable before the fifth colon")]
    VariablePlace(String),
    /// Not an operator.
    #[error("`{0}` is not a condition operator")]
    Operator(String),
    /// Not a condition key.
    #[error("`{0}` is not a condition key")]
    ConditionKey(String),
    /// A value that the operator cannot compare with.
    #[error("`{value}` is not {wanted}")]
    Value {
        /// The value.
        value: String,
        /// What the operator takes.
        wanted: &'static str,
    },
}
