// SPDX-License-Identifier: Apache-2.0
//! Keyrings for tests, and a key service that is one in all that a keyring can see.

use std::sync::Mutex;

use strongroom_client::envelope::TextMap;
use strongroom_client::keyring::{
    AesMasterKey, Answer, KeyService, KmsKeyring, MasterKeyring, WrappedByService,
};
use strongroom_client::{AesKey, Error};

pub(crate) fn map(pairs: &[(&str, &str)]) -> TextMap {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

pub(crate) fn aes(byte: u8) -> AesMasterKey {
    AesMasterKey::new(AesKey::new(vec![byte; 32]).unwrap())
}

/// A keyring of one AES wrapping key.
pub(crate) fn keyring(byte: u8) -> MasterKeyring {
    MasterKeyring::new()
        .write_aes(map(&[("kid", &byte.to_string())]), aes(byte))
        .unwrap()
}

/// Data keys by their blobs: key id, context, key.
#[derive(Default)]
pub(crate) struct Service(Mutex<Vec<(String, TextMap, Vec<u8>)>>);

impl Service {
    fn keep(&self, key_id: &str, context: &TextMap, key: &[u8]) -> Vec<u8> {
        let mut known = self.0.lock().unwrap();
        known.push((key_id.to_owned(), context.clone(), key.to_vec()));
        u64::try_from(known.len() - 1)
            .unwrap()
            .to_be_bytes()
            .to_vec()
    }
}

/// A service that several keyrings ask.
#[derive(Clone, Default)]
pub(crate) struct AnyService(std::sync::Arc<Service>);

impl KeyService for AnyService {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedByService> {
        Box::pin(async move {
            let mut key = vec![0; 32];
            aws_lc_rs::rand::fill(&mut key).unwrap();
            let blob = self.0.keep(key_id, context, &key);
            Ok(WrappedByService {
                data_key: AesKey::new(key)?,
                blob,
            })
        })
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a TextMap,
    ) -> Answer<'a, AesKey> {
        Box::pin(async move {
            let known = self.0.0.lock().unwrap();
            let index = u64::from_be_bytes(blob.try_into().unwrap_or([0xFF; 8]));
            let found = known.get(usize::try_from(index).unwrap_or(usize::MAX));
            match found {
                Some((id, _, _)) if key_id.is_some_and(|wanted| wanted != id) => {
                    Err(Error::WrongKey)
                }
                Some((_, own, key)) if own == context => AesKey::new(key.clone()),
                _ => Err(Error::KeyService("InvalidCiphertextException".into())),
            }
        })
    }
}

pub(crate) fn kms(service: &AnyService, key_id: &str) -> KmsKeyring<AnyService> {
    KmsKeyring::new(service.clone(), key_id)
}

/// A service that answers one request to decrypt, and then none for a while.
pub(crate) struct Failing {
    pub(crate) service: AnyService,
    pub(crate) asked: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl KeyService for Failing {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedByService> {
        self.service.generate_data_key(key_id, context)
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a TextMap,
    ) -> Answer<'a, AesKey> {
        match self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            1 => Box::pin(async { Err(Error::KeyService("no answer".into())) }),
            _ => self.service.decrypt(key_id, blob, context),
        }
    }

    fn encrypt<'a>(
        &'a self,
        key_id: &'a str,
        data_key: &'a AesKey,
        context: &'a TextMap,
    ) -> Answer<'a, Vec<u8>> {
        let blob = self
            .service
            .0
            .keep(key_id, context, data_key.expose_secret());
        Box::pin(async move { Ok(blob) })
    }
}
