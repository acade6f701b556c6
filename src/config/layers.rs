//! The layers of the configuration, and the origin of each value.
//!
//! Each file, variable and flag is a separate layer, so that a fault can name its origin. Values are never shown
//! here: one of the keys is a secret.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::fault::ConfigFault;
use super::settings::Settings;
use super::validate::BadKey;
use crate::core::text::excerpt;

/// The prefix of all variables.
const PREFIX: &str = "HOOKSWITCH_";
/// Variables read by the command line, which are not keys.
const NOT_KEYS: [&str; 3] = ["URL", "TOKEN", "CA"];
/// Maximum faults searched for.
const MOST_FAULTS: usize = 50;

/// One origin and its values.
struct Layer {
    origin: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

impl Layer {
    /// A layer that sets the single key at `path`.
    fn one(origin: String, path: &[&str], value: Value) -> Self {
        let (last, parents) = path.split_last().unwrap_or((&"", &[]));
        let mut values = Dict::from([((*last).to_owned(), value)]);
        for parent in parents.iter().rev() {
            values = Dict::from([((*parent).to_owned(), Value::from(values))]);
        }
        Self { origin, values }
    }
}

/// Command-line options that affect the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`; the file must exist. `None`: no file is read.
    pub config_file: Option<PathBuf>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--allow`, each added to `network.allow`.
    pub allow: Vec<String>,
}

/// The merged content of all layers.
pub(super) struct Written {
    /// Values of a wrong type are replaced by their defaults.
    pub(super) settings: Settings,
    /// The layer of each value.
    pub(super) origins: Origins,
    /// Values of a wrong type, and layers that could not be read at all.
    pub(super) faults: Vec<ConfigFault>,
}

/// The merged layers.
pub(super) struct Layers {
    figment: Figment,
    /// Layers that could not be read at all.
    faults: Vec<ConfigFault>,
}

impl Layers {
    /// Reads file, `variables` and flags; later ones override earlier ones.
    pub(super) fn read(overrides: &Overrides, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut layers = Self { figment: Figment::new(), faults: Vec::new() };
        if let Some(file) = &overrides.config_file {
            layers.file(file);
        }
        let mut keys: Vec<_> = variables.into_iter().filter_map(as_key).collect();
        keys.sort();
        for (name, value) in keys {
            layers.variable(&name, &value);
        }
        layers.flags(overrides);
        layers
    }

    fn merge(&mut self, layer: Layer) {
        // figment is consumed by merging; the placeholder is empty and free.
        self.figment = std::mem::take(&mut self.figment).merge(layer);
    }

    fn unreadable(&mut self, origin: String, detail: String) {
        self.faults.push(ConfigFault { key: None, origin, detail });
    }

    fn file(&mut self, file: &Path) {
        let origin = file.display().to_string();
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
                let remedy = if denied { "; let the user that hookswitch runs as read it (chmod 644)" } else { "" };
                return self.unreadable(origin, format!("cannot be read: {error}{remedy}"));
            }
        };
        match Toml::from_str::<Dict>(&text) {
            Ok(values) => self.merge(Layer { origin, values }),
            Err(error) => {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let fault = excerpt(&error.message().replace('\n', ", "));
                self.unreadable(origin, format!("line {line} is not valid TOML: {fault}"));
            }
        }
    }

    fn variable(&mut self, name: &str, value: &OsStr) {
        let origin = format!("environment variable {name}");
        let Some(text) = value.to_str() else {
            return self.unreadable(origin, "must be UTF-8".to_owned());
        };
        let key = name[PREFIX.len()..].to_ascii_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        // figment's parsing of a variable: numbers, true and false, lists in brackets, or else text.
        let value = text.parse().unwrap_or_else(|_| Value::from(text));
        self.merge(Layer::one(origin, &path, value));
    }

    fn flags(&mut self, overrides: &Overrides) {
        if let Some(dir) = &overrides.data_dir {
            let origin = "flag --data-dir".to_owned();
            match dir.to_str() {
                Some(text) => self.merge(Layer::one(origin, &["data_dir"], Value::from(text))),
                None => self.unreadable(origin, "must be UTF-8".to_owned()),
            }
        }
        if let Some(listen) = &overrides.listen {
            self.merge(Layer::one("flag --listen".to_owned(), &["http", "listen"], Value::from(listen.as_str())));
        }
        for network in &overrides.allow {
            let value = Value::from(vec![network.as_str()]);
            let layer = Layer::one("flag --allow".to_owned(), &["network", "allow"], value);
            // Appended, not replaced: the flag extends the file's list.
            self.figment = std::mem::take(&mut self.figment).admerge(layer);
        }
    }

    /// The resulting settings, their origins, and every unknown key and wrong type.
    pub(super) fn settings(self) -> Written {
        let Self { figment, mut faults } = self;
        let merged = figment.data().ok().and_then(|mut profiles| profiles.remove(&Profile::Default));
        let origins = Origins { values: Value::from(merged.unwrap_or_default()), figment };
        let mut rest = origins.values.clone();
        while faults.len() < MOST_FAULTS {
            let error = match rest.deserialize::<Settings>() {
                Ok(settings) => return Written { settings, origins, faults },
                Err(error) => error,
            };
            for error in error {
                faults.push(origins.shape_fault(&error));
                // Without the faulty value the others can be checked.
                if !remove(&mut rest, &error.path) {
                    return Written { settings: Settings::default(), origins, faults };
                }
            }
        }
        Written { settings: Settings::default(), origins, faults }
    }
}

/// The name and value of a variable, if it is a key.
fn as_key((name, value): (OsString, OsString)) -> Option<(String, OsString)> {
    let name = name.into_string().ok()?;
    let key = name.strip_prefix(PREFIX)?;
    (!NOT_KEYS.contains(&key)).then_some((name, value))
}

/// The layer of each value.
pub(super) struct Origins {
    figment: Figment,
    values: Value,
}

impl Origins {
    /// The faults of values, with their origins.
    pub(super) fn locate(&self, faults: Vec<BadKey>) -> Vec<ConfigFault> {
        let locate = |BadKey { key, detail }: BadKey| {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            ConfigFault { key: Some(written(&path)), origin: self.of(&path), detail }
        };
        faults.into_iter().map(locate).collect()
    }

    fn shape_fault(&self, error: &figment::Error) -> ConfigFault {
        let mut path = error.path.clone();
        let origin = self.of(&path);
        if let Kind::MissingField(name) = &error.kind {
            path.push(name.to_string());
        }
        ConfigFault { key: Some(written(&path)), origin, detail: shape(&error.kind) }
    }

    /// The layer of the value at `path`, or of the nearest enclosing value.
    fn of(&self, path: &[String]) -> String {
        let mut value = Some(&self.values);
        let mut nearest = None;
        for step in path {
            value = value.and_then(|value| child(value, step));
            nearest = value.or(nearest);
        }
        // A section is merged from all layers: a missing key comes from none of them.
        let tag = nearest.filter(|_| value.is_some() || path.len() > 2).map(Value::tag);
        let layer = tag.and_then(|tag| self.figment.get_metadata(tag));
        layer.map_or_else(|| "built-in default".to_owned(), |metadata| metadata.name.to_string())
    }
}

fn child<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Dict(_, members) => members.get(step),
        Value::Array(_, items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Removes the value at `path`, or the whole item if a list is on the path. Returns whether there was one.
fn remove(value: &mut Value, path: &[String]) -> bool {
    match (value, path) {
        (Value::Dict(_, members), [last]) => members.remove(last).is_some(),
        (Value::Dict(_, members), [step, rest @ ..]) => members.get_mut(step).is_some_and(|inner| remove(inner, rest)),
        (Value::Array(_, items), [step, ..]) => {
            let at = step.parse::<usize>().ok().filter(|at| *at < items.len());
            at.map(|at| items.remove(at)).is_some()
        }
        _ => false,
    }
}

/// A key's path in the operator's notation: `network.allow[0]`.
fn written(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if !text.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{step}]"));
        } else {
            text.push_str(if text.is_empty() { "" } else { "." });
            text.push_str(&excerpt(step));
        }
    }
    text
}

/// What is wrong with the shape of a value and what would be right, without the value.
fn shape(kind: &Kind) -> String {
    match kind {
        Kind::UnknownField(_, known) => format!("is not a key; known here are {}", list(known)),
        Kind::MissingField(_) => "must be given".to_owned(),
        Kind::InvalidType(actual, wanted) | Kind::InvalidValue(actual, wanted) => {
            format!("must be {}, not {}", wanted_name(wanted), actual_name(actual))
        }
        _ => "cannot be read".to_owned(),
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// serde's name of an expected type, in plain words.
fn wanted_name(wanted: &str) -> &str {
    match wanted {
        "u64" => "a whole number, 0 or more",
        "f64" => "a number",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in brackets",
        other if other.starts_with("struct") => "a section",
        other => other,
    }
}

fn actual_name(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Signed(number) if *number < 0 => "a negative number",
        Actual::Unsigned(_) | Actual::Signed(_) => "a number",
        Actual::Float(_) => "a number with a fraction",
        Actual::Char(_) | Actual::Str(_) => "text",
        Actual::Seq => "a list",
        Actual::Map => "a section",
        _ => "that",
    }
}
