// SPDX-License-Identifier: Apache-2.0
//! Dual-layer encryption: two keys, two implementations, and one of them alone opens nothing.
//!
//! The layers are opened here from what lies in the store, by the specification: rows are read by
//! types of this file, BIND is put together anew, and the keys come from the key service.

use std::collections::BTreeMap;

use minicbor::Decode;
use strongroom_format::{
    Bind, BindChecksum, BindDigest, BodyContext, DualOpener, EncryptionContext, FloeHeader, Layer,
    ObjectDataId, ObjectKey, Opener, OuterObjectKey, OuterOpener, PartRow, PartUid,
    SealedKeyRecord, SseMode, part_table_bytes, properties_digest, segment_count, sha384,
    unwrap_object_key, unwrap_outer_object_key,
};
use strongroom_kms::{CreateKeyInput, DisableKeyInput};
use strongroom_object::{
    ByteRange, ChecksumAlgorithm, CopyObject, CopySource, Encryption, EncryptionRequest, Error,
    GetObjectAttributes, KmsKeyArn, PropertiesDirective, ReadConditions, UpdateObjectEncryption,
    WriteConditions,
};
use strongroom_store::{BlobLocation, TableId};

use crate::binding::{BODIES, VERSIONS, put_row, rows};
use crate::harness::*;
use crate::multipart::{complete, completed, create, part};

const MIB5: usize = 5 * 1024 * 1024;
const PART_TABLES: TableId = TableId(25);
const SIZES: [usize; 9] = [0, 1, 1_000, 32_000, 40_000, 65_535, 65_536, 65_537, 200_000];

#[derive(Debug, Decode)]
enum Entry {
    #[n(0)]
    Object(#[n(0)] Version),
}

#[derive(Debug, Decode)]
#[cbor(map)]
struct Version {
    #[cbor(n(0), with = "minicbor::bytes")]
    uid: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    odi: [u8; 16],
    #[n(2)]
    size: u64,
    #[n(3)]
    created_ms: u64,
    #[n(4)]
    etag: String,
    #[n(6)]
    key: Key,
    #[n(7)]
    checksum: Option<Sum>,
    #[n(8)]
    parts: u16,
    #[n(9)]
    body: Option<Part>,
    #[n(10)]
    is_null: bool,
}

#[derive(Debug, Decode)]
#[cbor(map)]
struct Key {
    #[cbor(n(0), with = "minicbor::bytes")]
    record: Vec<u8>,
    #[n(1)]
    kms_arn: String,
    #[n(2)]
    context: BTreeMap<String, String>,
    #[cbor(n(7), with = "minicbor::bytes")]
    outer_record: Option<Vec<u8>>,
}

#[derive(Debug, Decode)]
#[cbor(map)]
struct Sum {
    #[n(0)]
    algorithm: u8,
    #[n(3)]
    sealed: bool,
    #[cbor(n(4), with = "minicbor::bytes")]
    value: Vec<u8>,
}

#[derive(Debug, Decode)]
#[cbor(map)]
struct Table {
    #[n(0)]
    parts: Vec<Part>,
}

#[derive(Debug, Decode)]
#[cbor(map)]
struct Part {
    #[n(0)]
    number: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    uid: [u8; 16],
    #[n(2)]
    plain_len: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    floe_header: [u8; 74],
    #[n(4)]
    place: Place,
    #[cbor(n(5), with = "minicbor::bytes")]
    outer_floe_header: Option<[u8; 74]>,
}

#[derive(Debug, Decode)]
enum Place {
    #[n(0)]
    Inline,
    #[n(1)]
    Blob(#[n(0)] BlobLocation),
}

/// The only object of a house, taken apart.
struct Taken {
    version: Version,
    parts: Vec<Part>,
    bind: BindDigest,
    inner: SealedKeyRecord,
    outer: SealedKeyRecord,
}

fn take(house: &House, object_key: &str) -> Taken {
    let (table_key, row) = rows(house, VERSIONS).pop().unwrap();
    let Entry::Object(version) = minicbor::decode(&row.value).unwrap();
    let parts: Vec<Part> = match minicbor::decode::<Entry>(&row.value).unwrap() {
        Entry::Object(Version {
            body: Some(body), ..
        }) => vec![body],
        Entry::Object(_) => {
            let (_, row) = rows(house, PART_TABLES).pop().unwrap();
            minicbor::decode::<Table>(&row.value).unwrap().parts
        }
    };
    let bound: Vec<_> = parts.iter().map(Part::bound).collect();
    let checksums: Vec<_> = version
        .checksum
        .iter()
        .map(|sum| BindChecksum {
            algorithm: sum.algorithm,
            kind: 1,
            bytes: &sum.value,
        })
        .collect();
    let bind = Bind {
        cluster_id: &house.store.cluster_id(),
        bucket_uid: table_key.first_chunk().unwrap(),
        object_key: object_key.as_bytes(),
        version_uid: &version.uid,
        null_version: version.is_null,
        odi: &ObjectDataId(version.odi),
        plain_size: version.size,
        created_ms: version.created_ms,
        etag: version.etag.as_bytes(),
        checksums: &checksums,
        parts: version.parts,
        part_table_sha384: sha384(&part_table_bytes(&bound)),
        properties_sha384: properties_digest(&[]),
        kms_arn: &version.key.kms_arn,
        context_sha384: version.context().digest(),
    }
    .digest()
    .unwrap();
    let outer = version.key.outer_record.as_ref().unwrap();
    Taken {
        inner: SealedKeyRecord::parse(&version.key.record).unwrap(),
        outer: SealedKeyRecord::parse(outer).unwrap(),
        version,
        parts,
        bind,
    }
}

impl Version {
    fn context(&self) -> EncryptionContext {
        let mut context = EncryptionContext::new();
        for (name, value) in &self.key.context {
            context.insert(name.clone(), value.clone()).unwrap();
        }
        context
    }
}

impl Part {
    fn bound(&self) -> PartRow {
        PartRow {
            part_no: self.number,
            part_uid: PartUid(self.uid),
            plain_len: self.plain_len,
            header: FloeHeader::from_bytes(self.floe_header),
            outer_header: self.outer_floe_header.map(FloeHeader::from_bytes),
        }
    }

