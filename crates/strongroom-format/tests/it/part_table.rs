// SPDX-License-Identifier: Apache-2.0

use strongroom_format::{
    DUAL_PART_ROW_BYTES, FloeHeader, PART_NO_MAX, PART_ROW_BYTES, ParseError, PartRow, PartUid,
    parse_part_table, part_table_bytes, sha384,
};

use crate::vectors::load;

fn row(part_no: u16) -> PartRow {
    PartRow {
        part_no,
        part_uid: PartUid([part_no as u8; 16]),
        plain_len: 5 << 20,
        header: FloeHeader::from_bytes([7; FloeHeader::BYTES]),
        outer_header: None,
    }
}

fn dual_row(part_no: u16) -> PartRow {
    PartRow {
        outer_header: Some(FloeHeader::from_bytes([8; FloeHeader::BYTES])),
        ..row(part_no)
    }
}

#[test]
fn vectors_of_part_tables() {
    for v in load("bind.json", "part_tables") {
        let table = v.bytes("table");
        match (v.expect(), parse_part_table(&table)) {
            ("ok", Ok(rows)) => {
                assert_eq!(part_table_bytes(&rows), table, "{}", v.name());
                assert_eq!(sha384(&table).to_vec(), v.bytes("sha384"));
                let expected = v.list("rows");
                assert_eq!(rows.len(), expected.len());
                for (row, expected) in rows.iter().zip(expected) {
                    assert_eq!(u64::from(row.part_no), expected.number("part_no"));
                    assert_eq!(row.part_uid.0.to_vec(), expected.bytes("part_uid"));
                    assert_eq!(row.plain_len, expected.number("plain_len"));
                    assert_eq!(row.header.as_bytes().to_vec(), expected.bytes("header"));
                    assert_eq!(row.outer_header.is_some(), expected.has("outer_header"));
                    if let Some(header) = row.outer_header {
                        assert_eq!(header.as_bytes().to_vec(), expected.bytes("outer_header"));
                    }
                }
            }
            ("parse", Err(_)) => {}
            (expected, got) => panic!("{}: {expected}, {got:?}", v.name()),
        }
    }
}

#[test]
fn ten_thousand_parts_fit_and_no_more() {
    for make in [row, dual_row] {
        let mut rows: Vec<_> = (1..=PART_NO_MAX).map(make).collect();
        assert_eq!(
            parse_part_table(&part_table_bytes(&rows)).as_ref(),
            Ok(&rows)
        );
        rows.push(make(PART_NO_MAX));
        assert_eq!(
            parse_part_table(&part_table_bytes(&rows)),
            Err(ParseError::TooLong)
        );
    }
}

#[test]
fn every_cut_is_refused_or_is_a_whole_number_of_rows() {
    for (make, row_bytes) in [
        (row as fn(u16) -> PartRow, PART_ROW_BYTES),
        (dual_row, DUAL_PART_ROW_BYTES),
    ] {
        let bytes = part_table_bytes(&[make(1), make(2), make(3)]);
        assert_eq!(bytes.len(), 3 * row_bytes);
        for len in 0..bytes.len() {
            let parsed = parse_part_table(&bytes[..len]);
            assert_eq!(parsed.is_ok(), len % row_bytes == 0, "{len}");
        }
    }
}

#[test]
fn rows_of_both_forms_do_not_stand_beside_each_other() {
    for rows in [
        [row(1), dual_row(2), row(3)],
        [dual_row(1), row(2), dual_row(3)],
        [row(1), row(2), dual_row(3)],
        [dual_row(1), dual_row(2), row(3)],
    ] {
        assert!(parse_part_table(&part_table_bytes(&rows)).is_err());
    }
}

#[test]
fn dropping_reordering_repeating_or_replacing_a_part_changes_the_digest() {
    let (a, b, c) = (row(1), row(2), row(3));
    let other_attempt = PartRow {
        part_uid: PartUid([9; 16]),
        ..b
    };
    let digest = |rows: &[PartRow]| sha384(&part_table_bytes(rows));
    let whole = digest(&[a, b, c]);
    for changed in [
        vec![a, b],
        vec![b, c],
        vec![a, c],
        vec![b, a, c],
        vec![a, b, b, c],
        vec![a, other_attempt, c],
        vec![a, b, c, row(4)],
        vec![dual_row(1), dual_row(2), dual_row(3)],
        vec![],
    ] {
        assert_ne!(digest(&changed), whole);
    }
}
