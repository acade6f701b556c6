//! Cursors of lists: opaque to clients, validated on return.
//!
//! A cursor contains the id after which a list continues, the list's letter and a checksum, so that one of another
//! list, or a forged or truncated one, is refused instead of yielding a wrong page. It is not secret and grants
//! nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::DeliveryCursor;

/// The lists with cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Events = b'e' as isize,
    Deliveries = b'd' as isize,
    Subscriptions = b's' as isize,
    Log = b'l' as isize,
    Sequenced = b'o' as isize,
    Calls = b'c' as isize,
    Conversations = b'v' as isize,
    Messages = b'm' as isize,
    Tokens = b't' as isize,
    Sessions = b'n' as isize,
    EventTypes = b'y' as isize,
    Erasures = b'r' as isize,
    Standings = b'h' as isize,
    Audit = b'a' as isize,
}

/// The cursor that continues after the id with these bits.
pub(super) fn write(list: List, bits: u128) -> String {
    encode::<ID>(list, &bits.to_be_bytes())
}

/// The cursor that continues after this place in a list of deliveries.
pub(super) fn write_place(place: DeliveryCursor) -> String {
    encode::<PLACE>(List::Deliveries, &[place.major.to_be_bytes(), place.minor.to_be_bytes()].concat())
}

/// The bits of the id after which to continue.
///
/// # Errors
/// Not a cursor of this list.
pub(super) fn read(list: List, text: &str) -> Result<u128, String> {
    let bytes = decode::<ID>(list, text).ok_or_else(wrong)?;
    bytes.first_chunk().map(|bits| u128::from_be_bytes(*bits)).ok_or_else(wrong)
}

/// The place after which a list of deliveries continues.
///
/// # Errors
/// Not a cursor of that list.
pub(super) fn read_place(text: &str) -> Result<DeliveryCursor, String> {
    let bytes = decode::<PLACE>(List::Deliveries, text).ok_or_else(wrong)?;
    let bits = |part: Option<&[u8; 16]>| part.map(|bits| u128::from_be_bytes(*bits)).ok_or_else(wrong);
    Ok(DeliveryCursor { major: bits(bytes.first_chunk())?, minor: bits(bytes.last_chunk())? })
}

/// Bytes of an id, of which a cursor has one or two.
const ID: usize = 16;
const PLACE: usize = 32;

/// The list's letter, the bytes, and a checksum of four.
fn encode<const LENGTH: usize>(list: List, place: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(LENGTH + 5);
    bytes.push(list as u8);
    bytes.extend(place);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode<const LENGTH: usize>(list: List, text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let (letter, place) = body.split_first()?;
    let whole = crc32fast::hash(body) == u32::from_be_bytes(*crc);
    (*letter == list as u8 && whole && place.len() == LENGTH).then(|| place.to_vec())
}

fn wrong() -> String {
    "is not a cursor of this list: pass on `next` of the page before, unchanged".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_in_its_own_list_only() {
        for bits in [0, 1, 0x0199_0000_0000_1234_5678_9abc_def0_1122, u128::MAX] {
            let text = write(List::Log, bits);
            assert_eq!(read(List::Log, &text), Ok(bits));
            for other in [
                List::Events,
                List::Deliveries,
                List::Subscriptions,
                List::Sequenced,
                List::Tokens,
                List::Calls,
                List::Conversations,
                List::Messages,
                List::EventTypes,
                List::Erasures,
                List::Standings,
                List::Audit,
            ] {
                assert!(read(other, &text).is_err(), "{other:?}");
            }
        }
    }

    #[test]
    fn a_place_reads_back_and_is_no_cursor_of_another_list() {
        for place in [DeliveryCursor { major: 1, minor: 0 }, DeliveryCursor { major: u128::MAX, minor: 0x0199_1234 }] {
            let text = write_place(place);
            assert_eq!(read_place(&text), Ok(place));
            assert!(read(List::Deliveries, &text).is_err() && read(List::Log, &text).is_err());
            assert!(read_place(&text[..text.len() - 1]).is_err());
        }
        assert!(read_place(&write(List::Deliveries, 7)).is_err());
    }

    #[test]
    fn a_cursor_that_was_changed_is_refused() {
        let text = write(List::Events, 0x0199_0000_0000_1234_5678_9abc_def0_1122);
        assert!(read(List::Events, "").is_err());
        assert!(read(List::Events, &text[1..]).is_err());
        assert!(read(List::Events, &format!("{text}A")).is_err());
        assert!(read(List::Events, "evt_01J00000000000000000000000").is_err());
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(read(List::Events, std::str::from_utf8(&changed).unwrap()).is_err(), "{index}");
        }
    }
}
