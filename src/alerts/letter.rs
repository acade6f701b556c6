//! An alert as a mail, and the frame that all mails have: plain text, and the same as simple HTML.
//!
//! Untrusted text (URLs, a receiver's words) is escaped in HTML, and has no line breaks in a subject.

use super::payload;
use super::rules::AlertContent;
use crate::core::id::AlertId;
use crate::core::mail_address::MailAddress;
use crate::mail::Letter;

/// The mail of an alert.
pub(super) fn of_alert(id: AlertId, content: &AlertContent, to: &[MailAddress]) -> Letter {
    let (message, data) = payload::contents(content);
    let mut paragraphs = vec![Paragraph::Text(capitalised(&message) + ".")];
    if let Ok(text) = serde_json::to_string_pretty(&data) {
        paragraphs.push(Paragraph::Code(text));
    }
    paragraphs.push(Paragraph::Faint(format!("{} at {}, alert {id}", content.kind(), id.timestamp())));
    letter(to, &id.to_string(), &format!("[Hookswitch] {message}"), &paragraphs)
}

/// A part of a mail.
pub(super) enum Paragraph {
    /// A paragraph.
    Text(String),
    /// A heading with lines below it.
    List(String, Vec<String>),
    /// Text in which blanks count.
    Code(String),
    /// A link with its text.
    Link(String, String),
    /// Less important.
    Faint(String),
}

/// A mail of these parts.
pub(super) fn letter(to: &[MailAddress], id: &str, subject: &str, paragraphs: &[Paragraph]) -> Letter {
    let (mut text, mut html) = (String::new(), String::new());
    for paragraph in paragraphs {
        let (plain, marked) = match paragraph {
            Paragraph::Text(words) => (format!("{words}\n\n"), format!("<p>{}</p>\n", escaped(words))),
            Paragraph::Code(words) => (format!("{words}\n\n"), format!("<pre>{}</pre>\n", escaped(words))),
            Paragraph::Faint(words) => {
                (format!("-- \n{words}\n"), format!("<p><small>{}</small></p>\n", escaped(words)))
            }
            Paragraph::Link(url, words) => {
                let link = format!("<p><a href=\"{}\">{}</a></p>\n", escaped(url), escaped(words));
                (format!("{words}: {url}\n\n"), link)
            }
            Paragraph::List(heading, items) => {
                let lines: String = items.iter().map(|item| format!("  - {item}\n")).collect();
                let listed: String = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
                (format!("{heading}\n{lines}\n"), format!("<p>{}</p>\n<ul>{listed}</ul>\n", escaped(heading)))
            }
        };
        text.push_str(&plain);
        html.push_str(&marked);
    }
    let html = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n{html}</body></html>\n",
        escaped(subject)
    );
    Letter { to: to.to_vec(), subject: subject.to_owned(), text, html, id: id.to_owned() }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_a_mail_of_text_and_html_without_markup_of_others() {
        let to = [MailAddress::parse("ops@acme.example").unwrap()];
        let content = AlertContent::Trouble("a<script>b".to_owned(), 1, false);
        let letter = of_alert(AlertId::from_bits(7), &content, &to);
        assert_eq!(letter.subject, "[Hookswitch] a<script>b");
        assert!(letter.text.starts_with("A<script>b.\n") && letter.text.contains("store.trouble"), "{}", letter.text);
        assert!(letter.html.contains("A&lt;script&gt;b.") && !letter.html.contains("<script>"), "{}", letter.html);
    }
}
