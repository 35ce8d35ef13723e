// SPDX-License-Identifier: Apache-2.0
//! Checksums of parts tell of their plaintext: they are under the object's keys, and nobody hears
//! whether a guess of one is right who may not use those.

use strongroom_kms::DisableKeyInput;
use strongroom_object::{
    ChecksumAlgorithm, ChecksumRequest, CompleteMultipartUpload, CompletedPart, CustomerKey,
    EncryptionRequest, Error, ListParts, ListPartsOutput, PutObjectOutput, UploadPart,
    UploadPartOutput, WriteConditions,
};
use strongroom_store::TableId;

use crate::at_rest::contains;
use crate::binding::{put_row, rows};
use crate::dsse::new_key;
use crate::harness::*;
use crate::multipart::{completed, create_with};
use crate::rebuild::{built, surveyed};
use crate::tamper::leaves;

const PARTS: TableId = TableId(23);
const MIB5: usize = 5 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    S3,
    Kms,
    Dsse,
    C,
}

impl Mode {
    fn request(self, key_id: Option<&str>) -> EncryptionRequest {
        let key_id = key_id.map(str::to_owned);
        match self {
            Self::S3 => EncryptionRequest::S3,
            Self::Kms => EncryptionRequest::Kms {
                key_id,
                context: strongroom_format::EncryptionContext::new(),
                bucket_key: None,
            },
            Self::Dsse => dsse_under(key_id),
            Self::C => EncryptionRequest::Customer(customer(1)),
        }
    }

    fn key(self) -> Option<CustomerKey> {
        (self == Self::C).then(|| customer(1))
    }
}

const MODES: [Mode; 4] = [Mode::S3, Mode::Kms, Mode::Dsse, Mode::C];

const SHA256: Option<ChecksumAlgorithm> = Some(ChecksumAlgorithm::Sha256);

/// A part that announces a checksum in this algorithm.
async fn part_with(
    house: &House,
    upload_id: &str,
    part_number: u16,
    bytes: &[u8],
    mode: Mode,
    algorithm: Option<ChecksumAlgorithm>,
) -> UploadPartOutput {
    let input = UploadPart {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        upload_id: upload_id.to_owned(),
        part_number,
        customer_key: mode.key(),
        content_length: bytes.len() as u64,
        checksum: ChecksumRequest {
            algorithm,
            ..ChecksumRequest::default()
        },
        body: body(bytes),
    };
    let request = house.request();
    let stored = house.objects.upload_part(request.scope(), input).await;
    stored.unwrap()
}

async fn list(
    house: &House,
    upload_id: &str,
    customer_key: Option<CustomerKey>,
) -> Result<ListPartsOutput, Error> {
    let input = ListParts {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        upload_id: upload_id.to_owned(),
        part_number_marker: 0,
        max_parts: 100,
        customer_key,
    };
    let request = house.request();
    house.objects.list_parts(request.scope(), input).await
}

async fn complete_naming(
    house: &House,
    upload_id: &str,
    parts: Vec<CompletedPart>,
    whole: Option<(ChecksumAlgorithm, Vec<u8>)>,
    customer_key: Option<CustomerKey>,
) -> Result<PutObjectOutput, Error> {
    let input = CompleteMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        upload_id: upload_id.to_owned(),
        parts,
        checksum: whole,
        checksum_parts: None,
        checksum_type: None,
        object_size: None,
        conditions: WriteConditions::default(),
        customer_key,
    };
    let request = house.request();
    let done = house
        .objects
        .complete_multipart_upload(request.scope(), input);
    done.await
}

fn naming(number: u32, part: &UploadPartOutput) -> CompletedPart {
    let sum = part.checksum.clone().unwrap();
    CompletedPart {
        checksum: Some((sum.algorithm, sum.value)),
        ..completed(number, part)
    }
}

