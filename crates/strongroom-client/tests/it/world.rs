// SPDX-License-Identifier: Apache-2.0
//! Recorded objects, and the keys that open them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use strongroom_client::envelope::Cipher;
use strongroom_client::envelope::{Fields, TextMap};
use strongroom_client::keyring::{
    AesMasterKey, Answer, KeyService, Keyring, KmsKeyring, MasterKeyring, NewDataKey,
    RsaPrivateKey, RsaPublicKey, Wrapped, WrappedByService,
};
use strongroom_client::{AesKey, Client, CommitmentPolicy, Error, Legacy};

/// One recorded object.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) metadata: Fields,
    pub(crate) instruction: Option<Vec<u8>>,
    pub(crate) context: TextMap,
    pub(crate) stored: Vec<u8>,
    pub(crate) plain: Vec<u8>,
    pub(crate) json: Value,
}

/// All of them that are recorded whole.
pub(crate) fn recorded() -> Vec<Recorded> {
    let mut all = Vec::new();
    for (file, list) in [
        (
            include_str!("../../../../vectors/cse/python-4.0.0.json"),
            "vectors",
        ),
        (
            include_str!("../../../../vectors/cse/ruby-1.117.2.json"),
            "vectors_1_117_2",
        ),
    ] {
        let json: Value = serde_json::from_str(file).unwrap();
        for vector in json[list].as_array().unwrap() {
            let bytes = |name: &str| vector[name].as_str().map(|text| hex::decode(text).unwrap());
            let (Some(plain), Some(stored)) = (bytes("plaintext_hex"), bytes("ciphertext_hex"))
            else {
                continue;
            };
            let instruction = &vector["instruction_file"]["body"];
            all.push(Recorded {
                name: vector["name"].as_str().unwrap().to_owned(),
                metadata: texts(&vector["metadata"]),
                instruction: instruction.as_str().map(|body| body.as_bytes().to_vec()),
                context: texts(&vector["request_encryption_context"]),
                stored,
                plain,
                json: vector.clone(),
            });
        }
    }
    all
}

pub(crate) fn named(name: &str) -> Recorded {
    recorded().into_iter().find(|one| one.name == name).unwrap()
}

fn texts(json: &Value) -> TextMap {
    let Some(map) = json.as_object() else {
        return TextMap::new();
    };
    let pair = |(name, value): (&String, &Value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned);
        (name.clone(), value)
    };
    map.iter().map(pair).collect()
}

/// A key service that knows recorded ciphertexts, and those that it made itself.
#[derive(Debug, Default)]
pub(crate) struct Service {
    known: BTreeMap<(Vec<u8>, TextMap), Vec<u8>>,
}

impl KeyService for Service {
    fn generate_data_key<'a>(
        &'a self,
        _: &'a str,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedByService> {
        // A toy: the blob says what it holds, and under which context.
        let key = [0x5A; 32];
        let context = serde_json::to_vec(context).unwrap();
        let blob = [b"made:".as_slice(), &key, &context].concat();
        Box::pin(async move {
            Ok(WrappedByService {
                data_key: AesKey::new(key.to_vec())?,
                blob,
            })
        })
    }

    fn decrypt<'a>(
        &'a self,
        _: Option<&'a str>,
        blob: &'a [u8],
        context: &'a TextMap,
    ) -> Answer<'a, AesKey> {
        Box::pin(async move {
            if let Some(made) = blob.strip_prefix(b"made:".as_slice()) {
                let (key, sealed_for) = made.split_at(32);
                if sealed_for == serde_json::to_vec(context).unwrap() {
                    return AesKey::new(key.to_vec());
                }
            }
            let known = self.known.get(&(blob.to_vec(), context.clone()));
            match known {
                Some(key) => AesKey::new(key.clone()),
                None => Err(Error::KeyService("InvalidCiphertextException".into())),
            }
        })
    }
}

/// The keyring that opens a recorded object.
pub(crate) enum AnyKeyring {
    Master(MasterKeyring),
    Kms(KmsKeyring<Service>),
}

