// SPDX-License-Identifier: Apache-2.0
//! From words to facts: the settings of flags, environment and file become one [`Config`] whose
//! every field is already known to be usable.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_object::{Compat, RestoreDelays};
use strongroom_store::CareOptions;
use strongroom_store::drive::small_file;
use strongroom_store::layout::Redundancy;
use strongroom_store::{GivenDrive, Wish};
use strongroom_wire::SecretAccessKey;

use crate::cli::scrub::CareArgs;
use crate::cli::{CompatName, LogFormat, PlaceArgs, Settings};
use crate::credential::RootAccessKey;
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::root_key::Periods;
use crate::root_key::source::RootSource;

/// All that `serve` needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) listen: Listen,
    pub(crate) limits: Limits,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) allow_unencrypted_swap: bool,
    pub(crate) epochs: Periods,
    pub(crate) answers: Answers,
    pub(crate) care: CareOptions,
}

/// What decides about the answers of S3, and about its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) compat: Compat,
    /// Of lifecycle rules and restored copies.
    pub(crate) day_ms: u64,
    pub(crate) restore_delays: RestoreDelays,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            compat: Compat::default(),
            day_ms: DAY_MS,
            restore_delays: RestoreDelays::default(),
        }
    }
}

impl Answers {
    fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let day_ms = match settings.lifecycle_day_seconds {
            None => DAY_MS,
            Some(0) => {
                return Err(Error::Config(
                    "--lifecycle-day-seconds is the length of a day: at least 1".to_owned(),
                ));
            }
            Some(seconds) => u64::from(seconds) * 1_000,
        };
        let restore_delays = match settings.restore_delay_seconds {
            None => RestoreDelays::default(),
            Some(seconds) => RestoreDelays::same(u64::from(seconds) * 1_000),
        };
        Ok(Self {
            compat: match settings.compat {
                None | Some(CompatName::Aws) => Compat::Aws,
                Some(CompatName::Ceph) => Compat::Ceph,
            },
            day_ms,
            restore_delays,
        })
    }
}

/// Where the store is and how to open it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) data: DataDir,
    pub(crate) root: RootSource,
    pub(crate) region: String,
    pub(crate) account_id: String,
    /// The drives that were named.
    pub(crate) drives: Vec<GivenDrive>,
    /// What redundancy was asked for.
    pub(crate) wish: Wish,
    /// The root credential of the environment, if there is one.
    pub(crate) root_credential: Option<RootAccessKey>,
}

#[derive(Debug, Clone)]
pub(crate) struct Listen {
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) domains: Vec<String>,
    /// Certificate chain and private key, when the operator brings their own.
    pub(crate) own_certificate: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) stall_timeout: Duration,
    pub(crate) stop_timeout: Duration,
}

impl Config {
    pub(crate) fn resolve(settings: Settings) -> Result<Self, Error> {
        let file = read_file(settings.place.config.as_deref())?;
        let settings = settings.or(file);
        let place = Place::from_settings(&settings)?;
        let listen = Listen::from_settings(&settings)?;
        let limits = Limits::from_settings(&settings)?;
        let epochs = Periods::from_settings(&settings)?;
        let care = care(&settings.care)?;
        let answers = Answers::from_settings(&settings)?;
        Ok(Self {
            place,
            listen,
            limits,
            log: settings.log.unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            log_format: settings.log_format.unwrap_or(LogFormat::Text),
            allow_unencrypted_swap: settings.allow_unencrypted_swap,
            epochs,
            care,
            answers,
        })
    }
}

/// How fast scrub and heal go.
fn care(args: &CareArgs) -> Result<CareOptions, Error> {
    let mut care = CareOptions::default();
    let named = |value: Option<u32>, name: &str| match value {
        Some(0) => Err(Error::Config(format!("--{name} must be at least 1"))),
        value => Ok(value.map(u64::from)),
    };
    if let Some(days) = named(args.scrub_days, "scrub-days")? {
        care.scrub.period_ms = days.saturating_mul(24 * 60 * 60 * 1000);
    }
    if let Some(mib) = named(args.scrub_mib_per_second, "scrub-mib-per-second")? {
        care.scrub.bytes_per_s_max = mib.saturating_mul(1 << 20);
        care.scrub.bytes_per_s_min = care.scrub.bytes_per_s_min.min(care.scrub.bytes_per_s_max);
    }
    if let Some(mib) = named(args.heal_mib_per_second, "heal-mib-per-second")? {
        care.heal.bytes_per_s_max = mib.saturating_mul(1 << 20);
    }
    if let Some(minutes) = named(args.heal_after_minutes, "heal-after-minutes")? {
        care.heal.absent_ms_max = minutes.saturating_mul(60 * 1000);
    }
    Ok(care)
}

