//! Protocol adapters: S3 and KMS over HTTP