impl Keyring for AnyKeyring {
    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey> {
        match self {
            Self::Master(keyring) => keyring.generate(cipher, context),
            Self::Kms(keyring) => keyring.generate(cipher, context),
        }
    }

    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey> {
        match self {
            Self::Master(keyring) => keyring.unwrap(wrapped),
            Self::Kms(keyring) => keyring.unwrap(wrapped),
        }
    }
}

pub(crate) fn kms(recorded: &Recorded) -> KmsKeyring<Service> {
    let key_id = recorded.json["kms"]["key_id"].as_str().unwrap();
    KmsKeyring::new(known(recorded), key_id)
}

pub(crate) fn known(recorded: &Recorded) -> Service {
    let kms = &recorded.json["kms"];
    let blob = STANDARD
        .decode(kms["ciphertext_blob_b64"].as_str().unwrap())
        .unwrap();
    let key = hex::decode(kms["plaintext_data_key_hex"].as_str().unwrap()).unwrap();
    let context = texts(&kms["encryption_context"]);
    let known = BTreeMap::from([((blob, context), key)]);
    Service { known }
}

pub(crate) fn keyring(recorded: &Recorded) -> AnyKeyring {
    if recorded.json["kms"].is_object() {
        return AnyKeyring::Kms(kms(recorded));
    }
    let wrapping = &recorded.json["wrapping"];
    let file = recorded
        .instruction
        .as_ref()
        .map(|body| texts(&serde_json::from_slice(body).unwrap()));
    let fields = file.as_ref().unwrap_or(&recorded.metadata);
    let description: TextMap = serde_json::from_str(&fields["x-amz-matdesc"]).unwrap();
    let ring = MasterKeyring::new();
    AnyKeyring::Master(if let Some(key) = wrapping["key_hex"].as_str() {
        ring.read_aes(description, aes(&hex::decode(key).unwrap()))
            .unwrap()
    } else {
        let der = pem(wrapping["private_key_pem"].as_str().unwrap());
        ring.read_rsa(description, RsaPrivateKey::from_pkcs8(&der).unwrap())
            .unwrap()
    })
}

pub(crate) fn aes(key: &[u8]) -> AesMasterKey {
    AesMasterKey::new(AesKey::new(key.to_vec()).unwrap())
}

/// PKCS#8 of a PEM text; PKCS#1 (as OpenSSL writes it) is put into PKCS#8.
pub(crate) fn pem(text: &str) -> Vec<u8> {
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    if !text.contains("RSA PRIVATE KEY") {
        return der;
    }
    let algorithm = hex::decode("300d06092a864886f70d0101010500").unwrap();
    let inner = [&[0x02, 0x01, 0x00], algorithm.as_slice(), &tlv(0x04, &der)].concat();
    tlv(0x30, &inner)
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], len.as_slice(), value].concat()
}

/// Accepts everything that was ever written.
pub(crate) fn tolerant<K: Keyring>(keyring: K) -> Client<K> {
    let legacy = Legacy {
        wrapping_algorithms: true,
        unauthenticated_modes: true,
    };
    Client::new(keyring)
        .commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
        .legacy(legacy)
}

/// Opens an object as a transport would.
pub(crate) async fn open<K: Keyring>(
    client: &Client<K>,
    object: &Recorded,
) -> Result<Vec<u8>, Error> {
    let envelope = Client::<K>::envelope(&object.metadata, || Ok(object.instruction.clone()))?;
    let content = client.open(&envelope, &object.context).await?;
    content.decrypt(&object.stored)
}

pub(crate) fn rsa_pair() -> (RsaPublicKey, RsaPrivateKey) {
    let recorded = named("v2-rsa");
    let der = pem(recorded.json["wrapping"]["private_key_pem"]
        .as_str()
        .unwrap());
    let private = RsaPrivateKey::from_pkcs8(&der).unwrap();
    let public = aws_lc_rs::rsa::PrivateDecryptingKey::from_pkcs8(&der)
        .unwrap()
        .public_key();
    let der =
        aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&public);
    (
        RsaPublicKey::from_der(der.unwrap().as_ref()).unwrap(),
        private,
    )
}