    /// Its segments, as they are stored.
    async fn segments(&self, house: &House) -> Vec<Vec<u8>> {
        match &self.place {
            Place::Inline => rows(house, BODIES)
                .into_iter()
                .filter(|(key, _)| *key == self.uid)
                .map(|(_, row)| row.value)
                .collect(),
            Place::Blob(location) => {
                let units = location.layout.unit_count(location.sealed_bytes);
                let units = u32::try_from(units).unwrap();
                let read = house.store.blobs().read(location, 0, units).await.unwrap();
                (0..read.capacity_units())
                    .map(|unit| read.slot(unit).to_vec())
                    .collect()
            }
        }
    }
}

impl Taken {
    /// The object key of the inner layer: the key service's part.
    async fn inner_key(&self, house: &House) -> ObjectKey {
        let request = house.request();
        let scope = request.scope();
        let context = self.version.context();
        let opened =
            house
                .kms
                .decrypt_for_s3(scope.caller, scope.receipt, self.inner.ek_ref(), &context);
        unwrap_object_key(&opened.await.unwrap(), &self.inner, &self.bind).unwrap()
    }

    /// The object key of the outer layer: the server's own part.
    fn outer_key(&self, house: &House) -> OuterObjectKey {
        let (table_key, _) = rows(house, VERSIONS).pop().unwrap();
        let uid = table_key.first_chunk().unwrap();
        let key = house.kms.sse_s3_open(self.outer.ek_ref(), uid).unwrap();
        unwrap_outer_object_key(&key, &self.outer, &self.bind).unwrap()
    }

    fn place(&self, part: &Part) -> BodyContext {
        BodyContext {
            odi: ObjectDataId(self.version.odi),
            part_no: part.number,
            part_uid: PartUid(part.uid),
        }
    }

    fn inner_opener(&self, key: &ObjectKey, part: &Part) -> Opener {
        let place = self.place(part);
        let key = key.payload_key(&place.odi, place.part_no, &place.part_uid);
        Opener::new(&key, &place, &part.bound().header, part.plain_len).unwrap()
    }