impl Place {
    /// For the commands that take no more than a place.
    pub(crate) fn resolve(args: &PlaceArgs) -> Result<(Self, Settings), Error> {
        let settings = Settings {
            place: args.clone(),
            ..Settings::default()
        };
        let settings = settings.or(read_file(args.config.as_deref())?);
        Ok((Self::from_settings(&settings)?, settings))
    }

    /// Drives that a command names stand for those of the configuration file.
    pub(crate) fn name_drives(&mut self, said: &[String]) -> Result<(), Error> {
        if !said.is_empty() {
            let named = said.iter().map(|said| given_drive(said));
            self.drives = named.collect::<Result<_, _>>()?;
            refuse_nested(&self.drives)?;
        }
        Ok(())
    }

    fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let named = settings.drives.iter().map(|said| given_drive(said));
        let drives = named.collect::<Result<Vec<_>, _>>()?;
        refuse_nested(&drives)?;
        Ok(Self {
            drives,
            wish: wish(settings.redundancy.as_deref())?,
            ..Self::from_args(&settings.place)?
        })
    }

    fn from_args(args: &PlaceArgs) -> Result<Self, Error> {
        let data = args
            .data
            .clone()
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        let data = DataDir::new(data);
        let root = args.root.source("").map_err(Error::Config)?;
        let root = root.unwrap_or_else(|| RootSource::KeyFile(data.root_key()));
        let region = args
            .region
            .clone()
            .unwrap_or_else(|| DEFAULT_REGION.to_owned());
        if !is_region(&region) {
            return Err(Error::Config(format!(
                "`{region}` is not a region name: use lower-case letters, digits and hyphens, \
                 as in us-east-1"
            )));
        }
        let account_id = args
            .account_id
            .clone()
            .unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
        if account_id.len() != 12 || !account_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::Config(format!(
                "`{account_id}` is not an account id: use exactly twelve digits"
            )));
        }
        let root_credential = root_credential_of_environment()?;
        Ok(Self {
            data,
            root,
            region,
            account_id,
            drives: Vec::new(),
            wish: Wish::AsBefore,
            root_credential,
        })
    }
}

impl Listen {
    pub(crate) fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let https = address("https", settings.https.as_deref(), DEFAULT_HTTPS)?;
        let http = address("http", settings.http.as_deref(), DEFAULT_HTTP)?;
        let admin = address("admin", settings.admin.as_deref(), DEFAULT_ADMIN)?;
        if https.is_none() && http.is_none() {
            return Err(Error::Config(
                "both `https` and `http` are `none`: nothing could reach the server".to_owned(),
            ));
        }
        if let Some(admin) = admin
            && !admin.ip().is_loopback()
            && !settings.admin_allow_remote
        {
            return Err(Error::Config(format!(
                "admin address `{admin}` is not a loopback address, and health and metrics ask \
                 for no credential; use 127.0.0.1, or add --admin-allow-remote if a firewall \
                 guards it"
            )));
        }
        let mut domains = vec!["localhost".to_owned()];
        for name in &settings.domains {
            let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
            if !is_host_name(&name) {
                return Err(Error::Config(format!("`{name}` is not a domain name")));
            }
            if !domains.contains(&name) {
                domains.push(name);
            }
        }
        let own_certificate = match (&settings.tls_cert, &settings.tls_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(Error::Config(
                    "`tls-cert` and `tls-key` belong together: give both or neither".to_owned(),
                ));
            }
        };
        Ok(Self {
            https,
            http,
            admin,
            domains,
            own_certificate,
        })
    }
}

