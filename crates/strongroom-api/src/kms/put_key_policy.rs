// SPDX-License-Identifier: Apache-2.0
//! PutKeyPolicy.

use strongroom_kms::PutKeyPolicyInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{BYPASS, KEY_ID, POLICY, POLICY_NAME};
use super::reply::Reply;

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    call.kms
        .put_key_policy(call.caller, call.receipt, input)
        .await?;
    Ok(Reply::empty())
}

pub(super) fn decode(mut members: Members) -> Result<PutKeyPolicyInput, KmsFault> {
    let input = PutKeyPolicyInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        policy_name: members.text("PolicyName", POLICY_NAME)?,
        policy: members.required_text("Policy", POLICY)?,
        bypass_policy_lockout_safety_check: members.boolean(BYPASS)?.unwrap_or(false),
    };
    members.finish()?;
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn requests_are_read() {
        let input = decode(members(
            r#"{"KeyId":"k","Policy":"{}","PolicyName":"default","BypassPolicyLockoutSafetyCheck":true}"#,
        ))
        .unwrap();
        assert_eq!((input.key_id.as_str(), input.policy.as_str()), ("k", "{}"));
        assert!(input.bypass_policy_lockout_safety_check);
        let input = decode(members(r#"{"KeyId":"k","Policy":"{}"}"#)).unwrap();
        assert!(!input.bypass_policy_lockout_safety_check);
        assert_eq!(input.policy_name, None);
    }

    #[test]
    fn other_requests_are_refused() {
        for (bad, code) in [
            (r#"{"KeyId":"k"}"#, "ValidationException"),
            (r#"{"Policy":"{}"}"#, "ValidationException"),
            (r#"{"KeyId":"k","Policy":""}"#, "ValidationException"),
            (r#"{"KeyId":"","Policy":"{}"}"#, "ValidationException"),
            (r#"{"KeyId":"k","Policy":{}}"#, "SerializationException"),
            (
                r#"{"KeyId":"k","Policy":"{}","BypassPolicyLockoutSafetyCheck":"true"}"#,
                "SerializationException",
            ),
            (
                r#"{"KeyId":"k","Policy":"{}","PolicyName":""}"#,
                "ValidationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
