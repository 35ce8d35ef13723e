// SPDX-License-Identifier: Apache-2.0
//! What a word on the command line names: a file, a standard stream, an object, a folder of objects.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;

/// An object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Object {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl Object {
    /// `s3://BUCKET/KEY`, where the key is not empty.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::usage(format!("`{text}` is not an object: write s3://BUCKET/KEY"));
        let (bucket, key) = split(text).ok_or_else(wrong)?;
        if key.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Refuses to have this written where it may be the instruction file of another object, which nothing
    /// would open then.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        if !self.key.ends_with(INSTRUCTION_SUFFIX) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "`{self}`: names that end in {INSTRUCTION_SUFFIX} are those of instruction files, without which \
             their objects do not open: choose another one"
        )))
    }

    /// The name behind the last slash, if it can be that of a file.
    pub(crate) fn file_name(&self) -> Option<&str> {
        let name = self.key.rsplit('/').next()?;
        let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
        is_plain.then_some(name)
    }
}

/// Where bytes come from or go to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Standard input or output.
    Standard,
    /// A file of this machine.
    File(PathBuf),
    /// An object, or a folder of objects if the key is empty or ends in a slash.
    Object(Object),
}

impl Place {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text == "-" {
            return Ok(Self::Standard);
        }
        if text.starts_with("s3://") {
            let (bucket, key) = split(text).ok_or_else(|| {
                Error::usage(format!("`{text}` names no bucket: write s3://BUCKET/KEY"))
            })?;
            return Ok(Self::Object(Object {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            }));
        }
        if text.is_empty() {
            return Err(Error::usage("a file without a name"));
        }
        Ok(Self::File(PathBuf::from(text)))
    }
}

/// Bucket and key, which may be empty.
pub(crate) fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("s3://")?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, key))
}

/// What an instruction file is called behind its object's name.
const INSTRUCTION_SUFFIX: &str = ".instruction";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(Place::parse("-").unwrap(), Place::Standard);
        assert_eq!(Place::parse("./-").unwrap(), Place::File("./-".into()));
        let object = |key: &str| {
            Place::Object(Object {
                bucket: "b".to_owned(),
                key: key.to_owned(),
            })
        };
        assert_eq!(Place::parse("s3://b").unwrap(), object(""));
        assert_eq!(Place::parse("s3://b/k/l").unwrap(), object("k/l"));
        assert_eq!(Place::parse("s3://b//k").unwrap(), object("/k"));
        for wrong in ["", "s3://", "s3:///k"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["b/k", "s3://b", "s3://b/", "s3:///k", "https://b/k"] {
            assert!(Object::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn instruction_files_are_not_written_over() {
        let check = |key: &str| {
            Object::parse(&format!("s3://b/{key}"))
                .unwrap()
                .check_writable()
        };
        for key in ["a", "instruction", "a.instruction.txt", "a.instructions"] {
            check(key).unwrap();
        }
        for key in [
            "a.instruction",
            "a/.instruction",
            "a.instruction.instruction",
        ] {
            assert!(check(key).is_err(), "{key}");
        }
    }

    /// A key is the writer's choice; a file name made of it must not leave the folder.
    #[test]
    fn sec_names_of_files_stay_in_their_folder() {
        let name = |key: &str| {
            Object::parse(&format!("s3://b/{key}"))
                .unwrap()
                .file_name()
                .map(str::to_owned)
        };
        assert_eq!(name("a/b.txt"), Some("b.txt".to_owned()));
        for wrong in ["a/..", "..", ".", "a/", "a/.", "x\0y"] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }
}