impl Limits {
    fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let connections_max = settings.max_connections.unwrap_or(DEFAULT_CONNECTIONS);
        if !(1..=CONNECTIONS_CEILING).contains(&connections_max) {
            return Err(Error::Config(format!(
                "`max-connections` must be between 1 and {CONNECTIONS_CEILING}"
            )));
        }
        let timeout = |name: &str, value: Option<u64>, default: Duration| match value {
            None => Ok(default),
            Some(ms) if (1..=TIMEOUT_CEILING_MS).contains(&ms) => Ok(Duration::from_millis(ms)),
            Some(_) => Err(Error::Config(format!(
                "`{name}` must be between 1 and {TIMEOUT_CEILING_MS} milliseconds"
            ))),
        };
        Ok(Self {
            connections_max,
            handshake_timeout: timeout(
                "handshake-timeout-ms",
                settings.handshake_timeout_ms,
                Duration::from_secs(10),
            )?,
            header_timeout: timeout(
                "header-timeout-ms",
                settings.header_timeout_ms,
                Duration::from_secs(30),
            )?,
            stall_timeout: timeout(
                "stall-timeout-ms",
                settings.stall_timeout_ms,
                Duration::from_secs(30),
            )?,
            stop_timeout: timeout(
                "stop-timeout-ms",
                settings.stop_timeout_ms,
                Duration::from_secs(30),
            )?,
        })
    }
}

impl Periods {
    fn from_settings(settings: &Settings) -> Result<Self, Error> {
        let period = |name: &str, days: Option<u32>, default: u32| {
            let days = days.unwrap_or(default);
            if (1..=EPOCH_DAYS_CEILING).contains(&days) {
                Ok(u64::from(days).saturating_mul(DAY_MS))
            } else {
                Err(Error::Config(format!(
                    "`{name}` must be between 1 and {EPOCH_DAYS_CEILING} days"
                )))
            }
        };
        Ok(Self {
            domain_ms: period("domain-key-days", settings.domain_key_days, 30)?,
            sse_s3_ms: period("sse-s3-root-days", settings.sse_s3_root_days, 365)?,
        })
    }
}

/// Names of `STRONGROOM_` variables that mean nothing: most likely typing mistakes, which would
/// otherwise silently leave a default in force.
pub(crate) fn unknown_variables() -> Vec<String> {
    let command = <crate::cli::Cli as clap::CommandFactory>::command();
    let mut known: Vec<String> = vec![
        ROOT_ACCESS_KEY_ID.to_owned(),
        ROOT_SECRET_ACCESS_KEY.to_owned(),
    ];
    for sub in command.get_subcommands() {
        known.extend(
            sub.get_arguments()
                .filter_map(|a| a.get_env()?.to_str().map(ToOwned::to_owned)),
        );
    }
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("STRONGROOM_") && !known.contains(name))
        .collect()
}

fn read_file(path: Option<&Path>) -> Result<Settings, Error> {
    let Some(path) = path else {
        return Ok(Settings::default());
    };
    let shown = path.display();
    let bytes = small_file::read(path)
        .map_err(|e| Error::io(format!("cannot read configuration file `{shown}`"), e))?
        .ok_or_else(|| Error::Config(format!("configuration file `{shown}` does not exist")))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Error::Config(format!("configuration file `{shown}` is not UTF-8")))?;
    toml::from_str(text)
        .map_err(|e| Error::Config(format!("configuration file `{shown}` is wrong: {e}")))
}

/// `FACILITY:PATH`.
pub(crate) fn given_drive(said: &str) -> Result<GivenDrive, Error> {
    let Some((facility, path)) = said.split_once(':').filter(|(_, path)| !path.is_empty()) else {
        return Err(Error::Config(format!(
            "`{said}` is not a drive: say FACILITY:PATH, as in a:/data/a1"
        )));
    };
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&facility.len()) || !facility.bytes().all(is_legal) {
        return Err(Error::Config(format!(
            "`{facility}` is not the name of a facility: use 1 to 64 of a-z, 0-9 and `-`"
        )));
    }
    Ok(GivenDrive {
        facility: facility.to_owned(),
        place: crate::command::absolute_place(Path::new(path))?,
    })
}

