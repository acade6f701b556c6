//! The services that alerts can be posted to in their own format: `[alerts] preset`.

use super::text::words;

words! {
    /// A service with a format of its own.
    AlertPreset {
        /// Slack's incoming webhooks.
        Slack = "slack",
        /// Microsoft Teams' workflows.
        Teams = "teams",
    }
}
