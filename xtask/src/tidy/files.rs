// SPDX-License-Identifier: Apache-2.0
//! Which files there are, how long they are and what they are called.

use std::path::PathBuf;

use crate::step;

/// Lines of a Rust file outside its test module.
const LINES_MAX: usize = 1000;
/// Names that say nothing.
const VAGUE: [&str; 7] = [
    "common", "utils", "util", "helpers", "helper", "misc", "shared",
];

/// A text file under version control.
pub(crate) struct Source {
    /// Path from the project's folder, with slashes.
    pub(crate) path: String,
    /// Contents.
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extension == "rs")
    }

    /// Whether it is only compiled for tests, benchmarks or tools.
    pub(crate) fn is_outside_product(&self) -> bool {
        let path = &self.path;
        self.is_test()
            || path.starts_with("xtask/")
            || path.starts_with("fuzz/")
            || path.starts_with("crates/strongroom-testkit/")
            || path.starts_with("crates/strongroom-bench/")
            || path.starts_with("crates/strongroom-sim/")
    }

    /// Whether it holds nothing but tests.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Lines with their numbers up to the test module at the end.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .enumerate()
            .map(|(number, line)| (number + 1, line));
        lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }
}

/// All text files that git tracks, or would.
pub(crate) fn sources() -> Result<Vec<Source>, String> {
    let args = [
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ];
    let output = step::command("git", &args)
        .output()
        .map_err(|error| error.to_string())?;
    let listing = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let names = listing.split('\0').filter(|name| !name.is_empty());
    Ok(names.filter_map(read).collect())
}

fn read(name: &str) -> Option<Source> {
    let path: PathBuf = step::root().join(name);
    let text = std::fs::read_to_string(path).ok()?;
    Some(Source {
        path: name.to_owned(),
        text,
    })
}

pub(crate) fn check(sources: &[Source], findings: &mut Vec<String>) {
    for source in sources {
        let path = &source.path;
        let stem = path
            .rsplit('/')
            .next()
            .and_then(|file| file.split('.').next());
        if stem.is_some_and(|stem| VAGUE.contains(&stem)) {
            findings.push(format!("{path}: a name that says nothing"));
        }
        if source.is_rust() {
            let lines = source.product_lines().count();
            if lines > LINES_MAX && !source.is_test() {
                findings.push(format!("{path}: {lines} lines; split it by concept"));
            }
            if !source
                .text
                .starts_with("// SPDX-License-Identifier: Apache-2.0")
            {
                findings.push(format!("{path}:1: the licence line is missing"));
            }
        }
        if let Some(folder) = path.strip_suffix("/Cargo.toml")
            && folder.starts_with("crates/")
        {
            let readme = format!("{folder}/README.md");
            match sources.iter().find(|source| source.path == readme) {
                None => findings.push(format!("{readme}: missing")),
                Some(readme) if readme.text.lines().count() > 60 => {
                    findings.push(format!("{}: longer than 60 lines", readme.path));
                }
                Some(_) => {}
            }
        }
        if path.starts_with("docs/adr/0") {
            check_adr(source, findings);
        }
    }
}

fn check_adr(source: &Source, findings: &mut Vec<String>) {
    let headings = [
        "## Context",
        "## Decision",
        "## Alternatives",
        "## Consequences",
        "## How we would notice",
    ];
    for heading in headings {
        if !source.text.contains(heading) {
            findings.push(format!("{}: no section `{heading}`", source.path));
        }
    }
    if source.text.lines().count() > 80 {
        findings.push(format!("{}: longer than a page", source.path));
    }
}
