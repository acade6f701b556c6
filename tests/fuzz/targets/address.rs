//! Any text as a URL, any bytes as an address: what passes is called as checked, and no internal address passes.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hookswitch::core::address::{AddressPolicy, URL_MOST, read_url};
use libfuzzer_sys::fuzz_target;
use url::Host;

fuzz_target!(|bytes: &[u8]| {
    let policy = AddressPolicy::default();
    if let Some(bytes) = bytes.first_chunk::<16>() {
        check(&policy, Ipv6Addr::from(*bytes));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for text in [text.to_owned(), format!("http://{text}/")] {
        let Ok(url) = policy.check_url(&text) else { continue };
        assert!(url.as_str().len() <= URL_MOST && url.username().is_empty() && url.password().is_none(), "{url}");
        assert_eq!(read_url(url.as_str()).as_ref(), Ok(&url), "it is read another way the second time");
        match url.host().expect("a host") {
            Host::Ipv4(address) => assert!(!is_inner(address), "{url}"),
            Host::Ipv6(address) => check(&policy, address),
            // A name that a resolver would take for a number must not be a name.
            Host::Domain(name) => {
                let number = name.bytes().all(|byte| byte.is_ascii_digit());
                assert!(!number && name.parse::<IpAddr>().is_err(), "{url}");
            }
        }
    }
});

/// An allowed address is public, and so is every IPv4 address embedded in it.
fn check(policy: &AddressPolicy, address: Ipv6Addr) {
    if policy.check(address.into()).is_err() {
        return;
    }
    assert!(!address.is_loopback() && !address.is_unspecified() && !address.is_multicast(), "{address}");
    assert!(!address.is_unique_local() && !address.is_unicast_link_local(), "{address}");
    if let Some(v4) = address.to_ipv4() {
        assert!(!is_inner(v4), "{address}");
    }
    let [a, b, c, d] = [address.segments()[6], address.segments()[7]].map(u16::to_be_bytes).concat()[..] else {
        return;
    };
    let low = Ipv4Addr::new(a, b, c, d);
    assert_eq!(policy.check(low.to_ipv6_mapped().into()).is_ok(), policy.check(low.into()).is_ok(), "{low}");
    assert!(policy.check(low.into()).is_err() || !is_inner(low), "{low}");
}

fn is_inner(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || (address.octets()[0] == 100 && (64..128).contains(&address.octets()[1]))
}
