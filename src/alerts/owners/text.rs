//! The mails to owners: all their words, and nothing else, so that other languages can be put beside them.

use super::case::Case;
use super::rules::News;
use crate::alerts::letter::{Paragraph, letter};
use crate::core::audit::shown_url;
use crate::mail::Letter;

/// The mail that tells `news` of a webhook.
pub(super) fn of(news: News, case: &Case, id: &str) -> Letter {
    let url = shown_url(&case.url);
    let subject = match news {
        News::Failing => format!("Your webhook fails: {url}"),
        News::Recovered => format!("Your webhook works again: {url}"),
        News::Disabled => format!("Your webhook was switched off: {url}"),
    };
    let mut parts = vec![Paragraph::Text(match news {
        News::Failing => format!(
            "Deliveries to the webhook {url} of {} do not arrive. They wait and are tried again, and nothing is lost yet.",
            case.company
        ),
        News::Recovered => format!(
            "Deliveries to the webhook {url} of {} arrive again. What has waited is being delivered now.",
            case.company
        ),
        News::Disabled => format!(
            "The webhook {url} of {} was switched off. Its deliveries wait until somebody switches it on again.",
            case.company
        ),
    })];
    let mut facts = Vec::new();
    facts.extend((!case.description.is_empty()).then(|| format!("Name: {}", case.description)));
    facts.extend(case.reason.map(|reason| format!("Reason: {reason}")));
    facts.extend(case.since.map(|since| format!("Failing since: {since}")).filter(|_| news != News::Recovered));
    facts.extend((case.failures > 0).then(|| format!("Attempts that failed: {}", case.failures)));
    facts.push(format!("Deliveries that wait: {}", case.waiting));
    parts.push(Paragraph::List("What is known:".to_owned(), facts));
    if let Some(last) = case.last.as_ref().filter(|_| news != News::Recovered) {
        parts.push(Paragraph::List(format!("What came back last, at {}:", last.at), vec![last.answer.clone()]));
        if let Some(advice) = &last.advice {
            parts.push(Paragraph::Text(format!("What to do: {advice}")));
        }
    }
    if news == News::Disabled {
        parts.push(Paragraph::Text(
            "When the receiver works, press Test on the webhook's page, and then switch it on: everything that waits is \
             delivered in order."
                .to_owned(),
        ));
    }
    if let Some(page) = &case.page {
        parts.push(Paragraph::Link(format!("{page}/logs?subscription={}", case.id), "Its log".to_owned()));
    }
    let repeats = if news == News::Failing { ", and once a day while it stays so" } else { "" };
    parts.push(Paragraph::Faint(format!(
        "Hookswitch sends this to the addresses in `notify` of the webhook {} when something changes{repeats}.",
        case.id
    )));
    letter(&case.to, id, &subject, &parts)
}
