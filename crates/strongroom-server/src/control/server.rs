// SPDX-License-Identifier: Apache-2.0
//! The answering side, inside the server.

use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::execute::execute;
use super::{Line, Progress, REQUEST_BYTES_MAX, Request, socket_path};
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::start::Rooms;

/// Binds the socket. The caller holds the data directory, so a socket that is there already is
/// left from a server that is gone.
pub(crate) fn bind(data: &DataDir) -> Result<UnixListener, Error> {
    let failed = |e: std::io::Error| {
        Error::io(
            format!("cannot make the control socket in `{}`", data.shown()),
            e,
        )
    };
    let (path, _dir) = socket_path(data).map_err(failed)?;
    match rustix::fs::unlink(&path) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(e) => return Err(failed(e.into())),
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
    Ok(listener)
}

/// Takes the socket away, so that commands find no server.
pub(crate) fn unbind(data: &DataDir) {
    if let Ok((path, _dir)) = socket_path(data) {
        // If it stays, the next start removes it.
        let _gone = rustix::fs::unlink(path);
    }
}

/// Serves until the task is aborted.
pub(crate) async fn serve(listener: UnixListener, rooms: Arc<Rooms>) {
    let own_uid = rustix::process::geteuid().as_raw();
    loop {
        let Ok((stream, _address)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let trusted = stream
            .peer_cred()
            .is_ok_and(|p| p.uid() == own_uid || p.uid() == 0);
        if !trusted {
            tracing::warn!("control socket: refused another user");
            continue;
        }
        let rooms = Arc::clone(&rooms);
        tokio::spawn(async move {
            if let Err(error) = answer(stream, &rooms).await {
                tracing::debug!(%error, "control socket: connection ended");
            }
        });
    }
}

async fn answer(stream: UnixStream, rooms: &Rooms) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_BYTES_MAX));
    tokio::time::timeout(REQUEST_TIMEOUT, reader.read_line(&mut line)).await??;
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            let message = format!("the server does not know this command: {error}");
            return write(&mut writer, &Line::Error(message)).await;
        }
    };
    let (report, mut reported) = watch::channel(Progress::default());
    let progress = move |now| {
        report.send_replace(now);
    };
    let work = execute(rooms, &request, &progress);
    tokio::pin!(work);
    let done = loop {
        tokio::select! {
            biased;
            done = &mut work => break done,
            // A client that is gone ends the work: `write` fails, and `work` is dropped.
            () = tokio::time::sleep(PROGRESS_INTERVAL) => {
                if reported.has_changed().unwrap_or(false) {
                    let now = *reported.borrow_and_update();
                    write(&mut writer, &Line::Progress(now)).await?;
                }
            }
        }
    };
    let line = match done {
        Ok(answer) => Line::Answer(answer),
        Err(error) => Line::Error(error.to_string()),
    };
    write(&mut writer, &line).await
}

async fn write(writer: &mut tokio::net::unix::OwnedWriteHalf, line: &Line) -> std::io::Result<()> {
    let mut json = Zeroizing::new(serde_json::to_vec(line)?);
    json.push(b'\n');
    writer.write_all(&json).await
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
