// SPDX-License-Identifier: Apache-2.0
//! A root key that never leaves its token: PKCS#11 through `cryptoki`.
//!
//! ```text
//!   parameters   mechanism u8 (1: CKM_AES_GCM)
//!   wrapped      IV 12 || AES-256-GCM(key in the token, FK) || tag 16; AAD as the keyring says
//! ```
//!
//! Each use loads the module, logs in, does one operation and finalizes the module: nothing of
//! the token stays in a server that runs. Calls block, for as long as the token likes; they are
//! made on threads that may block, and one at a time, since a module is initialized once for each
//! process.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use strongroom_kms::root::{FileKey, RootError, RootProvider, WrapKind};
use zeroize::Zeroizing;

use super::source::Pkcs11Source;

/// An AES key in a token, and the PIN that lets us use it.
pub(super) struct Pkcs11Token {
    source: Pkcs11Source,
    pin: Zeroizing<String>,
}

impl Pkcs11Token {
    pub(super) fn new(source: Pkcs11Source, pin: Zeroizing<String>) -> Self {
        Self { source, pin }
    }

    /// Does `work` in a session that is logged in.
    fn session<T>(
        &self,
        work: impl FnOnce(&Session) -> Result<T, RootError>,
    ) -> Result<T, RootError> {
        let _one_at_a_time = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let module = self.source.module.display();
        let context = Pkcs11::new(&self.source.module)
            .map_err(|e| refused(format!("cannot load the PKCS#11 module `{module}`: {e}")))?;
        context
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
            .map_err(|e| refused(format!("the PKCS#11 module `{module}` does not start: {e}")))?;
        let done = self.logged_in(&context).and_then(|session| {
            let done = work(&session);
            // Logging out is part of finalizing; a token that is gone cannot be told.
            let _closed = session.close();
            done
        });
        let _finalized = context.finalize();
        done
    }

    fn logged_in(&self, context: &Pkcs11) -> Result<Session, RootError> {
        let label = &self.source.token_label;
        let slots = context
            .get_slots_with_initialized_token()
            .map_err(|e| self.failed("list its tokens", &e))?;
        let mut found = Vec::new();
        for slot in slots {
            let info = context
                .get_token_info(slot)
                .map_err(|e| self.failed("describe a token", &e))?;
            if info.label().trim_end() == label {
                found.push(slot);
            }
        }
        let slot = match *found.as_slice() {
            [slot] => slot,
            [] => return Err(refused(format!("no PKCS#11 token is labelled `{label}`"))),
            _ => {
                return Err(refused(format!(
                    "several PKCS#11 tokens are labelled `{label}`"
                )));
            }
        };
        let session = context
            .open_rw_session(slot)
            .map_err(|e| self.failed("open a session", &e))?;
        let pin = AuthPin::new(self.pin.as_str().into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) => Ok(session),
            Err(TokenError::Pkcs11(RvError::PinIncorrect, _)) => Err(refused(format!(
                "the PKCS#11 token `{label}` refuses the PIN of `{}`; stop here: a token locks \
                 itself after a few wrong ones",
                self.source.pin_file.display()
            ))),
            Err(TokenError::Pkcs11(RvError::PinLocked, _)) => Err(refused(format!(
                "the PKCS#11 token `{label}` is locked after too many wrong PINs"
            ))),
            Err(error) => Err(self.failed("log in", &error)),
        }
    }

    /// The key, if the token has it.
    fn find(&self, session: &Session) -> Result<Option<ObjectHandle>, RootError> {
        let label = &self.source.key_label;
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        let found = session
            .find_objects(&template)
            .map_err(|e| self.failed("look for its key", &e))?;
        match *found.as_slice() {
            [] => Ok(None),
            [key] => Ok(Some(key)),
            _ => Err(refused(format!(
                "the PKCS#11 token `{}` has several AES keys labelled `{label}`",
                self.source.token_label
            ))),
        }
    }

    /// The key for a new wrap: made in the token if it is not there, refused if it could leave.
    fn find_or_make(&self, session: &Session) -> Result<ObjectHandle, RootError> {
        let Some(key) = self.find(session)? else {
            let template = [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::ValueLen(32.into()),
                Attribute::Label(self.source.key_label.as_bytes().to_vec()),
            ];
            return session
                .generate_key(&Mechanism::AesKeyGen, &template)
                .map_err(|e| self.failed("make an AES key", &e));
        };
        let wanted = [AttributeType::Sensitive, AttributeType::Extractable];
        let attributes = session
            .get_attributes(key, &wanted)
            .map_err(|e| self.failed("describe its key", &e))?;
        let has = |wanted: &Attribute| attributes.contains(wanted);
        if has(&Attribute::Sensitive(true)) && has(&Attribute::Extractable(false)) {
            Ok(key)
        } else {
            Err(refused(format!(
                "the AES key `{}` of the PKCS#11 token `{}` could leave it: use one that is \
                 sensitive and not extractable",
                self.source.key_label, self.source.token_label
            )))
        }
    }

    fn failed(&self, doing: &str, error: &TokenError) -> RootError {
        refused(format!(
            "the PKCS#11 token `{}` could not {doing}: {error}",
            self.source.token_label
        ))
    }
}

