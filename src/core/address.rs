//! Which addresses may be called, and why not.
//!
//! Knows addresses and URL text, not names: whoever resolves a name checks every resulting address. Addresses not
//! covered by a configured rule are decided by the table of special ranges (IANA's special-purpose registries, RFC
//! 6890, and cloud metadata addresses).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Maximum bytes of a URL.
pub const URL_MOST: usize = 2048;

/// The rules of `[network]`.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    https_only: bool,
}

/// A refusal; its Display is the one sentence used everywhere, and names the configuration line that would allow the
/// address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The address checked.
    address: IpAddr,
    /// The embedded address, if that is the one refused.
    inner: Option<IpAddr>,
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// An entry of `deny`.
    Listed(IpNet),
    /// A special range, and its description.
    Special(IpNet, &'static str),
}

impl AddressPolicy {
    /// The rules; the order within each list does not matter. An entry of IPv4-mapped addresses means the IPv4
    /// addresses.
    pub fn new(allow: Vec<IpNet>, deny: Vec<IpNet>, https_only: bool) -> Self {
        let plain = |list: Vec<IpNet>| list.into_iter().map(unmapped).collect();
        Self { allow: plain(allow), deny: plain(deny), https_only }
    }

    /// Decides on `address`: `deny` first, then `allow`, then the special ranges, which are denied; everything else
    /// may be called. An IPv6 address that embeds an IPv4 address (mapped, translated, 6to4) must pass for that one
    /// too, so that no notation bypasses the rules.
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
        // A mapped address is nothing but its IPv4 address, which alone is checked.
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

    /// Parses a URL that may be called: as [`read_url`], https only if so configured, and if its host is an IP
    /// literal, an allowed one. Other hosts must be resolved and every address checked.
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

    /// The special range of `address`, unless `allow` contains the address.
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

/// Parses a URL by the WHATWG URL standard, for storing, checking and calling alike: absolute, http or https, with a
/// host, without userinfo and fragment, at most [`URL_MOST`] bytes.
///
/// # Errors
/// A sentence on what is wrong and what would be right.
pub fn read_url(text: &str) -> Result<Url, String> {
    const WANTED: &str = "must be an absolute http or https URL such as https://www.example.com/hook";
    if text.len() > URL_MOST {
        return Err(format!("must have at most {URL_MOST} bytes, not {}", text.len()));
    }
    // The standard drops or trims these silently; they are surely a mistake.
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

/// Special ranges and their descriptions; the first match counts.
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

/// The same for IPv6. The last three cover everything that is not global unicast.
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

/// `net` as IPv4, if it is IPv4-mapped: a denied range must be denied in both notations.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let (address, length) = (mapped.network().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96));
    let plain = address.zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    plain.map_or(net, IpNet::V4)
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// The IPv4 address embedded in an IPv6 address: IPv4-mapped and -compatible (RFC 4291 section 2.5.5), translated
/// (RFC 7915), NAT64 (RFC 6052, RFC 8215 with a /96) and 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let last = |[.., high, low]: [u16; 8]| (high, low);
    let (high, low) = match address.segments() {
        // :: and ::1 embed nothing.
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
mod tests;
