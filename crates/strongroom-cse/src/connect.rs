// SPDX-License-Identifier: Apache-2.0
//! From flags, environment and profiles to clients and keyrings.
//!
//! Environment and profiles are read by the SDK's own code, in the AWS CLI's order, with what that
//! code leaves out: a profile that is named on the command line goes before credentials in the
//! environment, and certificates may come from a file.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use strongroom_client::EncryptedS3;
use strongroom_client::envelope::TextMap;
use strongroom_client::keyring::{AwsKms, Keyring, KmsKeyring, MasterKeyring};
use strongroom_client::s3::Builder;
use strongroom_client::transport::AwsS3;

use crate::cli::{KeyArgs, ReadingArgs, ServiceArgs, ToArgs};
use crate::error::Error;
use crate::keys::WrappingKey;
use crate::{files, keys, maps, show};

/// S3 and the key service, wherever they are.
pub(crate) struct Services {
    config: SdkConfig,
    /// The address for all services, wherever it was found.
    general: Option<String>,
    s3: Endpoint,
    kms: Endpoint,
    signs_bodies: bool,
    read_timeout: u32,
}

/// Where one service is.
enum Endpoint {
    /// Here, or where the SDK knows it to be.
    Known(Option<String>),
    /// The SDK looks for it: in variables and in the profile.
    Looked,
}

impl Endpoint {
    /// `variable` is the service's own one in the environment: empty, it does not hide the general
    /// address.
    fn of(found: Option<String>, variable: Option<&str>, general: Option<&String>) -> Self {
        match (found, variable) {
            (Some(url), _) => Self::Known(Some(url)),
            (None, Some("")) => Self::Known(general.cloned()),
            (None, _) => Self::Looked,
        }
    }
}

impl Services {
    pub(crate) async fn find(args: &ServiceArgs) -> Result<Self, Error> {
        let given = |name: &str, text: &Option<String>| address(name, text.as_deref());
        let asked = given("--endpoint-url", &args.endpoint_url)?;
        let kms_asked = given("--kms-endpoint-url", &args.kms_endpoint_url)?;
        let s3_found = given("AWS_ENDPOINT_URL_S3", &args.s3_endpoint_url)?;
        given("AWS_ENDPOINT_URL_KMS", &args.kms_service_url)?;
        // The SDK goes on without one that it does not understand: to Amazon.
        given("AWS_ENDPOINT_URL", &args.general_url)?;
        if args.endpoint_url.is_some() && asked.is_none() {
            return Err(Error::usage("--endpoint-url: an address without anything"));
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(profile) = &args.profile {
            let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile);
            loader = loader
                .profile_name(profile)
                .credentials_provider(credentials.build());
        }
        if let Some(region) = &args.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &asked {
            loader = loader.endpoint_url(url);
        }
        let ca_bundle = args.ca_bundle.as_deref();
        let ca_bundle = ca_bundle.filter(|path| !path.as_os_str().is_empty());
        loader = loader.http_client(http_client(ca_bundle)?);
        loader = loader.timeout_config(timeouts(args));
        let mut config = loader.load().await;
        check_region(config.region().map(AsRef::as_ref))?;
        let general = address("the endpoint address", config.endpoint_url())?;
        if general.is_none() && config.endpoint_url().is_some() {
            // A variable that is empty is one that is not set.
            let mut builder = config.into_builder();
            builder.set_endpoint_url(None);
            config = builder.build();
        }
        // An address on the command line is for both services.
        let s3 = asked.clone().or(s3_found);
        Ok(Self {
            config,
            s3: Endpoint::of(s3, args.s3_endpoint_url.as_deref(), general.as_ref()),
            kms: Endpoint::of(
                kms_asked.or(asked),
                args.kms_service_url.as_deref(),
                general.as_ref(),
            ),
            general,
            signs_bodies: args.sign_bodies,
            read_timeout: args.read_timeout,
        })
    }

