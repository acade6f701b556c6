//! Starts the daemon on an image, and compares its state and behaviour with what was observed before the cut.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::Reply;
use crate::daemon::{Daemon, Home, contents, hookswitch, run};
use crate::past::{Past, Receipt};
use crate::platform::{numbered, with};
use crate::receiver::Receiver;
use crate::recording::{Cast, Life, Recording, drained, finished, posted_as, traced, workshop};
use crate::wait::in_time;

/// A recorded recovery.
pub(crate) struct Examined {
    pub(crate) lives: Vec<Life>,
    pub(crate) receipts: Vec<Arc<Receipt>>,
}

/// Starts the daemon in `home`, which contains an image, and checks it against `past`. With `record`, returns its
/// trace.
///
/// # Errors
/// The fault.
pub(crate) fn examine(
    recording: &Recording,
    past: &Past,
    home: &Home,
    record: bool,
) -> Result<Option<Examined>, String> {
    recording.receiver.begin_anew();
    let file = home.beside("strace");
    let keys = recording.cast.key_file.as_ref();
    let home = &keys.map_or_else(|| home.clone(), |file| home.clone().set("store.key_file", &format!("{file:?}")));
    verify(home, past).map_err(|fault| format!("before the start: {fault}"))?;
    let daemon = home.try_start(|command| if record { traced(&command, &file) } else { command })?;
    let checked = check(&daemon, &recording.receiver, &recording.cast, past);
    daemon.kill();
    let checked = checked.and_then(|()| verify(home, past).map_err(|fault| format!("after a kill: {fault}")));
    let receipts = Receipt::all(&recording.receiver.begin_anew());
    checked?;
    if !record {
        return Ok(None);
    }
    let life = Life { trace: finished(&file), seen: contents(&home.data()) };
    Ok(Some(Examined { lives: vec![life], receipts }))
}

/// `hookswitch verify` finds no fault, after the cut or after the kill.
fn verify(home: &Home, past: &Past) -> Result<(), String> {
    let mut command = hookswitch();
    command.arg("verify").arg("--data-dir").arg(home.data()).env("TMPDIR", workshop());
    let verified = run(command);
    // Until the first start has completed there is nothing to verify, and it says so.
    let status = verified.status.code();
    let nothing = past.created.is_empty() && past.accepted.is_empty() && status == Some(1);
    ensure(status == Some(0) || nothing, || format!("verify: {verified:?}"))
}

fn check(daemon: &Daemon, receiver: &Receiver, cast: &Cast, past: &Past) -> Result<(), String> {
    // The event that fills a journal file beforehand is of another company.
    let mut there = HashSet::new();
    for company in ["acme", "after"] {
        let events = list(daemon, &format!("/v1/events?company={company}"))?;
        let ids: Vec<String> = events.iter().map(|event| text(event, "id").to_owned()).collect();
        ensure(ids.is_sorted_by(|newer, older| newer > older), || "the events' ids do not descend".to_owned())?;
        there.extend(ids);
    }
    for (id, _) in &past.accepted {
        ensure(there.contains(id), || format!("{id} was answered 202 and is not there"))?;
    }
    if let Some((last, _)) = past.accepted.last() {
        get(daemon, &format!("/v1/events/{last}"))?;
    }
    check_subscriptions(daemon, cast, past)?;
    check_messages(daemon, past)?;
    drained(daemon.api())?;
    let newest = there.iter().max().cloned().unwrap_or_default();
    check_goes_on(daemon, receiver, &after(past.depth), &newest)?;
    drained(daemon.api())?;
    check_repeats(daemon, cast, past)?;
    let mut receipts = past.receipts.clone();
    let before = receipts.len();
    receipts.extend(Receipt::all(&receiver.requests()));
    check_arrived(cast, past, &receipts)?;
    check_erasures(daemon, past)?;
    check_order(&receipts)?;
    check_sequences(&receipts)?;
    check_log(daemon, &receipts, before)
}

fn ensure(holds: bool, fault: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(fault()) }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn get(daemon: &Daemon, path: &str) -> Result<Reply, String> {
    let reply = daemon.api().try_request("GET", path, &[], b"").map_err(|error| format!("GET {path}: {error}"))?;
    if reply.status == 200 { Ok(reply) } else { Err(format!("GET {path}: {reply:?}")) }
}

fn post(daemon: &Daemon, path: &str, body: &Value) -> Result<Value, String> {
    let headers = [("content-type", "application/json")];
    let reply = daemon.api().try_request("POST", path, &headers, body.to_string().as_bytes());
    let reply = reply.map_err(|error| format!("POST {path}: {error}"))?;
    if (200..300).contains(&reply.status) { Ok(reply.json()) } else { Err(format!("POST {path}: {reply:?}")) }
}

