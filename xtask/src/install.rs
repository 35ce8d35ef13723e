// SPDX-License-Identifier: Apache-2.0
//! Installs what the tests need, and only when it is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::step::{self, Outcome};

/// Programs that the tests call, and the Debian package of each.
const FOR_TESTS: [(&str, &str); 2] = [("cc", "gcc"), ("openssl", "openssl")];
const FOR_POLICY: [(&str, &str); 2] = [("node", "nodejs"), ("npm", "npm")];
const FOR_E2E: [(&str, &str); 5] = [
    ("cc", "gcc"),
    ("python3", "python3"),
    ("rclone", "rclone"),
    ("openssl", "openssl"),
    ("softhsm2-util", "softhsm2"),
];

/// What no program on the path of an ordinary user shows, by something that is there with it.
const OTHERS_FOR_E2E: [(&str, &str); 3] = [
    ("/usr/share/doc/ruby-aws-sdk-s3", "ruby-aws-sdk-s3"),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    ("/usr/sbin/mkfs.xfs", "xfsprogs"),
];

/// What `cargo test` needs.
pub(crate) fn for_tests() -> Outcome {
    packages(&FOR_TESTS)
}

/// What the comparison of policies needs; answers with the folder of its program.
pub(crate) fn for_policy() -> Result<PathBuf, String> {
    packages(&FOR_POLICY)?;
    let folder = step::root().join("e2e/policy");
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.installed-lock.json");
    let wanted =
        std::fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let args = [
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--silent",
    ];
    step::run("npm", step::command("npm", &args).current_dir(&folder))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(folder)
}

/// What the end-to-end tests need; answers with the Python of their environment.
pub(crate) fn for_e2e() -> Result<String, String> {
    packages(&FOR_E2E)?;
    for (sign, package) in OTHERS_FOR_E2E {
        if !Path::new(sign).exists() {
            apt_install(&[package])?;
        }
    }
    let root = step::root();
    let environment = root.join("e2e/.venv");
    let python = environment.join("bin/python");
    let requirements = root.join("e2e/requirements.txt");
    let stamp = environment.join("requirements.installed");
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|error| format!("{}: {error}", requirements.display()))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python.display().to_string());
    }
    make_environment(&environment)?;
    let requirements = requirements.display().to_string();
    let args = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    let mut pip = step::command(&python.display().to_string(), &args);
    step::run("pip", pip.arg(&requirements))?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python.display().to_string())
}

fn make_environment(environment: &Path) -> Outcome {
    let make = || {
        let mut venv = step::command("python3", &["-m", "venv", "--clear"]);
        step::run("venv", venv.arg(environment))
    };
    if make().is_ok() {
        return Ok(());
    }
    // Debian keeps the venv module's installer in a package of its own.
    apt_install(&["python3-venv"])?;
    make()
}

fn packages(needed: &[(&str, &str)]) -> Outcome {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        apt_install(&missing)
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn apt_install(packages: &[&str]) -> Outcome {
    let is_root = Command::new("id")
        .arg("-u")
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !is_root && !is_there("sudo") {
        return Err(format!(
            "install these Debian packages first: {}",
            packages.join(" ")
        ));
    }
    let apt = |args: &[&str]| {
        let mut command = if is_root {
            step::command("apt-get", args)
        } else {
            let mut command = step::command("sudo", &["apt-get"]);
            command.args(args);
            command
        };
        step::run("apt-get", command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update", "-q"])?;
    let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
    args.extend(packages);
    apt(&args)
}
