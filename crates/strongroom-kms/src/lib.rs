//! Key service: KMS keys, key material, aliases, data keys
