// SPDX-License-Identifier: Apache-2.0
//! What no signature shows: which values may be shared between threads and moved to others. Losing that
//! would break callers, and nothing else would notice.

use strongroom_client::content::{ContentKey, Decryptor, Encryptor, MessageId, PartDigest};
use strongroom_client::envelope::{Detected, Envelope, Partial, Stored};
use strongroom_client::keyring::{
    AesMasterKey, AwsKms, KmsKeyring, MasterKeyring, MultiKeyring, RsaPrivateKey, RsaPublicKey,
};
use strongroom_client::s3::{
    Builder, CopyObject, DeleteObject, Downloaded, GetObject, GetObjectOutput, GetRange,
    GetRangeOutput, GetUnverifiedOutput, HeadObject, HeadObjectOutput, ListObjectsV2,
    ListObjectsV2Output, PutObject, PutObjectOutput, Reader, Reencrypt, Rewrap, RewrapOutput,
    UnverifiedBody, VerifiedBody,
};
use strongroom_client::transport::{
    Address, AwsS3, InMemory, ObjectStoreTransport, Pieces, TransportError,
};
use strongroom_client::{
    AesKey, Client, CommitmentPolicy, Content, EncryptedS3, Error, Legacy, NewObject, Plaintext,
};

fn moves<T: Send + 'static>() {}

fn shared<T: Send + Sync + 'static>() {}

fn moved<T: Send>(_: T) {}

#[test]
fn public_types_cross_threads() {
    shared::<EncryptedS3>();
    shared::<Client<MasterKeyring>>();
    shared::<Builder>();
    shared::<Error>();
    shared::<TransportError>();
    shared::<(CommitmentPolicy, Legacy, AesKey, NewObject, Content)>();
    shared::<(ContentKey, MessageId, PartDigest)>();
    shared::<(Envelope, Detected, Partial, Stored, Address)>();
    shared::<(AesMasterKey, RsaPrivateKey, RsaPublicKey)>();
    shared::<(MasterKeyring, MultiKeyring, KmsKeyring<AwsKms>)>();
    shared::<(
        AwsS3,
        InMemory,
        ObjectStoreTransport<object_store::memory::InMemory>,
    )>();
    shared::<(PutObjectOutput, HeadObjectOutput, ListObjectsV2Output)>();
    shared::<(RewrapOutput, Downloaded)>();
    moves::<(Encryptor, Decryptor, Pieces)>();
    moves::<(Plaintext, PutObject, GetObject, GetRange, CopyObject)>();
    moves::<(DeleteObject, HeadObject, ListObjectsV2, Reencrypt, Rewrap)>();
    moves::<(GetObjectOutput, GetUnverifiedOutput, GetRangeOutput)>();
    moves::<(VerifiedBody, UnverifiedBody, Reader)>();
}

#[test]
fn operations_run_on_any_thread() {
    let s3 = EncryptedS3::new(InMemory::new(), MasterKeyring::new());
    moved(s3.get_object("b", "k").send());
    moved(s3.get_object("b", "k").send_unverified());
    moved(s3.get_object("b", "k").download_to("nowhere"));
    moved(s3.head_object("b", "k").send());
    moved(s3.delete_object("b", "k").send());
    moved(s3.abort_resumable("nowhere"));
}
