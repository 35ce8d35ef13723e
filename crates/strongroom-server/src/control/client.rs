// SPDX-License-Identifier: Apache-2.0
//! The asking side: the running server if there is one, the store itself otherwise.

use std::io::ErrorKind;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::execute::execute;
use super::{Answer, Line, Progress, Request, socket_path};
use crate::config::Place;
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::start::Rooms;

/// Has `request` done, wherever the store is open.
pub(crate) async fn ask(
    place: &Place,
    request: &Request,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Answer, Error> {
    if let Some(answer) = ask_server(&place.data, request, progress).await? {
        return Ok(answer);
    }
    let rooms = Rooms::open_existing(place).await?;
    let answer = execute(&rooms, request, progress).await;
    rooms.close().await?;
    answer
}

/// Asks the running server; `None` when none is running.
pub(crate) async fn ask_server(
    data: &DataDir,
    request: &Request,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Option<Answer>, Error> {
    let broken = |e| Error::io("lost the connection to the running server", e);
    let stream = {
        let (path, _dir) = match socket_path(data) {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("cannot reach the control socket", e)),
        };
        match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            // A killed server leaves its socket behind; nobody listens on it.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(e) => return Err(Error::io("cannot reach the control socket", e)),
        }
    };
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(Error::room("cannot encode the request"))?;
    line.push(b'\n');
    writer.write_all(&line).await.map_err(broken)?;
    let mut reader = BufReader::new(reader);
    let mut line = Zeroizing::new(String::new());
    loop {
        line.clear();
        let read = reader.read_line(&mut line).await.map_err(broken)?;
        if read == 0 {
            return Err(broken(ErrorKind::UnexpectedEof.into()));
        }
        // The parser's message is not shown: it could quote a secret.
        let parsed = serde_json::from_str(&line).map_err(|_| {
            Error::Refused("the server's answer makes no sense: is it another version?".to_owned())
        })?;
        match parsed {
            Line::Progress(now) => progress(now),
            Line::Answer(answer) => return Ok(Some(answer)),
            Line::Error(message) => return Err(Error::Refused(message)),
        }
    }
}