/// A whole list, newest first; the path has a query already.
fn list(daemon: &Daemon, path: &str) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    let mut page = format!("{path}&limit=500");
    loop {
        let mut reply = get(daemon, &page)?.json();
        if let Value::Array(more) = reply["items"].take() {
            items.extend(more);
        }
        match reply["next"].as_str() {
            Some(next) => page = format!("{path}&limit=500&cursor={next}"),
            None => return Ok(items),
        }
    }
}

fn check_subscriptions(daemon: &Daemon, cast: &Cast, past: &Past) -> Result<(), String> {
    let subscriptions = list(daemon, "/v1/subscriptions?company=acme")?;
    let there: BTreeSet<&str> = subscriptions.iter().map(|subscription| text(subscription, "id")).collect();
    for id in past.created.iter().filter(|id| cast.paths.contains_key(*id)) {
        // The deleted one may be gone from the request on, which the trace does not show before its answer.
        let doomed = cast.doomed.as_ref() == Some(id);
        ensure(doomed || there.contains(id.as_str()), || {
            format!("the subscription {id} was answered 201 and is not there")
        })?;
    }
    for (id, secret) in &cast.secrets {
        let seen = get(daemon, &format!("/v1/subscriptions/{id}/secret"))?.json();
        ensure(text(&seen, "secret") == secret, || format!("the secret of {id} is another than it was"))?;
    }
    let gone = past.deletions == 0 || !cast.doomed.as_ref().is_some_and(|doomed| there.contains(doomed.as_str()));
    ensure(gone, || "a subscription is there whose deletion was answered 204".to_owned())
}

/// Every message answered 202 is in its conversation.
fn check_messages(daemon: &Daemon, past: &Past) -> Result<(), String> {
    if past.messages.is_empty() {
        return Ok(());
    }
    let threads = list(daemon, "/v1/conversations?company=acme")?;
    for (id, count) in &past.messages {
        let there =
            threads.iter().find(|thread| text(thread, "id") == id).map(|thread| thread["message_count"].as_u64());
        let whole = there.flatten().is_some_and(|there| there >= *count);
        ensure(whole, || format!("{id} had {count} messages that were answered 202, and has {there:?}"))?;
    }
    Ok(())
}

/// Every erasure answered 202 completes.
fn check_erasures(daemon: &Daemon, past: &Past) -> Result<(), String> {
    if past.erasures.is_empty() {
        return Ok(());
    }
    in_time("the erasures to be done", || {
        let erasures = list(daemon, "/v1/erase?company=acme")?;
        let done = |id: &String| erasures.iter().any(|one| text(one, "id") == id && !one["done_at"].is_null());
        past.erasures.iter().find(|id| !done(id)).map_or(Ok(()), |id| Err(format!("{id} is not")))
    })
}

/// Where the new event of a check goes; each depth has its own, because sequence numbers belong to a subscription.
fn after(depth: usize) -> String {
    format!("/after-{depth}")
}

/// A new subscription and a new event: accepted, later than everything before, delivered.
fn check_goes_on(daemon: &Daemon, receiver: &Receiver, path: &str, newest: &str) -> Result<(), String> {
    let subscription = json!({"company": "after", "url": receiver.url(path), "events": ["*"]});
    post(daemon, "/v1/subscriptions", &subscription)?;
    let event = post(daemon, "/v1/events", &with(numbered(path, 0), "company", "after"))?;
    ensure(text(&event, "id") > newest, || format!("the new event {event} is not later than {newest}"))?;
    in_time("the new event", || {
        let came = receiver.requests_to(path).iter().any(|request| request.webhook_id() == text(&event, "id"));
        if came { Ok(()) } else { Err("it did not come".to_owned()) }
    })
}

/// Reposting accepted events stores nothing: the first and the last.
fn check_repeats(daemon: &Daemon, cast: &Cast, past: &Past) -> Result<(), String> {
    for (id, _) in past.accepted.first().into_iter().chain(past.accepted.last()) {
        // Its answer may have been cut off by a kill, and the producer have reposted it.
        let Some(producer) = cast.producers.get(id) else { continue };
        let again = post(daemon, "/v1/events", &posted_as(producer))?;
        let same = text(&again, "id") == id && again["duplicate"] == true;
        ensure(same, || format!("{id} was posted again by its producer's id, and the answer was {again}"))?;
    }
    Ok(())
}

