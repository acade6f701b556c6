//! Parses the members of a subscription that concern its target: the part of [`super::subscription_input`] for
//! [`super::target`].

use std::sync::Arc;

use serde_json::value::RawValue;

use super::auth::{Auth, AuthChange};
use super::filter::Filter;
use super::invalid::Invalid;
use super::json::{optional, word};
use super::preset::Preset;
use super::success::{self, Success, SuccessBody};
use super::target::{Signatures, Target};
use super::template::{self, CONTENT_TYPE, Template};

/// The members of a body; `None` if absent. The inner `None` means `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetChange {
    /// The template, with the default content type.
    pub template: Option<Option<Template>>,
    /// Its content type.
    pub content_type: Option<Option<String>>,
    /// The preset.
    pub preset: Option<Option<Preset>>,
    /// The filter.
    pub filter: Option<Option<Filter>>,
    /// The status codes that are a success.
    pub success: Option<Success>,
    /// What a successful answer's body must hold.
    pub success_body: Option<Option<SuccessBody>>,
    /// How to sign in.
    pub auth: Option<Option<AuthChange>>,
    /// Which signatures are sent.
    pub signatures: Option<Signatures>,
}

impl TargetChange {
    /// Reads a member; false if it is none of these.
    pub fn read(&mut self, name: &str, at: &str, value: &RawValue, invalid: &mut Invalid) -> bool {
        match name {
            "template" => {
                let read = |text: &str| template::read_source(text).map(|source| Template::new(&source, CONTENT_TYPE));
                self.template = invalid.check(at, optional(value, |value| word(value, read)));
            }
            "content_type" => {
                let read = optional(value, |value| word(value, template::read_content_type));
                self.content_type = invalid.check(at, read);
            }
            "preset" => self.preset = invalid.check(at, optional(value, |value| word(value, Preset::parse))),
            "filter" => self.filter = invalid.check(at, optional(value, |value| word(value, Filter::parse))),
            "success" => self.success = invalid.check(at, word(value, Success::parse)),
            "success_body" => self.success_body = nullable_part(at, value, success::read_body, invalid),
            "auth" => self.auth = nullable_part(at, value, AuthChange::read, invalid),
            "signature" => self.signatures = invalid.check(at, word(value, Signatures::parse)),
            _ => return false,
        }
        true
    }

    /// The preset, if this change chooses another than `current` has.
    pub(super) fn new_preset(&self, current: &Target) -> Option<Preset> {
        self.preset.flatten().filter(|preset| current.preset != Some(*preset))
    }

    /// `current` with the given members changed. A preset brings its own rule of success, unless one is given.
    ///
    /// # Errors
    /// Members that do not go together.
    pub fn applied(&self, current: &Target) -> Result<Target, Invalid> {
        let mut invalid = Invalid::default();
        let mut changed = current.clone();
        if let Some(preset) = self.new_preset(current) {
            changed.success = preset.success();
        }
        self.apply_body(&mut changed, &mut invalid);
        if let Some(filter) = &self.filter {
            // An unchanged one keeps its count of failures.
            if changed.filter != *filter {
                changed.filter.clone_from(filter);
            }
        }
        changed.success.status = self.success.unwrap_or(changed.success.status);
        if let Some(body) = &self.success_body {
            changed.success.body.clone_from(body);
        }
        changed.signatures = self.signatures.unwrap_or(changed.signatures);
        if let Some(auth) = &self.auth {
            let resolved = auth.as_ref().map(|auth| auth.resolve(current.auth.as_ref())).transpose();
            changed.auth = resolved.map_err(|inner| invalid.nest("/auth", inner)).ok().flatten();
        }
        invalid.or(Some(changed))
    }

    fn apply_body(&self, changed: &mut Target, invalid: &mut Invalid) {
        if let Some(preset) = self.preset {
            changed.preset = preset;
        }
        if let Some(template) = &self.template {
            // The stored content type stays, if there is a template that it belongs to.
            let stored = changed.template.as_ref().map(|stored| stored.content_type().to_owned());
            let typed = |template: &Template| template.with_content_type(stored.as_deref().unwrap_or(CONTENT_TYPE));
            changed.template = template.as_ref().map(typed);
        }
        match (&self.content_type, &mut changed.template) {
            (Some(content_type), Some(template)) => {
                *template = template.with_content_type(content_type.as_deref().unwrap_or(CONTENT_TYPE));
            }
            (Some(Some(_)), None) => {
                invalid.add("/content_type", "is that of a `template`, and there is none: leave it out, or give one");
            }
            _ => {}
        }
        if changed.preset.is_some() && changed.template.is_some() {
            let (at, other) = if self.template.is_some() { ("/template", "preset") } else { ("/preset", "template") };
            invalid.add(at, format!("cannot be together with a `{other}`: set that one to null"));
        }
    }
}

fn nullable_part<T>(
    at: &str,
    value: &RawValue,
    read: impl FnOnce(&RawValue) -> Result<T, Invalid>,
    invalid: &mut Invalid,
) -> Option<Option<T>> {
    if super::json::is_nothing(value) {
        return Some(None);
    }
    read(value).map_err(|inner| invalid.nest(at, inner)).ok().map(Some)
}

/// A fault if both an own header and `auth` would be sent as Authorization.
pub(super) fn twice_authorized(
    auth: Option<&Arc<Auth>>,
    mut headers: impl Iterator<Item = impl AsRef<str>>,
) -> Option<String> {
    let named = headers.any(|name| name.as_ref().eq_ignore_ascii_case("authorization"));
    (auth.is_some() && named)
        .then(|| "cannot be together with an own header `Authorization`: remove one of them".to_owned())
}
