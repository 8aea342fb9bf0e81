//! The words of `tcpwatch lab`.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Subcommand};
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_lab::{host::Host, language::Language, story::Profile};

use super::color::Color;

/// What the laboratory is to do.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// List the scenarios, with the time that each takes.
    List {
        /// Language of the titles; that of the locale without it
        #[arg(long, value_enum)]
        lang: Option<Language>,
    },
    /// Explain a scenario without running it: the claim, the same by hand, what to expect here.
    Show {
        /// Its name, or a file of yours
        #[arg(value_name = "NAME|FILE")]
        scenario: String,
        /// With which timers: shortened, or the kernel's defaults
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// Language of the texts; that of the locale without it
        #[arg(long, value_enum)]
        lang: Option<Language>,
    },
    /// Run scenarios: make the states, watch, measure and judge.
    Run(LabRun),
    /// Draw reports: a page of all runs, and a picture of each. Needs no privileges; the same reports give the same files.
    Draw(LabDraw),
    /// Write a scenario that makes the same happen as a recording. Needs no privileges.
    From(LabFrom),
    /// Grade an answer to an exercise of the course (docs/course) by a run on this kernel.
    Check(LabCheck),
    /// Print how a scenario of your own is written.
    Format,
}

/// What is drawn, and where to.
#[derive(Debug, Args)]
pub struct LabDraw {
    /// Files written by `tcpwatch lab run --report`; several, of other kernels say, stand side by side
    #[arg(value_name = "REPORT.json", required = true)]
    pub reports: Vec<PathBuf>,
    /// Write all runs into one HTML file, which needs no other file and no network
    #[arg(long, value_name = "FILE.html", required_unless_present_any = ["svg", "pcapng"])]
    pub html: Option<PathBuf>,
    /// Write a sequence diagram of each run into this directory, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// Write what each host saw of each run into this directory, for Wireshark: segments, and between them states and calls
    #[arg(long, value_name = "DIR")]
    pub pcapng: Option<PathBuf>,
    /// Language of the page, of the pictures and of the texts of built-in scenarios
    #[arg(long, value_enum, default_value_t)]
    pub lang: Language,
}

/// What is graded.
#[derive(Debug, Args)]
pub struct LabCheck {
    /// The file with the answers
    #[arg(value_name = "ANSWER.toml")]
    pub answer: PathBuf,
    /// Over IPv6
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Colour in text
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

/// From what a scenario is made.
#[derive(Debug, Args)]
pub struct LabFrom {
    /// The recording (`tcpwatch --record`), also packed by gzip; - for standard input. The scenario goes to standard output
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// Only the connection of this socket, by the number that JSON lines have as "socket"; repeat for more
    #[arg(long, value_name = "COOKIE")]
    pub socket: Vec<u64>,
}

/// What is run, and how.
#[derive(Debug, Args)]
pub struct LabRun {
    /// Names of scenarios (`tcpwatch lab list`), or files of yours (`tcpwatch lab format`)
    #[arg(value_name = "NAME|FILE", required_unless_present = "all", conflicts_with = "all")]
    pub scenarios: Vec<String>,
    /// Every scenario, over IPv4 and IPv6
    #[arg(long)]
    pub all: bool,
    /// `quick` shortens what sysctls can shorten; `full` keeps the kernel's defaults
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
    /// Only over IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Only over IPv6
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Set a sysctl of a host, such as `client.tcp_fin_timeout=30`; repeat for more
    #[arg(long, value_name = "HOST.SYSCTL=VALUE", value_parser = setting)]
    pub set: Vec<Setting>,
    /// Write everything that was seen into a JSON file
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Write all runs into one HTML file, as `tcpwatch lab draw` does from a report
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Language of the scenarios' texts; that of the locale without it
    #[arg(long, value_enum)]
    pub lang: Option<Language>,
    /// Runs that go on at the same time; all of them without it
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Colour in text
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

impl LabRun {
    /// Over which protocols each scenario runs: both only with `--all`.
    #[must_use]
    pub fn families(&self) -> &'static [FamilyFilter] {
        match (self.ipv4, self.ipv6, self.all) {
            (_, true, _) => &[FamilyFilter::V6],
            (false, false, true) => &[FamilyFilter::V4, FamilyFilter::V6],
            _ => &[FamilyFilter::V4],
        }
    }
}

/// A sysctl of a host that is set whatever the scenario says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The host that does it.
    pub host: Host,
    /// Its name below `/proc/sys/net/ipv4`.
    pub name: String,
    /// What it is set to.
    pub value: String,
}

fn setting(word: &str) -> Result<Setting, String> {
    let parts = word.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value)));
    let Some(((host, name), value)) = parts else {
        return Err("write HOST.SYSCTL=VALUE, such as client.tcp_fin_timeout=30".to_owned());
    };
    let host = Host::ALL.into_iter().find(|known| known.name() == host);
    let host = host.ok_or("the hosts are client and server")?;
    if name.is_empty() || value.is_empty() || name.contains('/') {
        return Err("write HOST.SYSCTL=VALUE, such as client.tcp_fin_timeout=30".to_owned());
    }
    Ok(Setting { host, name: name.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_host_sysctl_and_value() {
        let expected = Setting {
            host: Host::Server,
            name: "tcp_synack_retries".to_owned(),
            value: "2".to_owned(),
        };
        assert_eq!(setting("server.tcp_synack_retries=2"), Ok(expected));
    }

    #[test]
    fn a_setting_that_is_none_is_refused_with_an_example() {
        for word in ["", "tcp_fin_timeout=3", "client.tcp_fin_timeout", "client.=3", "client.x="] {
            assert!(setting(word).unwrap_err().contains("client.tcp_fin_timeout=30"), "{word}");
        }
        let error = setting("router.tcp_fin_timeout=3").unwrap_err();
        assert_eq!(error, "the hosts are client and server");
        assert!(setting("client.../../kernel/panic=1").is_err(), "nothing outside net/ipv4");
    }
}
