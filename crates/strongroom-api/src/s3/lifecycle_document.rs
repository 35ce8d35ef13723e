// SPDX-License-Identifier: Apache-2.0
//! The document `LifecycleConfiguration`, in and out.
//!
//! An element that nobody knows, or that is there twice, is refused: a word that was misspelt must
//! not switch a rule off, or on for everything.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use strongroom_object::{
    Compat, Expiration, LifecycleConfiguration, LifecycleFilter, LifecycleRule,
    NoncurrentExpiration, NoncurrentTransition, StorageClass, Transition, TransitionMinimum, When,
};

use crate::error::S3Error;
use crate::xml::{Element, Limits, Malformed, Xml, iso8601};

/// What 1,000 rules can take.
pub(super) const LIMITS: Limits = Limits {
    bytes: 4 * 1024 * 1024,
    elements: 40_000,
};

/// Reads a document. Rules without an id get one of `new_id`.
pub(super) fn parse(
    body: &[u8],
    minimum: TransitionMinimum,
    compat: Compat,
    new_id: impl FnMut() -> String,
) -> Result<LifecycleConfiguration, S3Error> {
    let document = Element::parse(body, "LifecycleConfiguration", &LIMITS)?;
    document.expect_children(&[], &["Rule"])?;
    let mut rules = Vec::new();
    for element in document.children("Rule") {
        rules.push(rule(element)?);
    }
    let configuration = LifecycleConfiguration::new(rules, minimum, compat, new_id);
    configuration.map_err(|fault| strongroom_object::Error::from(fault).into())
}

fn rule(element: &Element) -> Result<LifecycleRule, S3Error> {
    let once = [
        "ID",
        "Prefix",
        "Filter",
        "Status",
        "Expiration",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
    ];
    element.expect_children(&once, &["Transition", "NoncurrentVersionTransition"])?;
    let enabled = match element.required("Status")? {
        "Enabled" => true,
        "Disabled" => false,
        _ => return Err(Malformed("a status that rules do not have").into()),
    };
    let mut transitions = Vec::new();
    for next in element.children("Transition") {
        transitions.push(transition(next)?);
    }
    let mut noncurrent_transitions = Vec::new();
    for next in element.children("NoncurrentVersionTransition") {
        noncurrent_transitions.push(noncurrent_transition(next)?);
    }
    let expiration = element.child("Expiration").map(expiration).transpose()?;
    let noncurrent = element.child("NoncurrentVersionExpiration");
    let abort = element.child("AbortIncompleteMultipartUpload");
    Ok(LifecycleRule {
        id: element.text_of("ID")?.unwrap_or_default().to_owned(),
        enabled,
        filter: filter(element)?,
        expiration,
        transitions,
        noncurrent_expiration: noncurrent.map(noncurrent_expiration).transpose()?,
        noncurrent_transitions,
        abort_days: abort.map(abort_days).transpose()?,
    })
}

fn filter(rule: &Element) -> Result<LifecycleFilter, S3Error> {
    let filter = match (rule.text_of("Prefix")?, rule.child("Filter")) {
        (Some(prefix), None) => {
            return Ok(LifecycleFilter {
                prefix: Some(prefix.to_owned()),
                rule_prefix: true,
                ..LifecycleFilter::default()
            });
        }
        (None, Some(filter)) => filter,
        (None, None) => return Err(Malformed("a rule without a filter").into()),
        (Some(_), Some(_)) => return Err(Malformed("a rule with two filters").into()),
    };
    let once = [
        "Prefix",
        "Tag",
        "ObjectSizeGreaterThan",
        "ObjectSizeLessThan",
        "And",
    ];
    filter.expect_children(&once, &[])?;
    match (filter.child("And"), filter.all_children().len()) {
        (None, _) => predicates(filter, false),
        (Some(and), 1) => {
            let sizes = ["Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan"];
            and.expect_children(&sizes, &["Tag"])?;
            predicates(and, true)
        }
        (Some(_), _) => Err(Malformed("a filter beside And").into()),
    }
}