    /// Where S3 is, in words that tell one from another.
    pub(crate) fn s3_address(&self) -> String {
        let region = self.config.region().map_or("", |region| region.as_ref());
        match self.s3_url() {
            Some(url) => url.to_owned(),
            None => format!("aws {region}"),
        }
    }

    fn s3_url(&self) -> Option<&str> {
        match &self.s3 {
            Endpoint::Known(url) => url.as_deref(),
            Endpoint::Looked => self.general.as_deref(),
        }
    }

    fn s3(&self) -> AwsS3 {
        let mut builder = aws_sdk_s3::config::Builder::from(&self.config);
        if let Endpoint::Known(url) = &self.s3 {
            builder.set_endpoint_url(url.clone());
        }
        // A server of one's own has seldom a name for each bucket.
        let is_amazons = match self.s3_url() {
            Some(url) => host(url).is_some_and(|host| {
                host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
            }),
            None => true,
        };
        builder = builder.force_path_style(!is_amazons);
        let s3 = AwsS3::new(aws_sdk_s3::Client::from_conf(builder.build()));
        let s3 = s3.sign_bodies(self.signs_bodies);
        match self.read_timeout {
            0 => s3,
            seconds => s3.read_timeout(Duration::from_secs(seconds.into())),
        }
    }

    fn kms(&self) -> AwsKms {
        let mut builder = aws_sdk_kms::config::Builder::from(&self.config).interceptor(NotInClear);
        if let Endpoint::Known(url) = &self.kms {
            builder.set_endpoint_url(url.clone());
        }
        AwsKms::new(aws_sdk_kms::Client::from_conf(builder.build()))
    }

    /// A client that has the keys.
    pub(crate) fn client(&self, keyring: Arc<dyn Keyring>, reading: &ReadingArgs) -> Builder {
        EncryptedS3::builder(self.s3(), keyring)
            .commitment_policy(reading.commitment_policy.into())
            .enable_legacy_wrapping_algorithms(reading.enable_legacy_wrapping_algorithms)
            .enable_legacy_unauthenticated_modes(reading.enable_legacy_unauthenticated_modes)
    }

    /// A client for questions that need no key.
    pub(crate) fn keyless(&self) -> Result<EncryptedS3, Error> {
        let none: Arc<dyn Keyring> = Arc::new(MasterKeyring::new());
        EncryptedS3::builder(self.s3(), none)
            .build()
            .map_err(Error::object("settings"))
    }

    /// The keys that the flags name.
    pub(crate) fn keyring(&self, args: &KeyArgs) -> Result<Arc<dyn Keyring>, Error> {
        self.keys(args).map(|(keyring, _)| keyring)
    }

    /// The keys that the flags name, and whether they open what they encrypt. Each file is opened
    /// once: a pipe gives its key to the first who reads it.
    pub(crate) fn keys(&self, args: &KeyArgs) -> Result<(Arc<dyn Keyring>, bool), Error> {
        if let Some(key) = &args.kms_key {
            return Ok((Arc::new(KmsKeyring::new(self.kms(), key)), true));
        }
        if args.kms_any_key {
            return Ok((Arc::new(KmsKeyring::discovery(self.kms())), true));
        }
        if args.master_key.is_empty() {
            return Err(Error::usage(
                "no key: say --kms-key KEY or --master-key FILE (`strongroom cse keygen` makes one)",
            ));
        }
        if !args.context.is_empty() {
            return Err(Error::usage(
                "--context needs --kms-key: a wrapping key of your own binds no context",
            ));
        }
        let descriptions = descriptions(args)?;
        let mut keyring = MasterKeyring::new();
        let mut opens_its_own = true;
        for (index, (path, description)) in args.master_key.iter().zip(descriptions).enumerate() {
            let key = WrappingKey::read(path)?;
            keyring = if index == 0 {
                opens_its_own = key.opens_its_own();
                key.write_with(keyring, description)?
            } else {
                key.read_with(keyring, description)?
            };
        }
        Ok((Arc::new(keyring), opens_its_own))
    }

