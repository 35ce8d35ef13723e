//! SigV4 verification and aws-chunked framing