fn predicates(element: &Element, and: bool) -> Result<LifecycleFilter, S3Error> {
    // No object has tags: a rule for those that have them would never act.
    if element.child("Tag").is_some() {
        return Err(S3Error::not_implemented("A lifecycle rule for tags").with("Parameter", "Tag"));
    }
    Ok(LifecycleFilter {
        prefix: element.text_of("Prefix")?.map(str::to_owned),
        larger_than: element.number("ObjectSizeGreaterThan")?,
        smaller_than: element.number("ObjectSizeLessThan")?,
        rule_prefix: false,
        and,
    })
}

fn expiration(element: &Element) -> Result<Expiration, S3Error> {
    element.expect_children(&["Days", "Date", "ExpiredObjectDeleteMarker"], &[])?;
    let marker = element.boolean("ExpiredObjectDeleteMarker")?;
    match (marker, element.all_children().len()) {
        (Some(marker), 1) => Ok(Expiration::DeleteMarker(marker)),
        (Some(_), _) => Err(Malformed("a delete marker beside days").into()),
        (None, _) => {
            let what = "'Days' for Expiration action must be a positive integer";
            Ok(Expiration::At(when(element, what)?))
        }
    }
}

fn transition(element: &Element) -> Result<Transition, S3Error> {
    element.expect_children(&["Days", "Date", "StorageClass"], &[])?;
    let what = "'Days' in Transition action must be nonnegative";
    Ok(Transition {
        when: when(element, what)?,
        class: class(element)?,
    })
}

fn noncurrent_transition(element: &Element) -> Result<NoncurrentTransition, S3Error> {
    let names = ["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"];
    element.expect_children(&names, &[])?;
    let what = "'NoncurrentDays' in NoncurrentVersionTransition action must be nonnegative";
    Ok(NoncurrentTransition {
        days: required_days(element, "NoncurrentDays", what)?,
        newer: newer(element)?,
        class: class(element)?,
    })
}

fn noncurrent_expiration(element: &Element) -> Result<NoncurrentExpiration, S3Error> {
    element.expect_children(&["NoncurrentDays", "NewerNoncurrentVersions"], &[])?;
    let what = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer";
    Ok(NoncurrentExpiration {
        days: required_days(element, "NoncurrentDays", what)?,
        newer: newer(element)?,
    })
}

fn abort_days(element: &Element) -> Result<u32, S3Error> {
    element.expect_children(&["DaysAfterInitiation"], &[])?;
    let what = "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer";
    required_days(element, "DaysAfterInitiation", what)
}

/// `Days` or `Date`, and not both.
fn when(element: &Element, negative: &'static str) -> Result<When, S3Error> {
    match (
        integer(element, "Days", negative)?,
        element.text_of("Date")?,
    ) {
        (Some(days), None) => Ok(When::Days(days)),
        (None, Some(date)) => Ok(When::Date(midnight(date)?)),
        (None, None) => Err(Malformed("neither days nor a date").into()),
        (Some(_), Some(_)) => Err(Malformed("days and a date").into()),
    }
}

fn required_days(
    element: &Element,
    name: &'static str,
    negative: &'static str,
) -> Result<u32, S3Error> {
    let days = integer(element, name, negative)?;
    Ok(days.ok_or(Malformed("a required number is missing"))?)
}

fn newer(element: &Element) -> Result<Option<u32>, S3Error> {
    let name = "NewerNoncurrentVersions";
    let kept = integer(
        element,
        name,
        "'NewerNoncurrentVersions' must be a positive integer",
    )?;
    match kept {
        Some(number) if number > NEWER_MAX => Err(S3Error::invalid_argument(
            "'NewerNoncurrentVersions' must be less than or equal to 100",
            name,
            number.to_string(),
        )),
        kept => Ok(kept),
    }
}