    /// The new key, if one is named.
    pub(crate) fn new_keyring(&self, args: &ToArgs) -> Result<Option<Arc<dyn Keyring>>, Error> {
        if let Some(key) = &args.to_kms_key {
            return Ok(Some(Arc::new(KmsKeyring::new(self.kms(), key))));
        }
        let Some(path) = &args.to_master_key else {
            return Ok(None);
        };
        let description = match &args.to_matdesc {
            Some(text) => maps::description("--to-matdesc", text)?,
            None => TextMap::new(),
        };
        let key = WrappingKey::read(path)?;
        Ok(Some(Arc::new(
            key.write_with(MasterKeyring::new(), description)?,
        )))
    }
}

/// The key service answers with data keys in plaintext: over HTTP without TLS they are everybody's on
/// the way, and all that is encrypted with them. Wherever its address was found (flags, environment,
/// a profile), such a question is not asked; on this machine there is no way.
#[derive(Debug)]
struct NotInClear;

impl Intercept for NotInClear {
    fn name(&self) -> &'static str {
        "not in clear"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if may_carry_keys(context.request().uri()) {
            Ok(())
        } else {
            // Of this type, which is repeated: others may hold the request.
            let words = "data keys would go over the network in clear: say an https:// address";
            Err(io::Error::other(words).into())
        }
    }
}

/// Whether keys may be asked for at this address: with TLS, or on this machine.
fn may_carry_keys(url: &str) -> bool {
    let is_https = url
        .get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    is_https || is_here(url)
}

/// Whether an address is on this machine.
fn is_here(url: &str) -> bool {
    host(url).is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    })
}

/// HTTP as the AWS CLI has it: proxies from the environment, and certificates from a file if one is
/// named. But what is on this machine is asked without a proxy, whatever the environment says.
fn http_client(ca_bundle: Option<&Path>) -> Result<SharedHttpClient, Error> {
    let store = match ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(certificates(path)?),
        None => TrustStore::default(),
    };
    let context = TlsContext::builder().with_trust_store(store).build();
    let context = context.map_err(|_| Error::usage("the certificates cannot be used"))?;
    let client = |proxies: ProxyConfig| {
        let context = context.clone();
        let client = aws_smithy_http_client::Builder::new();
        client.build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder().proxy_config(proxies.clone());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(context.clone())
                .build()
        })
    };
    let here = client(ProxyConfig::disabled());
    let elsewhere = client(ProxyConfig::from_env());
    Ok(http_client_fn(move |settings, components| {
        SharedHttpConnector::new(ByPlace {
            here: here.http_connector(settings, components),
            elsewhere: elsewhere.http_connector(settings, components),
        })
    }))
}

/// One way to this machine, and one to others: a proxy would be asked in clear for data keys that
/// are allowed to be asked for only because they do not leave the machine, and could answer.
#[derive(Debug)]
struct ByPlace {
    here: SharedHttpConnector,
    elsewhere: SharedHttpConnector,
}

impl HttpConnector for ByPlace {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_here(request.uri()) {
            self.here.call(request)
        } else {
            self.elsewhere.call(request)
        }
    }
}

/// The certificates of a bundle that can be trusted at all, as PEM: what the SDK is given must be
/// without fault.
fn certificates(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = files::read_certificates(path)?;
    let mut roots = RootCertStore::empty();
    let mut out = String::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes).flatten() {
        if roots.add(certificate.clone()).is_ok() {
            out.push_str(&keys::to_pem("CERTIFICATE", &certificate));
        }
    }
    if out.is_empty() {
        let path = path.display();
        return Err(Error::usage(format!(
            "`{path}` holds no certificates in PEM"
        )));
    }
    Ok(out.into_bytes())
}

