// SPDX-License-Identifier: Apache-2.0
//! A store that does to its callers what networks and other people do, and remembers what it was
//! sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use strongroom_client::ByteRange;
use strongroom_client::envelope::Fields;
use strongroom_client::transport::{
    Address, Attributes, Condition, Facts, Fetch, Fetched, InMemory, ListQuery, ListedPart,
    ListedUpload, Page, Reply, Transport, TransportError, TransportErrorKind, Written,
};
use tokio::sync::Notify;

/// What is asked of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    Put(String),
    Get(String, Option<ByteRange>),
    Head(String),
    Delete(String),
    Copy(String),
    List,
    Create,
    Part(u32),
    Complete,
    Abort,
    ListParts,
}

/// What goes wrong with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Nothing,
    /// It does not come to pass.
    Refused(TransportErrorKind),
    /// It comes to pass, and nobody is told.
    LostAnswer,
    /// So many bytes come, and then none.
    Cut(usize),
    /// So many bytes come, and then it looks like the end.
    Short(usize),
    /// The store asks for no condition.
    NoCondition,
    /// The store says that it has no conditions on writes.
    RefusesConditions,
    /// Others go on first, so many times.
    Later(usize),
    /// The process is killed before it, or after it.
    KilledBefore,
    KilledAfter,
}

type Rule = Box<dyn FnMut(&Call) -> Fault + Send>;

/// One part, or one object, as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) metadata: Fields,
    pub(crate) part: u32,
    pub(crate) body: Bytes,
}

pub(crate) struct Faulty {
    pub(crate) store: InMemory,
    rule: Mutex<Rule>,
    pub(crate) killed: Notify,
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) sent: Mutex<Vec<Sent>>,
    uploads: Mutex<BTreeMap<String, Fields>>,
    /// Bytes of parts under way, now and at most.
    under_way: Mutex<(usize, usize)>,
}

impl Faulty {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            store: InMemory::new(),
            rule: Mutex::new(Box::new(|_| Fault::Nothing)),
            killed: Notify::new(),
            calls: Mutex::default(),
            sent: Mutex::default(),
            uploads: Mutex::default(),
            under_way: Mutex::default(),
        })
    }

    pub(crate) fn rule(&self, rule: impl FnMut(&Call) -> Fault + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.under_way.lock().unwrap().1
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|call| wanted(call))
            .count()
    }

    /// The stored bytes and metadata of an object of bucket `b`.
    pub(crate) fn stored(&self, key: &str) -> (Bytes, Attributes) {
        self.store.stored(&Address::new("b", key)).unwrap()
    }

    /// Puts an object of bucket `b` there by hand.
    pub(crate) async fn place(
        &self,
        key: &str,
        content: impl Into<Bytes>,
        attributes: &Attributes,
    ) {
        let always = Condition::default();
        let at = Address::new("b", key);
        let put = self
            .store
            .put_object(&at, content.into(), attributes, &always);
        put.await.unwrap();
    }

    fn fault(&self, call: Call) -> Fault {
        let fault = (self.rule.lock().unwrap())(&call);
        self.calls.lock().unwrap().push(call);
        fault
    }

    async fn done<T>(&self, fault: Fault, work: Reply<'_, T>) -> Result<T, TransportError> {
        match fault {
            Fault::Refused(kind) => Err(kind.into()),
            Fault::Later(turns) => {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                work.await
            }
            Fault::KilledBefore => {
                self.killed.notify_one();
                std::future::pending().await
            }
            Fault::KilledAfter => {
                let _ = work.await;
                self.killed.notify_one();
                std::future::pending().await
            }
            Fault::LostAnswer => {
                let _ = work.await;
                Err(TransportErrorKind::Unavailable.into())
            }
            _ => work.await,
        }
    }

    fn remember(&self, metadata: Fields, part: u32, body: &Bytes) {
        self.sent.lock().unwrap().push(Sent {
            metadata,
            part,
            body: body.clone(),
        });
    }
}

/// A condition that the store does not ask for.
fn condition_of(fault: Fault, condition: &Condition) -> Condition {
    match fault {
        Fault::NoCondition => Condition::default(),
        _ => condition.clone(),
    }
}

