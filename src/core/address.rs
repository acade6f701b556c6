//! Which addresses may be called, as a decision with its reason.
//!
//! Knows addresses and the text of URLs, not names: whoever resolves a name asks about every
//! address that came of it. What no rule of the configuration speaks of is decided by the table of
//! special ranges (IANA's special-purpose registries, RFC 6890, and the clouds' metadata addresses).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// The most bytes of a URL that may be called.
pub const URL_MOST: usize = 2048;

/// `[network]`'s rules.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    https_only: bool,
}

/// The refusal; Display is THE one sentence, and it names the configuration line that would allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The address that was asked about.
    address: IpAddr,
    /// The address it stands for, where that is the one at fault.
    inner: Option<IpAddr>,
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// An entry of `deny`.
    Listed(IpNet),
    /// A special range, and what is said of an address in it.
    Special(IpNet, &'static str),
}

impl AddressPolicy {
    /// The rules; each list in any order.
    pub const fn new(allow: Vec<IpNet>, deny: Vec<IpNet>, https_only: bool) -> Self {
        Self { allow, deny, https_only }
    }

    /// Decides on `address`: `deny` first, then `allow`, then the special ranges, which are denied;
    /// everything else may be called. An IPv6 address that stands for an IPv4 address (mapped,
    /// translated, 6to4) is judged by that one too, so that no spelling is a way around.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, address: IpAddr) -> Result<(), Denied> {
        let denied = |inner, reason| Err(Denied { address, inner, reason });
        let inner = embedded(address);
        for judged in std::iter::once(address).chain(inner) {
            if let Some(entry) = self.deny.iter().find(|entry| entry.contains(&judged)) {
                return denied((judged != address).then_some(judged), Reason::Listed(*entry));
            }
        }
        // A mapped address is its IPv4 address and nothing more: that one is judged alone.
        if !is_mapped(address)
            && let Some((range, kind)) = self.special(address)
        {
            return denied(None, Reason::Special(range, kind));
        }
        if let Some(inner) = inner
            && let Some((range, kind)) = self.special(inner)
        {
            return denied(Some(inner), Reason::Special(range, kind));
        }
        Ok(())
    }

    /// Reads a URL that may be called: what [`read_url`] lets through, https only if so configured,
    /// and if its host is an IP literal, an allowed one. The host of another URL is to be resolved and
    /// each of its addresses asked about.
    ///
    /// # Errors
    /// A sentence on what is wrong and what would be right.
    pub fn check_url(&self, text: &str) -> Result<Url, String> {
        let url = read_url(text)?;
        if self.https_only && url.scheme() != "https" {
            return Err("must begin with https://, because `https_only` is set in [network]".to_owned());
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        literal.map_or(Ok(()), |address| self.check(address)).map_err(|denied| denied.to_string())?;
        Ok(url)
    }

    /// The special range that `address` is in, unless `allow` has the address.
    fn special(&self, address: IpAddr) -> Option<(IpNet, &'static str)> {
        if self.allow.iter().any(|entry| entry.contains(&address)) {
            return None;
        }
        match address {
            IpAddr::V4(address) => {
                let found = SPECIAL_V4.iter().map(|(net, length, kind)| (v4(*net, *length), *kind));
                found.into_iter().find(|(net, _)| net.contains(&address)).map(|(net, kind)| (net.into(), kind))
            }
            IpAddr::V6(address) => {
                let found = SPECIAL_V6.iter().map(|(net, length, kind)| (v6(*net, *length), *kind));
                found.into_iter().find(|(net, _)| net.contains(&address)).map(|(net, kind)| (net.into(), kind))
            }
        }
    }
}