fn check_arrived(cast: &Cast, past: &Past, receipts: &[Arc<Receipt>]) -> Result<(), String> {
    let taken = receipts.iter().filter(|receipt| receipt.is_taken());
    let taken: HashSet<(&str, &str)> = taken.map(|receipt| (receipt.path.as_str(), receipt.event.as_str())).collect();
    for (event, depth) in &past.accepted {
        let own = depth.checked_sub(1).map(after);
        let paths: Vec<&str> = own.as_deref().map_or_else(|| cast.always.clone(), |own| vec![own]);
        for path in paths {
            ensure(taken.contains(&(path, event)), || format!("{event} was answered 202 and did not come to {path}"))?;
        }
    }
    Ok(())
}

/// The events of one call, in order of their first arrival at a subscription that keeps their order.
pub(crate) fn check_order(receipts: &[Arc<Receipt>]) -> Result<(), String> {
    let mut latest: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut seen = HashSet::new();
    for receipt in receipts.iter().filter(|receipt| receipt.is_taken() && receipt.path != "/free") {
        if !seen.insert((receipt.path.as_str(), receipt.event.as_str())) {
            continue;
        }
        let latest = latest.entry((&receipt.path, &receipt.call)).or_default();
        ensure(receipt.sequence > *latest, || format!("out of the order of its call, behind {latest}: {receipt:?}"))?;
        *latest = receipt.sequence;
    }
    Ok(())
}

/// A sequence number identifies one event, and an event has one.
pub(crate) fn check_sequences(receipts: &[Arc<Receipt>]) -> Result<(), String> {
    let mut by_number: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    let mut by_event: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for receipt in receipts {
        let event = by_number.entry((&receipt.path, receipt.sequence)).or_insert(&receipt.event);
        let number = by_event.entry((&receipt.path, &receipt.event)).or_insert(receipt.sequence);
        let one = *event == receipt.event && *number == receipt.sequence;
        ensure(one, || format!("two events with one sequence number, or the other way: {receipt:?}"))?;
    }
    Ok(())
}

/// Every entry corresponds to a request that was received and so answered; nothing was delivered twice according to
/// the log; every request since the start (from `before` on) is in it.
pub(crate) fn check_log(daemon: &Daemon, receipts: &[Arc<Receipt>], before: usize) -> Result<(), String> {
    let came: HashSet<(&str, u32, Option<u16>)> =
        receipts.iter().map(|receipt| (receipt.delivery.as_str(), receipt.attempt, receipt.status)).collect();
    in_time("the log to have what came", || {
        let logged = match logged(daemon, &came) {
            Ok(logged) => logged,
            Err(fault) => return Ok(Err(fault)),
        };
        // Nothing is outstanding shortly before the entry can be read.
        let missing =
            receipts[before..].iter().find(|receipt| !logged.contains(&(receipt.delivery.clone(), receipt.attempt)));
        missing.map_or(Ok(Ok(())), |receipt| Err(format!("it came and is not in the log: {receipt:?}")))
    })?
}

/// The attempts in the log, all of them verified.
fn logged(daemon: &Daemon, came: &HashSet<(&str, u32, Option<u16>)>) -> Result<HashSet<(String, u32)>, String> {
    let reply = daemon.api().try_request("GET", "/v1/log", &[("accept", "application/x-ndjson")], b"");
    let log = reply.map_err(|error| format!("GET /v1/log: {error}"))?.text();
    let mut delivered: HashSet<String> = HashSet::new();
    let mut logged = HashSet::new();
    let mut last = String::new();
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).map_err(|error| format!("the log: {error}: {line}"))?;
        let id = text(&entry, "id");
        ensure(last.is_empty() || id < last.as_str(), || format!("the log's ids do not descend: {entry}"))?;
        id.clone_into(&mut last);
        let delivery = text(&entry, "delivery").to_owned();
        let attempt = entry["attempt"].as_u64().and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(0);
        let response = entry["response"].as_u64().and_then(|status| u16::try_from(status).ok());
        if entry["status"] == "delivered" {
            ensure(response == Some(200), || format!("delivered without a 200: {entry}"))?;
            ensure(delivered.insert(delivery.clone()), || {
                format!("delivered twice by the log's own account: {entry}")
            })?;
        }
        let seen = response.is_none() || came.contains(&(delivery.as_str(), attempt, response));
        ensure(seen, || format!("the log has an attempt that no receiver saw: {entry}"))?;
        logged.insert((delivery, attempt));
    }
    Ok(logged)
}
