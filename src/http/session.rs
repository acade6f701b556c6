//! Sessions of the page: signed-in browsers, under an id that only they know.
//!
//! A session refers to its token and has no permissions of its own: they are looked up at every request, so revoking
//! a token ends its sessions. In memory only: a restart signs everybody out. Ids are stored as hashes, like tokens;
//! neither is ever shown.
//!
//! Knows neither roles nor the page. Invariants: a token has at most [`EACH`] sessions and the tokens of a company
//! together at most [`COMPANY`], so signing in often ends nobody else's session; and no session outlives [`IDLE`]
//! without a request or [`LONGEST`] in total.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{COOKIE, HeaderMap};
use sha2::{Digest as _, Sha256};

use crate::core::event::Company;
use crate::core::token::TokenHash;

/// The prefix of the cookie's name; the port follows.
const NAME: &str = "hookswitch_session_";
/// Maximum sessions of a token; one more ends the one idle longest.
const EACH: usize = 100;
/// Maximum sessions of all tokens bound to one company.
const COMPANY: usize = 1_000;
/// Maximum cookies of our name examined per request.
const COOKIES: usize = 8;
/// Lifetime without a request.
const IDLE: Duration = Duration::from_secs(2 * 3600);
/// Total lifetime.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

type Key = [u8; 32];

/// Identifies a browser.
pub(super) type Browser = Key;

struct Session {
    token: TokenHash,
    /// The company that the token is bound to.
    company: Option<Company>,
    begun: Instant,
    seen: Instant,
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) < IDLE && now.saturating_duration_since(self.begun) < LONGEST
    }
}

pub(super) struct Sessions {
    cookie: String,
    all: Mutex<HashMap<Key, Session>>,
}

impl Sessions {
    /// No sessions, for a daemon that listens on `port`. Browsers send the cookies of a host to all of its ports, so
    /// two daemons need different names: otherwise the later sign-in would end the earlier.
    pub(super) fn new(port: u16) -> Self {
        Self { cookie: format!("{NAME}{port}"), all: Mutex::default() }
    }

    /// The name of the cookie.
    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session of `token`, which may be bound to `company`. Returns the cookie's value; `None` if the kernel
    /// provides no random bytes.
    pub(super) fn open(&self, token: TokenHash, company: Option<Company>, now: Instant) -> Option<String> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).ok()?;
        let mut all = self.all();
        all.retain(|_, session| session.lives(now));
        make_room(&mut all, EACH, |session| session.token == token);
        if company.is_some() {
            make_room(&mut all, COMPANY, |session| session.company == company);
        }
        let text = URL_SAFE_NO_PAD.encode(id);
        all.insert(key(&text), Session { token, company, begun: now, seen: now });
        Some(text)
    }

    /// The token of the session in `headers`.
    pub(super) fn token(&self, headers: &HeaderMap, now: Instant) -> Option<TokenHash> {
        let mut all = self.all();
        self.ids(headers).find_map(|id| {
            let session = all.get_mut(&key(id)).filter(|session| session.lives(now))?;
            session.seen = now;
            Some(session.token)
        })
    }

    /// Identifies the browser that sent `headers` while it is signed in; `None` without our cookie.
    pub(super) fn browser(&self, headers: &HeaderMap) -> Option<Browser> {
        let all = self.all();
        self.ids(headers).map(key).find(|key| all.contains_key(key))
    }

    /// Ends the session in `headers`.
    pub(super) fn close(&self, headers: &HeaderMap) {
        let mut all = self.all();
        for id in self.ids(headers) {
            all.remove(&key(id));
        }
    }

    /// The values of all cookies of our name: there may be others set for another path or domain.
    fn ids<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let ids = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name.trim() == self.cookie).then(|| value.trim())
        });
        ids.take(COOKIES)
    }
}

