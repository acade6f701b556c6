//! What a mail to owners says of a webhook.

use crate::core::id::SubscriptionId;
use crate::core::mail_address::MailAddress;
use crate::core::time::Timestamp;
use crate::texts::Language;

/// What a mail says of a webhook.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id.
    pub id: SubscriptionId,
    /// The language of the mail.
    pub language: Language,
    /// Who is told.
    pub to: Vec<MailAddress>,
    /// The company.
    pub company: String,
    /// Its URL, as it was registered.
    pub url: String,
    /// Its description.
    pub description: String,
    /// Why it was disabled, if it was.
    pub reason: Option<&'static str>,
    /// Time of the first failure since the last success.
    pub since: Option<Timestamp>,
    /// Failures since then.
    pub failures: u32,
    /// Number of waiting deliveries.
    pub waiting: u64,
    /// The last attempt.
    pub last: Option<LastAttempt>,
    /// Where the page is, without a slash at the end.
    pub page: Option<String>,
}

/// The last attempt.
#[derive(Debug, Clone)]
pub struct LastAttempt {
    /// When.
    pub at: Timestamp,
    /// What came back.
    pub answer: Answer,
    /// What to do, in English, where that says more than the texts of all languages.
    pub advice: Option<String>,
}

/// What came back of an attempt.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A response with this status.
    Status(u16),
    /// None, for this reason, in the API's word, with details in English, which may be empty.
    Fault(&'static str, String),
    /// Nothing was sent.
    None,
}
