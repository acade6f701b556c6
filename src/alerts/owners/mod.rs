//! Mails to the owners of webhooks: when one fails, recovers or is disabled by the daemon.
//!
//! [`rules`] decides, [`text`] says which texts a mail has. One thread looks at the state at intervals, or at once when something may
//! have changed ([`OwnersSink::look`]), and sends one mail at a time: a mail server that hangs holds up nothing else. Only
//! the daemon that sends for a webhook tells of it. What was told is kept in the audit.

mod case;
pub mod rules;
mod text;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use crate::core::id::SubscriptionId;
use crate::core::time::Timestamp;
use crate::mail::Post;

pub use self::case::{Answer, Case, LastAttempt};
use self::rules::{Condition, News, Told, due};

/// Interval of looking at the state.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// The delay after a mail that could not be sent; it doubles with each further one.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
/// Maximum delay.
const AGAIN_MOST: Duration = Duration::from_secs(900);

/// A webhook with owners.
#[derive(Debug, Clone)]
pub struct Owned {
    /// Its id.
    pub id: SubscriptionId,
    /// How it is.
    pub condition: Condition,
}

/// Callbacks into other modules. All of them may block.
pub struct OwnersSource {
    /// Whether mails can be sent at all.
    pub can_mail: Box<dyn Fn() -> bool + Send>,
    /// The webhooks with owners that this daemon sends for.
    pub look: Box<dyn Fn() -> Vec<Owned> + Send>,
    /// What the owners of a webhook were told last, after a restart.
    pub told: Box<dyn Fn(SubscriptionId) -> Result<Option<Told>, String> + Send>,
    /// What a mail says; `None` if the webhook is gone, or another daemon's, meanwhile.
    pub case: Box<dyn Fn(SubscriptionId) -> Option<Case> + Send>,
    /// Sends a mail.
    pub mail: Post,
    /// Records that it was sent.
    pub record: Box<dyn Fn(SubscriptionId, News) + Send>,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp + Send>,
}

/// Tells the thread that something may have changed; cheap to clone.
#[derive(Clone)]
pub struct OwnersSink(SyncSender<Call>);

enum Call {
    Look,
    Stop,
}

impl OwnersSink {
    /// A sink, and what the thread receives.
    pub fn new() -> (Self, OwnersCalls) {
        let (sender, calls) = mpsc::sync_channel(1);
        (Self(sender), OwnersCalls(calls))
    }

    /// Something may have changed. Does not block.
    pub fn look(&self) {
        // If a call waits already, that is enough.
        let _ = self.0.try_send(Call::Look);
    }
}

/// What the thread receives.
pub struct OwnersCalls(Receiver<Call>);

/// The running thread.
pub struct Owners {
    sink: OwnersSink,
    ended: Receiver<()>,
}

impl Owners {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be created.
    pub fn start(sink: OwnersSink, calls: OwnersCalls, source: OwnersSource) -> std::io::Result<Self> {
        let (done, ended) = mpsc::channel();
        let mut teller = Teller { source, told: HashMap::new(), failed: HashMap::new() };
        std::thread::Builder::new().name("owners".to_owned()).spawn(move || {
            let worked = catch_unwind(AssertUnwindSafe(|| teller.run(&calls.0)));
            if worked.is_err() {
                tracing::error!("bug: the thread that tells owners panicked; they are told nothing more");
            }
            // The waiting thread may be gone.
            let _ = done.send(());
        })?;
        Ok(Self { sink, ended })
    }

    /// Ends the thread. Waits at most `limit` for a mail that is being sent.
    pub fn stop(self, limit: Duration) {
        let _ = self.sink.0.try_send(Call::Stop);
        drop(self.sink);
        let _ = self.ended.recv_timeout(limit);
    }
}

/// A mail that could not be sent.
struct Failed {
    next: Instant,
    failures: u32,
}

struct Teller {
    source: OwnersSource,
    told: HashMap<SubscriptionId, Option<Told>>,
    failed: HashMap<SubscriptionId, Failed>,
}