/// Refuses drives of which one lies in another.
fn refuse_nested(drives: &[GivenDrive]) -> Result<(), Error> {
    for (at, drive) in drives.iter().enumerate() {
        let others = drives.iter().take(at).map(|other| other.place.as_str());
        stands_alone(&drive.place, others)?;
    }
    Ok(())
}

/// Refuses a drive that lies in the folder of another, or has another in its own: what takes the one takes
/// the other, and whoever empties the outer one when it was removed ends the inner one.
pub(crate) fn stands_alone<'a>(
    place: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Result<(), Error> {
    let own = real(Path::new(place));
    for other in others {
        let its = real(Path::new(other));
        if own != its && (own.starts_with(&its) || its.starts_with(&own)) {
            return Err(Error::Config(format!(
                "`{place}` and `{other}` lie in each other: a drive has a folder for itself"
            )));
        }
    }
    Ok(())
}

/// A place without links, as far as it is there.
fn real(place: &Path) -> PathBuf {
    for there in place.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return match place.strip_prefix(there) {
                Ok(rest) => real.components().chain(rest.components()).collect(),
                Err(_) => real,
            };
        }
    }
    place.to_owned()
}

/// `K+M`, or `auto`.
fn wish(said: Option<&str>) -> Result<Wish, Error> {
    let Some(said) = said else {
        return Ok(Wish::AsBefore);
    };
    if said == "auto" {
        return Ok(Wish::Usual);
    }
    let number = |text: &str| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| is_plain)
    };
    let parsed = said
        .split_once('+')
        .and_then(|(data, parity)| Redundancy::new(number(data)?, number(parity)?).ok());
    parsed.map(Wish::Exactly).ok_or_else(|| {
        Error::Config(format!(
            "`{said}` is not a redundancy that is offered: say data and parity shards, as in 4+2 (1 to 16 \
             and 1 to 8, or 1+0), or `auto`"
        ))
    })
}

/// `none`, an address, or the default when nothing was said.
fn address(name: &str, said: Option<&str>, default: &str) -> Result<Option<SocketAddr>, Error> {
    let said = said.unwrap_or(default);
    if said == "none" {
        return Ok(None);
    }
    said.replace("localhost:", "127.0.0.1:")
        .parse()
        .map(Some)
        .map_err(|_| {
            Error::Config(format!(
                "`{said}` is not an address for `{name}`: use an IP address with a port, as in \
             {default} or [::]:9000, or `none`"
            ))
        })
}

fn root_credential_of_environment() -> Result<Option<RootAccessKey>, Error> {
    let read = |name: &str| match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::Config(format!("`{name}` is not UTF-8")))
        }
    };
    let id = read(ROOT_ACCESS_KEY_ID)?;
    let secret = read(ROOT_SECRET_ACCESS_KEY)?.map(SecretAccessKey::new);
    match (id, secret) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => {
            let key = RootAccessKey {
                access_key_id: id,
                secret_access_key: secret,
            };
            key.to_iam().map_err(|e| {
                Error::Config(format!(
                    "`{ROOT_ACCESS_KEY_ID}`, `{ROOT_SECRET_ACCESS_KEY}`: {e}"
                ))
            })?;
            Ok(Some(key))
        }
        _ => Err(Error::Config(format!(
            "`{ROOT_ACCESS_KEY_ID}` and `{ROOT_SECRET_ACCESS_KEY}` belong together: set both or \
             neither"
        ))),
    }
}