/// S3 API reference, NoncurrentVersionExpiration: up to 100 are kept.
const NEWER_MAX: u32 = 100;

/// An `xsd:int`; a negative one is well-formed, and says nothing that could be done.
fn integer(
    element: &Element,
    name: &'static str,
    negative: &'static str,
) -> Result<Option<u32>, S3Error> {
    let Some(text) = element.text_of(name)? else {
        return Ok(None);
    };
    let text = text.trim_ascii();
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Malformed("not a number").into());
    }
    let number: i32 = text
        .parse()
        .map_err(|_| Malformed("a number out of range"))?;
    match u32::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(S3Error::invalid_argument(negative, name, text)),
    }
}

fn class(element: &Element) -> Result<StorageClass, S3Error> {
    let name = element.required("StorageClass")?;
    match StorageClass::parse(name) {
        Some(StorageClass::Standard) => Err(Malformed("a transition to STANDARD").into()),
        Some(class) => Ok(class),
        // Classes of S3 that this server does not have.
        None if ["INTELLIGENT_TIERING", "GLACIER_IR"].contains(&name) => {
            Err(S3Error::not_implemented("A transition to a storage class")
                .with("StorageClassRequested", name))
        }
        None => Err(Malformed("a class that transitions do not have").into()),
    }
}

/// A date of ISO 8601 at midnight in UTC, Unix time in milliseconds.
fn midnight(text: &str) -> Result<u64, S3Error> {
    let text = text.trim_ascii();
    let time = text.parse::<jiff::Timestamp>().or_else(|_| {
        let date = text.parse::<jiff::civil::Date>()?;
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC)?;
        Ok::<_, jiff::Error>(zoned.timestamp())
    });
    let time = time.map_err(|_| Malformed("not a date"))?;
    let nanoseconds = time.as_nanosecond();
    let ms = u64::try_from(time.as_millisecond()).map_err(|_| Malformed("a date before 1970"))?;
    if nanoseconds.rem_euclid(NANOSECONDS_PER_DAY) == 0 {
        Ok(ms)
    } else {
        Err(S3Error::invalid_argument(
            "'Date' must be at midnight GMT",
            "Date",
            text,
        ))
    }
}

const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;

/// The document of stored rules.
pub(super) fn document(configuration: &LifecycleConfiguration) -> Bytes {
    let mut xml = Xml::document("LifecycleConfiguration");
    for rule in configuration.rules() {
        xml.open("Rule");
        xml.text("ID", &rule.id);
        show_filter(&mut xml, &rule.filter);
        xml.text("Status", if rule.enabled { "Enabled" } else { "Disabled" });
        for next in &rule.transitions {
            xml.open("Transition");
            show_when(&mut xml, next.when);
            xml.text("StorageClass", next.class.name());
            xml.close();
        }
        match rule.expiration {
            None => {}
            Some(Expiration::At(when)) => {
                xml.open("Expiration");
                show_when(&mut xml, when);
                xml.close();
            }
            Some(Expiration::DeleteMarker(wanted)) => {
                xml.open("Expiration");
                xml.boolean("ExpiredObjectDeleteMarker", wanted);
                xml.close();
            }
        }
        for next in &rule.noncurrent_transitions {
            xml.open("NoncurrentVersionTransition");
            xml.number("NoncurrentDays", next.days);
            show_newer(&mut xml, next.newer);
            xml.text("StorageClass", next.class.name());
            xml.close();
        }
        if let Some(end) = rule.noncurrent_expiration {
            xml.open("NoncurrentVersionExpiration");
            xml.number("NoncurrentDays", end.days);
            show_newer(&mut xml, end.newer);
            xml.close();
        }
        if let Some(days) = rule.abort_days {
            xml.open("AbortIncompleteMultipartUpload");
            xml.number("DaysAfterInitiation", days);
            xml.close();
        }
        xml.close();
    }
    xml.finish()
}

