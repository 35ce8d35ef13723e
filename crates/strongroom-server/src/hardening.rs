// SPDX-License-Identifier: Apache-2.0
//! What the process asks of the kernel before it touches a key: no core dumps, no debugger of
//! the same user, and as many file descriptors as it may have.

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Whether the kernel gives pages of 2 MiB, which the allocator asks for. Commands of the client refuse
/// them: nearly twice the memory that is in use would be resident.
pub(crate) fn refuse_huge_pages(refuse: bool) {
    // A kernel without such pages knows no such question, and gives none.
    let _refused = rustix::thread::disable_transparent_huge_pages(refuse);
}

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
