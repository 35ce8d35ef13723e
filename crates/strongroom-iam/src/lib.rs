//! Principals, access keys and the only maker of Caller
