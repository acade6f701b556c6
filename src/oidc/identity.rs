//! Who somebody is, as the claims of the provider say it.

use openidconnect::core::CoreGenderClaim;
use openidconnect::{AdditionalClaims, IdTokenClaims, StandardClaims, UserInfoClaims};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The most groups that are looked at.
const GROUPS_MOST: usize = 10_000;
/// The longest name, in characters.
const NAME_MOST: usize = 200;

/// Somebody whom the provider has identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who, for the provider.
    pub subject: String,
    /// Who, for people: the mail address, the user name, or else the subject.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// The claims that the standard does not name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
pub(super) struct Claims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Claims {}

impl Claims {
    /// The groups in the claim `name`: a list of texts, or one; `None` if it is missing.
    fn groups(&self, name: &str) -> Option<Vec<String>> {
        match self.all.get(name)? {
            Value::String(one) => Some(vec![one.clone()]),
            Value::Array(all) => {
                let texts = all.iter().take(GROUPS_MOST).filter_map(Value::as_str);
                Some(texts.map(str::to_owned).collect())
            }
            _ => Some(Vec::new()),
        }
    }
}

/// What was told of somebody so far.
#[derive(Debug)]
pub(super) struct Told {
    subject: String,
    email: Option<String>,
    user_name: Option<String>,
    groups: Option<Vec<String>>,
}

impl Told {
    /// What the ID token tells.
    pub(super) fn by_token(claims: &IdTokenClaims<Claims, CoreGenderClaim>, groups_claim: &str) -> Self {
        let (email, verified) = (claims.email(), claims.email_verified());
        Self {
            subject: claims.subject().to_string(),
            email: email.filter(|_| verified != Some(false)).map(|email| email.as_str().to_owned()),
            user_name: claims.preferred_username().map(|name| name.as_str().to_owned()),
            groups: claims.additional_claims().groups(groups_claim),
        }
    }

    /// Whether nothing is left to ask for.
    pub(super) const fn is_complete(&self) -> bool {
        self.groups.is_some() && (self.email.is_some() || self.user_name.is_some())
    }

    /// The same, with what the user-info endpoint tells besides.
    pub(super) fn completed_by(self, more: &UserInfoClaims<Claims, CoreGenderClaim>, groups_claim: &str) -> Self {
        let standard: &StandardClaims<CoreGenderClaim> = more.standard_claims();
        let email = standard.email().filter(|_| standard.email_verified() != Some(false));
        Self {
            email: self.email.or_else(|| email.map(|email| email.as_str().to_owned())),
            user_name: self.user_name.or_else(|| standard.preferred_username().map(|name| name.as_str().to_owned())),
            groups: self.groups.or_else(|| more.additional_claims().groups(groups_claim)),
            ..self
        }
    }

    /// Who that is.
    pub(super) fn identity(self) -> Identity {
        let Self { subject, email, user_name, groups } = self;
        let shown = [email, user_name].into_iter().flatten().map(|name| shown(&name)).find(|name| !name.is_empty());
        let name = shown.unwrap_or_else(|| self::shown(&subject));
        Identity { subject, name, groups: groups.unwrap_or_default() }
    }
}

/// A name that can stand on a line.
fn shown(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).take(NAME_MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_a_list_or_one_text() {
        let groups = |text: &str| serde_json::from_str::<Claims>(text).unwrap().groups("groups");
        let some = |all: &[&str]| Some(all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(groups(r#"{"groups":["a","b",1]}"#), some(&["a", "b"]));
        assert_eq!(groups(r#"{"groups":"a"}"#), some(&["a"]));
        assert_eq!(groups(r#"{"groups":{"a":true}}"#), some(&[]));
        assert_eq!(groups(r#"{"roles":["a"]}"#), None);
    }

    #[test]
    fn somebody_is_called_by_the_most_telling_name() {
        let named = |email: Option<&str>, user_name: Option<&str>| {
            let (email, user_name) = (email.map(str::to_owned), user_name.map(str::to_owned));
            Told { subject: "7".to_owned(), email, user_name, groups: None }.identity().name
        };
        assert_eq!(named(Some("dana@acme.example"), Some("dana")), "dana@acme.example");
        assert_eq!(named(None, Some(" da\nna ")), "dana");
        assert_eq!((named(Some(""), None), named(None, None)), ("7".to_owned(), "7".to_owned()));
    }
}
