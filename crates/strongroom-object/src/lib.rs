//! The conductor: buckets, objects, multipart uploads, choice of encryption