/// The descriptions of `--master-key`, in its order.
fn descriptions(args: &KeyArgs) -> Result<Vec<TextMap>, Error> {
    let count = args.master_key.len();
    if args.matdesc.is_empty() && count == 1 {
        return Ok(vec![TextMap::new()]);
    }
    if args.matdesc.len() != count {
        return Err(Error::usage(format!(
            "{count} --master-key and {} --matdesc: with several keys each needs one, in the same order",
            args.matdesc.len()
        )));
    }
    let mut found = Vec::new();
    for text in &args.matdesc {
        let description = maps::description("--matdesc", text)?;
        if found.contains(&description) {
            return Err(Error::usage(format!(
                "--matdesc: `{text}` is said of two keys"
            )));
        }
        found.push(description);
    }
    Ok(found)
}

/// An address of a service as it was given: `http` or `https`, a host, perhaps a port and a path. An
/// empty one is none. The SDK takes any text, panics at some, and says of others what it was to send.
fn address(name: &str, text: Option<&str>) -> Result<Option<String>, Error> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if is_address(text) => Ok(Some(text.to_owned())),
        // It is not repeated: there may be a password in it.
        Some(_) => Err(Error::usage(format!(
            "{name}: an address is http:// or https:// with a host, as https://s3.example.com:9000"
        ))),
    }
}

fn is_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_path = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((ip, port)) if ip.parse::<Ipv6Addr>().is_ok() => ("ip", port),
            _ => return false,
        },
        None => authority
            .find(':')
            .and_then(|at| authority.split_at_checked(at))
            .unwrap_or((authority, "")),
    };
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let has_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse().is_ok_and(|port: u16| port > 0)
        }
    };
    is_http
        && !host.is_empty()
        && host.bytes().all(is_host)
        && has_port
        && path.bytes().all(is_path)
}

/// Regions are parts of host names and of headers.
fn check_region(region: Option<&str>) -> Result<(), Error> {
    let Some(region) = region.filter(|region| !region.is_empty()) else {
        return Err(Error::usage(
            "no region: say --region, set AWS_REGION, or name one in the profile",
        ));
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if region.len() <= 64 && region.bytes().all(is_plain) {
        return Ok(());
    }
    let region = show::on_one_line(region);
    Err(Error::usage(format!("`{region}` is no region")))
}

/// Credentials of the environment go into headers, which take no end of a line.
pub(crate) fn check_credentials(read: impl Fn(&str) -> Option<OsString>) -> Result<(), Error> {
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ] {
        let value = read(name).unwrap_or_default();
        let is_plain = |b: &u8| b.is_ascii_graphic();
        if !value.as_encoded_bytes().iter().all(is_plain) {
            return Err(Error::usage(format!(
                "{name} has a space, an end of a line or another character that no credential has"
            )));
        }
    }
    Ok(())
}

/// How long the services may take to begin their answers. How long connecting may take is the SDK's.
fn timeouts(args: &ServiceArgs) -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder();
    match args.read_timeout {
        0 => timeouts.disable_read_timeout().build(),
        seconds => timeouts
            .read_timeout(Duration::from_secs(seconds.into()))
            .build(),
    }
}

