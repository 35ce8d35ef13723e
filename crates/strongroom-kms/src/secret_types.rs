// SPDX-License-Identifier: Apache-2.0
//! The inner types that are secrets, held to what such a type must not be able to do. The public
//! ones are checked with all others in the server's tests.

use strongroom_testkit::assert_secret_type;

use crate::aead::AeadKey;
use crate::data_key::{DataKey, Decrypted};
use crate::key_pair::KeyPair;
use crate::mac::MacKey;
use crate::material::Material;
use crate::secret32::Secret32;
use crate::shred::ShredKey;
use crate::signing::Message;

assert_secret_type!(
    AeadKey, Material, KeyPair, MacKey, Message, DataKey, Decrypted, Secret32, ShredKey
);

#[test]
fn material_does_not_print() {
    let material = Material::new(zeroize::Zeroizing::new(vec![0xA7; 32]));
    assert_eq!(format!("{material:?}"), "Material(..)");
    assert_eq!(
        format!("{:?}", AeadKey::new(&[0xA7; 32]).unwrap()),
        "AeadKey(..)"
    );
    let secret = Secret32::copy_of(&[0xA7; 32]);
    assert_eq!(format!("{secret:?}"), "Secret32(..)");
}

/// The keys that live as long as the process lie where nobody else can read, and go with it.
#[test]
fn the_keys_of_a_keyring_lie_in_the_arena() {
    use crate::root::{OpenKeyringFile, RootKey, Rotation};
    use strongroom_memory::{Protection, status};

    // Other tests of this process have secrets, too: what is here is more than they ever have.
    const EPOCHS: usize = 2_000;
    let before = status();
    let root = RootKey::generate().unwrap();
    let mut file = OpenKeyringFile::create(&root, 1).unwrap();
    let rotation = Rotation {
        domain: true,
        sse_s3: true,
    };
    for epoch in 0..EPOCHS {
        file.rotate(rotation, 2 + u64::try_from(epoch).unwrap())
            .unwrap();
    }
    let lists = 2 * EPOCHS * 32;
    let of_file = status();
    if of_file.protection == Protection::Heap {
        return;
    }
    assert!(of_file.used_bytes >= before.used_bytes + lists * 9 / 10);
    let keyring = file.keyring().unwrap();
    let of_both = status();
    assert!(
        of_both.used_bytes >= of_file.used_bytes + lists * 9 / 10,
        "domain keys and SSE-S3 roots are here"
    );
    drop((file, root));
    let used = status().used_bytes;
    assert!(
        used + lists * 9 / 10 <= of_both.used_bytes,
        "the file's own keys are gone"
    );
    drop(keyring);
    assert!(status().used_bytes + lists * 9 / 10 <= used);
}