impl Teller {
    fn run(&mut self, calls: &Receiver<Call>) {
        loop {
            match calls.recv_timeout(LOOK_EVERY) {
                Ok(Call::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if (self.source.can_mail)() {
                self.tell_all();
            }
        }
    }

    fn tell_all(&mut self) {
        let all = (self.source.look)();
        // Of a webhook that another daemon sends for, that one knows what was told.
        self.told.retain(|id, _| all.iter().any(|one| one.id == *id));
        self.failed.retain(|id, _| all.iter().any(|one| one.id == *id));
        for Owned { id, condition } in all {
            if self.failed.get(&id).is_some_and(|failed| failed.next > Instant::now()) {
                continue;
            }
            let Some(told) = self.last_told(id) else { continue };
            if let Some(news) = due(condition, told, (self.source.clock)()) {
                self.tell(id, news);
            }
        }
    }

    /// What was told last; `None` if that cannot be read at present.
    fn last_told(&mut self, id: SubscriptionId) -> Option<Option<Told>> {
        if let Some(told) = self.told.get(&id) {
            return Some(*told);
        }
        match (self.source.told)(id) {
            Ok(told) => Some(*self.told.entry(id).or_insert(told)),
            Err(error) => {
                tracing::warn!("what the owners of {id} were told cannot be read, it is tried again: {error}");
                None
            }
        }
    }

    fn tell(&mut self, id: SubscriptionId, news: News) {
        let Some(case) = (self.source.case)(id) else { return };
        let now = (self.source.clock)();
        let letter = text::of(news, &case, &format!("{id}.{}.{}", news.as_str(), now.millis()));
        match (self.source.mail)(&letter) {
            Ok(()) => {
                tracing::info!("the owners of {id} were told by mail: {news}");
                self.failed.remove(&id);
                self.told.insert(id, Some(Told { news, at: now }));
                (self.source.record)(id, news);
            }
            Err(trouble) => {
                let failed = self.failed.entry(id).or_insert(Failed { next: Instant::now(), failures: 0 });
                let pause = AGAIN_FIRST.saturating_mul(1 << failed.failures.min(16)).min(AGAIN_MOST);
                failed.failures += 1;
                failed.next = Instant::now() + pause;
                let seconds = pause.as_secs();
                tracing::warn!("the owners of {id} could not be told, next try in {seconds} s: {trouble}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mail_address::MailAddress;
    use crate::texts::Language;

    #[test]
    fn a_mail_says_what_came_back_and_what_to_do_and_hides_the_query() {
        let mut case = Case {
            id: SubscriptionId::from_bits(7),
            language: Language::English,
            to: vec![MailAddress::parse("it@acme.example").unwrap()],
            company: "acme".to_owned(),
            url: "https://hooks.acme.example/in?key=hunter2".to_owned(),
            description: "billing <b>".to_owned(),
            reason: None,
            since: Some(Timestamp::from_millis(1_790_000_000_000)),
            failures: 9,
            waiting: 12,
            last: Some(LastAttempt {
                at: Timestamp::from_millis(1_790_000_000_000),
                answer: Answer::Status(404),
                advice: Some("check that the URL is correct".to_owned()),
            }),
            page: Some("https://hooks.platform.example".to_owned()),
        };
        for news in News::ALL {
            let letter = text::of(*news, &case, "x");
            for form in [&letter.text, &letter.html, &letter.subject] {
                assert!(!form.contains("hunter2"), "{form}");
            }
            let link = format!("https://hooks.platform.example/logs?subscription={}", case.id);
            assert!(letter.text.contains(&link) && letter.html.contains(&link), "{}", letter.text);
            let says = letter.text.contains("404") && letter.text.contains("check that the URL is correct");
            assert_eq!(says, *news != News::Recovered, "{}", letter.text);
            assert!(letter.html.contains("billing &lt;b&gt;"), "{}", letter.html);
        }
        case.language = Language::German;
        case.reason = Some("every attempt failed for too long");
        let letter = text::of(News::Disabled, &case, "x");
        assert!(
            letter.subject.starts_with("Ihr Webhook wurde deaktiviert: https://hooks.acme.example/in"),
            "{letter:?}"
        );
        for part in [
            "Statuscode 404",
            "zu lange sind alle Versuche fehlgeschlagen",
            "Fehlgeschlagene Versuche: 9",
            "21.09.2026",
            "Prüfen Sie, ob die URL richtig ist",
        ] {
            assert!(letter.text.contains(part), "{part}: {}", letter.text);
        }
        assert!(!letter.text.contains("check that"), "{}", letter.text);
        case.language = Language::Spanish;
        let letter = text::of(News::Failing, &case, "x");
        assert!(letter.text.contains("vuelven") || letter.text.contains("no llegan"), "{}", letter.text);
    }
}