impl fmt::Debug for Pkcs11Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Token")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl RootProvider for Pkcs11Token {
    fn kind(&self) -> WrapKind {
        WrapKind::Pkcs11
    }

    fn parameters(&self) -> Result<Vec<u8>, RootError> {
        Ok(vec![AES_GCM])
    }

    fn wrap(&self, parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError> {
        need_gcm(parameters)?;
        let mut iv = [0; IV_BYTES];
        aws_lc_rs::rand::fill(&mut iv).map_err(|_| RootError::System("randomness"))?;
        self.session(|session| {
            let wrapping = self.find_or_make(session)?;
            let params = GcmParams::new(&mut iv, aad, TAG_BITS.into())
                .map_err(|e| self.failed("take the associated data", &e))?;
            let mechanism = Mechanism::AesGcm(params);
            session
                .encrypt(&mechanism, wrapping, key.expose_secret())
                .map_err(|e| self.failed("wrap the file key", &e))
        })
        // Some modules draw the IV themselves and write it back.
        .map(|sealed| [iv.as_slice(), &sealed].concat())
    }

    fn unwrap(&self, parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError> {
        need_gcm(parameters)?;
        let corrupted = RootError::Corrupted("the key wrapped by a PKCS#11 token");
        let (iv, sealed) = wrapped
            .split_first_chunk::<IV_BYTES>()
            .ok_or(corrupted.clone())?;
        let mut iv = *iv;
        self.session(|session| {
            let Some(wrapping) = self.find(session)? else {
                return Err(refused(format!(
                    "the PKCS#11 token `{}` has no AES key labelled `{}`",
                    self.source.token_label, self.source.key_label
                )));
            };
            let params = GcmParams::new(&mut iv, aad, TAG_BITS.into())
                .map_err(|e| self.failed("take the associated data", &e))?;
            let opened = session.decrypt(&Mechanism::AesGcm(params), wrapping, sealed);
            match opened.map(Zeroizing::new) {
                Ok(bytes) => FileKey::from_bytes(&bytes).ok_or(corrupted),
                // Modules name a wrong tag in different ways.
                Err(TokenError::Pkcs11(
                    RvError::EncryptedDataInvalid
                    | RvError::EncryptedDataLenRange
                    | RvError::DataInvalid
                    | RvError::GeneralError,
                    _,
                )) => Err(RootError::WrongSecret(WrapKind::Pkcs11)),
                Err(error) => Err(self.failed("unwrap the file key", &error)),
            }
        })
    }
}

fn need_gcm(parameters: &[u8]) -> Result<(), RootError> {
    if parameters == [AES_GCM] {
        Ok(())
    } else {
        Err(RootError::Corrupted("parameters of a PKCS#11 key"))
    }
}

fn refused(message: String) -> RootError {
    RootError::Provider(message)
}

static MODULES: Mutex<()> = Mutex::new(());
const AES_GCM: u8 = 1;
const IV_BYTES: usize = 12;
const TAG_BITS: u64 = 128;