/// Who had the root key and the drives, and neither the KMS key nor the customer's, found in the files
/// of every part the digest of its plaintext, and could test a guess of a short one with it.
#[tokio::test]
async fn sec_no_digest_of_a_part_is_under_the_servers_key_alone() {
    for mode in MODES {
        for algorithm in [SHA256, None] {
            let built = built().await;
            let house = &built.house;
            house.sse_c_bucket("bucket").await;
            let request = mode.request(None);
            let upload = create_with(house, request, algorithm, None).await.unwrap();
            let announced = algorithm.or(Some(ChecksumAlgorithm::Crc32));
            let (large, small) = (pattern(MIB5), pattern(1_000));
            let mut parts = Vec::new();
            let mut sums = Vec::new();
            for (number, bytes) in [(1, &large), (2, &small)] {
                let stored = part_with(house, &upload, number, bytes, mode, announced).await;
                // What it announced, and the CRC64NVME that an upload without algorithm gets.
                let crc64 = house
                    .put("bucket", "other", bytes, EncryptionRequest::S3)
                    .await
                    .unwrap();
                house
                    .objects
                    .delete_object(house.request().scope(), delete_input("bucket", "other"))
                    .await
                    .unwrap();
                sums.push(stored.checksum.clone().unwrap().value);
                sums.extend(algorithm.is_none().then(|| crc64.checksum.unwrap().value));
                parts.push(naming(u32::from(number), &stored));
            }
            let found = |bytes: &[u8]| sums.iter().filter(|sum| contains(bytes, sum)).count();
            let in_rows: usize = rows(house, PARTS)
                .iter()
                .map(|(_, row)| found(&row.value))
                .sum();
            house.tidied().await;
            let cluster_id = house.store.cluster_id();
            let in_manifests = || -> usize {
                let blobs = surveyed(&built.drive);
                assert!(!blobs.is_empty());
                let opened = blobs.iter().map(|blob| {
                    let content =
                        built
                            .keyring
                            .open_manifest(&cluster_id, &blob.blob.0, &blob.manifest);
                    found(&content.unwrap())
                });
                opened.sum()
            };
            let open = in_manifests();
            complete_naming(house, &upload, parts, None, mode.key())
                .await
                .unwrap();
            house.tidied().await;
            let (finished, what) = (in_manifests(), format!("{mode:?} {algorithm:?}"));
            if mode == Mode::S3 {
                assert_eq!(in_rows, sums.len(), "the search finds them: {what}");
                assert!(open > 0 && finished > 0, "the search finds them: {what}");
            } else {
                assert_eq!((in_rows, open, finished), (0, 0, 0), "{what}");
            }
            let read = house.get("bucket", "k", mode.key()).await.unwrap();
            assert_eq!(read, [large, small].concat(), "{what}");
        }
    }
}

/// A part row with one value in the place of another.
fn with_value(row: &[u8], path: &str, value: &[u8]) -> Vec<u8> {
    let leaf = leaves(row).into_iter().find(|leaf| leaf.path == path);
    let at = leaf.unwrap().bytes;
    let old = at.len();
    let header = if old < 24 { 1 } else { 2 };
    let mut out = row[..at.start - header].to_vec();
    let len = u8::try_from(value.len()).unwrap();
    match len {
        0..=23 => out.push(0x40 | len),
        _ => out.extend([0x58, len]),
    }
    out.extend(value);
    out.extend(&row[at.end..]);
    out
}

fn value_at<'a>(row: &'a [u8], path: &str) -> &'a [u8] {
    let leaf = leaves(row).into_iter().find(|leaf| leaf.path == path);
    &row[leaf.unwrap().bytes]
}