    fn outer_opener(&self, key: &OuterObjectKey, part: &Part) -> OuterOpener {
        let place = self.place(part);
        let key = key.payload_key(&place.odi, place.part_no, &place.part_uid);
        let header = part.bound().outer_header.unwrap();
        OuterOpener::new(&key, &place, &header, part.plain_len).unwrap()
    }
}

fn shows(bytes: &[u8], plain: &[u8]) -> bool {
    plain.len() >= 8 && bytes.windows(8).any(|window| window == &plain[..8])
}

/// Takes the object apart with one key at a time, then with both.
async fn check_layers(house: &House, object_key: &str, whole: &[u8]) {
    let taken = take(house, object_key);
    assert_eq!(
        (taken.inner.mode(), taken.inner.layer()),
        (SseMode::Dsse, Layer::Inner)
    );
    assert_eq!(
        (taken.outer.mode(), taken.outer.layer()),
        (SseMode::Dsse, Layer::Outer)
    );
    let inner_key = taken.inner_key(house).await;
    let outer_key = taken.outer_key(house);
    assert_ne!(inner_key.expose_secret(), outer_key.expose_secret());
    let mut start = 0;
    for part in &taken.parts {
        let inner = taken.inner_opener(&inner_key, part);
        let outer = taken.outer_opener(&outer_key, part);
        let both = DualOpener::new(
            taken.outer_opener(&outer_key, part),
            taken.inner_opener(&inner_key, part),
        );
        let segments = part.segments(house).await;
        assert_eq!(segments.len() as u64, segment_count(part.plain_len));
        for (index, stored) in (0..).zip(&segments) {
            let len = stored.len() - 64;
            let plain = &whole[start..start + len];
            assert!(!shows(stored, plain));

            // The outer layer, with its key: what the inner one sealed, and no plaintext.
            let mut opened = stored.clone();
            let under = outer.open_in_place(index, &mut opened).unwrap();
            assert_eq!(under.len(), len + 32);
            assert!(!shows(under, plain));
            let marker = if index + 1 == segments.len() as u64 {
                u32::try_from(len + 32).unwrap()
            } else {
                u32::MAX
            };
            assert_eq!(under[..4], marker.to_be_bytes(), "a sealed segment");
            // That is ciphertext indeed: the inner key opens it, one bit changed and it does not.
            let mut damaged = under.to_vec();
            damaged[20] ^= 1;
            assert!(inner.open_in_place(index, &mut damaged).is_err());
            assert_eq!(
                inner.open_in_place(index, &mut under.to_vec()).unwrap(),
                plain
            );

            // The inner layer's key opens nothing of what is stored, wherever one looks for it.
            for at in [
                0..stored.len(),
                16..stored.len() - 16,
                0..len + 32,
                32..stored.len(),
            ] {
                assert!(
                    inner
                        .open_in_place(index, &mut stored[at].to_vec())
                        .is_err()
                );
            }
            // And neither key is that of the other layer.
            let place = taken.place(part);
            let exchanged = ObjectKey::from_bytes(*outer_key.expose_secret());
            let key = exchanged.payload_key(&place.odi, place.part_no, &place.part_uid);
            for header in [part.bound().header, part.bound().outer_header.unwrap()] {
                assert!(Opener::new(&key, &place, &header, part.plain_len).is_err());
            }

            assert_eq!(
                both.open_in_place(index, &mut stored.clone()).unwrap(),
                plain
            );
            start += len;
        }
    }
    assert_eq!(start, whole.len());
}

#[tokio::test]
async fn sec_one_layer_opened_with_its_key_leaves_ciphertext() {
    for size in SIZES {
        let house = house().await;
        house.bucket("bucket").await;
        let whole = pattern(size);
        house.put("bucket", "k", &whole, dsse()).await.unwrap();
        check_layers(&house, "k", &whole).await;
        assert_eq!(house.get("bucket", "k", None).await.unwrap(), whole);
    }
}

#[tokio::test]
async fn sec_one_layer_of_every_part_opened_with_its_key_leaves_ciphertext() {
    let house = house().await;
    house.bucket("bucket").await;
    let upload = create(&house, dsse()).await;
    let (one, two) = (pattern(MIB5 + 3), pattern(100));
    let first = part(&house, &upload, 1, &one, None).await.unwrap();
    let second = part(&house, &upload, 9, &two, None).await.unwrap();
    let parts = vec![completed(1, &first), completed(9, &second)];
    complete(&house, &upload, parts, None).await.unwrap();
    check_layers(&house, "k", &[one, two].concat()).await;
}

/// The key service's key is not enough to know the checksum of what was stored either.
#[tokio::test]
async fn checksums_are_under_both_layers() {
    let house = house().await;
    house.bucket("bucket").await;
    let output = house.put("bucket", "k", b"data", dsse()).await.unwrap();
    let sum = output.checksum.unwrap();
    let taken = take(&house, "k");
    let stored = taken.version.checksum.as_ref().unwrap();
    assert!(stored.sealed && stored.value.len() == sum.value.len() + 58);
    let odi = ObjectDataId(taken.version.odi);
    let aad = [stored.algorithm, 0];
    let inner = taken.inner_key(&house).await.sums_key(&odi);
    let outer = taken.outer_key(&house).sums_key(&odi);
    assert!(inner.open(&stored.value, &aad).is_err());
    let once = outer.open(&stored.value, &aad).unwrap();
    assert!(!once.windows(sum.value.len()).any(|w| w == sum.value));
    assert_eq!(inner.open(&once, &aad).unwrap(), sum.value);
}

#[tokio::test]
async fn answers_say_two_layers_and_never_a_bucket_key() {
    let house = house().await;
    house.bucket("bucket").await;
    let put = house.put("bucket", "k", b"data", dsse()).await.unwrap();
    assert!(
        matches!(&put.encryption, Encryption::Dsse { key_arn, .. } if key_arn.contains(":key/"))
    );
    let got = house.get_output("bucket", "k", None).await.unwrap();
    assert!(matches!(got.head.encryption, Encryption::Dsse { .. }));
    assert_eq!(got.head.etag, put.etag);
    let md5 = "8d777f385d3dfec8815d20f7496026dc";
    assert_ne!(put.etag, md5);
    let found = house.objects.inspect("bucket", "k", None).await.unwrap();
    assert_eq!(found.mode, "DSSE-KMS");
    assert!(found.outer_record_bytes.is_some());
    assert_eq!(found.parts[0].sealed_bytes, 4 + 64);
    assert!(!take(&house, "k").inner.flags().bucket_key);
}

#[tokio::test]
async fn ranges_at_every_boundary_are_what_was_stored() {
    let house = house().await;
    house.bucket("bucket").await;
    let whole = pattern(600_000);
    house.put("bucket", "k", &whole, dsse()).await.unwrap();
    let edges = [
        0, 1, 65_535, 65_536, 65_537, 131_072, 524_287, 524_288, 599_999,
    ];
    for from in edges {
        for to in edges.into_iter().filter(|to| *to >= from) {
            let mut input = get_input("bucket", "k", None);
            input.range = Some(ByteRange::FromTo(from as u64, to as u64));
            let request = house.request();
            let got = house
                .objects
                .get_object(request.scope(), input)
                .await
                .unwrap();
            assert_eq!(collect(got).await.unwrap(), whole[from..=to], "{from}-{to}");
        }
    }
}

#[tokio::test]
async fn a_disabled_key_closes_the_object_and_the_server_alone_opens_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    let key = new_key(&house).await;
    house
        .put("bucket", "k", b"data", dsse_under(Some(key.clone())))
        .await
        .unwrap();
    let request = house.request();
    let scope = request.scope();
    let input = DisableKeyInput { key_id: key };
    house
        .kms
        .disable_key(scope.caller, scope.receipt, input)
        .await
        .unwrap();
    let refused = house.get("bucket", "k", None).await;
    assert!(matches!(refused, Err(Error::Kms(_))), "{refused:?}");
    assert!(
        house
            .put(
                "bucket",
                "l",
                b"x",
                dsse_under(Some(take(&house, "k").version.key.kms_arn))
            )
            .await
            .is_err()
    );
}

/// Small bodies were held to the length that they have under one layer.
#[tokio::test]
async fn verification_takes_no_whole_body_for_damaged_that_it_cannot_open() {
    let house = house().await;
    house.bucket("bucket").await;
    let key_id = new_key(&house).await;
    for size in SIZES {
        let name = format!("k{size}");
        let under = dsse_under(Some(key_id.clone()));
        house
            .put("bucket", &name, &pattern(size), under)
            .await
            .unwrap();
        let upload = create(&house, dsse_under(Some(key_id.clone()))).await;
        part(&house, &upload, 1, &pattern(size), None)
            .await
            .unwrap();
    }
    let request = house.request();
    let scope = request.scope();
    let disable = DisableKeyInput { key_id };
    let disabled = house.kms.disable_key(scope.caller, scope.receipt, disable);
    disabled.await.unwrap();
    let report = house
        .objects
        .verify(request.scope(), &|_| {})
        .await
        .unwrap();
    assert_eq!(report.unopened, SIZES.len() as u64);
    assert_eq!(report.open_parts, SIZES.len() as u64);
    assert!(report.damaged.lines().is_empty(), "{:?}", report.damaged);

    // One byte more or less is still seen.
    let all = rows(&house, BODIES);
    assert_eq!(
        all.len(),
        2 * SIZES.iter().filter(|size| **size <= 32_000).count()
    );
    for (key, row) in all {
        for other in [&row.value[1..], &[row.value.as_slice(), &[0]].concat()] {
            put_row(&house, BODIES, &key, other).await;
            let report = house
                .objects
                .verify(request.scope(), &|_| {})
                .await
                .unwrap();
            assert_eq!(report.damaged.lines().len(), 1, "{:?}", report.damaged);
        }
        put_row(&house, BODIES, &key, &row.value).await;
    }
}

pub(crate) async fn new_key(house: &House) -> String {
    let request = house.request();
    let scope = request.scope();
    let input = CreateKeyInput::default();
    let made = house.kms.create_key(scope.caller, scope.receipt, input);
    made.await.unwrap().arn
}

async fn copy(house: &House, from: &str, to: &str, encryption: EncryptionRequest) {
    let input = CopyObject {
        source: CopySource {
            bucket: "bucket".to_owned(),
            object_key: from.to_owned(),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        },
        bucket: "bucket".to_owned(),
        object_key: to.to_owned(),
        directive: PropertiesDirective::Copy,
        encryption,
        storage_class: None,
        conditions: WriteConditions::default(),
        checksum_algorithm: None,
    };
    let request = house.request();
    house
        .objects
        .copy_object(request.scope(), input)
        .await
        .unwrap();
}

#[tokio::test]
async fn copies_go_into_two_layers_and_out_of_them() {
    for size in [0, 10, 40_000, 150_000] {
        let house = house().await;
        house.bucket("bucket").await;
        let whole = pattern(size);
        house
            .put("bucket", "plain", &whole, EncryptionRequest::S3)
            .await
            .unwrap();
        copy(&house, "plain", "two", dsse()).await;
        copy(&house, "two", "again", dsse()).await;
        copy(&house, "again", "kms", kms()).await;
        copy(&house, "again", "out", EncryptionRequest::S3).await;
        copy(&house, "again", "again", kms()).await;
        copy(&house, "again", "again", dsse()).await;
        for name in ["plain", "two", "again", "kms", "out"] {
            assert_eq!(
                house.get("bucket", name, None).await.unwrap(),
                whole,
                "{name}"
            );
            let mode = house
                .objects
                .inspect("bucket", name, None)
                .await
                .unwrap()
                .mode;
            let dual = matches!(name, "two" | "again");
            assert_eq!(mode == "DSSE-KMS", dual, "{name}: {mode}");
        }
    }
}

/// Under the same KMS key a copy stands on the blob of its source: both records are its own, over
/// its own BIND, and both layers of the body are those that were there.
#[tokio::test]
async fn a_copy_under_the_same_key_shares_the_blob_and_keeps_both_layers() {
    let house = house().await;
    house.bucket("bucket").await;
    let whole = pattern(150_000);
    house.put("bucket", "a", &whole, dsse()).await.unwrap();
    copy(&house, "a", "b", dsse()).await;
    let files = async |name: &str| {
        let found = house.objects.inspect("bucket", name, None).await.unwrap();
        found.parts[0].files.clone()
    };
    assert_eq!(files("a").await, files("b").await);
    let key = new_key(&house).await;
    copy(&house, "a", "c", dsse_under(Some(key))).await;
    assert_ne!(
        files("a").await,
        files("c").await,
        "another key: a body of its own"
    );
    for name in ["a", "c"] {
        house
            .objects
            .delete_object(house.request().scope(), delete_input("bucket", name))
            .await
            .unwrap();
    }
    check_layers(&house, "b", &whole).await;
    assert_eq!(house.get("bucket", "b", None).await.unwrap(), whole);
}

#[tokio::test]
async fn an_object_under_two_layers_is_not_put_under_one_key_of_another() {
    let house = house().await;
    house.bucket("bucket").await;
    house.put("bucket", "k", b"data", dsse()).await.unwrap();
    let key = new_key(&house).await;
    let input = UpdateObjectEncryption {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        version_id: None,
        key_arn: KmsKeyArn::parse(&key).unwrap(),
        bucket_key: false,
    };
    let before = rows(&house, VERSIONS);
    let request = house.request();
    let refused = house
        .objects
        .update_object_encryption(request.scope(), input)
        .await;
    assert!(matches!(
        refused,
        Err(Error::EncryptionNotChangeable { mode: "DSSE-KMS" })
    ));
    assert_eq!(rows(&house, VERSIONS)[0].1.value, before[0].1.value);
}

#[tokio::test]
async fn verification_reads_both_layers() {
    let house = house().await;
    house.bucket("bucket").await;
    for (name, size) in [("a", 0), ("b", 10), ("c", 200_000)] {
        house
            .put("bucket", name, &pattern(size), dsse())
            .await
            .unwrap();
    }
    let request = house.request();
    let report = house
        .objects
        .verify(request.scope(), &|_| {})
        .await
        .unwrap();
    assert!(report.damaged.lines().is_empty(), "{report:?}");
    let input = GetObjectAttributes {
        bucket: "bucket".to_owned(),
        object_key: "c".to_owned(),
        version_id: None,
        customer_key: None,
        checksum: true,
        parts: None,
    };
    let request = house.request();
    let found = house
        .objects
        .get_object_attributes(request.scope(), input)
        .await
        .unwrap();
    assert_eq!(found.size, 200_000);
    assert_eq!(
        found.checksum.unwrap().algorithm,
        ChecksumAlgorithm::Crc64Nvme
    );
}

/// What is refused for every change that keeps each layer in order by itself.
#[tokio::test]
async fn sec_layers_of_two_objects_do_not_mix() {
    let house = house().await;
    house.bucket("bucket").await;
    let whole = pattern(1_000);
    house.put("bucket", "a", &whole, dsse()).await.unwrap();
    house.put("bucket", "b", &whole, dsse()).await.unwrap();
    let found = rows(&house, VERSIONS);
    let [(key, a), (_, b)] = found.try_into().unwrap();
    let records = |row: &[u8]| {
        let Entry::Object(version) = minicbor::decode(row).unwrap();
        let outer = version.key.outer_record.unwrap();
        let part = version.body.unwrap();
        let outer_header = part.outer_floe_header.unwrap();
        [
            version.key.record,
            outer,
            part.floe_header.to_vec(),
            outer_header.to_vec(),
        ]
    };
    let (of_a, of_b) = (records(&a.value), records(&b.value));
    let mut tried = 0;
    for (from, at) in of_a.iter().zip(0..) {
        for to in of_a.iter().chain(&of_b).filter(|to| *to != from) {
            if to.len() != from.len() {
                continue;
            }
            let start = a.value.windows(from.len()).position(|w| w == from).unwrap();
            let mut value = a.value.clone();
            value[start..start + from.len()].copy_from_slice(to);
            put_row(&house, VERSIONS, &key, &value).await;
            let refused = house.get("bucket", "a", None).await;
            assert!(
                matches!(refused, Err(Error::Corrupted { .. } | Error::Kms(_))),
                "field {at}: {refused:?}"
            );
            tried += 1;
        }
    }
    assert!(tried >= 8, "{tried}");
    put_row(&house, VERSIONS, &key, &a.value).await;
    assert_eq!(house.get("bucket", "a", None).await.unwrap(), whole);
}

/// A row that was made to say one layer: without the outer record, without the outer header, or
/// with another mode in the record.
#[tokio::test]
async fn sec_a_layer_is_not_taken_away() {
    let house = house().await;
    house.bucket("bucket").await;
    house
        .put("bucket", "k", &pattern(500), dsse())
        .await
        .unwrap();
    let (key, row) = rows(&house, VERSIONS).pop().unwrap();
    let taken = take(&house, "k");
    let find = |needle: &[u8]| {
        let mut windows = row.value.windows(needle.len());
        windows.position(|w| w == needle).unwrap()
    };
    let outer_record = taken.version.key.outer_record.as_ref().unwrap();
    let outer_header = taken.parts[0].outer_floe_header.unwrap();
    // The length of a byte string of CBOR comes before it in two bytes.
    let without = |needle: &[u8]| {
        let at = find(needle);
        [
            &row.value[..at - 2],
            &[0xf6],
            &row.value[at + needle.len()..],
        ]
        .concat()
    };
    let mut as_kms = row.value.clone();
    as_kms[find(&taken.version.key.record) + 6] = 2;
    let mut as_inner = row.value.clone();
    as_inner[find(outer_record) + 7] = 0;
    let mut both = without(outer_record);
    let at = both.windows(74).position(|w| w == outer_header).unwrap();
    both.splice(at - 2..at + 74, [0xf6]);
    for (what, value) in [
        ("outer record", without(outer_record)),
        ("outer header", without(&outer_header)),
        ("both", both),
        ("mode", as_kms),
        ("layer of the outer record", as_inner),
    ] {
        assert!(
            minicbor::decode::<Entry>(&value).is_ok(),
            "{what}: the row is well formed"
        );
        put_row(&house, VERSIONS, &key, &value).await;
        let refused = house.get("bucket", "k", None).await;
        assert!(
            matches!(refused, Err(Error::Corrupted { .. } | Error::Kms(_))),
            "{what}: {refused:?}"
        );
    }
}

/// Where a body lies is not bound. A long one that is said to lie in the table of small bodies must
/// not pass for its first segment.
#[tokio::test]
async fn sec_a_long_body_said_to_be_a_small_one() {
    for request in [dsse, kms] {
        let house = house().await;
        house.bucket("bucket").await;
        let data = pattern(300_000);
        house.put("bucket", "k", &data, request()).await.unwrap();
        let (key, row) = rows(&house, VERSIONS).pop().unwrap();
        let Entry::Object(version) = minicbor::decode(&row.value).unwrap();
        let part = version.body.unwrap();
        let first = part.segments(&house).await.remove(0);
        put_row(&house, BODIES, &part.uid, &first).await;
        // `[1, [location]]` becomes `[0, []]`.
        let at = row
            .value
            .windows(3)
            .position(|bytes| bytes == [0x82, 1, 0x81]);
        let at = at.unwrap();
        let mut location = minicbor::Decoder::new(&row.value[at..]);
        location.skip().unwrap();
        let rest = &row.value[at + location.position()..];
        let moved = [&row.value[..at], &[0x82, 0, 0x80], rest].concat();
        put_row(&house, VERSIONS, &key, &moved).await;
        for (from, to) in [(0, 299_999), (0, 9), (70_000, 70_099), (299_000, 299_999)] {
            let mut input = get_input("bucket", "k", None);
            input.range = Some(ByteRange::FromTo(from, to));
            let request = house.request();
            let got = match house.objects.get_object(request.scope(), input).await {
                Ok(got) => collect(got).await,
                Err(error) => Err(error),
            };
            // The first segment is what it is wherever it lies.
            match got {
                Ok(bytes) => assert_eq!((from, &bytes[..]), (0, &data[..10]), "{to}"),
                Err(error) => assert!(matches!(error, Error::Corrupted { .. }), "{from}-{to}"),
            }
        }
    }
}
