//! Why somebody could not be identified, in sentences for operators.
//!
//! The library's own sentences quote claims, but neither codes nor tokens; what a provider says of an error may quote
//! anything, so only its code is shown.

use std::fmt;

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{ClaimsVerificationError, RequestTokenError, StandardErrorResponse, UserInfoError};

use crate::core::text::excerpt;

/// Why somebody could not be identified. No sentence has a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The provider could not be asked, or does not answer as one. For operators: where, and what.
    Away(String),
    /// What came back was not accepted: by the provider, or by us. For operators: why.
    Refused(String),
    /// The ID token had expired.
    Expired(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) | Self::Refused(why) | Self::Expired(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

/// A request had no answer. Says where, and why.
#[derive(Debug)]
pub(super) struct Unanswered(pub(super) String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// Why an ID token was not accepted.
#[derive(Debug)]
pub(super) enum Unverified {
    /// There is none.
    NoToken,
    /// The access token is not the one that came with it.
    AccessToken,
    /// It was issued later than now.
    Future,
    /// Its claims, or its signature.
    Claims(ClaimsVerificationError),
}

/// The longest sentence of the library that is shown, in characters: it quotes claims.
const LINE_MOST: usize = 300;

/// What fits on a line.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LINE_MOST).collect()
}

/// For operators. The library's sentences quote claims, but no token.
pub(super) fn not_accepted(why: &Unverified) -> Failure {
    let refused = |why: &dyn fmt::Display| Failure::Refused(format!("its ID token was not accepted: {why}"));
    match why {
        Unverified::NoToken => Failure::Refused("it answers without an ID token: is `openid` among its scopes?".into()),
        Unverified::AccessToken => refused(&"`at_hash` is not that of the access token"),
        Unverified::Future => {
            refused(&"it was issued in the future, so compare the clocks of the provider and of this machine")
        }
        Unverified::Claims(ClaimsVerificationError::Expired(why)) => {
            Failure::Expired(format!("its ID token has expired: {}", line(why)))
        }
        Unverified::Claims(ClaimsVerificationError::SignatureVerification(why)) => {
            refused(&format!("its signature: {}", line(&why.to_string())))
        }
        Unverified::Claims(why) => refused(&line(&why.to_string())),
    }
}

/// For operators.
pub(super) fn no_user_info(error: &UserInfoError<Unanswered>) -> Failure {
    match error {
        UserInfoError::Request(Unanswered(why)) => Failure::Away(why.clone()),
        UserInfoError::Response(status, ..) => {
            Failure::Away(format!("its `userinfo_endpoint` answers {}", status.as_u16()))
        }
        UserInfoError::ClaimsVerification(_) => {
            Failure::Refused("its `userinfo_endpoint` tells of somebody else than its ID token".to_owned())
        }
        _ => Failure::Away("its `userinfo_endpoint` answers with something else than claims".to_owned()),
    }
}

/// For operators.
pub(super) fn not_exchanged(
    error: RequestTokenError<Unanswered, StandardErrorResponse<CoreErrorResponseType>>,
) -> Failure {
    match error {
        RequestTokenError::Request(Unanswered(why)) => Failure::Away(why),
        // The description may quote what was sent.
        RequestTokenError::ServerResponse(answer) => {
            let code: &str = answer.error().as_ref();
            Failure::Refused(format!("its `token_endpoint` refused the code ({})", excerpt(code)))
        }
        RequestTokenError::Parse(error, _) => {
            let place = error.path();
            Failure::Away(format!("its `token_endpoint` answers with something else than tokens (at `{place}`)"))
        }
        RequestTokenError::Other(_) => {
            Failure::Away("its `token_endpoint` answers with something else than tokens".to_owned())
        }
    }
}
