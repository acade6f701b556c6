//! The mail server: `[alerts] smtp_url`.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use super::hidden::Hidden;

/// How the connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the beginning (`smtps://`).
    Tls,
    /// TLS by STARTTLS, without which nothing is sent (`smtp://`).
    StartTls,
    /// None (`smtp://…?tls=none`): for a server on the same machine or network.
    None,
}

/// A mail server, and how to sign in. Displays without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    /// How the connection is secured.
    pub security: MailSecurity,
    /// Its host: a name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user name and the password.
    pub credentials: Option<(String, Hidden)>,
}

impl MailServer {
    /// Parses `smtps://[USER:PASSWORD@]HOST[:465]`, `smtp://[USER:PASSWORD@]HOST[:587]` or, without a password,
    /// `smtp://HOST[:25]?tls=none`. User name and password are percent-encoded.
    ///
    /// # Errors
    /// A sentence on what would be valid; never the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be the URL of a mail server: \"smtps://USER:PASSWORD@mail.example:465\" (TLS), \
                              \"smtp://USER:PASSWORD@mail.example:587\" (STARTTLS), or \"smtp://mail.example:25?tls=none\"";
        let url = Url::parse(text).map_err(|_| WANTED)?;
        let security = match (url.scheme(), url.query()) {
            ("smtps", None) => MailSecurity::Tls,
            ("smtp", None) => MailSecurity::StartTls,
            ("smtp", Some("tls=none")) => MailSecurity::None,
            _ => return Err(WANTED.to_owned()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(WANTED)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() || url.port() == Some(0) {
            return Err(WANTED.to_owned());
        }
        let plain = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned);
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() => {
                Some((plain(user).map_err(|_| WANTED)?, Hidden::new(plain(password).map_err(|_| WANTED)?)))
            }
            _ => return Err(format!("{WANTED}; with a user name goes a password")),
        };
        if security == MailSecurity::None && credentials.is_some() {
            return Err("must not send a password without TLS: leave out `?tls=none`, or the user name".to_owned());
        }
        let usual = match security {
            MailSecurity::Tls => 465,
            MailSecurity::StartTls => 587,
            MailSecurity::None => 25,
        };
        Ok(Self { security, host, port: url.port().unwrap_or(usual), credentials })
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_their_passwords_never_shown() {
        use MailSecurity::{None as Plain, StartTls, Tls};
        let cases = [
            ("smtps://u:p%40ss@mail.example", Tls, "mail.example:465", Some("p@ss")),
            ("smtp://u%40acme.example:p@mail.example:2525/", StartTls, "mail.example:2525", Some("p")),
            ("smtp://mail.example", StartTls, "mail.example:587", None),
            ("smtp://[::1]?tls=none", Plain, "[::1]:25", None),
        ];
        for (text, security, shown, password) in cases {
            let server = MailServer::parse(text).unwrap();
            assert_eq!((server.security, format!("{server} {server:?}")), (security, format!("{shown} {shown}")));
            assert_eq!(server.credentials.as_ref().map(|(_, password)| password.expose()), password);
        }
        for wrong in [
            "",
            "mail.example:25",
            "http://u:hunter2@mail.example",
            "smtp://u:hunter2@mail.example?tls=none",
            "smtp://hunter2@mail.example",
            "smtp://u:hunter2@mail.example/x",
            "smtps://u:hunter2@mail.example?tls=none",
            "smtps://mail.example:0",
        ] {
            let fault = MailServer::parse(wrong).unwrap_err();
            assert!(!fault.contains("hunter2"), "{wrong}: {fault}");
        }
    }
}
