// SPDX-License-Identifier: Apache-2.0
//! Maps of texts on the command line: encryption contexts, materials descriptions, user metadata.

use strongroom_client::envelope::TextMap;

use crate::error::Error;

/// `NAME=VALUE`, each name once.
pub(crate) fn pairs(flag: &str, words: &[String]) -> Result<TextMap, Error> {
    let mut map = TextMap::new();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::usage(format!("{flag}: `{word}` is not NAME=VALUE")))?;
        if map.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Error::usage(format!("{flag}: `{name}` is said twice")));
        }
    }
    Ok(map)
}

/// A JSON object of texts, or `NAME=VALUE[,NAME=VALUE]`.
pub(crate) fn description(flag: &str, text: &str) -> Result<TextMap, Error> {
    if !text.trim_start().starts_with('{') {
        let words: Vec<String> = text.split(',').map(str::to_owned).collect();
        return pairs(flag, &words);
    }
    let wrong = || Error::usage(format!("{flag}: `{text}` is no JSON object of texts"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let object = value.as_object().ok_or_else(wrong)?;
    object
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect::<Option<TextMap>>()
        .ok_or_else(wrong)
}

/// User metadata: names as S3 keeps them, none that belongs to the envelope.
pub(crate) fn metadata(words: &[String]) -> Result<TextMap, Error> {
    let map = pairs("--metadata", words)?;
    let mut out = TextMap::new();
    for (name, value) in map {
        let name = name.to_ascii_lowercase();
        if name.starts_with("x-amz-") {
            return Err(Error::usage(format!(
                "--metadata: names that begin with x-amz- are the envelope's, as `{name}`"
            )));
        }
        let fits = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let clean = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !fits || !clean {
            return Err(Error::usage(format!(
                "--metadata: `{name}`: letters, digits, - _ . in names, printable ASCII in values"
            )));
        }
        if out.insert(name.clone(), value).is_some() {
            return Err(Error::usage(format!("--metadata: `{name}` is said twice")));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn pairs_and_json() {
        let map = pairs("--context", &words(&["a=b=c", "d="])).unwrap();
        assert_eq!(
            map,
            TextMap::from([("a".into(), "b=c".into()), ("d".into(), String::new())])
        );
        for wrong in [vec!["a"], vec!["=b"], vec!["a=1", "a=2"], vec![""]] {
            assert!(pairs("--context", &words(&wrong)).is_err(), "{wrong:?}");
        }
        let kid = TextMap::from([("kid".to_owned(), "1".to_owned())]);
        assert_eq!(description("--matdesc", "kid=1").unwrap(), kid);
        assert_eq!(description("--matdesc", r#" {"kid": "1"}"#).unwrap(), kid);
        assert_eq!(description("--matdesc", "{}").unwrap(), TextMap::new());
        for wrong in ["{", "[]", r#"{"a":1}"#, r#"{"a":null}"#, "", "kid"] {
            assert!(description("--matdesc", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sec_metadata_cannot_be_an_envelope() {
        assert!(
            metadata(&words(&["Owner=me"]))
                .unwrap()
                .contains_key("owner")
        );
        for wrong in [
            "x-amz-3=a",
            "X-Amz-Key-V2=a",
            "a b=c",
            "a=\u{e9}",
            "a=b\r\nx-amz-acl: public",
        ] {
            assert!(metadata(&words(&[wrong])).is_err(), "{wrong:?}");
        }
        assert!(metadata(&words(&["a=1", "A=2"])).is_err());
    }
}
