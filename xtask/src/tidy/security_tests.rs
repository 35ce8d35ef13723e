// SPDX-License-Identifier: Apache-2.0
//! Tests of the threat model must not get lost: their names begin with `sec_`, and they are
//! counted.

use super::files::Source;

/// 95 % of the 642 that there were when this was written (317 in `crates/`, 325 in `e2e/`): room
/// for tests that are joined or renamed, none for a file that goes. Raise it as tests are added.
const FLOOR: usize = 690;

pub(crate) fn check(sources: &[Source], findings: &mut Vec<String>) {
    let count: usize = sources.iter().map(in_file).sum();
    if count < FLOOR {
        findings.push(format!(
            "{count} security tests (`sec_...`), at least {FLOOR} are wanted \
             (xtask/src/tidy/security_tests.rs)"
        ));
    }
}

fn in_file(source: &Source) -> usize {
    let (folder, start) = match source.path.rsplit_once('.') {
        Some((_, "rs")) => ("crates/", "fn sec_"),
        Some((_, "py")) => ("e2e/", "def test_sec_"),
        _ => return 0,
    };
    if !source.path.starts_with(folder) {
        return 0;
    }
    let lines = source.text.lines().map(str::trim_start);
    lines
        .filter(|line| {
            line.strip_prefix("async ")
                .unwrap_or(line)
                .starts_with(start)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        in_file(&Source {
            path: path.to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn tests_are_counted_where_they_run() {
        let rust = "#[test]\nfn sec_a() {}\n    async fn sec_b() {}\nfn second() {}\n// fn sec_c\n";
        assert_eq!(count("crates/a/tests/it/x.rs", rust), 2);
        assert_eq!(count("xtask/src/x.rs", rust), 0);
        let python =
            "def test_sec_a():\n    def test_sec_b(self):\ndef test_other():\n#def test_sec_c\n";
        assert_eq!(count("e2e/test_x.py", python), 2);
        assert_eq!(count("e2e/README.md", python), 0);
        assert_eq!(count("vectors/x.py", python), 0);
    }

    #[test]
    fn too_few_are_a_finding() {
        let file = |tests: usize| Source {
            path: "crates/a/src/lib.rs".to_owned(),
            text: "fn sec_x() {}\n".repeat(tests),
        };
        let mut findings = Vec::new();
        check(&[file(FLOOR)], &mut findings);
        assert!(findings.is_empty());
        check(&[file(FLOOR - 1)], &mut findings);
        assert_eq!(findings.len(), 1);
    }
}
