// SPDX-License-Identifier: Apache-2.0
//! Words and calls that have no place, each with its reason.

use super::files::Source;

/// A call that only some files may make.
struct Call {
    pattern: &'static str,
    reason: &'static str,
    allowed: &'static [&'static str],
}

const CALLS: [Call; 9] = [
    Call {
        pattern: "std::fs",
        reason: "files belong to store::drive::local and store::drive::small_file",
        allowed: &[
            "crates/strongroom-store/src/drive/local",
            "crates/strongroom-store/src/drive/small_file",
            // The client has no store: these are its user's own files.
            "crates/strongroom-client/src/s3/files.rs",
            "crates/strongroom-cse/src/files",
        ],
    },
    Call {
        pattern: "tokio::fs",
        reason: "tokio::fs hides threads and errors; use the store's drives",
        allowed: &[],
    },
    Call {
        pattern: "SystemTime::now",
        reason: "time comes in through store::env::Clock",
        allowed: &["crates/strongroom-store/src/env.rs"],
    },
    Call {
        pattern: "Timestamp::now",
        reason: "time comes in through store::env::Clock",
        allowed: &[],
    },
    Call {
        pattern: "std::env",
        reason: "only the program reads the environment",
        allowed: &["crates/strongroom-server/src/"],
    },
    Call {
        pattern: "rand::rng",
        reason: "randomness comes from aws-lc-rs",
        allowed: &[],
    },
    Call {
        pattern: "thread_rng",
        reason: "randomness comes from aws-lc-rs",
        allowed: &[],
    },
    Call {
        pattern: "UnitSealer for",
        reason: "bodies are sealed by the object format and by nothing else",
        allowed: &[
            "crates/strongroom-object/src/pipeline/mod.rs",
            "crates/strongroom-store/src/blob/write.rs",
        ],
    },
    Call {
        pattern: "impl SegmentOpener for",
        reason: "bodies are opened by the object format and by nothing else",
        allowed: &["crates/strongroom-object/src/pipeline/mod.rs"],
    },
];

/// Words that the glossary replaces, whole words, in Rust code and comments.
const WORDS: [(&str, &str); 4] = [
    ("CMK", "KmsKey"),
    ("master key", "root key, domain key or KmsKey"),
    ("disk", "drive"),
    ("dbg!", "nothing"),
];

pub(crate) fn check(source: &Source, findings: &mut Vec<String>) {
    if !source.is_rust() || source.path.starts_with("xtask/") {
        return;
    }
    if let Some((number, _)) = source
        .text
        .lines()
        .enumerate()
        .find(|(_, line)| !line.is_ascii())
    {
        findings.push(format!("{}:{}: not ASCII", source.path, number + 1));
    }
    for (number, line) in source.text.lines().enumerate() {
        for left_over in ["FIXME", "todo!(", "unimplemented!(", "dbg!("] {
            if line.contains(left_over) {
                findings.push(format!("{}:{}: `{left_over}`", source.path, number + 1));
            }
        }
    }
    if source.is_outside_product() {
        return;
    }
    for (number, line) in source.product_lines() {
        let code = line.split("//").next().unwrap_or_default();
        for call in &CALLS {
            let allowed = call
                .allowed
                .iter()
                .any(|prefix| source.path.starts_with(prefix));
            if code.contains(call.pattern) && !allowed {
                findings.push(format!(
                    "{}:{number}: `{}`: {}",
                    source.path, call.pattern, call.reason
                ));
            }
        }
        for (word, instead) in WORDS {
            if has_word(line, word) && !quotes_the_wire(line) {
                findings.push(format!(
                    "{}:{number}: say `{instead}` instead of `{word}`",
                    source.path
                ));
            }
        }
    }
}

/// Messages of AWS and RFCs keep their own words.
fn quotes_the_wire(line: &str) -> bool {
    line.contains('"')
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, found)| {
        let before = line.get(..start).and_then(|s| s.chars().next_back());
        let behind = line
            .get(start + found.len()..)
            .and_then(|s| s.chars().next());
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !inside(before) && !inside(behind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(
            &Source {
                path: path.to_owned(),
                text: text.to_owned(),
            },
            &mut findings,
        );
        findings
    }

    #[test]
    fn calls_are_refused_where_they_do_not_belong() {
        let line = "let text = std::fs::read(path);\n";
        assert_eq!(findings("crates/strongroom-kms/src/root.rs", line).len(), 1);
        assert!(findings("crates/strongroom-store/src/drive/local.rs", line).is_empty());
        assert!(findings("crates/strongroom-kms/tests/it/main.rs", line).is_empty());
        let comment = "// std::fs is not used here\n";
        assert!(findings("crates/strongroom-kms/src/root.rs", comment).is_empty());
        let fake = "impl UnitSealer for Plain {\n";
        assert_eq!(
            findings("crates/strongroom-object/src/put_object.rs", fake).len(),
            1
        );
        assert!(findings("crates/strongroom-bench/src/plain.rs", fake).is_empty());
    }

    #[test]
    fn words_are_whole_words() {
        assert_eq!(findings("crates/a/src/lib.rs", "/// the disk\n").len(), 1);
        assert!(findings("crates/a/src/lib.rs", "/// a disked thing\n").is_empty());
        assert!(findings("crates/a/src/lib.rs", "let m = \"a disk\";\n").is_empty());
    }

    #[test]
    fn left_overs_and_other_alphabets() {
        assert_eq!(findings("crates/a/src/lib.rs", "// FIXME later\n").len(), 1);
        assert_eq!(findings("crates/a/src/lib.rs", "// caf\u{e9}\n").len(), 1);
    }
}
