//! The mails to owners, in the language of their case: which texts they consist of.

use super::case::{Answer, Case, LastAttempt};
use super::rules::News;
use crate::alerts::letter::{Paragraph, letter};
use crate::core::audit::shown_url;
use crate::mail::Letter;
use crate::texts::{Argument, Language, Texts};

/// The mail that tells `news` of a webhook.
pub(super) fn of(news: News, case: &Case, id: &str) -> Letter {
    let texts = Texts::of(case.language);
    let url = shown_url(&case.url);
    let (subject, about) = match news {
        News::Failing => ("mail-subject-failing", "mail-about-failing"),
        News::Recovered => ("mail-subject-recovered", "mail-about-recovered"),
        News::Disabled => ("mail-subject-disabled", "mail-about-disabled"),
    };
    let subject = texts.text_with(subject, &[("url", url.as_str().into())]);
    let about = texts.text_with(about, &[("url", url.as_str().into()), ("company", case.company.as_str().into())]);
    let mut parts = vec![Paragraph::Text(about), Paragraph::List(texts.text("mail-facts"), facts(news, case, texts))];
    if let Some(last) = case.last.as_ref().filter(|_| news != News::Recovered) {
        let time = texts.language().time(&last.at.to_string());
        let heading = texts.text_with("mail-last", &[("time", time.into())]);
        parts.push(Paragraph::List(heading, vec![answer(&last.answer, texts)]));
        if let Some(advice) = advice(last, texts) {
            parts.push(Paragraph::Text(texts.text_with("mail-advice", &[("advice", advice.as_str().into())])));
        }
    }
    if news == News::Disabled {
        parts.push(Paragraph::Text(texts.text("mail-resume")));
    }
    if let Some(page) = &case.page {
        parts.push(Paragraph::Link(format!("{page}/logs?subscription={}", case.id), texts.text("mail-log")));
    }
    let footer = if news == News::Failing { "mail-footer-daily" } else { "mail-footer" };
    parts.push(Paragraph::Faint(texts.text_with(footer, &[("id", case.id.to_string().into())])));
    letter(&case.to, id, &subject, &parts)
}

fn facts(news: News, case: &Case, texts: &Texts) -> Vec<String> {
    let fact = |key: &str, name: &str, value: Argument<'_>| texts.text_with(key, &[(name, value)]);
    let mut facts = Vec::new();
    facts.extend((!case.description.is_empty()).then(|| fact("mail-name", "name", case.description.as_str().into())));
    facts.extend(case.reason.map(|reason| fact("mail-reason", "reason", texts.word("disabled", reason).into())));
    let since = case.since.filter(|_| news != News::Recovered).map(|since| texts.language().time(&since.to_string()));
    facts.extend(since.map(|since| fact("mail-since", "time", since.into())));
    facts.extend((case.failures > 0).then(|| fact("mail-failures", "count", case.failures.into())));
    facts.push(fact("mail-waiting", "count", case.waiting.into()));
    facts
}

/// What to do: in English what the log says, which may name a port or a time; in other languages the text of the kind of
/// failure.
fn advice(last: &LastAttempt, texts: &Texts) -> Option<String> {
    if texts.language() == Language::English {
        return last.advice.clone();
    }
    let outcome = match &last.answer {
        Answer::Status(status) => {
            let class = texts.word_or("outcome", &format!("{}xx", status / 100), "");
            texts.word_or("outcome", &status.to_string(), &class)
        }
        Answer::Fault(fault, _) => texts.word_or("outcome", fault, ""),
        Answer::None => String::new(),
    };
    Some(outcome).filter(|outcome| !outcome.is_empty())
}

fn answer(answer: &Answer, texts: &Texts) -> String {
    match answer {
        Answer::Status(status) => texts.text_with("mail-answer-status", &[("status", status.to_string().into())]),
        // Details are in English, and the advice says the same.
        Answer::Fault(fault, detail) if detail.is_empty() || texts.language() != Language::English => {
            texts.word("error", fault)
        }
        Answer::Fault(fault, detail) => {
            let arguments = [("error", texts.word("error", fault).into()), ("detail", detail.as_str().into())];
            texts.text_with("mail-answer-error", &arguments)
        }
        Answer::None => texts.text("mail-answer-none"),
    }
}
