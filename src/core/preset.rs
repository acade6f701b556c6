//! Presets: bodies for services that people already use, so that a webhook reaches them without code between.
//!
//! Each has a template with a message for every built-in event type (and a plain one for others), the rate and the rule
//! of success that fit the service, and what to paste as its URL. The templates stand in `presets/`.

use std::sync::LazyLock;

use url::Url;

use super::success::{Success, SuccessRule};
use super::template::Template;
use super::text::words;

words! {
    /// The services.
    Preset {
        /// Slack, by an incoming webhook.
        Slack = "slack",
        /// Microsoft Teams, by a workflow that posts to a channel.
        Teams = "teams",
        /// Google Chat, by a webhook of a space.
        GoogleChat = "google_chat",
        /// Discord, by a webhook of a channel.
        Discord = "discord",
        /// ntfy, by a topic.
        Ntfy = "ntfy",
        /// HubSpot, by the submission of a form.
        HubspotForm = "hubspot_form",
        /// Salesforce, by Web-to-Lead.
        SalesforceWebToLead = "salesforce_web_to_lead",
        /// Google Sheets, by a web app of Apps Script.
        GoogleSheets = "google_sheets",
        /// Any application that wants every value as a string, the platform's older style.
        FlatStrings = "flat_strings",
    }
}

/// A preset as it stands here.
struct Entry {
    preset: Preset,
    title: &'static str,
    /// What to paste where.
    paste: &'static str,
    /// A URL such as the service has.
    example: &'static str,
    content_type: &'static str,
    source: &'static str,
    rate: Option<u32>,
    success: Success,
}

const JSON: &str = "application/json";

const ENTRIES: [Entry; 9] = [
    Entry {
        preset: Preset::Slack,
        title: "Slack",
        paste: "In Slack, add the app 'Incoming WebHooks' (or one of your own with incoming webhooks) to the channel, \
                and paste its webhook URL here.",
        example: "https://hooks.slack.com/services/T…/B…/…",
        content_type: JSON,
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/slack.j2")),
        // docs.slack.dev, 'Rate limits': incoming webhooks, one message a second.
        rate: Some(1),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::Teams,
        title: "Microsoft Teams",
        paste: "In Teams, open the channel's Workflows, choose 'Send webhook alerts to a channel', and paste the URL \
                that it shows here.",
        example: "https://….logic.azure.com/workflows/…",
        content_type: JSON,
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/teams.j2")),
        // learn.microsoft.com, 'Rate limiting for webhooks': four requests a second.
        rate: Some(4),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::GoogleChat,
        title: "Google Chat",
        paste: "In the space, open Apps & integrations, add a webhook, and paste its URL, with key and token, here.",
        example: "https://chat.googleapis.com/v1/spaces/…/messages?key=…&token=…",
        content_type: JSON,
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/google_chat.j2")),
        // developers.google.com/workspace/chat/limits: one message a second and space.
        rate: Some(1),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::Discord,
        title: "Discord",
        paste: "In the channel's settings, open Integrations, make a webhook, copy its URL and paste it here.",
        example: "https://discord.com/api/webhooks/…/…",
        content_type: JSON,
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/discord.j2")),
        // discord.com/developers, 'Rate limits': 30 a minute for a webhook is what it settles at; bursts answer 429.
        rate: Some(1),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::Ntfy,
        title: "ntfy",
        paste: "Choose a topic that nobody guesses, subscribe to it in the ntfy app, and paste its URL here; \
                `?title=…&priority=high` may follow.",
        example: "https://ntfy.sh/my-topic",
        content_type: "text/plain; charset=utf-8",
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/ntfy.j2")),
        // docs.ntfy.sh, 'Limitations': one request every 5 s after a burst of 60.
        rate: Some(1),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::HubspotForm,
        title: "HubSpot form",
        paste: "Make a form with phone number, first name, email and message in HubSpot, and paste its submission URL \
                here: the portal's id, then the form's.",
        example: "https://api.hsforms.com/submissions/v3/integration/submit/PORTAL/FORM",
        content_type: JSON,
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/hubspot_form.j2")),
        // developers.hubspot.com, 'Submit data to a form': 50 requests in 10 s without a token.
        rate: Some(5),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::SalesforceWebToLead,
        title: "Salesforce Web-to-Lead",
        paste: "Enable Web-to-Lead in Salesforce's setup, make a form, and paste the URL of its `action` here, followed \
                by `&oid=` and the value of its hidden field `oid`.",
        example: "https://webto.salesforce.com/servlet/servlet.WebToLead?encoding=UTF-8&oid=00D…",
        content_type: "application/x-www-form-urlencoded",
        source: concat!(include_str!("presets/message.j2"), include_str!("presets/salesforce_web_to_lead.j2")),
        rate: Some(1),
        success: Success::Ok,
    },
    Entry {
        preset: Preset::GoogleSheets,
        title: "Google Sheets",
        paste: "In the sheet, open Extensions > Apps Script, paste the script for it, deploy it as a web app that anyone \
                has access to, and paste its URL, which ends in /exec, here. Each event becomes a row.",
        example: "https://script.google.com/macros/s/…/exec",
        content_type: JSON,
        source: include_str!("presets/google_sheets.j2"),
        rate: Some(1),
        // developers.google.com/apps-script/guides/content, 'Redirects': what ContentService made is served by a
        // redirect, after doPost has run.
        success: Success::OkOrRedirect,
    },
    Entry {
        preset: Preset::FlatStrings,
        title: "Flat, every value a string",
        paste: "Paste the URL of your application: it gets one object with `event`, `created` and the members of the \
                data, each a string.",
        example: "https://www.example.com/hook.php",
        content_type: JSON,
        source: include_str!("presets/flat_strings.j2"),
        rate: None,
        success: Success::Ok,
    },
];

