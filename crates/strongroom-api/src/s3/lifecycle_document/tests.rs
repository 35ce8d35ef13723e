// SPDX-License-Identifier: Apache-2.0

use super::*;

const NS: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

fn parse_rules(rules: &str) -> Result<LifecycleConfiguration, S3Error> {
    let name = "LifecycleConfiguration";
    let body = format!("<{name} xmlns=\"{NS}\">{rules}</{name}>");
    parse(
        body.as_bytes(),
        TransitionMinimum::default(),
        Compat::Aws,
        || "made".to_owned(),
    )
}

/// A rule with a filter for everything.
fn rule(actions: &str) -> String {
    format!("<Rule><ID>i</ID><Filter/><Status>Enabled</Status>{actions}</Rule>")
}

fn filtered(filter: &str) -> String {
    format!(
        "<Rule><ID>i</ID>{filter}<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    )
}

#[test]
fn documents_come_back_as_they_were_given() {
    for rules in [
        rule("<Expiration><Days>1</Days></Expiration>"),
        rule("<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>"),
        rule(
            "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        ),
        rule(
            "<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>\
             <Transition><Days>60</Days><StorageClass>GLACIER</StorageClass></Transition>\
             <Expiration><Days>365</Days></Expiration>\
             <NoncurrentVersionTransition><NoncurrentDays>0</NoncurrentDays>\
             <NewerNoncurrentVersions>3</NewerNoncurrentVersions>\
             <StorageClass>DEEP_ARCHIVE</StorageClass></NoncurrentVersionTransition>\
             <NoncurrentVersionExpiration><NoncurrentDays>90</NoncurrentDays>\
             <NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
             <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload>",
        ),
        filtered("<Prefix>a&amp;b/</Prefix>"),
        filtered("<Prefix></Prefix>"),
        filtered("<Filter><Prefix>a/</Prefix></Filter>"),
        filtered("<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>"),
        filtered("<Filter><ObjectSizeLessThan>1</ObjectSizeLessThan></Filter>"),
        filtered(
            "<Filter><And><Prefix>a/</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>\
             <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>",
        ),
    ] {
        let taken = parse_rules(&rules).unwrap();
        let shown = String::from_utf8(document(&taken).to_vec()).unwrap();
        let rules = rules.replace("<Filter/>", "<Filter></Filter>");
        assert!(
            shown.ends_with(&format!("{rules}</LifecycleConfiguration>")),
            "{shown}\n{rules}"
        );
    }
}

#[test]
fn elements_come_in_any_order_and_dates_with_any_offset() {
    let taken = parse_rules(
        "<Rule><Expiration><Date>2030-01-01T02:00:00+02:00</Date></Expiration><Status>Disabled\
         </Status><Filter></Filter></Rule>",
    )
    .unwrap();
    let rule = &taken.rules()[0];
    assert!(!rule.enabled && rule.id == "made");
    let date = Expiration::At(When::Date(1_893_456_000_000));
    assert_eq!(rule.expiration, Some(date));
    for same in [
        "2030-01-01",
        "2030-01-01T00:00:00Z",
        " 2030-01-01T00:00:00.000Z ",
    ] {
        assert_eq!(midnight(same).unwrap(), 1_893_456_000_000, "{same}");
    }
}

/// A word that is misspelt or doubled must not switch a rule off, or on for everything.
#[test]
fn sec_n58_unknown_doubled_and_missing_elements_are_refused() {
    let day = "<Expiration><Days>1</Days></Expiration>";
    let glacier = "<StorageClass>GLACIER</StorageClass>";
    for bad in [
        String::new(),
        "<rule/>".to_owned(),
        "<Rule/>".to_owned(),
        format!("<Rule><Filter/>{day}</Rule>"),
        format!("<Rule><Status>Enabled</Status>{day}</Rule>"),
        format!("<Rule><Filter/><Status>enabled</Status>{day}</Rule>"),
        format!("<Rule><Filter/><Status>Enabled</Status><Status>Disabled</Status>{day}</Rule>"),
        format!("<Rule><Filter/><Prefix>a</Prefix><Status>Enabled</Status>{day}</Rule>"),
        format!("<Rule><Filter/><Filter/><Status>Enabled</Status>{day}</Rule>"),
        format!("<Rule><ID>a</ID><ID>b</ID><Filter/><Status>Enabled</Status>{day}</Rule>"),
        rule(&format!("{day}{day}")),
        rule(&format!("{day}<Expirations/>")),
        rule(&format!("{day}text")),
        rule("<Expiration/>"),
        rule("<Expiration><Day>1</Day></Expiration>"),
        rule("<Expiration><Days>1</Days><Days>2</Days></Expiration>"),
        rule("<Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration>"),
        rule(
            "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        ),
        rule("<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker></Expiration>"),
        rule("<Expiration><Days></Days></Expiration>"),
        rule("<Expiration><Days>1.5</Days></Expiration>"),
        rule("<Expiration><Days>+1</Days></Expiration>"),
        rule("<Expiration><Days>2147483648</Days></Expiration>"),
        rule("<Expiration><Days>4294967297</Days></Expiration>"),
        rule("<Expiration><Days>18446744073709551617</Days></Expiration>"),
        rule(&format!("<Transition>{glacier}</Transition>")),
        rule("<Transition><Days>1</Days></Transition>"),
        rule("<Transition><Days>1</Days><StorageClass>STANDARD</StorageClass></Transition>"),
        rule("<Transition><Days>1</Days><StorageClass>glacier</StorageClass></Transition>"),
        rule(&format!(
            "<Transition><Days>1</Days>{glacier}{glacier}</Transition>"
        )),
        rule(&format!(
            "<NoncurrentVersionTransition>{glacier}</NoncurrentVersionTransition>"
        )),
        rule("<NoncurrentVersionExpiration/>"),
        rule("<NoncurrentVersionExpiration><Days>1</Days></NoncurrentVersionExpiration>"),
        rule(
            "<NoncurrentVersionExpiration><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        ),
        rule("<AbortIncompleteMultipartUpload/>"),
        rule("<AbortIncompleteMultipartUpload><Days>1</Days></AbortIncompleteMultipartUpload>"),
        filtered("<Filter><prefix>a</prefix></Filter>"),
        filtered("<Filter>a</Filter>"),
        filtered("<Filter><Prefix>a</Prefix><Prefix>b</Prefix></Filter>"),
        filtered("<Filter><Prefix>a</Prefix><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>"),
        filtered("<Filter><And><Prefix>a</Prefix></And></Filter>"),
        filtered("<Filter><And/></Filter>"),
        filtered(
            "<Filter><And><Prefix>a</Prefix><ObjectSizeLessThan>9</ObjectSizeLessThan></And><Prefix>a</Prefix></Filter>",
        ),
        filtered("<Filter><ObjectSizeLessThan>-1</ObjectSizeLessThan></Filter>"),
        filtered("<Filter><ObjectSizeLessThan>18446744073709551616</ObjectSizeLessThan></Filter>"),
    ] {
        let error = parse_rules(&bad).unwrap_err();
        assert_eq!(error.code.as_str(), "MalformedXML", "{bad}");
    }
}

#[test]
fn sec_n58_values_that_no_rule_can_have() {
    for (bad, code, words) in [
        (
            rule("<Expiration><Days>-1</Days></Expiration>"),
            "InvalidArgument",
            "'Days' for Expiration action must be a positive integer",
        ),
        (
            rule("<Expiration><Days>0</Days></Expiration>"),
            "InvalidArgument",
            "'Days' for Expiration action must be a positive integer",
        ),
        (
            rule("<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>"),
            "InvalidArgument",
            "'Date' must be at midnight GMT",
        ),
        (
            rule("<Expiration><Date>2030-01-01T00:00:00+01:00</Date></Expiration>"),
            "InvalidArgument",
            "'Date' must be at midnight GMT",
        ),
        (
            rule(""),
            "InvalidRequest",
            "At least one action needs to be specified in a rule",
        ),
        (
            filtered("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>"),
            "NotImplemented",
            "A lifecycle rule for tags implies functionality that is not implemented",
        ),
        (
            filtered("<Filter><And><Prefix>a</Prefix><Tag/><Tag/></And></Filter>"),
            "NotImplemented",
            "A lifecycle rule for tags implies functionality that is not implemented",
        ),
        (
            rule("<Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition>"),
            "NotImplemented",
            "A transition to a storage class implies functionality that is not implemented",
        ),
    ] {
        let error = parse_rules(&bad).unwrap_err();
        assert_eq!(error.code.as_str(), code, "{bad}");
        assert_eq!(error.message, words, "{bad}");
    }
    for bad in [
        "",
        "x",
        "0000-00-00",
        "0000-01-01T00:00:00Z",
        "1969-12-31T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2030-02-30T00:00:00Z",
        "2030-13-01T00:00:00Z",
        "Fri, 01 Jan 2016 00:00:00 GMT",
        "2030-01-01T24:00:00Z",
        "1893456000",
    ] {
        let error = midnight(bad).unwrap_err();
        assert_eq!(error.code.as_str(), "MalformedXML", "{bad}");
    }
    assert!(midnight("9999-12-30").is_ok());
}
