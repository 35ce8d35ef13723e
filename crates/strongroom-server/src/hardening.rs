// SPDX-License-Identifier: Apache-2.0
//! What the process asks of the kernel before it touches a key: no core dumps, no debugger of
//! the same user, and as many file descriptors as it may have.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Keys live in this process's memory; a core file or a debugger would carry them out.
pub(crate) fn harden_process() {
    // A kernel that refuses (a sandbox, most likely) is no reason not to serve: the limits of
    // the sandbox hold instead.
    let _refused = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _refused = rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    let files = rustix::process::getrlimit(Resource::Nofile);
    let _refused = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        },
    );
}
