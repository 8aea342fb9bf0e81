//! Parses a scenario's file, TOML, into a [`Scenario`] with one profile. Strict: an unknown word is refused with the
//! nearest known one, and a step that is impossible is found before anything runs.

mod calls;
mod expectations;
mod fields;
mod order;
mod rules;
mod source;
mod steps;
mod sysctls;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path, time::Duration};

use tcpwatch_core::timing::{Sysctls, wheel::TickRate};
use toml::de::DeTable;

pub(crate) use rules::MOST_RULES;
pub use source::FileError;

use super::{
    DropRule, Scenario,
    expression::{EvaluationContext, FirstRto},
};
use crate::{host::Host, language::Language, story::Profile};
use fields::TomlFields;
use source::Source;
use sysctls::Pinned;

/// The parameters of a run that are not in the file.
#[derive(Clone, Debug)]
pub struct Choices {
    /// Which profile.
    pub profile: Profile,
    /// Sysctls that override the file's.
    pub set: BTreeMap<Host, BTreeMap<String, String>>,
    /// The sysctls of a new network namespace on this kernel.
    pub kernel: Sysctls,
    /// Ticks per second.
    pub rate: TickRate,
    /// The language of the texts of built-in scenarios.
    pub language: Language,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            set: BTreeMap::new(),
            kernel: Sysctls::default(),
            rate: TickRate(250),
            language: Language::default(),
        }
    }
}

impl Choices {
    /// A host's sysctls after these have been set.
    #[must_use]
    pub fn effective(&self, pinned: Option<&BTreeMap<String, String>>) -> Sysctls {
        Sysctls::from_lookup(|name| {
            let set = pinned.and_then(|pinned| pinned.get(name)?.parse().ok());
            set.or_else(|| self.kernel.by_name(name))
        })
    }
}

/// The parts of the file that the others depend on.
struct ScenarioParts<'t> {
    source: Source<'t>,
    choices: &'t Choices,
    pinned: Pinned,
    sysctls: [Sysctls; 2],
    rules: Vec<DropRule>,
}

/// The RTO of a pair of local interfaces, accurate enough for an estimate of the duration.
pub const LOCAL_RTO: FirstRto = FirstRto { rto: Duration::from_millis(204), probe: true };

impl ScenarioParts<'_> {
    fn context(&self, host: Host) -> EvaluationContext<'_> {
        let [client, server] = &self.sysctls;
        EvaluationContext {
            sysctls: if host == Host::Client { client } else { server },
            pinned: self.pinned.get(&host),
            rate: self.choices.rate,
            rto: Some(LOCAL_RTO),
        }
    }

    /// Whether the item is part of the chosen profile.
    fn is_chosen(&self, fields: &mut TomlFields<'_>) -> Result<bool, FileError> {
        let only = fields.take("only");
        let only = only.map(|item| item.word([("quick", Profile::Quick), ("full", Profile::Full)]));
        Ok(only.transpose()?.is_none_or(|only| only == self.choices.profile))
    }
}

/// Parses a scenario. `file` is the file's name for error messages; its stem is the scenario's name.
pub fn read(file: &str, text: &str, choices: &Choices) -> Result<Scenario, FileError> {
    let source = Source { name: file, text };
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        source.error(span, "", format!("no TOML: {}", error.message()), "see https://toml.io")
    })?;
    let mut fields = TomlFields::new(source, document.get_ref(), 0..0);

    let title = fields.need("title", "say in a few words what it is about")?.text()?.to_owned();
    let claim = fields.need("claim", "say in one sentence what is claimed")?.text()?.to_owned();
    let teaches = fields.text("teaches")?.unwrap_or_default().trim().to_owned();
    let by_hand = fields.text("by_hand")?.unwrap_or_default().trim().lines().map(str::to_owned);

    let mut reading = ScenarioParts {
        source,
        choices,
        pinned: pinned(&mut fields, choices)?,
        sysctls: [choices.kernel; 2],
        rules: Vec::new(),
    };
    reading.sysctls = Host::ALL.map(|host| choices.effective(reading.pinned.get(&host)));
    reading.rules = rules::rules(fields.take("rule"), &reading.context(Host::Client))?;
    let steps = fields.need("steps", "say what is done, as an array of tables")?;
    let (steps, takes) = steps::steps(&steps, &reading)?;
    let expect = fields.need("expect", "nothing would be judged: add an `[[expect]]`")?;
    let expect = expectations::expectations(&expect, &reading)?;
    fields.finish()?;
    let ScenarioParts { pinned: sysctls, rules, .. } = reading;
    let name = Path::new(file).file_stem().map_or(file.into(), |stem| stem.to_string_lossy());
    Ok(Scenario {
        name: name.into_owned(),
        word: file.to_owned(),
        title,
        claim,
        teaches,
        by_hand: by_hand.collect(),
        sysctls,
        rules,
        steps,
        expect,
        takes,
    })
}

/// The file's sysctls, overridden by its profile's, overridden by the run's.
fn pinned(fields: &mut TomlFields<'_>, choices: &Choices) -> Result<Pinned, FileError> {
    let mut pinned = Pinned::new();
    sysctls::sysctls(fields.take("sysctls"), &mut pinned)?;
    for (key, profile) in [("quick", Profile::Quick), ("full", Profile::Full)] {
        let Some(item) = fields.take(key) else { continue };
        let mut overrides = item.fields()?;
        let mut elsewhere = Pinned::new();
        let chosen = profile == choices.profile;
        let into = if chosen { &mut pinned } else { &mut elsewhere };
        sysctls::sysctls(overrides.take("sysctls"), into)?;
        overrides.finish()?;
    }
    for (host, values) in &choices.set {
        pinned.entry(*host).or_default().extend(values.clone());
    }
    Ok(pinned)
}