/// Reads a URL as the WHATWG URL standard does, the one reading that is stored, checked and called:
/// absolute, http or https, with a host, without userinfo and fragment, at most [`URL_MOST`] bytes.
///
/// # Errors
/// A sentence on what is wrong and what would be right.
pub fn read_url(text: &str) -> Result<Url, String> {
    const WANTED: &str = "must be an absolute http or https URL such as https://www.example.com/hook";
    if text.len() > URL_MOST {
        return Err(format!("must have at most {URL_MOST} bytes, not {}", text.len()));
    }
    // The standard drops or trims these without a word; a URL that has them was not meant so.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("{WANTED}, without blanks and control characters"));
    }
    let url = Url::parse(text).map_err(|error| format!("{WANTED} ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(WANTED.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not have a user name or password: use a header of its own, `Authorization`".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment (`#…`), which is never sent".to_owned());
    }
    if url.port() == Some(0) {
        return Err("must not have port 0, on which nothing can listen".to_owned());
    }
    if url.as_str().len() > URL_MOST {
        return Err(format!("must have at most {URL_MOST} bytes when escaped, not {}", url.as_str().len()));
    }
    Ok(url)
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address {}", self.address)?;
        if let Some(inner) = self.inner {
            write!(f, " stands for {inner}, which")?;
        }
        match &self.reason {
            Reason::Listed(entry) => {
                write!(f, " is denied: remove \"{entry}\" from `deny` in [network] if receivers may be there")
            }
            Reason::Special(range, kind) => write!(
                f,
                " is {kind}, which is not allowed: add \"{range}\" to `allow` in [network] (or start with --allow \
                 {range}) if receivers may be there"
            ),
        }
    }
}

impl std::error::Error for Denied {}

