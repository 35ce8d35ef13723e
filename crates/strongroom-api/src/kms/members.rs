// SPDX-License-Identifier: Apache-2.0
//! A request's members, taken one by one and held against the service's model.
//!
//! A member of the wrong JSON type ends the reading at once (`SerializationException`); values that
//! break a constraint of the model are collected and answered together (`ValidationException`), as
//! the service does. Members that an operation does not ask for are ignored, as the service does.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::fault::KmsFault;
use super::json::Json;

/// The members of a request.
#[derive(Debug)]
pub(crate) struct Members {
    members: BTreeMap<String, Json>,
    violations: Vec<String>,
}

impl Members {
    /// The members of a parsed object.
    pub(crate) fn new(members: BTreeMap<String, Json>) -> Self {
        Self {
            members,
            violations: Vec::new(),
        }
    }

    /// A string that may be absent; its length is counted in characters.
    pub(crate) fn text(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<String>, KmsFault> {
        let Some(text) = self.take_text(name)? else {
            return Ok(None);
        };
        self.check_length(name, Some(&text), text.chars().count(), &length);
        Ok(Some(text.to_string()))
    }

    /// A string that must be there.
    pub(crate) fn required_text(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
    ) -> Result<String, KmsFault> {
        let text = self.text(name, length)?;
        Ok(self.required(name, text).unwrap_or_default())
    }

    /// One of a set of words.
    pub(crate) fn word(
        &mut self,
        name: &'static str,
        set: &[&'static str],
    ) -> Result<Option<&'static str>, KmsFault> {
        let Some(text) = self.take_text(name)? else {
            return Ok(None);
        };
        let found = set.iter().find(|word| **word == text.as_str()).copied();
        if found.is_none() {
            self.violate(
                name,
                Some(&text),
                &format!("Member must satisfy enum value set: [{}]", set.join(", ")),
            );
        }
        Ok(found)
    }

    /// Bytes in base64; never shown in a message.
    pub(crate) fn blob(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KmsFault> {
        let Some(text) = self.take_text(name)? else {
            return Ok(None);
        };
        let bytes = STANDARD
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| KmsFault::serialization(format!("{name} is not valid base64")))?;
        self.check_length(name, None, bytes.len(), &length);
        Ok(Some(bytes))
    }

    /// Bytes that must be there.
    pub(crate) fn required_blob(
        &mut self,
        name: &'static str,
        length: RangeInclusive<usize>,
    ) -> Result<Zeroizing<Vec<u8>>, KmsFault> {
        let bytes = self.blob(name, length)?;
        Ok(self.required(name, bytes).unwrap_or_default())
    }

    /// A whole number.
    pub(crate) fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, KmsFault> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Json::Integer(number)) => number,
            Some(other) => return Err(wrong_type(&other, "Integer")),
        };
        let (low, high) = (*range.start(), *range.end());
        if number < low {
            self.violate(
                name,
                Some(&number.to_string()),
                &format!("Member must have value greater than or equal to {low}"),
            );
        } else if number > high {
            self.violate(
                name,
                Some(&number.to_string()),
                &format!("Member must have value less than or equal to {high}"),
            );
        }
        Ok(Some(number))
    }

    /// A time in seconds since the Unix epoch, with or without a fraction; in milliseconds.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Option<u64>, KmsFault> {
        let ms = match self.take(name) {
            None => return Ok(None),
            Some(Json::Integer(seconds)) => u64::try_from(seconds)
                .ok()
                .and_then(|seconds| seconds.checked_mul(1_000)),
            Some(Json::Fraction(seconds)) => Duration::try_from_secs_f64(seconds)
                .ok()
                .and_then(|since| u64::try_from(since.as_millis()).ok()),
            Some(other) => return Err(wrong_type(&other, "Timestamp")),
        };
        if ms.is_none() {
            self.violate(name, None, "Member must be a time after 1970");
        }
        Ok(ms)
    }

    /// True or false.
    pub(crate) fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, KmsFault> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Boolean(value)) => Ok(Some(value)),
            Some(other) => Err(wrong_type(&other, "Boolean")),
        }
    }

    /// A map from strings to strings.
    pub(crate) fn text_map(
        &mut self,
        name: &'static str,
    ) -> Result<BTreeMap<String, String>, KmsFault> {
        let map = match self.take(name) {
            None => return Ok(BTreeMap::new()),
            Some(Json::Map(map)) => map,
            Some(other) => return Err(wrong_type(&other, "Map")),
        };
        map.into_iter()
            .map(|(name, value)| match value {
                Json::Text(text) => Ok((name, text.to_string())),
                other => Err(wrong_type(&other, "String")),
            })
            .collect()
    }

    /// A list of strings.
    pub(crate) fn text_list(&mut self, name: &'static str) -> Result<Vec<String>, KmsFault> {
        self.list(name)?
            .into_iter()
            .map(|value| match value {
                Json::Text(text) => Ok(text.to_string()),
                other => Err(wrong_type(&other, "String")),
            })
            .collect()
    }

    /// A list of anything.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<Vec<Json>, KmsFault> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Json::List(list)) => Ok(list),
            Some(other) => Err(wrong_type(&other, "List")),
        }
    }

    /// Notes that a list is missing, if it is; it is not taken.
    pub(crate) fn required_list(&mut self, name: &'static str) -> Result<(), KmsFault> {
        let there = match self.members.get(name) {
            None | Some(Json::Null) => None,
            Some(Json::List(_)) => Some(()),
            Some(other) => return Err(wrong_type(other, "List")),
        };
        self.required(name, there);
        Ok(())
    }

    /// A structure that may be absent. Its members are finished by whoever reads them.
    pub(crate) fn structure(&mut self, name: &'static str) -> Result<Option<Self>, KmsFault> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Map(map)) => Ok(Some(Self::new(map))),
            Some(other) => Err(wrong_type(&other, "Structure")),
        }
    }

    /// A map from strings to strings that may be absent, which an empty one is not.
    pub(crate) fn optional_text_map(
        &mut self,
        name: &'static str,
    ) -> Result<Option<BTreeMap<String, String>>, KmsFault> {
        let there = matches!(self.members.get(name), Some(Json::Map(_)));
        let map = self.text_map(name)?;
        Ok(there.then_some(map))
    }

    /// Whether a member is there and not null; it is taken.
    pub(crate) fn present(&mut self, name: &'static str) -> bool {
        self.take(name).is_some()
    }

    /// A rule of the model on a value already taken.
    pub(crate) fn violate(&mut self, name: &str, value: Option<&str>, constraint: &str) {
        let shown = match value {
            // Long values are cut: the message repeats what the caller sent, not a megabyte of it.
            Some(value) => format!(" '{}'", value.chars().take(256).collect::<String>()),
            None => String::new(),
        };
        self.violations.push(format!(
            "Value{shown} at '{}' failed to satisfy constraint: {constraint}",
            lower_camel(name)
        ));
    }

    /// End the reading: all violations in one answer.
    pub(crate) fn finish(self) -> Result<(), KmsFault> {
        let count = self.violations.len();
        match count {
            0 => Ok(()),
            1 => Err(KmsFault::validation(format!(
                "1 validation error detected: {}",
                self.violations.join("")
            ))),
            _ => Err(KmsFault::validation(format!(
                "{count} validation errors detected: {}",
                self.violations.join("; ")
            ))),
        }
    }

    fn required<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.violations.push(format!(
                "Value null at '{}' failed to satisfy constraint: Member must not be null",
                lower_camel(name)
            ));
        }
        value
    }

    fn check_length(
        &mut self,
        name: &'static str,
        shown: Option<&str>,
        length: usize,
        allowed: &RangeInclusive<usize>,
    ) {
        if length < *allowed.start() {
            let constraint = format!(
                "Member must have length greater than or equal to {}",
                allowed.start()
            );
            self.violate(name, shown, &constraint);
        } else if length > *allowed.end() {
            let constraint = format!(
                "Member must have length less than or equal to {}",
                allowed.end()
            );
            self.violate(name, shown, &constraint);
        }
    }

    fn take_text(&mut self, name: &'static str) -> Result<Option<Zeroizing<String>>, KmsFault> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(&other, "String")),
        }
    }

    /// `null` is as good as absent.
    fn take(&mut self, name: &'static str) -> Option<Json> {
        self.members
            .remove(name)
            .filter(|value| !matches!(value, Json::Null))
    }
}

