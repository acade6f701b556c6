use super::*;

const NONCE_7: [u8; NONCE] = [7; NONCE];

fn line(byte: u8) -> String {
    STANDARD.encode([byte; KEY])
}

fn ring(text: &str) -> Keyring {
    Keyring::parse("keys", text).unwrap()
}

#[test]
fn a_key_file_is_read_by_line_and_faults_do_not_quote_it() {
    let (a, b) = (line(1), line(2));
    let both = ring(&format!("# made in 2026\n\n  {a}  \r\n{b}\n"));
    assert_eq!((both.fingerprints().count(), both.sealing()), (2, ring(&a).sealing()), "the first seals");
    let fingerprint = ring(&b).sealing().unwrap();
    assert!(both.answers_for(fingerprint) && !ring(&a).answers_for(fingerprint));
    let lost = ring(&format!("{a}\nlost {fingerprint}"));
    assert!(lost.answers_for(fingerprint) && lost.fingerprints().count() == 1);
    let (short, cut) = (STANDARD.encode([9; 31]), &a[..43]);
    for (text, at, part) in [
        (String::new(), None, "has no key"),
        ("# only a remark\n".to_owned(), None, "has no key"),
        (format!("lost {fingerprint}"), None, "has no key"),
        (format!("{a}\nhunter2\n"), Some(2), "is not the base64 of a key"),
        (cut.to_owned(), Some(1), "is not the base64"),
        (format!("{a}{b}"), Some(1), "is not the base64"),
        (format!("\n{short}"), Some(2), "has the base64 of 31 bytes, and a key has 32"),
        (format!("{a}\n\n{a}"), Some(3), "repeats the key"),
        (format!("{a}\nlost hunter2"), Some(2), "has no fingerprint"),
        (format!("{a}\nlost +123456789abcdef"), Some(2), "has no fingerprint"),
        (format!("{b}\nlost {fingerprint}"), None, "declares it lost"),
    ] {
        let bad = Keyring::parse("keys", &text).unwrap_err();
        assert!(bad.line == at && bad.fault.contains(part), "{text}: {bad:?}");
        assert!(!bad.fault.contains("hunter2") && !bad.fault.contains(&short), "{bad:?}");
    }
}

#[test]
fn a_fingerprint_is_read_as_it_is_shown_and_no_key_is() {
    let keys = ring(&line(1));
    let fingerprint = keys.sealing().unwrap();
    assert_eq!(fingerprint.to_string(), "5228f7f81a3b1c80", "it stands on disks");
    assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
    assert_eq!(Fingerprint::from_bytes(fingerprint.bytes()), fingerprint);
    let shown = format!("{keys:?}");
    assert!(shown.contains("[key 5228f7f81a3b1c80]") && !shown.contains("1, 1") && !shown.contains("AQEB"), "{shown}");
}

#[test]
fn sealed_values_open_only_with_their_key_and_context() {
    let (old, both, new) = (ring(&line(1)), ring(&format!("{}\n{}", line(2), line(1))), ring(&line(2)));
    let sealed = old.seal(NONCE_7, b"sub_1", b"hunter2").unwrap();
    assert_eq!(sealed.text.len(), "hunter2".len() + 16);
    for keys in [&old, &both] {
        assert_eq!(keys.open(b"sub_1", &sealed).unwrap().as_slice(), b"hunter2");
    }
    assert_eq!(both.seal(NONCE_7, b"", b"").unwrap().key, new.sealing().unwrap());
    assert_eq!(new.open(b"sub_1", &sealed), Err(Unopened::NoKey(sealed.key)));
    let lost = ring(&format!("{}\nlost {}", line(2), sealed.key));
    assert_eq!(lost.open(b"sub_1", &sealed), Err(Unopened::Lost(sealed.key)));
    assert_eq!(Keyring::default().open(b"sub_1", &sealed), Err(Unopened::NoKey(sealed.key)));
    assert_eq!(Keyring::default().seal(NONCE_7, b"", b""), None);
    assert_eq!(old.open(b"sub_2", &sealed), Err(Unopened::Damaged), "about another");
    // Under the other key's fingerprint.
    let renamed = Sealed { key: new.sealing().unwrap(), ..sealed.clone() };
    assert_eq!(both.open(b"sub_1", &renamed), Err(Unopened::Damaged));
}

#[test]
fn no_flipped_bit_and_no_cut_opens() {
    let keys = ring(&line(1));
    let sealed = keys.seal(NONCE_7, b"sub_1", b"hunter2").unwrap();
    for bit in 0..8 * (sealed.text.len() + NONCE) {
        let mut bent = sealed.clone();
        match bent.text.get_mut(bit / 8) {
            Some(byte) => *byte ^= 1 << (bit % 8),
            None => bent.nonce[bit / 8 - sealed.text.len()] ^= 1 << (bit % 8),
        }
        assert_eq!(keys.open(b"sub_1", &bent), Err(Unopened::Damaged), "bit {bit}");
    }
    for length in 0..sealed.text.len() {
        let cut = Sealed { text: sealed.text[..length].to_vec(), ..sealed.clone() };
        assert_eq!(keys.open(b"sub_1", &cut), Err(Unopened::Damaged), "{length}");
    }
}

/// draft-irtf-cfrg-xchacha-03, appendix A.3.1: the cipher is the one that is named.
#[test]
fn the_published_vector_holds() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce = hex("404142434445464748494a4b4c4d4e4f5051525354555657");
    let about = hex("50515253c0c1c2c3c4c5c6c7");
    let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let sealed = ring(&STANDARD.encode(key)).seal(nonce.try_into().unwrap(), &about, text).unwrap();
    assert_eq!(sealed.text[..16], hex("bd6d179d3e83d43b9576579493c0e939"));
    assert_eq!(sealed.text[text.len()..], hex("c0875924c1c7987947deafd8780acf49"));
}