/// Ends the session idle longest among those `counted`, if there are `most` of them.
fn make_room(all: &mut HashMap<Key, Session>, most: usize, counted: impl Fn(&Session) -> bool) {
    let eligible = all.iter().filter(|(_, session)| counted(session));
    let (count, idle) = eligible.fold((0, None::<(Key, Instant)>), |(count, idle), (key, session)| {
        let longer = idle.is_none_or(|(_, seen)| session.seen < seen);
        (count + 1, if longer { Some((*key, session.seen)) } else { idle })
    });
    if let Some((key, _)) = idle.filter(|_| count >= most) {
        all.remove(&key);
    }
}

fn key(id: &str) -> Key {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "hookswitch_session_4665";

    fn with(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_is_closed() {
        let (sessions, now) = (Sessions::new(4665), Instant::now());
        let id = sessions.open(TokenHash::of("t"), None, now).unwrap();
        assert_eq!(id.len(), 43, "256 bits");
        let mine = with(&format!("a=b; {OURS}={id}"));
        assert!(sessions.token(&mine, now).is_some());
        assert!(sessions.token(&with(&format!("{OURS}=x; {OURS}={id}")), now).is_some());
        for other in [
            String::new(),
            format!("{OURS}="),
            format!("{OURS}={}", &id[1..]),
            format!("x{OURS}={id}"),
            format!("{OURS}6={id}"),
            id,
        ] {
            assert!(sessions.token(&with(&other), now).is_none(), "{other}");
        }
        sessions.close(&mine);
        assert!(sessions.token(&mine, now).is_none());
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old() {
        let (sessions, begun) = (Sessions::new(4665), Instant::now());
        let cookie = with(&format!("{OURS}={}", sessions.open(TokenHash::of("t"), None, begun).unwrap()));
        let mut now = begun;
        while now + IDLE / 2 < begun + LONGEST {
            now += IDLE / 2;
            assert!(sessions.token(&cookie, now).is_some());
        }
        assert!(sessions.token(&cookie, begun + LONGEST).is_none());
        let cookie = with(&format!("{OURS}={}", sessions.open(TokenHash::of("t"), None, begun).unwrap()));
        assert!(sessions.token(&cookie, begun + IDLE).is_none());
    }

    #[test]
    fn a_token_evicts_only_its_own_sessions() {
        let (sessions, now) = (Sessions::new(4665), Instant::now());
        let open =
            |token: &str, at| with(&format!("{OURS}={}", sessions.open(TokenHash::of(token), None, at).unwrap()));
        let admin = open("admin", now);
        let first = open("t", now + Duration::from_secs(1));
        for _ in 0..EACH {
            open("t", now + Duration::from_secs(2));
        }
        assert!(sessions.token(&first, now).is_none(), "the one idle longest goes");
        assert!(sessions.token(&admin, now).is_some(), "and none of another token");
        assert_eq!(sessions.all().len(), EACH + 1);
    }

    #[test]
    fn a_company_with_many_tokens_evicts_only_its_own_sessions() {
        let (sessions, now) = (Sessions::new(4665), Instant::now());
        let open = |token: String, company: &str| {
            let id = sessions.open(TokenHash::of(&token), Some(Company::parse(company).unwrap()), now).unwrap();
            with(&format!("{OURS}={id}"))
        };
        let other = open("other".to_owned(), "b");
        for number in 0..=COMPANY {
            open(number.to_string(), "a");
        }
        assert_eq!(sessions.all().len(), COMPANY + 1);
        assert!(sessions.token(&other, now).is_some());
    }

    #[test]
    fn few_cookies_are_looked_at() {
        let (sessions, now) = (Sessions::new(4665), Instant::now());
        let id = sessions.open(TokenHash::of("t"), None, now).unwrap();
        let behind = |count: usize| with(&format!("{}{OURS}={id}", format!("{OURS}=x; ").repeat(count)));
        assert!(sessions.token(&behind(COOKIES - 1), now).is_some());
        assert!(sessions.token(&behind(COOKIES), now).is_none());
    }
}
