//! Audit trail in the CloudTrail record schema
