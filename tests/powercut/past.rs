//! What was observed from outside before the cut: answers, and requests to the receivers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::receiver::Received;
use crate::trace::{Deed, Moment, Trace};

/// A request to a receiver.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) path: String,
    pub(crate) event: String,
    pub(crate) delivery: String,
    pub(crate) attempt: u32,
    pub(crate) call: String,
    pub(crate) sequence: u64,
    /// The response to it.
    pub(crate) status: Option<u16>,
}

impl Receipt {
    pub(crate) fn of(request: &Received) -> Self {
        Self {
            path: request.path.clone(),
            event: request.webhook_id().to_owned(),
            delivery: request.delivery().to_owned(),
            attempt: request.attempt(),
            call: request.call(),
            sequence: request.sequence(),
            status: request.answered(),
        }
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.status == Some(200)
    }

    pub(crate) fn all(requests: &[Arc<Received>]) -> Vec<Arc<Self>> {
        requests.iter().map(|request| Arc::new(Self::of(request))).collect()
    }
}

/// What had been observed from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// Depth of recovery: 0 in a recording, 1 in the recovery from a cut.
    pub(crate) depth: usize,
    /// Ids of events whose 202 had begun to be sent, in order, with the depth at which it was first answered.
    pub(crate) accepted: Vec<(String, usize)>,
    /// Ids of subscriptions whose 201 had begun to be sent.
    pub(crate) created: Vec<String>,
    /// Number of 204s that had begun to be sent.
    pub(crate) deletions: usize,
    /// Message counts in the last 202 of each conversation, by id.
    pub(crate) messages: BTreeMap<String, u64>,
    /// Ids of erasures whose 202 had begun to be sent.
    pub(crate) erasures: Vec<String>,
    /// Requests sent to the receivers, in order of arrival.
    pub(crate) receipts: Vec<Arc<Receipt>>,
}

/// A request with its index in order of arrival.
type Arrival<'s> = (usize, &'s Arc<Receipt>);

/// Follows a trace and records what had been observed by then.
pub(crate) struct Witness<'s> {
    pub(crate) past: Past,
    /// All requests received in the end, by delivery and attempt, earliest first.
    to_come: HashMap<(String, u32), Vec<Arrival<'s>>>,
    /// Requests received by now, with their index in order of arrival.
    came: Vec<(usize, Arc<Receipt>)>,
    before: usize,
    /// The ids in `past.accepted`.
    known: HashSet<String>,
}

impl<'s> Witness<'s> {
    /// `past` was observed before the trace, `receipts` during all of it.
    pub(crate) fn new(past: Past, receipts: &'s [Arc<Receipt>]) -> Self {
        let mut to_come: HashMap<_, Vec<_>> = HashMap::new();
        for (nth, receipt) in receipts.iter().enumerate().rev() {
            to_come.entry((receipt.delivery.clone(), receipt.attempt)).or_default().push((nth, receipt));
        }
        let known = past.accepted.iter().map(|(id, _)| id.clone()).collect();
        Self { before: past.receipts.len(), past, to_come, came: Vec::new(), known }
    }

    /// Advances by one moment. Output counts from its beginning: the peer may have it from then on.
    pub(crate) fn step(&mut self, trace: &Trace, moment: Moment) {
        let Moment::Begin(index) = moment else { return };
        let (Deed::Send { bytes } | Deed::Write { bytes, .. }) = &trace.calls[index].deed else { return };
        if bytes.starts_with(b"HTTP/1.1 202") {
            self.accepted(ids(bytes, "evt_"));
            self.past.erasures.extend(ids(bytes, "ers_").into_iter().take(1));
            if let Some((conversation, count)) = ids(bytes, "conv_").into_iter().next().zip(messages(bytes)) {
                self.past.messages.insert(conversation, count);
            }
        } else if bytes.starts_with(b"HTTP/1.1 201") {
            self.past.created.extend(ids(bytes, "sub_").into_iter().take(1));
        } else if bytes.starts_with(b"HTTP/1.1 204") {
            self.past.deletions += 1;
        } else if bytes.starts_with(b"POST ") {
            self.sent(&String::from_utf8_lossy(bytes));
        }
    }

    fn accepted(&mut self, ids: Vec<String>) {
        let depth = self.past.depth;
        for id in ids {
            // A repost is answered with the first id.
            if self.known.insert(id.clone()) {
                self.past.accepted.push((id, depth));
            }
        }
    }

    fn sent(&mut self, head: &str) {
        let value = |name: &str| {
            let line = head.lines().find(|line| line.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)));
            line.map(|line| line[name.len()..].trim_start_matches(':').trim())
        };
        let (Some(delivery), Some(attempt)) = (value("hookswitch-delivery"), value("hookswitch-attempt")) else {
            return;
        };
        let Ok(attempt) = attempt.parse() else { return };
        if let Some((nth, receipt)) = self.to_come.get_mut(&(delivery.to_owned(), attempt)).and_then(Vec::pop) {
            self.came.push((nth, Arc::clone(receipt)));
        }
    }

    /// What had been observed by now.
    pub(crate) fn seen(&self) -> Past {
        let mut came = self.came.clone();
        came.sort_by_key(|(nth, _)| *nth);
        let mut past = self.past.clone();
        past.receipts.truncate(self.before);
        past.receipts.extend(came.into_iter().map(|(_, receipt)| receipt));
        past
    }

    /// Number of requests to receivers not seen to be sent: none, if the trace is parsed correctly.
    pub(crate) fn unexplained(&self) -> usize {
        self.to_come.values().map(Vec::len).sum()
    }
}

/// The message count in an answer.
fn messages(bytes: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once(r#""messages":"#)?;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// The ids of one kind in a message.
fn ids(bytes: &[u8], kind: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let found = text.match_indices(kind).filter_map(|(at, _)| text.get(at..at + kind.len() + 26));
    found.map(str::to_owned).collect()
}
