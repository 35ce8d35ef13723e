// SPDX-License-Identifier: Apache-2.0
//! Whether what is in memory could end up on a drive in clear.
//!
//! Swap is fine when it is encrypted (dm-crypt, directly or below LVM), when it is compressed
//! memory (zram), or when this process's control group may not swap. A swap file is as good as
//! the device its file system is on.

use std::path::{Path, PathBuf};

use strongroom_store::drive::small_file;

use crate::error::Error;

/// Refuses to go on while memory may be swapped out in clear.
pub(crate) fn check(allowed: bool) -> Result<(), Error> {
    let places = unencrypted(Path::new("/"));
    if places.is_empty() {
        return Ok(());
    }
    let places = places.join("`, `");
    if allowed {
        tracing::warn!(
            swap = places,
            "keys and plaintext may be swapped out in clear"
        );
        return Ok(());
    }
    Err(Error::Config(format!(
        "swap is on and not encrypted (`{places}`): keys and plaintext in memory could be written \
         to a drive in clear. Encrypt it, turn it off (swapoff -a), forbid it for this process \
         (MemorySwapMax=0 in its systemd unit), or accept it with --allow-unencrypted-swap"
    )))
}

/// The swap areas in use that are not known to be encrypted. `root` is `/`, but in tests.
fn unencrypted(root: &Path) -> Vec<String> {
    let text = text(&root.join("proc/swaps"));
    let areas: Vec<&str> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|area| !is_protected(root, area))
        .collect();
    if areas.is_empty() || may_not_swap(root) {
        return Vec::new();
    }
    areas.into_iter().map(str::to_owned).collect()
}

fn is_protected(root: &Path, area: &str) -> bool {
    // The kernel writes blanks in names as octal; such a name is not looked up.
    let path = root.join(area.trim_start_matches('/'));
    if area.starts_with("/dev/zram") {
        return true;
    }
    let Ok(found) = rustix::fs::stat(&path) else {
        return false;
    };
    let is_device = rustix::fs::FileType::from_raw_mode(found.st_mode).is_block_device();
    let device = if is_device {
        found.st_rdev
    } else {
        found.st_dev
    };
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let blocks = root.join("sys/dev/block");
    is_encrypted(&blocks.join(format!("{major}:{minor}")), 0)
}

/// A device of dm-crypt, or one that lies on such devices only.
fn is_encrypted(device: &Path, depth: u8) -> bool {
    if text(&device.join("dm/uuid")).starts_with("CRYPT-") {
        return true;
    }
    let below = names(&device.join("slaves"));
    depth < DEPTH_MAX
        && !below.is_empty()
        && below
            .iter()
            .all(|name| is_encrypted(&device.join("slaves").join(name), depth + 1))
}

/// Whether this process's control group, or one above it, has no swap.
fn may_not_swap(root: &Path) -> bool {
    let groups = text(&root.join("proc/self/cgroup"));
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return false;
    };
    let mount = root.join("sys/fs/cgroup");
    let mut folder = mount.join(group);
    while folder.starts_with(&mount) {
        if text(&folder.join("memory.swap.max")).trim_end() == "0" {
            return true;
        }
        if !folder.pop() {
            break;
        }
    }
    false
}

/// A file of the kernel's; empty when there is none.
fn text(path: &Path) -> String {
    let bytes = small_file::read(path).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn names(folder: &PathBuf) -> Vec<std::ffi::OsString> {
    use std::os::unix::ffi::OsStrExt as _;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    let opened = rustix::fs::open(folder, flags, rustix::fs::Mode::empty());
    let Ok(entries) = opened.and_then(rustix::fs::Dir::new) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .filter(|name| name != "." && name != "..")
        .collect()
}

/// Layers of devices that are gone through.
const DEPTH_MAX: u8 = 8;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct System(tempfile::TempDir);

    impl System {
        /// With one swap file, on a device that nothing is said about yet.
        fn new(swaps: &str) -> System {
            let system = System(tempfile::tempdir().unwrap());
            let head = "Filename\tType\tSize\tUsed\tPriority\n";
            system.write("proc/swaps", &format!("{head}{swaps}"));
            system.write("proc/self/cgroup", "0::/system.slice/strongroom.service\n");
            system.write("swap.img", "");
            system
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// The folder of the device that the swap file is on.
        fn device(&self) -> String {
            let on = rustix::fs::stat(self.0.path()).unwrap().st_dev;
            let (major, minor) = (rustix::fs::major(on), rustix::fs::minor(on));
            format!("sys/dev/block/{major}:{minor}")
        }

        fn found(&self) -> Vec<String> {
            unencrypted(self.0.path())
        }
    }

    const FILE: &str = "/swap.img file 2097148 0 -2\n";

    #[test]
    fn no_swap_compressed_memory_and_an_absent_list_are_fine() {
        assert!(System::new("").found().is_empty());
        assert!(
            System::new("/dev/zram0 partition 1 0 100\n")
                .found()
                .is_empty()
        );
        let none = System::new("");
        fs::remove_file(none.0.path().join("proc/swaps")).unwrap();
        assert!(none.found().is_empty());
    }

    #[test]
    fn swap_in_clear_is_named() {
        assert_eq!(System::new(FILE).found(), ["/swap.img"]);
        let gone = "/dev/sda2 partition 1 0 -2\n";
        assert_eq!(System::new(gone).found(), ["/dev/sda2"]);
        let both = format!("/dev/zram0 partition 1 0 100\n{FILE}{gone}");
        assert_eq!(System::new(&both).found(), ["/swap.img", "/dev/sda2"]);
    }

    #[test]
    fn encrypted_devices_are_known_through_the_layers() {
        let system = System::new(FILE);
        let device = system.device();
        system.write(&format!("{device}/dm/uuid"), "LVM-abc\n");
        assert_eq!(system.found(), ["/swap.img"]);
        system.write(
            &format!("{device}/slaves/dm-0/dm/uuid"),
            "CRYPT-LUKS2-abc\n",
        );
        assert!(system.found().is_empty());
        system.write(&format!("{device}/slaves/sdb1/size"), "1\n");
        assert_eq!(system.found(), ["/swap.img"], "half of it is in clear");
        system.write(&format!("{device}/dm/uuid"), "CRYPT-PLAIN-swap\n");
        assert!(system.found().is_empty());
    }

    #[test]
    fn a_group_without_swap_needs_no_more() {
        let system = System::new(FILE);
        let group = "sys/fs/cgroup/system.slice/strongroom.service/memory.swap.max";
        system.write(group, "max\n");
        assert_eq!(system.found(), ["/swap.img"]);
        system.write(group, "0\n");
        assert!(system.found().is_empty());
        system.write(group, "max\n");
        system.write("sys/fs/cgroup/system.slice/memory.swap.max", "0\n");
        assert!(system.found().is_empty());
    }
}