#[tokio::test]
async fn sec_every_byte_of_a_parts_sealed_checksums_counts_and_each_is_of_its_part() {
    for mode in [Mode::Kms, Mode::Dsse, Mode::C] {
        // Under a customer key an upload without an algorithm keeps no checksum.
        let algorithms: &[_] = match mode {
            Mode::C => &[SHA256],
            _ => &[SHA256, None],
        };
        for algorithm in algorithms {
            let house = house().await;
            house.sse_c_bucket("bucket").await;
            let request = mode.request(None);
            let upload = create_with(&house, request, *algorithm, None)
                .await
                .unwrap();
            let announced = algorithm.or(Some(ChecksumAlgorithm::Crc32));
            let one = part_with(&house, &upload, 1, &pattern(MIB5), mode, announced).await;
            let two = part_with(&house, &upload, 2, &pattern(MIB5), mode, announced).await;
            let parts = || vec![naming(1, &one), naming(2, &two)];
            let [(key_one, row_one), (key_two, row_two)] = rows(&house, PARTS).try_into().unwrap();
            let (row_one, row_two) = (row_one.value, row_two.value);
            let what = format!("{mode:?} {algorithm:?}");
            let refused = async |changed: String| {
                let done = complete_naming(&house, &upload, parts(), None, mode.key()).await;
                let done = done.map(drop).unwrap_err();
                assert!(
                    matches!(done, Error::Corrupted { .. }),
                    "{changed}: {done:?}"
                );
                // Only what the object's checksum is made of is shown, and only with an algorithm.
                if algorithm.is_some() {
                    let listed = list(&house, &upload, mode.key()).await.map(drop);
                    assert!(matches!(listed, Err(Error::Corrupted { .. })), "{changed}");
                }
            };
            let mut tried = 0;
            for leaf in leaves(&row_one) {
                if !leaf.path.starts_with(".3.") && !leaf.path.starts_with(".4.") {
                    continue;
                }
                for at in leaf.bytes {
                    let mut changed = row_one.clone();
                    changed[at] ^= 1;
                    put_row(&house, PARTS, &key_one, &changed).await;
                    refused(format!("{what} {} byte {at}", leaf.path)).await;
                    tried += 1;
                }
            }
            assert!(tried > if algorithm.is_some() { 60 } else { 70 }, "{tried}");
            put_row(&house, PARTS, &key_one, &row_one).await;
            // The sealed checksum of the other part, although the bytes of both are the same.
            let fields: &[_] = match algorithm {
                Some(_) => &[".3.4"],
                None => &[".3.4", ".4.4"],
            };
            for field in fields {
                let swapped_one = with_value(&row_one, field, value_at(&row_two, field));
                let swapped_two = with_value(&row_two, field, value_at(&row_one, field));
                put_row(&house, PARTS, &key_one, &swapped_one).await;
                refused(format!("{what} {field} of the other part")).await;
                put_row(&house, PARTS, &key_two, &swapped_two).await;
                refused(format!("{what} {field} of both")).await;
                put_row(&house, PARTS, &key_one, &row_one).await;
                put_row(&house, PARTS, &key_two, &row_two).await;
                // Cut, grown, and in clear although it is not that long.
                let sound = value_at(&row_one, field);
                for wrong in [
                    &sound[..sound.len() - 1],
                    &[sound, &[0]].concat(),
                    &sound[..4],
                    &[],
                ] {
                    let changed = with_value(&row_one, field, wrong);
                    put_row(&house, PARTS, &key_one, &changed).await;
                    refused(format!("{what} {field} of {} bytes", wrong.len())).await;
                }
                put_row(&house, PARTS, &key_one, &row_one).await;
            }
            let listed = list(&house, &upload, mode.key()).await.unwrap();
            let shown = listed.parts.into_iter().map(|part| part.checksum);
            let wanted = [&one, &two].map(|part| part.checksum.clone());
            match algorithm {
                Some(_) => assert_eq!(shown.collect::<Vec<_>>(), wanted, "{what}"),
                None => assert_eq!(shown.flatten().count(), 0, "{what}"),
            }
            complete_naming(&house, &upload, parts(), None, mode.key())
                .await
                .unwrap();
        }
    }
}

/// Uploads that were open when the build changed: their parts have checksums in clear.
#[tokio::test]
async fn parts_of_an_earlier_build_are_listed_and_completed() {
    for mode in MODES {
        let house = house().await;
        house.sse_c_bucket("bucket").await;
        let request = mode.request(None);
        let upload = create_with(&house, request, SHA256, None).await.unwrap();
        let one = part_with(&house, &upload, 1, &pattern(MIB5), mode, SHA256).await;
        let [(key, row)] = rows(&house, PARTS).try_into().unwrap();
        let sum = one.checksum.clone().unwrap();
        let mut clear = with_value(&row.value, ".3.4", &sum.value);
        let sealed = leaves(&clear).into_iter().find(|leaf| leaf.path == ".3.3");
        clear[sealed.unwrap().bytes.start] = 0xF4;
        assert_eq!(clear == row.value, mode == Mode::S3);
        put_row(&house, PARTS, &key, &clear).await;
        let two = part_with(&house, &upload, 2, b"last", mode, SHA256).await;
        let listed = list(&house, &upload, mode.key()).await.unwrap();
        let shown: Vec<_> = listed.parts.into_iter().map(|part| part.checksum).collect();
        assert_eq!(shown, [one.checksum.clone(), two.checksum.clone()]);
        let wrong = CompletedPart {
            checksum: Some((sum.algorithm, vec![7; 32])),
            ..naming(1, &one)
        };
        let parts = vec![wrong, naming(2, &two)];
        let refused = complete_naming(&house, &upload, parts, None, mode.key()).await;
        assert!(matches!(
            refused,
            Err(Error::InvalidPart { part_number: 1, .. })
        ));
        let parts = vec![naming(1, &one), naming(2, &two)];
        let done = complete_naming(&house, &upload, parts, None, mode.key()).await;
        let read = house.get_output("bucket", "k", mode.key()).await.unwrap();
        assert_eq!(read.head.checksum, done.unwrap().checksum);
        assert_eq!(
            collect(read).await.unwrap(),
            [pattern(MIB5), b"last".to_vec()].concat()
        );
    }
}