/// Special ranges with what is said of an address in them; the first that fits counts.
const SPECIAL_V4: [([u8; 4], u8, &str); 18] = [
    ([127, 0, 0, 0], 8, "loopback"),
    ([10, 0, 0, 0], 8, "private"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 168, 0, 0], 16, "private"),
    ([169, 254, 169, 254], 32, "a cloud's metadata service"),
    ([168, 63, 129, 16], 32, "a cloud's metadata service"), // Azure; a public address on no public network
    ([169, 254, 0, 0], 16, "link-local"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([0, 0, 0, 0], 8, "unspecified"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([198, 18, 0, 0], 15, "for benchmarking"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// The same for IPv6. The last three are all that is not global unicast.
const SPECIAL_V6: [([u16; 8], u8, &str); 21] = [
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0; 8], 128, "unspecified"),
    ([0; 8], 96, "IPv4-compatible"),
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "NAT64"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    ([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "for benchmarking"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved for protocols"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "a cloud's metadata service"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private (unique local)"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    ([0; 8], 3, "reserved"),
    ([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, "reserved"),
    ([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, "reserved"),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// The IPv4 address that an IPv6 address stands for: IPv4-mapped and -compatible (RFC 4291 section
/// 2.5.5), translated (RFC 7915), NAT64 (RFC 6052, RFC 8215 with a /96) and 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let last = |[.., high, low]: [u16; 8]| (high, low);
    let (high, low) = match address.segments() {
        // :: and ::1 are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        words @ ([0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]) => last(words),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> AddressPolicy {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AddressPolicy::new(nets(allow), nets(deny), false)
    }

    fn sentence(policy: &AddressPolicy, address: &str) -> String {
        policy.check(address.parse().unwrap()).map_or_else(|denied| denied.to_string(), |()| "allowed".to_owned())
    }

    /// Address, what it is called, the entry of `allow` that is asked for.
    const SPECIAL: [(&str, &str, &str); 45] = [
        ("127.0.0.1", "loopback", "127.0.0.0/8"),
        ("127.255.255.255", "loopback", "127.0.0.0/8"),
        ("10.0.0.1", "private", "10.0.0.0/8"),
        ("172.16.0.1", "private", "172.16.0.0/12"),
        ("172.31.255.255", "private", "172.16.0.0/12"),
        ("192.168.1.1", "private", "192.168.0.0/16"),
        ("169.254.169.254", "metadata", "169.254.169.254/32"),
        ("169.254.0.1", "link-local", "169.254.0.0/16"),
        ("168.63.129.16", "metadata", "168.63.129.16/32"),
        ("100.64.0.1", "carrier-grade NAT", "100.64.0.0/10"),
        ("100.100.100.200", "carrier-grade NAT", "100.64.0.0/10"),
        ("0.0.0.0", "unspecified", "0.0.0.0/8"),
        ("0.1.2.3", "unspecified", "0.0.0.0/8"),
        ("224.0.0.1", "multicast", "224.0.0.0/4"),
        ("255.255.255.255", "broadcast", "255.255.255.255/32"),
        ("240.0.0.1", "reserved", "240.0.0.0/4"),
        ("192.0.2.1", "documentation", "192.0.2.0/24"),
        ("198.51.100.1", "documentation", "198.51.100.0/24"),
        ("203.0.113.1", "documentation", "203.0.113.0/24"),
        ("198.19.255.255", "benchmarking", "198.18.0.0/15"),
        ("192.0.0.192", "protocols", "192.0.0.0/24"),
        ("192.88.99.1", "6to4", "192.88.99.0/24"),
        ("::1", "loopback", "::1/128"),
        ("::", "unspecified", "::/128"),
        ("::127.0.0.1", "IPv4-compatible", "::/96"),
        ("::ffff:127.0.0.1", "loopback", "127.0.0.0/8"),
        ("::ffff:10.1.2.3", "private", "10.0.0.0/8"),
        ("::ffff:0:8.8.8.8", "IPv4-translated", "::ffff:0:0:0/96"),
        ("64:ff9b::127.0.0.1", "NAT64", "64:ff9b::/96"),
        ("64:ff9b:1::8.8.8.8", "NAT64", "64:ff9b:1::/48"),
        ("100::1", "discard", "100::/64"),
        ("2001::1", "Teredo", "2001::/32"),
        ("2001:2::1", "benchmarking", "2001:2::/48"),
        ("2001:20::1", "protocols", "2001::/23"),
        ("2001:db8::1", "documentation", "2001:db8::/32"),
        ("3fff::1", "documentation", "3fff::/20"),
        ("2002:7f00:1::", "6to4", "2002::/16"),
        ("fd00:ec2::254", "metadata", "fd00:ec2::254/128"),
        ("fd12::1", "private", "fc00::/7"),
        ("fe80::1", "link-local", "fe80::/10"),
        ("fec0::1", "site-local", "fec0::/10"),
        ("ff02::1", "multicast", "ff00::/8"),
        ("400::1", "reserved", "::/3"),
        ("5f00::1", "reserved", "4000::/2"),
        ("a000::1", "reserved", "8000::/1"),
    ];

    #[test]
    fn special_addresses_are_denied_until_the_line_named_is_added() {
        for (address, kind, line) in SPECIAL {
            let refused = sentence(&policy(&[], &[]), address);
            assert!(refused.contains(kind), "{address}: {refused}");
            assert!(refused.contains(&format!("add \"{line}\" to `allow` in [network]")), "{address}: {refused}");
            assert!(refused.contains(&format!("--allow {line})")), "{address}: {refused}");
            let now = sentence(&policy(&[line], &[]), address);
            assert!(now == "allowed" || now.contains(" stands for "), "{address}: {now}");
        }
    }

    #[test]
    fn the_neighbours_of_special_ranges_are_allowed() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2003::1",
            "3ffe::1",
        ] {
            assert_eq!(sentence(&policy(&[], &[]), address), "allowed", "{address}");
        }
    }

    #[test]
    fn the_sentence_is_the_documented_one() {
        assert_eq!(
            sentence(&policy(&[], &[]), "127.0.0.1"),
            "the address 127.0.0.1 is loopback, which is not allowed: add \"127.0.0.0/8\" to `allow` in [network] (or \
             start with --allow 127.0.0.0/8) if receivers may be there"
        );
        assert_eq!(
            sentence(&policy(&[], &["8.0.0.0/8"]), "8.8.8.8"),
            "the address 8.8.8.8 is denied: remove \"8.0.0.0/8\" from `deny` in [network] if receivers may be there"
        );
        let mapped = sentence(&policy(&[], &[]), "::ffff:127.0.0.1");
        assert!(mapped.starts_with("the address ::ffff:127.0.0.1 stands for 127.0.0.1, which is loopback"), "{mapped}");
    }

    #[test]
    fn deny_beats_allow_and_allow_beats_the_table() {
        let rules = policy(&["10.0.0.0/8", "64:ff9b::/96", "2002::/16"], &["10.9.0.0/16", "8.8.8.8/32"]);
        let cases = [
            ("10.1.1.1", "allowed"),
            ("10.9.1.1", "10.9.0.0/16"),
            ("::ffff:10.1.1.1", "allowed"),
            ("::ffff:10.9.1.1", "10.9.0.0/16"),
            ("::ffff:8.8.8.8", "8.8.8.8/32"),
            ("64:ff9b::8.8.8.8", "8.8.8.8/32"),
            ("64:ff9b::8.8.4.4", "allowed"),
            ("64:ff9b::127.0.0.1", "stands for 127.0.0.1, which is loopback"),
            ("2002:7f00:1::", "stands for 127.0.0.1, which is loopback"),
            ("2002:808:404::", "allowed"),
            ("192.168.0.1", "192.168.0.0/16"),
        ];
        for (address, wanted) in cases {
            let seen = sentence(&rules, address);
            assert!(seen.contains(wanted), "{address}: {seen}");
        }
    }

    #[test]
    fn urls_are_read_one_way() {
        let open = policy(&[], &[]);
        let good = [
            ("https://Acme.Example:443/a b%20c".replace(' ', "%20"), "https://acme.example/a%20b%20c"),
            ("http://acme.example".to_owned(), "http://acme.example/"),
            ("http://8.8.8.8:8080/x?y=z".to_owned(), "http://8.8.8.8:8080/x?y=z"),
            ("https://bücher.example/".to_owned(), "https://xn--bcher-kva.example/"),
        ];
        for (text, wanted) in good {
            assert_eq!(open.check_url(&text).map(String::from), Ok(wanted.to_owned()));
        }
        for spelling in [
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http:\\\\127.0.0.1\\",
            "http://%31%32%37.0.0.1/",
            "http://①27.0.0.1/",
            "http:/127.0.0.1",
        ] {
            assert!(open.check_url(spelling).unwrap_err().contains("127.0.0.0/8"), "{spelling}");
        }
        assert!(open.check_url("http://[::ffff:7f00:1]/").unwrap_err().contains("127.0.0.0/8"));
    }

    #[test]
    fn urls_that_cannot_be_called_are_refused() {
        let open = policy(&[], &[]);
        let long = format!("https://acme.example/{}", "a".repeat(URL_MOST));
        let escaped = format!("https://acme.example/{}", "ä".repeat(500));
        let cases = [
            ("", "absolute"),
            ("acme.example/hook", "absolute"),
            ("/hook", "absolute"),
            ("ftp://acme.example/", "http or https"),
            ("data:text/plain,x", "http or https"),
            ("http://", "absolute"),
            ("https://user@acme.example/", "user name"),
            ("https://user:pass@acme.example/", "user name"),
            ("https://:pass@acme.example/", "user name"),
            ("https://acme.example/#top", "fragment"),
            ("https://acme.example:0/", "port 0"),
            ("https://acme.example/\n", "blanks"),
            (" https://acme.example/", "blanks"),
            ("https://acme.example:99999/", "port"),
            ("http://[::1].example.com/", "absolute"),
            (long.as_str(), "2048"),
            (escaped.as_str(), "escaped"),
        ];
        for (text, words) in cases {
            let refused = open.check_url(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
            assert!(!refused.contains("pass@"), "{refused}");
        }
        let strict = AddressPolicy::new(Vec::new(), Vec::new(), true);
        assert!(strict.check_url("http://acme.example/").unwrap_err().contains("https_only"));
        assert!(strict.check_url("https://acme.example/").is_ok());
    }
}
