//! `[alerts]`: a URL, and a mail server.

use super::{Check, HOUR, SECOND};
use crate::config::settings;
use crate::config::values::{AlertUrl, Alerts, MailSettings, Network};
use crate::core::alert_preset::AlertPreset;
use crate::core::mail_address::MailAddress;
use crate::core::smtp::MailServer;
use crate::core::subscription::Secret;

/// The most recipients of alerts.
const RECIPIENTS_MOST: usize = 50;

impl Check {
    pub(super) fn alerts(&mut self, alerts: &settings::Alerts, network: Option<&Network>) -> Alerts {
        let backlog_age = self.duration("alerts.backlog_age", &alerts.backlog_age, SECOND..=720 * HOUR);
        Alerts { url: self.alert_url(alerts, network), mail: self.mail(alerts), backlog_age }
    }

    fn alert_url(&mut self, alerts: &settings::Alerts, network: Option<&Network>) -> Option<AlertUrl> {
        let preset = alerts.preset.as_deref().map(|word| self.take("alerts.preset", AlertPreset::parse(word)));
        let Some(url) = &alerts.url else {
            if alerts.secret.is_some() {
                self.fault("alerts.url", "must be given with `secret`: where alerts are posted to");
            } else if preset.is_some() {
                self.fault("alerts.url", "must be given with `preset`: the URL that the service has given you");
            }
            return None;
        };
        if alerts.secret.is_none() && preset.is_none() {
            let wanted = "must be given with `url`: what alerts are signed with, `whsec_` and base64";
            self.fault("alerts.secret", wanted);
            return None;
        }
        let secret = alerts.secret.as_deref().map(|text| self.take("alerts.secret", Secret::parse(text)));
        // Host names are not resolved here; addresses are checked at each call.
        let policy = network.map(|network| network.policy.clone()).unwrap_or_default();
        let url = self.take("alerts.url", policy.check_url(url).map(|_| url.clone()));
        Some(AlertUrl { url: url?, secret: secret.flatten(), preset: preset.flatten() })
    }

    fn mail(&mut self, alerts: &settings::Alerts) -> Option<MailSettings> {
        let to: Vec<_> = alerts.mail_to.iter().enumerate().collect();
        let to: Vec<MailAddress> = to
            .into_iter()
            .filter_map(|(at, text)| self.take(&format!("alerts.mail_to.{at}"), MailAddress::parse(text)))
            .collect();
        if to.len() > RECIPIENTS_MOST {
            self.fault(
                "alerts.mail_to",
                format!("must have at most {RECIPIENTS_MOST} addresses: use a list of your mail server"),
            );
        }
        let Some(url) = &alerts.smtp_url else {
            if alerts.mail_from.is_some() || !alerts.mail_to.is_empty() {
                let wanted = "must be given with `mail_from` and `mail_to`: the server that takes the mails, such as \
                              \"smtps://USER:PASSWORD@mail.example:465\"";
                self.fault("alerts.smtp_url", wanted);
            }
            return None;
        };
        let server = self.take("alerts.smtp_url", MailServer::parse(url));
        let Some(from) = &alerts.mail_from else {
            self.fault("alerts.mail_from", "must be given with `smtp_url`: the sender's address");
            return None;
        };
        let from = self.take("alerts.mail_from", MailAddress::parse(from));
        Some(MailSettings { server: server?, from: from?, to })
    }
}
