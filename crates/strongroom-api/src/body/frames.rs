// SPDX-License-Identifier: Apache-2.0
//! The frames of a request's body, whatever the HTTP library calls them.
//!
//! Two jobs besides reading: a client that stalls is cut off ([`Pace`]), and a body that nobody
//! read to its end is drained for a while, so that the client reads its error answer instead of a
//! connection reset and may use the connection again.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;

use super::documents::Documents;
use super::pace::Pace;
use crate::error::{S3Code, S3Error};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>;

/// Most bytes read from a body that nobody wants.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest time spent on it.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);

/// The frames of one body.
pub(crate) struct Frames {
    // Only `get_mut` is used: the mutex makes the body `Sync` and is never locked.
    body: Option<Mutex<BoxBody>>,
    pace: Pace,
    /// The client waits for `100 Continue` as long as nothing was polled; draining would send it.
    waits_for_continue: bool,
    documents: Documents,
}

impl Frames {
    /// The frames of an HTTP body.
    pub(crate) fn new<B>(
        body: B,
        waits_for_continue: bool,
        stall_timeout: Duration,
        documents: Documents,
    ) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body: BoxBody = Box::pin(http_body_util::BodyExt::map_err(body, Into::into));
        Self {
            body: Some(Mutex::new(body)),
            pace: Pace::new(stall_timeout),
            waits_for_continue,
            documents,
        }
    }

    /// Where there is room for what is read whole.
    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The next data; trailers of HTTP itself are not ours and are dropped.
    pub(crate) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, S3Error>>> {
        self.waits_for_continue = false;
        let Some(body) = self.body.as_mut().and_then(|body| body.get_mut().ok()) else {
            return Poll::Ready(None);
        };
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.pace.progress(data.len());
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a request body ended early");
                    self.body = None;
                    return Poll::Ready(Some(Err(S3Error::from_code(S3Code::IncompleteBody))));
                }
                Poll::Ready(None) => {
                    self.body = None;
                    return Poll::Ready(None);
                }
                Poll::Pending if self.pace.poll_too_slow(cx) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(S3Error::from_code(S3Code::RequestTimeout))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let Some(body) = self.body.take().and_then(|body| body.into_inner().ok()) else {
            return;
        };
        if self.waits_for_continue || body.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(DRAIN_TIME_MAX, drain(body)).await;
            });
        }
    }
}

async fn drain(mut body: BoxBody) {
    let mut left = DRAIN_BYTES_MAX;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        match u64::try_from(size)
            .ok()
            .and_then(|size| left.checked_sub(size))
        {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
