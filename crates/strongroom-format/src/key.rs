// SPDX-License-Identifier: Apache-2.0
//! Key types, and which key comes from which.
//!
//! A key can be read only through `expose_secret`, is wiped on drop, lives on the heap so that
//! moving it leaves no copy behind, and has no `Clone`, no comparison and no readable `Debug`.

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::body::Layer;
use crate::kdf::{self, KeptPrk};
use crate::primitives::{AwsLc, Primitives, RustCrypto};

macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Box<Zeroizing<[u8; 32]>>);

        impl $name {
            /// Takes over key bytes that exist already.
            #[must_use]
            pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
                let key = Self::copied_from(&bytes);
                bytes.zeroize();
                key
            }

            /// A copy of key bytes that their owner wipes. Nothing of it passes over the stack.
            #[must_use]
            pub fn copied_from(bytes: &[u8; 32]) -> Self {
                let mut secret = Box::new(Zeroizing::new([0; 32]));
                secret.copy_from_slice(bytes);
                Self(secret)
            }

            /// A new key from 32 bytes of the cryptographic module's generator.
            ///
            /// The caller must pass bytes that are used for nothing else.
            #[must_use]
            pub fn generate(random: [u8; 32]) -> Self {
                Self::from_bytes(random)
            }

            /// The key bytes. Every use of this method is a place to review.
            #[must_use]
            pub fn expose_secret(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_key! {
    /// EK: the key from outside the object that wraps its object key (a KMS data key, a bucket key,
    /// or the customer's key).
    ExternalKey
}
secret_key! {
    /// OEK: random, one for each object version or multipart upload.
    ObjectKey
}
secret_key! {
    /// PK: seals one body (the body of a PUT, or one attempt at one part).
    PayloadKey
}
secret_key! {
    /// SK: seals the plaintext checksums of one object.
    SumsKey
}
secret_key! {
    /// OEK of the outer layer: random, independent of the inner one, and used by the second
    /// implementation only.
    OuterObjectKey
}
secret_key! {
    /// PK of the outer layer: seals the sealed segments of one body.
    OuterPayloadKey
}
secret_key! {
    /// SK of the outer layer: seals sealed checksums.
    OuterSumsKey
}
secret_key! {
    /// CK: tags a finished object that cannot be wrapped again; opens nothing.
    CompletionKey
}
secret_key! {
    /// HBK: one version of the material of a KMS key.
    KeyMaterial
}

/// Random identity of the data of an object; never used for other data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectDataId(pub [u8; 16]);

/// Random identity of one attempt at uploading a body or part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartUid(pub [u8; 16]);

/// PRK_o: what the keys of one object come from, for who needs several of them. As secret as the
/// object key.
pub struct ObjectPrk(KeptPrk);

impl ObjectKey {
    /// What the keys of the object come from.
    #[must_use]
    pub fn prk(&self, odi: &ObjectDataId) -> ObjectPrk {
        ObjectPrk(kdf::extract_for_many(
            &object_salt(odi),
            self.expose_secret(),
        ))
    }

    /// The key of one body. `part_no` is 0 for a body that is not a part.
    #[must_use]
    pub fn payload_key(&self, odi: &ObjectDataId, part_no: u16, part_uid: &PartUid) -> PayloadKey {
        self.prk(odi).payload_key(part_no, part_uid)
    }

    /// The key that seals the plaintext checksums of the object.
    #[must_use]
    pub fn sums_key(&self, odi: &ObjectDataId) -> SumsKey {
        self.prk(odi).sums_key()
    }
}

impl ObjectPrk {
    /// As [`ObjectKey::payload_key`].
    #[must_use]
    pub fn payload_key(&self, part_no: u16, part_uid: &PartUid) -> PayloadKey {
        let prk = self.0.prk();
        PayloadKey::copied_from(&payload_key::<AwsLc>(&prk, Layer::Inner, part_no, part_uid))
    }

    /// As [`ObjectKey::sums_key`].
    //= docs/spec/object-format.md#keys-of-an-object
    //# SK = HKDF-Expand(PRK_o, "strongroom/1/sums" || 0x00, 32)
    #[must_use]
    pub fn sums_key(&self) -> SumsKey {
        SumsKey::copied_from(&self.0.expand(&[b"strongroom/1/sums\0"]))
    }

    //= docs/spec/object-format.md#keys-of-an-object
    //# CK = HKDF-Expand(PRK_o, "strongroom/1/completion" || 0x00, 32)
    pub(crate) fn completion_key(&self) -> CompletionKey {
        CompletionKey::copied_from(&self.0.expand(&[b"strongroom/1/completion\0"]))
    }
}

impl fmt::Debug for ObjectPrk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectPrk(..)")
    }
}

impl OuterObjectKey {
    /// As [`ObjectKey::payload_key`], for the outer layer of the body.
    #[must_use]
    pub fn payload_key(
        &self,
        odi: &ObjectDataId,
        part_no: u16,
        part_uid: &PartUid,
    ) -> OuterPayloadKey {
        let prk = RustCrypto::extract(&object_salt(odi), self.expose_secret());
        let key = payload_key::<RustCrypto>(&prk, Layer::Outer, part_no, part_uid);
        OuterPayloadKey::copied_from(&key)
    }

    /// The key that seals what [`ObjectKey::sums_key`] sealed.
    //= docs/spec/object-format.md#dual-layer-encryption
    //# SK_2 = HKDF-Expand(PRK_o2, "strongroom/1/sums" || 0x00 || 0x02, 32)
    #[must_use]
    pub fn sums_key(&self, odi: &ObjectDataId) -> OuterSumsKey {
        let prk = RustCrypto::extract(&object_salt(odi), self.expose_secret());
        let info: [&[u8]; 2] = [b"strongroom/1/sums\0", &[Layer::Outer.byte()]];
        OuterSumsKey::copied_from(&RustCrypto::expand(&prk, &info))
    }
}

//= docs/spec/object-format.md#keys-of-an-object
//# PRK_o = HKDF-Extract-SHA-384(salt = "strongroom/1/oek" || odi, IKM = OEK)
fn object_salt(odi: &ObjectDataId) -> [u8; 32] {
    let mut salt = [0; 32];
    let (label, rest) = salt.split_at_mut(16);
    label.copy_from_slice(b"strongroom/1/oek");
    rest.copy_from_slice(&odi.0);
    salt
}

//= docs/spec/object-format.md#keys-of-an-object
//# PK = HKDF-Expand(PRK_o, "strongroom/1/part" || 0x00 || u8 layer || u16 part_no || part_uid, 32)
fn payload_key<P: Primitives>(
    prk: &P::Prk,
    layer: Layer,
    part_no: u16,
    part_uid: &PartUid,
) -> Zeroizing<[u8; 32]> {
    let info: [&[u8]; 4] = [
        b"strongroom/1/part\0",
        &[layer.byte()],
        &part_no.to_be_bytes(),
        &part_uid.0,
    ];
    P::expand(prk, &info)
}