fn is_region(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A host name by RFC 1123; addresses are refused, they have no subdomains.
pub(crate) fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.parse::<IpAddr>().is_err()
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

pub(crate) const DEFAULT_DATA: &str = "./strongroom-data";
const DEFAULT_HTTPS: &str = "127.0.0.1:9443";
const DEFAULT_HTTP: &str = "127.0.0.1:9000";
const DEFAULT_ADMIN: &str = "127.0.0.1:9001";
pub(crate) const DEFAULT_REGION: &str = "us-east-1";
const DEFAULT_ACCOUNT: &str = "000000000000";
const DEFAULT_LOG: &str = "info";
const DEFAULT_CONNECTIONS: usize = 1024;
const CONNECTIONS_CEILING: usize = 100_000;
const TIMEOUT_CEILING_MS: u64 = 3_600_000;
const EPOCH_DAYS_CEILING: u32 = 3650;
const DAY_MS: u64 = 24 * 3600 * 1000;
const ROOT_ACCESS_KEY_ID: &str = "STRONGROOM_ROOT_ACCESS_KEY_ID";
const ROOT_SECRET_ACCESS_KEY: &str = "STRONGROOM_ROOT_SECRET_ACCESS_KEY";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::root::RootArgs;

    fn settings(toml_text: &str) -> Settings {
        Settings::default().or(toml::from_str(toml_text).unwrap())
    }

    fn listen_error(toml_text: &str) -> String {
        Listen::from_settings(&settings(toml_text))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let listen = Listen::from_settings(&settings("")).unwrap();
        assert_eq!(listen.https, Some("127.0.0.1:9443".parse().unwrap()));
        assert_eq!(listen.http, Some("127.0.0.1:9000".parse().unwrap()));
        assert_eq!(listen.admin, Some("127.0.0.1:9001".parse().unwrap()));
        assert_eq!(listen.domains, ["localhost"]);
        let place = Place::from_args(&settings("").place).unwrap();
        assert_eq!(
            (place.region.as_str(), place.account_id.as_str()),
            ("us-east-1", "000000000000")
        );
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Settings {
            http: Some("none".into()),
            ..Settings::default()
        };
        let merged =
            flags.or(toml::from_str("http = '127.0.0.1:1'\nhttps = '127.0.0.1:2'").unwrap());
        let listen = Listen::from_settings(&merged).unwrap();
        assert_eq!(listen.http, None);
        assert_eq!(listen.https, Some("127.0.0.1:2".parse().unwrap()));
    }

    fn with_root(root: RootArgs) -> Settings {
        Settings {
            place: PlaceArgs {
                root,
                ..PlaceArgs::default()
            },
            ..Settings::default()
        }
    }

    #[test]
    fn flag_for_one_root_source_silences_the_file_for_the_others() {
        let flags = with_root(RootArgs {
            passphrase_file: Some("p".into()),
            ..RootArgs::default()
        });
        let file = "root-key-file = 'k'\npkcs11-module = 'm'\nroot-kms-endpoint = 'e'";
        let merged = flags.or(toml::from_str(file).unwrap());
        assert!(matches!(
            Place::from_args(&merged.place).unwrap().root,
            RootSource::Passphrase { .. }
        ));
    }

    #[test]
    fn root_source_may_be_half_in_the_file_and_half_in_flags() {
        let flags = with_root(RootArgs {
            pkcs11_pin_file: Some("pin".into()),
            ..RootArgs::default()
        });
        let file = "pkcs11-module = 'm'\npkcs11-token-label = 't'\npkcs11-key-label = 'k'";
        let merged = flags.or(toml::from_str(file).unwrap());
        let RootSource::Pkcs11(source) = Place::from_args(&merged.place).unwrap().root else {
            panic!("another source");
        };
        assert_eq!(source.key_label, "k");
        assert_eq!(source.pin_file, PathBuf::from("pin"));
    }

    #[test]
    fn root_sources_that_are_incomplete_or_two_are_refused() {
        for (file, said) in [
            ("root-key-file = 'k'\npassphrase-file = 'p'", "exclude"),
            ("root-key-file = 'k'\npkcs11-module = 'm'", "exclude"),
            ("passphrase-file = 'k'\nroot-kms-endpoint = 'm'", "exclude"),
            ("pkcs11-module = 'm'", "pkcs11-token-label"),
            ("root-kms-endpoint = 'https://x'", "root-kms-key-id"),
            ("root-kms-key-id = 'x'", "root-kms-endpoint"),
        ] {
            let refused = Place::from_args(&settings(file).place).unwrap_err();
            assert!(refused.to_string().contains(said), "{file}: {refused}");
        }
        for days in ["domain-key-days = 0", "sse-s3-root-days = 4000"] {
            assert!(Periods::from_settings(&settings(days)).is_err());
        }
    }

    #[test]
    fn file_with_unknown_name_is_refused() {
        assert!(toml::from_str::<Settings>("htps = '127.0.0.1:1'").is_err());
        assert!(toml::from_str::<Settings>("config = 'x'").is_err());
        assert!(toml::from_str::<Settings>("place = {}").is_err());
    }

    #[test]
    fn drives_and_redundancy_are_read() {
        let text = "drive = ['a:/data/a1', 'b-2:rel']\nredundancy = '4+2'";
        let place = Place::from_settings(&settings(text)).unwrap();
        assert_eq!(place.drives[0].facility, "a");
        assert_eq!(place.drives[0].place, "/data/a1");
        assert!(place.drives[1].place.ends_with("/rel"));
        assert!(place.drives[1].place.starts_with('/'));
        assert_eq!(place.wish, Wish::Exactly(Redundancy::new(4, 2).unwrap()));
        let place = Place::from_settings(&settings("redundancy = 'auto'")).unwrap();
        assert_eq!((place.wish, place.drives.len()), (Wish::Usual, 0));
        let place = Place::from_settings(&settings("")).unwrap();
        assert_eq!(place.wish, Wish::AsBefore);
    }

    #[test]
    fn wrong_drives_and_redundancies_are_refused() {
        for drive in [
            "/data/a1",
            "a:",
            ":/data",
            "A:/data",
            "a b:/data",
            "a/b:/data",
            "",
        ] {
            assert!(given_drive(drive).is_err(), "{drive}");
        }
        for said in [
            "4", "4+", "+2", "0+2", "17+2", "4+9", "4+0", "+4+2", "4+2+1", "four+2", " 4+2",
        ] {
            assert!(wish(Some(said)).is_err(), "{said}");
        }
        assert!(wish(Some("1+0")).is_ok());
    }

    #[test]
    fn a_drive_lies_in_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("a1/sub")).unwrap();
        std::os::unix::fs::symlink(top.join("a1"), top.join("link")).unwrap();
        let place = |name: &str| top.join(name).display().to_string();
        for (one, other) in [
            ("a1", "a1/sub"),
            ("a1", "a1/not/yet"),
            ("a1/sub", "link"),
            ("link/sub", "a1"),
            ("new", "new/sub"),
            (".", "new"),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let (one, other) = (place(one), place(other));
                let refused = stands_alone(&one, [other.as_str()]).unwrap_err();
                assert!(refused.to_string().contains(&other), "{one} {other}");
                let named = [format!("a:{one}"), format!("b:{other}")];
                let settings = format!("drive = ['{}', '{}']", named[0], named[1]);
                assert!(
                    toml::from_str::<Settings>(&settings)
                        .is_ok_and(|s| Place::from_settings(&s).is_err())
                );
            }
        }
        let others = ["a1", "a11", "b/a1"].map(place);
        stands_alone(&place("a2"), others.iter().map(String::as_str)).unwrap();
        // The same place is said to be so elsewhere, or is that of a drive that is gone.
        stands_alone(&place("a1"), [place("link").as_str()]).unwrap();
    }

    #[test]
    fn wrong_listeners_are_refused() {
        assert!(listen_error("http = 'example.org:80'").contains("example.org:80"));
        assert!(listen_error("http = '9000'").contains("`9000`"));
        assert!(listen_error("http = 'none'\nhttps = 'none'").contains("nothing could reach"));
        assert!(listen_error("admin = '0.0.0.0:9001'").contains("loopback"));
        assert!(listen_error("tls-cert = 'a'").contains("belong together"));
        assert!(listen_error("domain = ['-x']").contains("not a domain"));
        assert!(listen_error("domain = ['10.0.0.1']").contains("not a domain"));
    }

    #[test]
    fn wrong_limits_region_and_account_are_refused() {
        assert!(Limits::from_settings(&settings("max-connections = 0")).is_err());
        assert!(Limits::from_settings(&settings("stall-timeout-ms = 0")).is_err());
        assert!(Limits::from_settings(&settings("header-timeout-ms = 99999999")).is_err());
        for wrong in [
            "region = 'US East'",
            "account-id = '12'",
            "account-id = '00000000000x'",
        ] {
            assert!(Place::from_args(&settings(wrong).place).is_err(), "{wrong}");
        }
    }
}