impl Transport for Faulty {
    fn put_object<'a>(
        &'a self,
        to: &'a Address,
        body: Bytes,
        attributes: &'a Attributes,
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let fault = self.fault(Call::Put(to.key.clone()));
            self.remember(attributes.metadata.clone(), 0, &body);
            let mut fault = fault;
            if fault == Fault::RefusesConditions && *condition != Condition::default() {
                fault = Fault::Refused(TransportErrorKind::Unsupported);
            }
            let condition = condition_of(fault, condition);
            self.done(
                fault,
                self.store.put_object(to, body, attributes, &condition),
            )
            .await
        })
    }

    fn get_object<'a>(&'a self, from: &'a Address, fetch: &'a Fetch) -> Reply<'a, Fetched> {
        Box::pin(async move {
            let fault = self.fault(Call::Get(from.key.clone(), fetch.range));
            let mut fetch = fetch.clone();
            if fault == Fault::NoCondition {
                fetch.if_match = None;
            }
            let mut fetched = self
                .done(fault, self.store.get_object(from, &fetch))
                .await?;
            if fault == Fault::NoCondition {
                fetched.facts.e_tag = None;
            }
            let (Fault::Cut(bytes) | Fault::Short(bytes)) = fault else {
                return Ok(fetched);
            };
            let mut all = Vec::new();
            while let Some(piece) = fetched.body.next().await {
                all.extend_from_slice(&piece?);
            }
            all.truncate(bytes);
            let mut pieces = vec![Ok(Bytes::from(all))];
            if let Fault::Cut(_) = fault {
                pieces.push(Err(TransportErrorKind::Unavailable.into()));
            }
            fetched.body = Box::pin(futures_util::stream::iter(pieces));
            Ok(fetched)
        })
    }

    fn head_object<'a>(&'a self, of: &'a Address, version: Option<&'a str>) -> Reply<'a, Facts> {
        Box::pin(async move {
            let fault = self.fault(Call::Head(of.key.clone()));
            self.done(fault, self.store.head_object(of, version)).await
        })
    }

    fn delete_object<'a>(&'a self, at: &'a Address, version: Option<&'a str>) -> Reply<'a, ()> {
        Box::pin(async move {
            let fault = self.fault(Call::Delete(at.key.clone()));
            self.done(fault, self.store.delete_object(at, version))
                .await
        })
    }

    fn copy_object<'a>(
        &'a self,
        from: &'a Address,
        to: &'a Address,
        if_match: Option<&'a str>,
        attributes: Option<&'a Attributes>,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let mut fault = self.fault(Call::Copy(to.key.clone()));
            if fault == Fault::RefusesConditions && if_match.is_some() {
                fault = Fault::Refused(TransportErrorKind::Unsupported);
            }
            self.done(
                fault,
                self.store.copy_object(from, to, if_match, attributes),
            )
            .await
        })
    }

    fn list_objects_v2<'a>(&'a self, bucket: &'a str, query: &'a ListQuery) -> Reply<'a, Page> {
        Box::pin(async move {
            let fault = self.fault(Call::List);
            self.done(fault, self.store.list_objects_v2(bucket, query))
                .await
        })
    }

    fn create_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        attributes: &'a Attributes,
    ) -> Reply<'a, String> {
        Box::pin(async move {
            let fault = self.fault(Call::Create);
            let id = self
                .done(fault, self.store.create_multipart_upload(to, attributes))
                .await?;
            let metadata = attributes.metadata.clone();
            self.uploads.lock().unwrap().insert(id.clone(), metadata);
            Ok(id)
        })
    }

    fn upload_part<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        number: u32,
        body: Bytes,
    ) -> Reply<'a, String> {
        Box::pin(async move {
            let bytes = body.len();
            {
                let mut under_way = self.under_way.lock().unwrap();
                under_way.0 += bytes;
                under_way.1 = under_way.1.max(under_way.0);
            }
            tokio::task::yield_now().await;
            let metadata = self.uploads.lock().unwrap().get(upload_id).cloned();
            let fault = self.fault(Call::Part(number));
            // Sent, whatever becomes of it: a wire may be listened to.
            self.remember(metadata.unwrap_or_default(), number, &body);
            let work = self.store.upload_part(to, upload_id, number, body);
            let done = self.done(fault, work).await;
            self.under_way.lock().unwrap().0 -= bytes;
            done
        })
    }

    fn complete_multipart_upload<'a>(
        &'a self,
        to: &'a Address,
        upload_id: &'a str,
        parts: &'a [(u32, String)],
        condition: &'a Condition,
    ) -> Reply<'a, Written> {
        Box::pin(async move {
            let fault = self.fault(Call::Complete);
            let work = self
                .store
                .complete_multipart_upload(to, upload_id, parts, condition);
            self.done(fault, work).await
        })
    }

    fn abort_multipart_upload<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let fault = self.fault(Call::Abort);
            self.done(fault, self.store.abort_multipart_upload(to, upload_id))
                .await
        })
    }

    fn list_parts<'a>(&'a self, to: &'a Address, upload_id: &'a str) -> Reply<'a, Vec<ListedPart>> {
        Box::pin(async move {
            let fault = self.fault(Call::ListParts);
            self.done(fault, self.store.list_parts(to, upload_id)).await
        })
    }

    fn list_multipart_uploads<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> Reply<'a, Vec<ListedUpload>> {
        self.store.list_multipart_uploads(bucket, prefix)
    }
}

/// Bytes without a pattern that a block's length would hide.
pub(crate) fn plain(len: usize) -> Vec<u8> {
    (0..len)
        .map(|index| u8::try_from((index * 31 + index / 251) % 253).unwrap())
        .collect()
}
