//! The forward proxy through which receivers are called: `[network] proxy`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::hidden::Hidden;

/// The proxy's address and credentials. Displays host and port only.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its host: a name, or an address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<Hidden>,
}

impl Proxy {
    /// Parses `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`, the last two percent-encoded.
    ///
    /// # Errors
    /// A sentence on what would be valid; never the password.
    pub fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "must be the http URL of a proxy such as \"http://proxy.example:3128\" or \
                              \"http://USER:PASSWORD@proxy.example:3128\"";
        let url = Url::parse(text).map_err(|_| WANTED)?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || !bare || url.port() == Some(0) {
            return Err(WANTED.to_owned());
        }
        let host = match url.host().ok_or(WANTED)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let entered = !url.username().is_empty() || url.password().is_some();
        let authorization = entered.then(|| {
            let pair = [plain(url.username()), b":".to_vec(), plain(url.password().unwrap_or_default())].concat();
            Hidden::new(format!("Basic {}", STANDARD.encode(pair)))
        });
        Ok(Self { host, port: url.port_or_known_default().unwrap_or(80), authorization })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_their_passwords_never_shown() {
        let cases = [
            ("http://proxy.example:3128", "proxy.example:3128", None),
            ("http://proxy.example/", "proxy.example:80", None),
            ("http://[::1]:8080", "[::1]:8080", None),
            ("http://alice:s%40cret%3A+@10.0.0.1:3128", "10.0.0.1:3128", Some("alice:s@cret:+")),
            ("http://alice@10.0.0.1:3128", "10.0.0.1:3128", Some("alice:")),
        ];
        for (text, shown, pair) in cases {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(format!("{proxy} {proxy:?}"), format!("{shown} {shown}"));
            let wanted = pair.map(|pair| Hidden::new(format!("Basic {}", STANDARD.encode(pair))));
            assert_eq!(proxy.authorization, wanted);
        }
        for wrong in [
            "",
            "proxy.example:3128",
            "https://hunter2@p.example",
            "socks5://p.example",
            "http://p.example/hunter2",
            "http://p:0",
        ] {
            assert!(!Proxy::parse(wrong).unwrap_err().contains("hunter2"), "{wrong}");
        }
    }
}
