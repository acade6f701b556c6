//! What a mail to owners says of a webhook.

use crate::core::id::SubscriptionId;
use crate::core::mail_address::MailAddress;
use crate::core::time::Timestamp;

/// What a mail says of a webhook.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id.
    pub id: SubscriptionId,
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
    pub answer: String,
    /// What to do.
    pub advice: Option<String>,
}
