//! The client's address: the peer's, or, behind a trusted proxy, the one named by the proxy.
//!
//! Invariant: only hops to the right of a trusted one are believed, so whatever a client claims about itself, it is
//! identified by the address that the outermost trusted proxy saw.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;

/// The de facto header: the addresses of the client and of each proxy but the last, in this order.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// `[http] trusted_proxies`.
#[derive(Debug, Default)]
pub(super) struct Proxies(Vec<IpNet>);

/// One node on a request's path; `None` if its address is hidden.
type Hop = Option<IpAddr>;

impl Proxies {
    pub(super) const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `address` is a trusted proxy.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        !self.0.is_empty() && self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The client named by the trusted proxy `peer`: the right-most untrusted hop. `None` if it names none: then the
    /// proxy is the client.
    ///
    /// A hidden address, or two contradictory headers, count as the proxy: one of the two headers may be the client's
    /// own.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let by = |name: &HeaderName, read: fn(&str) -> Vec<Hop>| {
            let text = joined(headers, name)?;
            Some(self.outermost(peer, &read(&text)))
        };
        match (by(&FORWARDED, forwarded), by(&X_FORWARDED_FOR, x_forwarded_for)) {
            (None, None) => None,
            (Some(client), None) | (None, Some(client)) => Some(client),
            (Some(one), Some(other)) => Some(if one == other { one } else { peer }),
        }
    }

    fn outermost(&self, peer: IpAddr, hops: &[Hop]) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            let Some(address) = hop else { break };
            client = *address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// The unit that counts as one client: an IPv4 address, or the /64 of an IPv6 address, of which one machine has 2^64.
pub(super) fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(long) => IpAddr::V6((u128::from(long) >> 64 << 64).into()),
        short @ IpAddr::V4(_) => short,
    }
}

/// All lines of a header as one list (RFC 9110 section 5.3); `None` if there is none.
fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    let first = lines.next()?;
    Some(lines.fold(Cow::Borrowed(first), |all, line| Cow::Owned(format!("{all},{line}"))))
}

fn x_forwarded_for(text: &str) -> Vec<Hop> {
    text.split(',').map(|hop| address(hop.trim())).collect()
}

/// The `for` of each element (RFC 7239 section 4). Malformed values yield nothing.
fn forwarded(text: &str) -> Vec<Hop> {
    let hop = |element: Vec<(String, String)>| {
        let node = element.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("for"));
        node.and_then(|(_, node)| address(&node))
    };
    elements(text).map_or_else(|| vec![None], |elements| elements.into_iter().map(hop).collect())
}

/// Elements separated by commas, of pairs separated by semicolons, both outside quotes.
fn elements(text: &str) -> Option<Vec<Vec<(String, String)>>> {
    let (mut elements, mut pairs, mut name) = (Vec::new(), Vec::new(), None);
    let mut word = String::new();
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            '"' => loop {
                match rest.next()? {
                    '"' => break,
                    '\\' => word.push(rest.next()?),
                    inside => word.push(inside),
                }
            },
            '=' if name.is_none() => name = Some(std::mem::take(&mut word)),
            ';' | ',' => {
                pairs.extend(name.take().map(|name| (name, std::mem::take(&mut word))));
                word.clear();
                if char == ',' {
                    elements.push(std::mem::take(&mut pairs));
                }
            }
            ' ' | '\t' => {}
            other => word.push(other),
        }
    }
    pairs.extend(name.map(|name| (name, word)));
    elements.push(pairs);
    Some(elements)
}

/// An address, with or without a port; IPv6 in brackets or bare.
fn address(text: &str) -> Hop {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().map(|socket| socket.ip());
    bare.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(given: &[(&'static str, &str)]) -> Option<String> {
        let networks = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, value.parse().unwrap());
        }
        Proxies::new(networks.to_vec())
            .client("127.0.0.1".parse().unwrap(), &headers)
            .map(|address| address.to_string())
    }

    #[test]
    fn the_right_most_hop_that_is_not_trusted_is_the_client() {
        let of = |text: &str| client(&[("x-forwarded-for", text)]).unwrap();
        for (text, wanted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7, 10.1.2.3", "192.0.2.7"),
            ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            // A hidden client counts as the trusted hop before it.
            ("192.0.2.7, unknown", "127.0.0.1"),
            ("unknown, 10.1.2.3", "10.1.2.3"),
            ("", "127.0.0.1"),
            ("192.0.2.7,", "127.0.0.1"),
            ("192.0.2.7, nonsense", "127.0.0.1"),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
        assert_eq!(client(&[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.7")]).unwrap(), "192.0.2.7");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let of = |text: &str| client(&[("forwarded", text)]).unwrap();
        for (text, wanted) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=198.51.100.1, for=192.0.2.60;host=\"a,b;for=1.2.3.4\"", "192.0.2.60"),
            ("for=192.0.2.60, for=10.1.2.3", "192.0.2.60"),
            ("proto=https ; for=192.0.2.60", "192.0.2.60"),
            ("for=_hidden", "127.0.0.1"),
            ("for=unknown, for=10.1.2.3", "10.1.2.3"),
            ("proto=https", "127.0.0.1"),
            // An unclosed quote from the client must not swallow what the proxy adds.
            ("for=198.51.100.1;x=\"open, for=192.0.2.60", "127.0.0.1"),
        ] {
            assert_eq!(of(text), wanted, "{text}");
        }
    }

    #[test]
    fn contradictory_headers_name_no_client() {
        let both = |one: &str, other: &str| client(&[("forwarded", one), ("x-forwarded-for", other)]).unwrap();
        assert_eq!(both("for=192.0.2.7", "198.51.100.1, 192.0.2.7"), "192.0.2.7");
        assert_eq!(both("for=198.51.100.1", "192.0.2.7"), "127.0.0.1");
        assert_eq!(client(&[]), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_site() {
        let at = |text: &str| site(text.parse().unwrap()).to_string();
        assert_eq!(at("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(at("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(at("192.0.2.7"), "192.0.2.7");
        assert!(!Proxies::default().trusts("127.0.0.1".parse().unwrap()));
    }
}
