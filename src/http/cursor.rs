//! Cursors of lists: opaque to clients, checked when they come back.
//!
//! A cursor says after which id a list goes on. The list's letter and a checksum are in it, so that
//! one of another list, or one that was made up or cut short, is refused instead of showing
//! a wrong page. It is no secret and grants nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The lists that have cursors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Events = b'e' as isize,
    Deliveries = b'd' as isize,
    Subscriptions = b's' as isize,
    Log = b'l' as isize,
    Owed = b'o' as isize,
    Calls = b'c' as isize,
    Conversations = b'v' as isize,
    Messages = b'm' as isize,
    Tokens = b't' as isize,
    EventTypes = b'y' as isize,
    Erasures = b'r' as isize,
}

/// The letter, the id's 16 bytes, the checksum's 4.
const LENGTH: usize = 21;

/// The cursor that goes on after the id with these bits.
pub(super) fn write(list: List, bits: u128) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(list as u8);
    bytes.extend(bits.to_be_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bits of the id after which to go on.
///
/// # Errors
/// It is not a cursor of this list.
pub(super) fn read(list: List, text: &str) -> Result<u128, String> {
    let wrong = || "is not a cursor of this list: pass on `next` of the page before, unchanged".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let bytes: [u8; LENGTH] = bytes.try_into().map_err(|_| wrong())?;
    let [letter, id @ .., a, b, c, d] = bytes;
    let whole = crc32fast::hash(&bytes[..LENGTH - 4]) == u32::from_be_bytes([a, b, c, d]);
    if letter != list as u8 || !whole {
        return Err(wrong());
    }
    Ok(u128::from_be_bytes(id))
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
                List::Owed,
                List::Tokens,
                List::Calls,
                List::Conversations,
                List::Messages,
                List::EventTypes,
                List::Erasures,
            ] {
                assert!(read(other, &text).is_err(), "{other:?}");
            }
        }
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
