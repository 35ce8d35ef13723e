// SPDX-License-Identifier: Apache-2.0
//! `strongroom env`: the lines that point AWS tools at this server.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::cli::{EnvArgs, Settings};
use crate::config::{Listen, Place};
use crate::control::{AccessKey, Answer, Request, client};
use crate::credential::RootAccessKey;
use crate::data_dir::RunFile;
use crate::error::Error;
use crate::output;

pub(crate) async fn run(args: EnvArgs) -> Result<(), Error> {
    let (place, file) = Place::resolve(&args.place)?;
    let request = Request::RootCredential {};
    let (target, key) = match client::ask_server(&place.data, &request, &|_| ()).await? {
        Some(Answer::Credential(key)) => {
            let run = place.data.read_run_file()?.ok_or_else(|| {
                Error::Refused("the server is starting or stopping: try again".to_owned())
            })?;
            (target_of_run(run, args.http)?, key)
        }
        Some(_) => return Err(Error::Refused("the server gave another answer".to_owned())),
        None => {
            let settings = Settings {
                https: args.https_address,
                http: args.http_address,
                ..Settings::default()
            };
            let listen = Listen::from_settings(&settings.or(file))?;
            (
                target_of_settings(&place, &listen, args.http)?,
                stored_credential(&place).await?,
            )
        }
    };
    let session_token_is_set = std::env::var_os("AWS_SESSION_TOKEN").is_some();
    output::print(&lines(&target, &key, session_token_is_set))
}

/// Where a client should go.
struct Target {
    endpoint: String,
    ca: Option<PathBuf>,
    region: String,
}

fn target_of_run(run: RunFile, http: bool) -> Result<Target, Error> {
    let (endpoint, over_tls) = endpoint(run.https, run.http, http)?;
    Ok(Target {
        endpoint,
        ca: run.ca.filter(|_| over_tls),
        region: run.region,
    })
}

fn target_of_settings(place: &Place, listen: &Listen, http: bool) -> Result<Target, Error> {
    let (endpoint, over_tls) = endpoint(listen.https, listen.http, http)?;
    let ca = (over_tls && listen.own_certificate.is_none())
        .then(|| absolute(&place.data.ca_certificate()))
        .transpose()?;
    Ok(Target {
        endpoint,
        ca,
        region: place.region.clone(),
    })
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::file("find", path))
}

/// The endpoint, and whether it is reached over TLS. HTTPS unless asked otherwise or switched off.
fn endpoint(
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
    want_http: bool,
) -> Result<(String, bool), Error> {
    match (https, http, want_http) {
        (Some(https), _, false) => Ok((url("https", https), true)),
        (_, Some(http), _) => Ok((url("http", http), false)),
        (_, None, _) => Err(Error::Config(
            "the HTTP listener is switched off".to_owned(),
        )),
    }
}

/// The address as a client of this machine reaches it.
pub(crate) fn url(scheme: &str, mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    format!("{scheme}://{address}")
}

async fn stored_credential(place: &Place) -> Result<AccessKey, Error> {
    if let Some(key) = &place.root_credential {
        return Ok(AccessKey::new(
            key.access_key_id.clone(),
            &key.secret_access_key,
        ));
    }
    let keeper = crate::root_key::Keeper::open(place).await?;
    if RootAccessKey::read(keeper.keyring(), &place.data)?.is_none() {
        return Err(Error::Root(
            "this store has no generated root credential: it was started with one from the \
             environment"
                .to_owned(),
        ));
    }
    // It is handed out as by a server: recorded before, or not at all.
    match client::ask(place, &Request::RootCredential {}, &|_| ()).await? {
        Answer::Credential(key) => Ok(key),
        _ => Err(Error::Refused("the server gave another answer".to_owned())),
    }
}

fn lines(target: &Target, key: &AccessKey, session_token_is_set: bool) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::new());
    let mut export = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ok = writeln!(out, "export {name}={}", quoted(value).as_str());
    };
    export("AWS_ENDPOINT_URL", &target.endpoint);
    if let Some(ca) = &target.ca {
        export("AWS_CA_BUNDLE", &ca.display().to_string());
    }
    export("AWS_ACCESS_KEY_ID", &key.access_key_id);
    export("AWS_SECRET_ACCESS_KEY", key.expose_secret());
    export("AWS_REGION", &target.region);
    export("AWS_DEFAULT_REGION", &target.region);
    if session_token_is_set {
        // A token left from another account would be sent with our key and refused.
        out.push_str("unset AWS_SESSION_TOKEN\n");
    }
    out
}

/// As one word of a POSIX shell, whatever is in it.
pub(crate) fn quoted(value: &str) -> Zeroizing<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@%+=,".contains(&b);
    if !value.is_empty() && value.bytes().all(plain) {
        return Zeroizing::new(value.to_owned());
    }
    Zeroizing::new(format!("'{}'", value.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell() {
        assert_eq!(
            quoted("https://127.0.0.1:9443").as_str(),
            "https://127.0.0.1:9443"
        );
        assert_eq!(quoted("a b").as_str(), "'a b'");
        assert_eq!(quoted("$(x)").as_str(), "'$(x)'");
        assert_eq!(quoted("it's").as_str(), r"'it'\''s'");
        assert_eq!(quoted("").as_str(), "''");
        assert_eq!(quoted("~/x").as_str(), "'~/x'");
    }

    #[test]
    fn endpoint_is_https_unless_asked_or_switched_off() {
        let https = Some("0.0.0.0:9443".parse().unwrap());
        let http = Some("[::]:9000".parse().unwrap());
        assert_eq!(
            endpoint(https, http, false).unwrap().0,
            "https://127.0.0.1:9443"
        );
        assert_eq!(endpoint(https, http, true).unwrap().0, "http://[::1]:9000");
        assert_eq!(endpoint(None, http, false).unwrap().0, "http://[::1]:9000");
        assert!(endpoint(https, None, true).is_err());
    }
}