static TEMPLATES: LazyLock<[Template; 9]> =
    LazyLock::new(|| ENTRIES.each_ref().map(|entry| Template::new(entry.source, entry.content_type)));

impl Preset {
    fn place(self) -> usize {
        ENTRIES.iter().position(|entry| entry.preset == self).unwrap_or_default()
    }

    /// Its template.
    pub fn template(self) -> &'static Template {
        &TEMPLATES[self.place()]
    }

    /// The name of the service.
    pub fn title(self) -> &'static str {
        ENTRIES[self.place()].title
    }

    /// What to paste where, as sentences.
    pub fn paste(self) -> &'static str {
        ENTRIES[self.place()].paste
    }

    /// What must run at the service for it, if anything.
    pub const fn script(self) -> Option<&'static str> {
        match self {
            Self::GoogleSheets => Some(include_str!("presets/google_sheets.js")),
            _ => None,
        }
    }

    /// What its URL looks like.
    pub fn example(self) -> &'static str {
        ENTRIES[self.place()].example
    }

    /// How many requests a second it takes.
    pub fn rate(self) -> Option<u32> {
        ENTRIES[self.place()].rate
    }

    /// Which of its answers count as delivered.
    pub fn success(self) -> SuccessRule {
        SuccessRule { status: ENTRIES[self.place()].success, body: None }
    }

    /// What is missing in a URL for this service, as a part of a sentence.
    pub fn fault_of_url(self, url: &str) -> Option<String> {
        let url = Url::parse(url).ok()?;
        let has =
            |names: &[&str]| url.query_pairs().any(|(name, value)| names.contains(&name.as_ref()) && !value.is_empty());
        let missing = match self {
            Self::SalesforceWebToLead if !has(&["oid", "orgId"]) => "`oid=`, the id of your organisation, in its query",
            _ => return None,
        };
        Some(format!("must have {missing}, as {} has", self.example()))
    }
}

#[cfg(test)]
mod tests;
