//! Sending mails; the only module that knows lettre.
//!
//! Blocking, one connection for each mail, with a timeout for every step: a server that hangs or refuses holds up the
//! thread that sends, and nothing else. Must not know what mails are about. The password appears in no message.

use std::error::Error as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};

use crate::core::mail_address::MailAddress;
use crate::core::smtp::{MailSecurity, MailServer};

/// Time limit of each step: connecting, and each answer.
const STEP: Duration = Duration::from_secs(15);

/// A mail in two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Whom it is for.
    pub to: Vec<MailAddress>,
    /// The subject.
    pub subject: String,
    /// As plain text.
    pub text: String,
    /// As HTML.
    pub html: String,
    /// Tells it apart from others, also when it is sent again.
    pub id: String,
}

/// Sends a mail, or says why not; blocks.
pub type Post = Box<dyn Fn(&Letter) -> Result<(), String> + Send>;

/// A mail server with the sender's address.
pub struct Mailer {
    transport: SmtpTransport,
    server: String,
    from: MailAddress,
}

impl Mailer {
    /// A mailer that trusts the machine's root certificates and those in `extra` (PEM files). Connects to nothing.
    ///
    /// # Errors
    /// A sentence that names the file that cannot be used.
    pub fn new(server: &MailServer, from: &MailAddress, extra: &[PathBuf]) -> Result<Self, String> {
        let mut transport =
            SmtpTransport::builder_dangerous(server.host.as_str()).port(server.port).timeout(Some(STEP));
        if server.security != MailSecurity::None {
            let parameters = parameters(server, extra)?;
            let tls = if server.security == MailSecurity::Tls { Tls::Wrapper } else { Tls::Required };
            transport = transport.tls(tls(parameters));
        }
        if let Some((user, password)) = &server.credentials {
            transport = transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: transport.build(), server: server.to_string(), from: from.clone() })
    }

    /// Sends a mail; blocks until the server has taken it.
    ///
    /// # Errors
    /// A sentence with the key to look at.
    pub fn send(&self, letter: &Letter) -> Result<(), String> {
        let message = message(&self.from, letter)?;
        match self.transport.send(&message) {
            Ok(_) => Ok(()),
            Err(error) => {
                let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
                Err(format!("the mail server {}: {error}{cause}; {}", self.server, remedy(&error)))
            }
        }
    }
}

fn parameters(server: &MailServer, extra: &[PathBuf]) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(server.host.clone()).certificate_store(CertificateStore::Default);
    for path in extra {
        let unusable = |why: String| format!("{}: {why}", path.display());
        let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let certificates = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
        builder = builder.add_root_certificate(certificates);
    }
    builder.build_rustls().map_err(|error| format!("TLS towards the mail server {server} cannot be set up: {error}"))
}

/// What to look at after an error.
fn remedy(error: &lettre::transport::smtp::Error) -> &'static str {
    if error.is_tls() {
        "a certificate of your own authority is trusted by `extra_ca` in [network]"
    } else if error.is_permanent() {
        "check the user and password in `smtp_url`, `mail_from` and the recipients"
    } else if error.is_transient() {
        "the server asks to try again later"
    } else {
        "check host, port and scheme of `smtp_url` in [alerts]: smtps:// for TLS, smtp:// for STARTTLS"
    }
}

fn message(from: &MailAddress, letter: &Letter) -> Result<Message, String> {
    let mailbox = |address: &MailAddress| {
        let parsed = address.as_str().parse().map_err(|error| format!("the address {address}: {error}"));
        parsed.map(|address| Mailbox::new(None, address))
    };
    let domain = from.as_str().rsplit('@').next().unwrap_or_default();
    let one_line = |text: &str| text.replace(char::is_control, " ");
    let mut builder = Message::builder()
        .from(mailbox(from)?)
        .subject(one_line(&letter.subject))
        .message_id(Some(format!("<{}@{domain}>", letter.id)));
    for address in &letter.to {
        builder = builder.to(mailbox(address)?);
    }
    let body = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
    let mut message = builder.multipart(body).map_err(|error| format!("the mail cannot be written: {error}"))?;
    // RFC 3834: so that no absence notice is sent back.
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
    Ok(message)
}

/// The mailer in force, which a reload may exchange; none if no server is configured.
#[derive(Clone, Default)]
pub struct MailerHandle(Arc<Mutex<Option<Arc<Mailer>>>>);

impl MailerHandle {
    /// Exchanges the mailer.
    pub fn exchange(&self, mailer: Option<Mailer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mailer.map(Arc::new);
    }

    /// Whether mails can be sent.
    pub fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Sends a mail; blocks.
    ///
    /// # Errors
    /// As [`Mailer::send`], or no server is configured.
    pub fn send(&self, letter: &Letter) -> Result<(), String> {
        let mailer = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        mailer.ok_or_else(|| "`smtp_url` in [alerts] is not set".to_owned())?.send(letter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_both_forms_and_no_line_of_its_subject_becomes_a_header() {
        let address = |text: &str| MailAddress::parse(text).unwrap();
        let letter = Letter {
            to: vec![address("a@acme.example"), address("b@acme.example")],
            subject: "failing\r\nBcc: c@evil.example".to_owned(),
            text: "Grüße".to_owned(),
            html: "<p>Grüße</p>".to_owned(),
            id: "alr_1".to_owned(),
        };
        let written = message(&address("hooks@acme.example"), &letter).unwrap().formatted();
        let written = String::from_utf8(written).unwrap();
        let (head, body) = written.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\nBcc:") && head.contains("Message-ID: <alr_1@acme.example>"), "{head}");
        assert!(head.contains("To: a@acme.example, b@acme.example"), "{head}");
        assert!(head.contains("Auto-Submitted: auto-generated") && head.contains("Date: "), "{head}");
        assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
    }
}