/// As the audit event shows it: what each rule does, to what.
pub(super) fn shown(configuration: &LifecycleConfiguration) -> Value {
    let rules = configuration.rules().iter().map(|rule| {
        let mut shown = Map::new();
        shown.insert("ID".to_owned(), rule.id.as_str().into());
        let status = if rule.enabled { "Enabled" } else { "Disabled" };
        shown.insert("Status".to_owned(), status.into());
        let filter = json!({
            "Prefix": rule.filter.prefix,
            "ObjectSizeGreaterThan": rule.filter.larger_than,
            "ObjectSizeLessThan": rule.filter.smaller_than,
        });
        shown.insert("Filter".to_owned(), filter);
        if let Some(expiration) = rule.expiration {
            let expiration = match expiration {
                Expiration::At(When::Days(days)) => json!({ "Days": days }),
                Expiration::At(When::Date(at_ms)) => json!({ "Date": iso8601(at_ms) }),
                Expiration::DeleteMarker(wanted) => json!({ "ExpiredObjectDeleteMarker": wanted }),
            };
            shown.insert("Expiration".to_owned(), expiration);
        }
        let moves = rule.transitions.iter().map(|next| match next.when {
            When::Days(days) => json!({ "Days": days, "StorageClass": next.class.name() }),
            When::Date(at_ms) => {
                json!({ "Date": iso8601(at_ms), "StorageClass": next.class.name() })
            }
        });
        shown.insert("Transition".to_owned(), moves.collect());
        if let Some(end) = rule.noncurrent_expiration {
            let end = json!({ "NoncurrentDays": end.days, "NewerNoncurrentVersions": end.newer });
            shown.insert("NoncurrentVersionExpiration".to_owned(), end);
        }
        let moves = rule.noncurrent_transitions.iter().map(|next| {
            json!({ "NoncurrentDays": next.days, "NewerNoncurrentVersions": next.newer,
                "StorageClass": next.class.name() })
        });
        shown.insert("NoncurrentVersionTransition".to_owned(), moves.collect());
        if let Some(days) = rule.abort_days {
            let abort = json!({ "DaysAfterInitiation": days });
            shown.insert("AbortIncompleteMultipartUpload".to_owned(), abort);
        }
        Value::Object(shown)
    });
    json!({ "Rule": rules.collect::<Vec<Value>>() })
}

fn show_filter(xml: &mut Xml, filter: &LifecycleFilter) {
    if filter.rule_prefix {
        xml.optional("Prefix", filter.prefix.as_deref());
        return;
    }
    xml.open("Filter");
    if filter.and {
        xml.open("And");
    }
    xml.optional("Prefix", filter.prefix.as_deref());
    if let Some(bytes) = filter.larger_than {
        xml.number("ObjectSizeGreaterThan", bytes);
    }
    if let Some(bytes) = filter.smaller_than {
        xml.number("ObjectSizeLessThan", bytes);
    }
    if filter.and {
        xml.close();
    }
    xml.close();
}

fn show_when(xml: &mut Xml, when: When) {
    match when {
        When::Days(days) => xml.number("Days", days),
        When::Date(at_ms) => xml.time("Date", at_ms),
    }
}

fn show_newer(xml: &mut Xml, newer: Option<u32>) {
    if let Some(newer) = newer {
        xml.number("NewerNoncurrentVersions", newer);
    }
}

/// Fuzzing: any document. What is taken is shown as a document that is taken, and says the same.
pub(crate) fn fuzz(body: &[u8]) {
    let minimum = TransitionMinimum::default();
    let id = || "id".to_owned();
    if let Ok(first) = parse(body, minimum, Compat::Aws, id) {
        let again = parse(&document(&first), minimum, Compat::Aws, id);
        // Two rules that got the same id here are refused the second time.
        if let Ok(again) = again {
            assert!(again == first, "shown otherwise than it was given");
        }
    }
}

#[cfg(test)]
mod tests;
