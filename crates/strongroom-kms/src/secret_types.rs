// SPDX-License-Identifier: Apache-2.0
//! The inner types that are secrets, held to what such a type must not be able to do. The public
//! ones are checked with all others in the server's tests.

use strongroom_testkit::assert_secret_type;

use crate::aead::AeadKey;
use crate::data_key::{DataKey, Decrypted};
use crate::key_pair::KeyPair;
use crate::mac::MacKey;
use crate::material::Material;
use crate::signing::Message;

assert_secret_type!(
    AeadKey, Material, KeyPair, MacKey, Message, DataKey, Decrypted
);

#[test]
fn material_does_not_print() {
    let material = Material::new(zeroize::Zeroizing::new(vec![0xA7; 32]));
    assert_eq!(format!("{material:?}"), "Material(..)");
    assert_eq!(
        format!("{:?}", AeadKey::new(&[0xA7; 32]).unwrap()),
        "AeadKey(..)"
    );
}