/// Complete compared what it was told with what is stored before it asked for the key: 400 for a wrong
/// guess, and for the right one 403.
#[tokio::test]
async fn sec_who_may_not_use_the_key_hears_nothing_of_a_guessed_checksum() {
    for mode in [Mode::Kms, Mode::Dsse, Mode::C] {
        for algorithm in [SHA256, Some(ChecksumAlgorithm::Crc32c), None] {
            if mode == Mode::C && algorithm.is_none() {
                // Nothing is kept, and nothing compared.
                continue;
            }
            let house = house().await;
            house.sse_c_bucket("bucket").await;
            let key_id = new_key(&house).await;
            let full = algorithm.filter(|algorithm| *algorithm == ChecksumAlgorithm::Crc32c);
            let of_all = full.map(|_| strongroom_object::ChecksumType::FullObject);
            let request = mode.request(Some(&key_id));
            let upload = create_with(&house, request, algorithm, of_all)
                .await
                .unwrap();
            let stored = part_with(&house, &upload, 1, b"salary: 4711", mode, algorithm).await;
            let own = stored.checksum.clone().unwrap();
            let unnamed = completed(1, &stored);
            let named = |value: Vec<u8>| CompletedPart {
                checksum: Some((own.algorithm, value)),
                ..unnamed.clone()
            };
            let len = own.value.len();
            let wrong = vec![7; len];
            let other = Some((ChecksumAlgorithm::Sha1, vec![7; 20]));
            let in_other = CompletedPart {
                checksum: other.clone(),
                ..unnamed.clone()
            };
            let mut guesses = vec![
                (named(own.value.clone()), None),
                (named(wrong.clone()), None),
                (in_other, None),
                (
                    named(own.value.clone()),
                    Some((own.algorithm, wrong.clone())),
                ),
                (
                    named(own.value.clone()),
                    Some((own.algorithm, own.value.clone())),
                ),
                (named(own.value.clone()), other),
            ];
            if algorithm != SHA256 {
                guesses.push((unnamed.clone(), None));
                guesses.push((unnamed.clone(), Some((own.algorithm, own.value.clone()))));
                guesses.push((unnamed.clone(), Some((own.algorithm, wrong))));
            }
            let request = house.request();
            if mode != Mode::C {
                let input = DisableKeyInput { key_id };
                let scope = request.scope();
                let disabled = house.kms.disable_key(scope.caller, scope.receipt, input);
                disabled.await.unwrap();
            }
            let mut answers = Vec::new();
            for (part, whole) in guesses {
                let done = complete_naming(&house, &upload, vec![part], whole, None).await;
                let error = done.map(drop).unwrap_err();
                let expected = match mode {
                    Mode::C => matches!(error, Error::CustomerKeyRequired),
                    _ => matches!(error, Error::Kms(_)),
                };
                assert!(expected, "{mode:?} {algorithm:?}: {error:?}");
                answers.push(format!("{error:?}"));
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{mode:?} {algorithm:?}: {answers:?}");
            if mode == Mode::C {
                // With the key they are told apart.
                let other =
                    complete_naming(&house, &upload, vec![named(vec![7; len])], None, mode.key());
                assert!(matches!(other.await, Err(Error::InvalidPart { .. })));
                let right = vec![named(own.value.clone())];
                complete_naming(&house, &upload, right, None, mode.key())
                    .await
                    .unwrap();
            }
        }
    }
}