/// The service's words for a value of another type.
pub(super) fn wrong_type(found: &Json, wanted: &str) -> KmsFault {
    let text = match found {
        Json::List(_) => "Start of list found where not expected".to_owned(),
        Json::Map(_) => "Start of structure or map found where not expected.".to_owned(),
        Json::Text(_) => format!("STRING_VALUE can not be converted to {wanted}"),
        Json::Integer(_) => format!("NUMBER_VALUE can not be converted to {wanted}"),
        Json::Fraction(_) => format!("DECIMAL_VALUE can not be converted to {wanted}"),
        Json::Boolean(true) => format!("TRUE_VALUE can not be converted to {wanted}"),
        Json::Boolean(false) => format!("FALSE_VALUE can not be converted to {wanted}"),
        Json::Null => format!("NULL_VALUE can not be converted to {wanted}"),
    };
    KmsFault::serialization(text)
}

/// The service writes members in messages with a small first letter.
fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + letters.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Members {
        Members::new(Json::parse_object(text.as_bytes()).unwrap())
    }

    #[test]
    fn values_are_taken_by_type() {
        let mut m = members(
            r#"{"KeyId":"k","NumberOfBytes":32,"DryRun":true,"Plaintext":"AAEC","KeySpec":"AES_256",
                "EncryptionContext":{"a":"b"},"GrantTokens":["t"],"Description":null,"Other":[1]}"#,
        );
        assert_eq!(m.required_text("KeyId", 1..=2048).unwrap(), "k");
        assert_eq!(m.integer("NumberOfBytes", 1..=1024).unwrap(), Some(32));
        assert_eq!(m.boolean("DryRun").unwrap(), Some(true));
        assert_eq!(
            m.required_blob("Plaintext", 1..=4096).unwrap().as_slice(),
            [0, 1, 2]
        );
        assert_eq!(
            m.word("KeySpec", &["AES_256", "AES_128"]).unwrap(),
            Some("AES_256")
        );
        assert_eq!(m.text_map("EncryptionContext").unwrap().len(), 1);
        assert_eq!(m.text_list("GrantTokens").unwrap(), ["t"]);
        assert_eq!(m.text("Description", 0..=8192).unwrap(), None);
        assert!(!m.present("Recipient"));
        m.finish().unwrap();
    }

    #[test]
    fn sec_n83_violations_have_the_words_of_the_service() {
        let mut m = members(r#"{"NumberOfBytes":1025}"#);
        m.integer("NumberOfBytes", 1..=1024).unwrap();
        assert_eq!(
            m.finish().unwrap_err().message,
            "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy \
             constraint: Member must have value less than or equal to 1024"
        );
        let mut m = members(r#"{"NumberOfBytes":0,"KeySpec":"AES_512"}"#);
        m.integer("NumberOfBytes", 1..=1024).unwrap();
        m.word("KeySpec", &["AES_256", "AES_128"]).unwrap();
        m.required_text("KeyId", 1..=2048).unwrap();
        assert_eq!(
            m.finish().unwrap_err().message,
            "3 validation errors detected: Value '0' at 'numberOfBytes' failed to satisfy \
             constraint: Member must have value greater than or equal to 1; Value 'AES_512' at \
             'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, \
             AES_128]; Value null at 'keyId' failed to satisfy constraint: Member must not be null"
        );
        let mut m = members(&format!(
            "{{\"Plaintext\":\"{}\"}}",
            STANDARD.encode([0; 4097])
        ));
        m.required_blob("Plaintext", 1..=4096).unwrap();
        assert_eq!(
            m.finish().unwrap_err().message,
            "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member \
             must have length less than or equal to 4096"
        );
        for (text, code) in [
            (r#"{"NumberOfBytes":-1}"#, "ValidationException"),
            (
                r#"{"NumberOfBytes":9223372036854775807}"#,
                "ValidationException",
            ),
            (
                r#"{"NumberOfBytes":18446744073709551615}"#,
                "SerializationException",
            ),
            (r#"{"NumberOfBytes":"32"}"#, "SerializationException"),
            (r#"{"NumberOfBytes":32.5}"#, "SerializationException"),
            (r#"{"NumberOfBytes":[32]}"#, "SerializationException"),
            (r#"{"NumberOfBytes":{}}"#, "SerializationException"),
            (r#"{"NumberOfBytes":true}"#, "SerializationException"),
        ] {
            let mut m = members(text);
            let fault = m
                .integer("NumberOfBytes", 1..=1024)
                .map(drop)
                .and_then(|()| m.finish());
            assert_eq!(fault.unwrap_err().kind.as_str(), code, "{text}");
        }
    }

    #[test]
    fn wrong_types_and_broken_base64_are_refused() {
        for text in [
            r#"{"Plaintext":"AAE"}"#,
            r#"{"Plaintext":"AAE=="}"#,
            r#"{"Plaintext":"AA E="}"#,
            r#"{"Plaintext":"-_8="}"#,
            r#"{"Plaintext":"AAF="}"#,
            r#"{"Plaintext":1}"#,
            r#"{"Plaintext":["AAEC"]}"#,
        ] {
            assert!(members(text).blob("Plaintext", 1..=4096).is_err(), "{text}");
        }
        for text in [
            r#"{"EncryptionContext":[]}"#,
            r#"{"EncryptionContext":"a"}"#,
            r#"{"EncryptionContext":{"a":1}}"#,
            r#"{"EncryptionContext":{"a":{"b":"c"}}}"#,
            r#"{"EncryptionContext":{"a":null}}"#,
        ] {
            let fault = members(text).text_map("EncryptionContext").unwrap_err();
            assert_eq!(fault.kind.as_str(), "SerializationException", "{text}");
        }
        for text in [
            r#"{"DryRun":"true"}"#,
            r#"{"DryRun":1}"#,
            r#"{"DryRun":{}}"#,
        ] {
            assert!(members(text).boolean("DryRun").is_err(), "{text}");
        }
        for text in [
            r#"{"GrantTokens":"t"}"#,
            r#"{"GrantTokens":[1]}"#,
            r#"{"GrantTokens":{}}"#,
        ] {
            assert!(members(text).text_list("GrantTokens").is_err(), "{text}");
        }
    }

    #[test]
    fn messages_do_not_repeat_secrets_and_cut_long_values() {
        let mut m = members(&format!("{{\"KeyId\":\"{}\"}}", "k".repeat(5000)));
        m.required_text("KeyId", 1..=2048).unwrap();
        assert!(m.finish().unwrap_err().message.len() < 500);
        let mut m = members(r#"{"Plaintext":""}"#);
        m.required_blob("Plaintext", 1..=4096).unwrap();
        assert!(
            m.finish()
                .unwrap_err()
                .message
                .contains("Value at 'plaintext'")
        );
    }
}
