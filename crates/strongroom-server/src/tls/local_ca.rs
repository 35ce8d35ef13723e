// SPDX-License-Identifier: Apache-2.0
//! A certificate authority of our own, so that HTTPS works from the first minute.
//!
//! It is made at the first start. Clients are given its certificate (`AWS_CA_BUNDLE`); its
//! private key is kept sealed by the keyring. The CA's name contains a digest of its public
//! key: the name, and with it the issuer of every leaf, follows from the key alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::validity::Validity;
use crate::control::date;
use crate::error::Error;

pub(crate) struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalCa(..)")
    }
}

/// A CA's private key in PKCS#8, on its way to be sealed.
pub(crate) struct CaKey(Zeroizing<Vec<u8>>);

impl CaKey {
    pub(crate) fn from_pkcs8(der: Zeroizing<Vec<u8>>) -> Self {
        Self(der)
    }

    pub(crate) fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(|e| unusable(&e))?;
        Ok(Self(Zeroizing::new(key.serialized_der().to_vec())))
    }

    fn key_pair(&self) -> Result<KeyPair, Error> {
        let der = PrivatePkcs8KeyDer::from(self.0.as_slice());
        KeyPair::try_from(&der).map_err(|e| unusable(&e))
    }

    /// The CA's certificate, self-signed, valid for ten years from `now_ms`.
    pub(crate) fn certificate_pem(&self, now_ms: u64) -> Result<String, Error> {
        let key = self.key_pair()?;
        let mut params = ca_params(&key);
        set_validity(&mut params, now_ms, CA_VALID_DAYS)?;
        Ok(params.self_signed(&key).map_err(|e| unusable(&e))?.pem())
    }
}

impl LocalCa {
    pub(crate) fn new(key: &CaKey) -> Result<Self, Error> {
        let key = key.key_pair()?;
        Ok(Self {
            issuer: Issuer::new(ca_params(&key), key),
        })
    }

    /// A leaf for this machine's names, `domains` with everything one level below them, and
    /// the listener's `address`.
    pub(crate) fn issue(
        &self,
        domains: &[String],
        address: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), Error> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = alternative_names(domains, address)?;
        params.distinguished_name = named("Strongroom server");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now_ms, LEAF_VALID_DAYS)?;
        let key = KeyPair::generate().map_err(|e| unusable(&e))?;
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(|e| unusable(&e))?;
        let key_der = PrivatePkcs8KeyDer::from(key.serialized_der().to_vec());
        Ok((leaf.der().clone(), PrivateKeyDer::Pkcs8(key_der)))
    }
}

/// What is wrong with the CA's certificate, as its file has it; also if that is so within a year, for
/// it takes time to give another one to all clients.
pub(crate) fn trouble(pem: Option<&[u8]>, now_ms: u64) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem?);
    let Some(validity) = certificate.ok().and_then(|der| Validity::of(&der)) else {
        return Some("is not one, or damaged".to_owned());
    };
    validity.trouble(now_ms).or_else(|| {
        let left_ms = validity.until_ms.saturating_sub(now_ms);
        (left_ms < WARNED_BEFORE_MS).then(|| format!("expires on {}", date(validity.until_ms)))
    })
}

fn ca_params(key: &KeyPair) -> CertificateParams {
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    let short = hex::encode(digest.as_ref().get(..6).unwrap_or_default());
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Strongroom local CA {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn alternative_names(domains: &[String], address: Option<IpAddr>) -> Result<Vec<SanType>, Error> {
    let mut names: Vec<String> = Vec::new();
    for domain in domains {
        names.push(domain.clone());
        names.push(format!("*.{domain}"));
    }
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_ascii_lowercase();
    if crate::config::is_host_name(&host) && !names.contains(&host) {
        names.push(host);
    }
    let mut sans = Vec::new();
    for name in names {
        let name = name.try_into().map_err(|e| unusable(&e))?;
        sans.push(SanType::DnsName(name));
    }
    let mut addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    if let Some(address) = address
        && !address.is_unspecified()
        && !addresses.contains(&address)
    {
        addresses.push(address);
    }
    sans.extend(addresses.into_iter().map(SanType::IpAddress));
    Ok(sans)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// From the day before `now_ms` (clocks differ) for `days` days.
fn set_validity(params: &mut CertificateParams, now_ms: u64, days: i64) -> Result<(), Error> {
    let (year, month, day) = calendar_day(now_ms, -1)?;
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = calendar_day(now_ms, days)?;
    params.not_after = rcgen::date_time_ymd(year, month, day);
    Ok(())
}

/// The day `offset` days from `now_ms`, in UTC: certificates need no finer time.
fn calendar_day(now_ms: u64, offset: i64) -> Result<(i32, u8, u8), Error> {
    let outside = || Error::Tls("the clock is outside of the calendar".to_owned());
    let now_ms = i64::try_from(now_ms).map_err(|_| outside())?;
    let at = offset
        .checked_mul(DAY_MS)
        .and_then(|o| now_ms.checked_add(o))
        .ok_or_else(outside)?;
    let date = jiff::Timestamp::from_millisecond(at)
        .map_err(|_| outside())?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let month = u8::try_from(date.month()).map_err(|_| outside())?;
    let day = u8::try_from(date.day()).map_err(|_| outside())?;
    Ok((i32::from(date.year()), month, day))
}

fn unusable(e: &rcgen::Error) -> Error {
    Error::Tls(format!("cannot make a certificate: {e}"))
}

const DAY_MS: i64 = 86_400_000;
const CA_VALID_DAYS: i64 = 3_650;
/// What browsers and operating systems accept at most for a server.
const LEAF_VALID_DAYS: i64 = 397;
const WARNED_BEFORE_MS: u64 = 365 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// It was made once, for ten years, and nobody was told when they were over.
    #[test]
    fn a_ca_that_ends_is_told_a_year_before() {
        let now_ms = 1_795_255_200_000;
        let day_ms = 86_400_000;
        let pem = CaKey::generate().unwrap().certificate_pem(now_ms).unwrap();
        let at = |day: u64| trouble(Some(pem.as_bytes()), now_ms + day * day_ms);
        for (day, says) in [
            (0, None),
            (3_280, None),
            (3_290, Some("expires on 2036-11-18")),
            (3_649, Some("expires on 2036-11-18")),
            (3_651, Some("has expired on 2036-11-18")),
        ] {
            let said = at(day);
            match says {
                None => assert_eq!(said, None, "{day}"),
                Some(says) => assert!(said.unwrap().starts_with(says), "{day}"),
            }
        }
        let early = trouble(Some(pem.as_bytes()), now_ms - 2 * day_ms).unwrap();
        assert!(early.starts_with("is not valid before"), "{early}");
        assert!(trouble(Some(b"no certificate"), now_ms).is_some());
        assert!(trouble(None, now_ms).is_none());
    }
}
