//! The part of a subscription's record for its target: what version 5 adds.
//!
//! A template or a filter that this version of the program cannot read stays as it is: it fails when it is used, and
//! the subscription is not lost.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::core::auth::{Auth, AuthType, ClientCredentials, CredentialsIn};
use crate::core::filter::Filter;
use crate::core::hidden::Hidden;
use crate::core::preset::Preset;
use crate::core::success::{Success, SuccessBody, SuccessRule};
use crate::core::target::{Signatures, Target};
use crate::core::template::Template;
use crate::model::record::codec::Word;

/// The settings; without the secret of `auth`, which is with the other secrets.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct TargetRecord {
    /// Its text and its content type.
    template: Option<(String, String)>,
    preset: Option<String>,
    filter: Option<String>,
    success: String,
    success_body: Option<SuccessBodyRecord>,
    auth: Option<AuthRecord>,
    signatures: String,
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
enum SuccessBodyRecord {
    Contains(String),
    /// A pointer, and JSON text.
    Equals(String, String),
}

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
struct AuthRecord {
    kind: String,
    /// The user name, or the client's id.
    name: String,
    token_url: String,
    scope: Option<String>,
    audience: Option<String>,
    credentials_in: String,
}

impl TargetRecord {
    /// The settings; `None` if they are the default.
    pub(super) fn of(target: &Target) -> Option<Self> {
        if *target == Target::default() {
            return None;
        }
        let body = |body: &SuccessBody| match body {
            SuccessBody::Contains(text) => SuccessBodyRecord::Contains(text.clone()),
            SuccessBody::Equals { json_pointer, equals } => {
                SuccessBodyRecord::Equals(json_pointer.clone(), equals.to_string())
            }
        };
        Some(Self {
            template: target.template.as_ref().map(|it| (it.source().to_owned(), it.content_type().to_owned())),
            preset: target.preset.map(Word::word),
            filter: target.filter.as_ref().map(|filter| filter.source().to_owned()),
            success: target.success.status.word(),
            success_body: target.success.body.as_ref().map(body),
            auth: target.auth.as_deref().map(AuthRecord::of),
            signatures: target.signatures.word(),
        })
    }

    /// The settings with the secret of `auth`, without which there is none; `None` if they are invalid.
    pub(super) fn target(self, secret: Option<String>) -> Option<Target> {
        let body = |body| match body {
            SuccessBodyRecord::Contains(text) => Some(SuccessBody::Contains(text)),
            SuccessBodyRecord::Equals(json_pointer, equals) => {
                Some(SuccessBody::Equals { json_pointer, equals: serde_json::from_str(&equals).ok()? })
            }
        };
        let body = match self.success_body.map(body) {
            Some(body) => Some(body?),
            None => None,
        };
        let preset = match self.preset {
            Some(word) => Some(Preset::read(&word)?),
            None => None,
        };
        let auth = match self.auth.zip(secret) {
            Some((auth, secret)) => Some(Arc::new(auth.auth(Hidden::new(secret))?)),
            None => None,
        };
        Some(Target {
            template: self.template.map(|(source, content_type)| Template::new(&source, &content_type)),
            preset,
            filter: self.filter.map(|source| Filter::new(&source)),
            success: SuccessRule { status: Success::read(&self.success)?, body },
            auth,
            signatures: Signatures::read(&self.signatures)?,
        })
    }
}

impl AuthRecord {
    fn of(auth: &Auth) -> Self {
        let kind = auth.kind().word();
        let plain = |name: &str| Self {
            kind: kind.clone(),
            name: name.to_owned(),
            token_url: String::new(),
            scope: None,
            audience: None,
            credentials_in: CredentialsIn::Header.word(),
        };
        match auth {
            Auth::Basic { username, .. } => plain(username),
            Auth::Bearer { .. } => plain(""),
            Auth::ClientCredentials(credentials) => Self {
                token_url: credentials.token_url.clone(),
                scope: credentials.scope.clone(),
                audience: credentials.audience.clone(),
                credentials_in: credentials.credentials_in.word(),
                ..plain(&credentials.client_id)
            },
        }
    }

    fn auth(self, secret: Hidden) -> Option<Auth> {
        Some(match AuthType::read(&self.kind)? {
            AuthType::Basic => Auth::Basic { username: self.name, password: secret },
            AuthType::Bearer => Auth::Bearer { token: secret },
            AuthType::ClientCredentials => Auth::ClientCredentials(ClientCredentials {
                token_url: self.token_url,
                client_id: self.name,
                client_secret: secret,
                scope: self.scope,
                audience: self.audience,
                credentials_in: CredentialsIn::read(&self.credentials_in)?,
            }),
        })
    }
}
