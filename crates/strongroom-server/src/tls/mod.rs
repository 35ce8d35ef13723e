// SPDX-License-Identifier: Apache-2.0
//! TLS for the HTTPS listener: 1.3, and 1.2 with AEAD suites only, by rustls on aws-lc-rs.
//!
//! ```text
//! own files (--tls-cert, --tls-key) --+
//!                                     +--> CertifiedKey --> CurrentCertificate (swapped whole)
//! local CA --> a leaf, made anew -----+                        ^ at start, on SIGHUP, monthly
//! ```
//!
//! The local CA's leaf and its private key never touch a drive: a new leaf costs less than
//! a millisecond, so one is made at each start.

pub(crate) mod local_ca;
pub(crate) mod validity;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, SupportedCipherSuite};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use strongroom_store::drive::small_file;
use zeroize::Zeroizing;

use crate::config::Listen;
use crate::error::Error;
use local_ca::LocalCa;
use validity::Validity;

/// The certificate that new connections get; replaced as a whole, never half.
#[derive(Debug)]
pub(crate) struct CurrentCertificate {
    source: Source,
    current: ArcSwap<CertifiedKey>,
}

#[derive(Debug)]
enum Source {
    Own {
        chain: std::path::PathBuf,
        key: std::path::PathBuf,
    },
    Local {
        ca: Box<LocalCa>,
        domains: Vec<String>,
        address: Option<IpAddr>,
    },
}

impl CurrentCertificate {
    /// Loads the operator's certificate or makes one under the local CA.
    pub(crate) fn load(
        listen: &Listen,
        local_ca: impl FnOnce() -> Result<LocalCa, Error>,
        now_ms: u64,
    ) -> Result<Arc<Self>, Error> {
        let source = match &listen.own_certificate {
            Some((chain, key)) => Source::Own {
                chain: chain.clone(),
                key: key.clone(),
            },
            None => Source::Local {
                ca: Box::new(local_ca()?),
                domains: listen.domains.clone(),
                address: listen.https.map(|a| a.ip()),
            },
        };
        let certificate = source.certificate(now_ms)?;
        if let Some(trouble) = trouble(&certificate, now_ms) {
            tracing::error!(
                "the certificate of --tls-cert {trouble}: clients refuse it; put another one in its place and \
                 send SIGHUP"
            );
        }
        Ok(Arc::new(Self {
            source,
            current: ArcSwap::from_pointee(certificate),
        }))
    }

    /// Reads or makes the certificate again. On an error the old one stays in use; it is one, too, to
    /// give up a certificate that is valid now for one that is not.
    pub(crate) fn reload(&self, now_ms: u64) -> Result<(), Error> {
        let certificate = self.source.certificate(now_ms)?;
        if let Some(trouble) = trouble(&certificate, now_ms) {
            if self::trouble(&self.current.load(), now_ms).is_none() {
                return Err(Error::Tls(format!(
                    "the certificate of --tls-cert {trouble}"
                )));
            }
            tracing::error!("the certificate of --tls-cert {trouble}: clients refuse it");
        }
        self.current.store(Arc::new(certificate));
        Ok(())
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Source {
    fn certificate(&self, now_ms: u64) -> Result<CertifiedKey, Error> {
        match self {
            Self::Own { chain, key } => own_certificate(chain, key),
            Self::Local {
                ca,
                domains,
                address,
            } => {
                let (leaf, key) = ca.issue(domains, *address, now_ms)?;
                certified(vec![leaf], key, "the local certificate")
            }
        }
    }
}

/// Why clients will refuse a chain now, whatever its names are; a certificate that is not understood
/// here is for them to judge.
fn trouble(certificate: &CertifiedKey, now_ms: u64) -> Option<String> {
    let validities = certificate.cert.iter().map(|der| Validity::of(der));
    validities
        .flatten()
        .find_map(|validity| validity.trouble(now_ms))
}

/// What the HTTPS listener needs: the versions and suites, and where certificates come from.
pub(crate) fn server_config(
    certificate: Arc<CurrentCertificate>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| Error::Tls(format!("cannot set up TLS: {e}")))?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A replayed PUT or DELETE must be impossible: no early data.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Protocol version and suite by the names that CloudTrail records use.
pub(crate) fn names(
    version: Option<ProtocolVersion>,
    suite: Option<SupportedCipherSuite>,
) -> (&'static str, &'static str) {
    let version = match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "unknown",
    };
    let suite = match suite.map(|s| s.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) => {
            "ECDHE-ECDSA-AES128-GCM-SHA256"
        }
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384) => {
            "ECDHE-ECDSA-AES256-GCM-SHA384"
        }
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) => "ECDHE-RSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) => "ECDHE-RSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256) => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256) => {
            "ECDHE-RSA-CHACHA20-POLY1305"
        }
        _ => "unknown",
    };
    (version, suite)
}

fn own_certificate(chain: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let chain_pem = existing(chain, small_file::read)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|e| Error::Tls(format!("`{}` is not a PEM file: {e}", chain.display())))?;
    if certificates.is_empty() {
        return Err(Error::Tls(format!(
            "`{}` holds no certificate",
            chain.display()
        )));
    }
    // The error of the key file's parser is not shown: it could quote the file.
    let private_key = PrivateKeyDer::from_pem_slice(&existing(key, small_file::read_private)?)
        .map_err(|_| Error::Tls(format!("`{}` holds no usable private key", key.display())))?;
    certified(certificates, private_key, &format!("`{}`", chain.display()))
}

fn existing(
    path: &Path,
    read: fn(&Path) -> std::io::Result<Option<Vec<u8>>>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    read(path)
        .map_err(Error::file("read", path))?
        .map(Zeroizing::new)
        .ok_or_else(|| Error::Tls(format!("`{}` does not exist", path.display())))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    what: &str,
) -> Result<CertifiedKey, Error> {
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => {
            Error::Tls(format!("{what} and its private key do not belong together"))
        }
        e => Error::Tls(format!("{what} cannot be used: {e}")),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
