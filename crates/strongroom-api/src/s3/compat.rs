// SPDX-License-Identifier: Apache-2.0
//! Refusals in the words of whom this server is compatible with.
//!
//! Handlers refuse as Amazon S3 does. Where Ceph's suite of S3 tests expects another status or
//! code for the same refusal, it is put in place of S3's here.

use strongroom_object::Compat;

use crate::error::{S3Code, S3Error};

/// The error as the client is told of it.
pub(crate) fn told(compat: Compat, mut error: S3Error) -> S3Error {
    error.code = match (compat, error.code) {
        (Compat::Ceph, S3Code::CustomerKeyWrong) => S3Code::InvalidArgument,
        (Compat::Ceph, S3Code::InvalidPartNumber) => S3Code::InvalidPart,
        (Compat::Aws | Compat::Ceph, code) => code,
    };
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_form_for_each_side() {
        for (code, aws, ceph) in [
            (S3Code::CustomerKeyWrong, 403, 400),
            (S3Code::InvalidPartNumber, 416, 400),
            (S3Code::AccessDenied, 403, 403),
            (S3Code::InvalidRange, 416, 416),
        ] {
            for (compat, status) in [(Compat::Aws, aws), (Compat::Ceph, ceph)] {
                let told = told(compat, S3Error::from_code(code));
                assert_eq!(told.status().as_u16(), status, "{code:?} {compat:?}");
                assert_eq!(told.message, code.default_message());
            }
        }
    }
}
