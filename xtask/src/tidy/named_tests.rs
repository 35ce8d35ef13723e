// SPDX-License-Identifier: Apache-2.0
//! The pages on security say which test shows what. Each name there is that of a function that
//! there is.

use std::collections::HashSet;

use super::files::Source;

const PAGES: &str = "docs/security/";

pub(crate) fn check(sources: &[Source], findings: &mut Vec<String>) {
    let functions: HashSet<&str> = sources.iter().flat_map(functions).collect();
    for page in sources.iter().filter(|s| s.path.starts_with(PAGES)) {
        for (number, line) in (1_u32..).zip(page.text.lines()) {
            // Odd pieces are those between backquotes.
            let quoted = line.split('`').skip(1).step_by(2);
            for name in quoted.filter(|name| is_test_name(name)) {
                if !functions.contains(name) {
                    findings.push(format!("{}:{number}: there is no test `{name}`", page.path));
                }
            }
        }
    }
}

/// Names of tests are sentences: at least three words.
fn is_test_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(fits) && name.split('_').filter(|word| !word.is_empty()).count() >= 3
}

fn functions(source: &Source) -> impl Iterator<Item = &str> {
    let keyword = match source.path.rsplit_once('.') {
        Some((_, "rs")) => "fn ",
        Some((_, "py")) => "def ",
        _ => "\0",
    };
    source.text.lines().filter_map(move |line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("async ").unwrap_or(line);
        let name = rest.strip_prefix(keyword)?;
        name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str) -> Vec<String> {
        let source = |path: &str, text: &str| Source {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let mut findings = Vec::new();
        let sources = [
            source("docs/security/threats.md", page),
            source("docs/other.md", "`no_such_test_here`"),
            source("crates/a/tests/it/x.rs", "async fn one_two_three() {}\n"),
            source("e2e/test_x.py", "    def test_sec_n1_four(server):\n"),
            source("notes.txt", "fn five_six_seven() {}\n"),
        ];
        check(&sources, &mut findings);
        findings
    }

    #[test]
    fn tests_that_are_there() {
        assert!(
            found("`one_two_three`, `test_sec_n1_four`; `sec_x`, `e2e/no_such_test.py`").is_empty()
        );
    }

    #[test]
    fn tests_that_are_not_there() {
        let findings = found("a\n`one_two_three`, `one_two_thre`\n`five_six_seven`\n");
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(
            findings
                .iter()
                .all(|line| line.contains("there is no test"))
        );
        assert!(findings.iter().any(|line| line.contains("threats.md:2:")));
    }
}
