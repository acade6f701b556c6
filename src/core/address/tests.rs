use super::*;

fn policy(allow: &[&str], deny: &[&str]) -> AddressPolicy {
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    AddressPolicy::new(nets(allow), nets(deny), false)
}

fn sentence(policy: &AddressPolicy, address: &str) -> String {
    policy.check(address.parse().unwrap()).map_or_else(|denied| denied.to_string(), |()| "allowed".to_owned())
}

/// Address, its description, the entry of `allow` suggested.
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
fn a_list_may_speak_of_mapped_addresses() {
    let rules =
        policy(&["::ffff:10.0.0.0/104", "::ffff:127.0.0.1/128"], &["::ffff:10.9.0.0/112", "::ffff:8.8.8.8/128"]);
    let cases = [
        ("10.1.1.1", "allowed"),
        ("::ffff:10.1.1.1", "allowed"),
        ("127.0.0.1", "allowed"),
        ("127.0.0.2", "loopback"),
        ("10.9.1.1", "10.9.0.0/16"),
        ("8.8.8.8", "8.8.8.8/32"),
        ("::ffff:8.8.8.8", "8.8.8.8/32"),
        ("64:ff9b::8.8.8.8", "8.8.8.8/32"),
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