/// The host of a URL, without user, port and path.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    if host.starts_with('[') {
        // It has colons of its own.
        let (address, port) = host.split_at_checked(host.find(']')?.checked_add(1)?)?;
        return (port.is_empty() || port.starts_with(':')).then_some(address);
    }
    Some(host.split(':').next().unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(files: usize, matdesc: &[&str]) -> KeyArgs {
        KeyArgs {
            kms_key: None,
            kms_any_key: false,
            master_key: vec!["k".into(); files],
            matdesc: matdesc.iter().map(|text| (*text).to_owned()).collect(),
            context: Vec::new(),
        }
    }

    #[test]
    fn each_key_has_its_own_description() {
        assert_eq!(descriptions(&keys(1, &[])).unwrap(), [TextMap::new()]);
        assert_eq!(descriptions(&keys(2, &["kid=1", "{}"])).unwrap().len(), 2);
        for (files, matdesc) in [
            (2, vec![]),
            (2, vec!["kid=1"]),
            (1, vec!["kid=1", "kid=2"]),
            (2, vec!["kid=1", r#"{"kid":"1"}"#]),
            (1, vec!["kid"]),
        ] {
            assert!(descriptions(&keys(files, &matdesc)).is_err(), "{matdesc:?}");
        }
    }

    #[test]
    fn addresses_are_whole() {
        for url in [
            "https://kms.eu-west-1.amazonaws.com",
            "http://127.0.0.1:9000/",
            "HTTPS://[::1]:9443",
            "http://minio_1:9000/s3/a%20b",
        ] {
            assert_eq!(address("x", Some(url)).unwrap().as_deref(), Some(url));
        }
        assert_eq!(address("x", Some("")).unwrap(), None);
        for url in [
            "127.0.0.1:9000",
            "localhost:9000",
            "kms.example.com",
            "https//kms.example.com",
            "/x",
            "https:///",
            "https://",
            "https://:1",
            "ftp://127.0.0.1:1",
            "ht tp://x",
            "https://a b",
            " https://a",
            "https://a ",
            "https://a\n",
            "https://a\r",
            "http://[::1",
            "http://[::1]x",
            "http://[127.0.0.1]",
            "https://127.0.0.1:99999",
            "https://127.0.0.1:+1",
            "https://127.0.0.1:",
            "https://127.0.0.1:0",
            "https://a?x=y",
            "https://a#b",
            "https://a/b c",
            "https://user:pass@a",
            "https://\u{e9}",
        ] {
            let error = address("x", Some(url)).unwrap_err().to_string();
            assert!(!error.contains("pass"), "{url:?}: {error}");
        }
    }

    #[test]
    fn regions_and_credentials_are_words() {
        for region in ["us-east-1", "eu_west", "here.local"] {
            check_region(Some(region)).unwrap();
        }
        for region in [
            None,
            Some(""),
            Some("us-east-1\n"),
            Some("us east"),
            Some("x/y"),
            Some("\u{e9}"),
            Some("a#"),
        ] {
            assert!(check_region(region).is_err(), "{region:?}");
        }
        let with = |bad: &'static str, value: &'static str| {
            check_credentials(move |name| Some(if name == bad { value } else { "AKIA+/=" }.into()))
        };
        with("none", "").unwrap();
        check_credentials(|_| None).unwrap();
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            let error = with(name, "secret\r").unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(
            host("https://s3.eu-west-1.amazonaws.com/"),
            Some("s3.eu-west-1.amazonaws.com")
        );
        assert_eq!(host("http://127.0.0.1:9000"), Some("127.0.0.1"));
        assert_eq!(
            host("https://u@x.amazonaws.com.evil:1/p"),
            Some("x.amazonaws.com.evil")
        );
        assert_eq!(host("http://[::1]:9000/x"), Some("[::1]"));
        assert_eq!(host("x"), None);
    }

    #[test]
    fn sec_data_keys_do_not_travel_in_clear() {
        for url in [
            "https://kms.eu-west-1.amazonaws.com/",
            "HTTPS://kms.example:9443",
            "http://127.0.0.1:9000",
            "http://127.8.9.1/",
            "http://[::1]:9000/",
            "http://localhost:9000",
        ] {
            assert!(may_carry_keys(url), "{url}");
        }
        for url in [
            "http://kms.example/",
            "http://10.0.0.1:9000/",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://[2001:db8::1]:9000/",
            "http://[::1].evil.example/",
            "ftp://kms.example",
            "",
        ] {
            assert!(!may_carry_keys(url), "{url}");
        }
    }
}
