//! The cookies of the page's sessions. The sessions themselves are kept by the store.
//!
//! A session that began inside a frame of another site has a cookie of its own name: browsers keep it apart for each site
//! that embeds the page ([CHIPS](https://www.rfc-editor.org/info/draft-cutler-httpbis-partitioned-cookies)), and one that
//! the browser has for the page itself must not be taken for it.
//!
//! Knows neither roles nor the page.

use hyper::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use super::problem::Problem;
use super::reply::Reply;
use crate::core::token::TokenHash;

/// The prefix of the cookies' names.
const NAME: &str = "hookswitch_session_";
/// The same for a sign-in whose browser is away at the provider.
const AWAY: &str = "hookswitch_oidc_";
/// The path below which that is sent.
const AWAY_PATH: &str = "/oidc";
/// The same in a frame.
const FRAMED: &str = "hookswitch_framed_";
/// Maximum cookies of our names examined per request.
const COOKIES: usize = 8;

/// Where a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a window of its own; whether the browser used TLS.
    Window { encrypted: bool },
    /// In a frame of another site.
    Frame,
}

/// The names of the cookies.
pub(super) struct Cookies {
    own: String,
    framed: String,
    away: String,
}

impl Cookies {
    /// For a daemon known by `suffix`. Browsers send the cookies of a host to all of its ports, so two daemons of one
    /// host need different names: otherwise the later sign-in would end the earlier. Daemons that share their sessions
    /// need the same.
    pub(super) fn new(suffix: &str) -> Self {
        Self { own: format!("{NAME}{suffix}"), framed: format!("{FRAMED}{suffix}"), away: format!("{AWAY}{suffix}") }
    }

    /// The hashes of all cookies of our names: there may be others set for another path or domain. Those of a frame come
    /// first, since a browser sends them within that frame's site only.
    pub(super) fn hashes(&self, headers: &HeaderMap) -> Vec<TokenHash> {
        let of = |name| values(headers, name).map(TokenHash::of).collect::<Vec<_>>();
        let mut all = of(&self.framed);
        all.extend(of(&self.own));
        all
    }

    /// Sets the cookie of a session. It lasts at most as long as the browser runs: the session ends earlier.
    ///
    /// # Errors
    /// 500: never for a value that the store made.
    pub(super) fn set(&self, reply: &mut Reply, value: &str, place: Place) -> Result<(), Problem> {
        let cookie = match place {
            Place::Window { encrypted } => self.in_window(value, encrypted),
            Place::Frame => self.in_frame(value),
        };
        add(reply, &cookie)
    }

    /// The values of all cookies of a sign-in at the provider.
    pub(super) fn away<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> {
        values(headers, &self.away)
    }

    /// Sets the cookie of a sign-in at the provider, for `seconds`; 0 removes it. Browsers send it with the way back, which
    /// another site leads to: `Lax`.
    ///
    /// # Errors
    /// 500: never.
    pub(super) fn set_away(
        &self,
        reply: &mut Reply,
        value: &str,
        seconds: u64,
        encrypted: bool,
    ) -> Result<(), Problem> {
        let secure = if encrypted { "; Secure" } else { "" };
        let name = &self.away;
        add(reply, &format!("{name}={value}; Path={AWAY_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"))
    }

    /// Removes both cookies of a session.
    ///
    /// # Errors
    /// 500: never.
    pub(super) fn remove(&self, reply: &mut Reply, encrypted: bool) -> Result<(), Problem> {
        add(reply, &(self.in_window("", encrypted) + "; Max-Age=0"))?;
        add(reply, &(self.in_frame("") + "; Max-Age=0"))
    }

    fn in_window(&self, value: &str, encrypted: bool) -> String {
        let secure = if encrypted { "; Secure" } else { "" };
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}", self.own)
    }

    /// Browsers take it over TLS only, and from this machine.
    fn in_frame(&self, value: &str) -> String {
        format!("{}={value}; Path=/; HttpOnly; SameSite=None; Secure; Partitioned", self.framed)
    }
}

/// The values of the cookies of this name.
fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let values = lines.flat_map(|line| line.split(';')).filter_map(move |pair| {
        let (given, value) = pair.split_once('=')?;
        (given.trim() == name).then(|| value.trim())
    });
    values.take(COOKIES)
}

fn add(reply: &mut Reply, cookie: &str) -> Result<(), Problem> {
    let mut cookie = HeaderValue::from_str(cookie).map_err(|_| Problem::internal())?;
    cookie.set_sensitive(true);
    reply.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cookie: &str) -> Vec<TokenHash> {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, cookie.parse().unwrap());
        Cookies::new("4665").hashes(&headers)
    }

    #[test]
    fn cookies_of_our_names_are_found_and_those_of_a_frame_first() {
        let ours = TokenHash::of("v");
        assert_eq!(found("a=b; hookswitch_session_4665=v"), [ours]);
        assert_eq!(found("hookswitch_session_4665=x; hookswitch_session_4665=v")[1], ours);
        assert_eq!(found("hookswitch_session_4665=x; hookswitch_framed_4665=v")[0], ours);
        for other in ["", "v", "hookswitch_session_466=v", "xhookswitch_session_4665=v", "hookswitch_session_46656=v"] {
            assert_eq!(found(other), [], "{other}");
        }
    }

    #[test]
    fn few_cookies_are_looked_at() {
        assert_eq!(found(&"hookswitch_session_4665=x; ".repeat(COOKIES + 5)).len(), COOKIES);
    }
}
