//! The command line, word by word. Each value is checked here; what needs the machine (a network
//! namespace's name) is resolved by the command that uses it.

use std::{
    net::{AddrParseError, SocketAddr},
    num::NonZeroU64,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    ArgGroup, Args, Parser, Subcommand, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
    value_parser,
};
use clap_complete::Shell;
use ipnet::IpNet;
use tcpwatch_core::{
    event::{Direction, Process, TcpState},
    place::PlaceFilter,
    track::{Subject, TrackedEvent},
};
use tcpwatch_kernel::{
    probe::{
        Filters, Tells,
        filters::{FamilyFilter, PortRange},
    },
    source::recorder::RecordingTarget,
};
use tcpwatch_lab::hosts::peer;
use tcpwatch_view::terminal::TimeStyle;

use super::{
    color::Color, doctor::DoctorArgs, lab::LabCommand, list::ListArgs, sandbox::SandboxArgs,
    span::SpanArgs,
};

/// See what the Linux kernel does with every TCP connection, live.
///
/// Without a command, prints every state change as it happens until Ctrl-C, and of sockets that stay in a
/// state for what they wait. All filters must hold; ports, addresses, namespaces, cgroups and direction are filtered in the kernel.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        sudo tcpwatch --port 11111\n  \
        sudo tcpwatch --remote-port 443 --addr 10.0.0.0/8 --format json\n  \
        sudo tcpwatch --state CLOSE_WAIT --comm java\n  \
        sudo tcpwatch lab run fin-wait-2 --profile quick\n\n\
        Exit status: 0 done; 1 failed while running; 2 wrong usage; 3 this machine lacks something \
        (privilege, kernel, BTF)."
)]
pub struct Cli {
    /// Something other than the live log.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What is shown.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// How it is shown.
    #[command(flatten)]
    pub output: OutputArgs,
    /// How long, and with what means.
    #[command(flatten)]
    pub live: LiveArgs,
    /// Metrics beside the log.
    #[command(flatten)]
    pub web: WebArgs,
    /// What is kept of the privileges.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What is now, once: one line a socket, its state, what it waits for and until when, and whose it is.
    #[command(after_help = "Examples:\n  \
            sudo tcpwatch list --state CLOSE_WAIT\n  \
            sudo tcpwatch list --unit nginx --format json\n  \
            sudo tcpwatch list -4 --remote-port 443 --time elapsed\n\n\
            The oldest come first; --state asks what they are in now. Without privilege the sockets of this network \
            namespace are listed, and the owners that may be seen. `tcpwatch explain AGE` says how ages are known.")]
    List(Box<ListArgs>),
    /// What is now: a live table of sockets, their states and what they wait for.
    #[command(after_help = top_keys())]
    Top(Box<TopArgs>),
    /// Say what is wrong with the TCP connections of this host, whose they are and what to change.
    #[command(after_help = "Examples:\n  \
            sudo tcpwatch doctor\n  \
            sudo tcpwatch doctor -d 1m --format json\n  \
            tcpwatch doctor --replay FILE\n\n\
            Exit status: 0 nothing was found; 1 there are findings, or it failed; 2 wrong usage; 3 this machine \
            lacks something. `tcpwatch explain FINDING` has the long text of each.")]
    Doctor(DoctorArgs),
    /// Put real sockets into every TCP state, watch, measure and judge.
    #[command(
        subcommand,
        after_help = "Examples:\n  \
            tcpwatch lab show fin-wait-2\n  \
            sudo tcpwatch lab run fin-wait-2 --profile quick\n  \
            sudo tcpwatch lab run --all --report report.json\n  \
            tcpwatch lab draw report.json --html atlas.html\n  \
            sudo tcpwatch lab run my.toml\n\n\
            `tcpwatch lab format` tells how a scenario of your own is written."
    )]
    Lab(LabCommand),
    /// Say what this kernel and these privileges allow, one line per feature.
    Check,
    /// Be a host of the laboratory.
    #[command(hide = true)]
    LabPeer(peer::Args),
    /// Clear up after a laboratory that was killed.
    #[command(hide = true)]
    LabJanitor,
    /// Give up what a process that listens gives up, and print what is in force.
    #[command(hide = true)]
    SandboxTrial,
    /// Print the completions for a shell.
    #[command(after_help = "Examples:\n  \
            source <(tcpwatch completions bash)\n  \
            tcpwatch completions zsh > /usr/local/share/zsh/site-functions/_tcpwatch\n  \
            tcpwatch completions fish > ~/.config/fish/completions/tcpwatch.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages, one for each command.
    #[command(hide = true)]
    Manpages {
        /// The directory to write them to; it has to exist
        dir: PathBuf,
        /// The date in them, YYYY-MM-DD
        date: String,
    },
    /// Count everything for Prometheus and print nothing: metrics of every socket over HTTP.
    Serve(ServeArgs),
    /// Say what a word means, what causes it and what to do: a state, a reason, a column, a JSON field.
    #[command(after_help = "Examples:\n  \
            tcpwatch explain CLOSE_WAIT\n  \
            tcpwatch explain ECONNREFUSED\n  \
            tcpwatch explain tcp abort on close\n\n\
            Without a word, lists all there are. Spellings of ss, netstat, the kernel and RFC 9293 will do.")]
    Explain {
        /// The word, in any case and spelling; several are taken as one
        word: Vec<String>,
    },
    /// Show a recording made with --record as the live log would have.
    #[command(after_help = "Examples:\n  \
            tcpwatch replay FILE --lives --port 443\n  \
            tcpwatch replay FILE --from 14:02 --to 14:05:30\n  \
            tcpwatch replay FILE --from 2h --to 2h5m\n\n\
            FILE of --record-max is its parts FILE.00 to FILE.15 in their order.")]
    Replay {
        /// The recording, also packed by gzip; - for standard input
        file: PathBuf,
        /// What of it is replayed.
        #[command(flatten)]
        span: SpanArgs,
        /// What is shown.
        #[command(flatten)]
        filters: Box<FilterArgs>,
        /// How it is shown.
        #[command(flatten)]
        output: OutputArgs,
        /// What is kept of the privileges.
        #[command(flatten)]
        sandbox: SandboxArgs,
    },
}

/// Filters.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Filters")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct FilterArgs {
    /// Local or remote port: 80, 80,443 or 8000-8080
    #[arg(short, long, value_name = "PORTS", value_delimiter = ',', value_parser = port_range)]
    pub port: Vec<PortRange>,
    /// Local port
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = port_range)]
    pub local_port: Vec<PortRange>,
    /// Remote port
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = port_range)]
    pub remote_port: Vec<PortRange>,
    /// Local or remote address or prefix; repeat for more
    #[arg(long, value_name = "CIDR", value_parser = prefix)]
    pub addr: Vec<IpNet>,
    /// Only IPv4 on the wire
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Only IPv6 on the wire
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Changes that leave or enter a state, such as CLOSE_WAIT, and what happens or stays in it
    #[arg(long, value_name = "STATES", value_delimiter = ',')]
    pub state: Vec<TcpState>,
    /// Only this network namespace: a name from `ip netns`, a path or an inode
    #[arg(long, value_name = "NAME|PATH|INODE")]
    pub netns: Option<String>,
    /// Only sockets that this process is known to own
    #[arg(long)]
    pub pid: Option<u32>,
    /// Only sockets whose owner, or the thread of it that was seen, has this name
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// Only sockets whose owner has this real user id
    #[arg(long)]
    pub uid: Option<u32>,
    /// Only sockets of this cgroup and those below it: a path from the root of the hierarchy, such as
    /// /system.slice
    #[arg(long, value_name = "PATH", value_parser = cgroup())]
    pub cgroup: Option<PathBuf>,
    /// Only sockets of this systemd unit: nginx, ssh.socket
    #[arg(long, value_name = "NAME")]
    pub unit: Option<String>,
    /// Only sockets of this container: its name, its id or the beginning of it; of Kubernetes
    /// POD/CONTAINER
    #[arg(long, value_name = "ID|NAME")]
    pub container: Option<String>,
    /// Only connections that a peer opened
    #[arg(long, conflicts_with = "connected")]
    pub accepted: bool,
    /// Only connections that this host opened
    #[arg(long)]
    pub connected: bool,
}

/// Output.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Lines for people or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Colour in text
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Only one line per connection, when its last trace is gone
    #[arg(long, conflicts_with = "state")]
    pub lives: bool,
    /// Only one line per connection that did not end normally
    #[arg(long, conflicts_with = "state")]
    pub failed: bool,
    /// Only what is sent again: SYN, SYN+ACK, FIN and data
    #[arg(long, conflicts_with_all = ["lives", "failed"])]
    pub retries: bool,
    /// Begin with the sockets that exist; with --state, those in one of these states always are
    #[arg(long, conflicts_with_all = ["lives", "failed", "retries"])]
    pub existing: bool,
    /// Clock in text; JSON always has UTC and the kernel's clock
    #[arg(long, value_enum, default_value_t = TimeFormat::Local)]
    pub time: TimeFormat,
    /// Whole addresses and all columns, however narrow the terminal is; a file or a pipe always has them
    #[arg(long)]
    pub wide: bool,
    /// Stop after this many lines
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// Totals at the end: on stderr, or as the last JSON line
    #[arg(long)]
    pub summary: bool,
}

/// What only a live run needs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub struct LiveArgs {
    /// Stop after this long: 30 (seconds), 1m30s
    #[arg(long, value_name = "SECONDS|1m30s", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Also write every record to a file, for `tcpwatch replay` and bug reports
    #[arg(long, value_name = "FILE", value_parser = recording_file())]
    pub record: Option<PathBuf>,
    /// Keep no more than this of the recording, the newest: 500M, 1G; in files FILE.00 to FILE.15, written in turn
    #[arg(long, value_name = "SIZE", requires = "record", value_parser = recording_size)]
    pub record_max: Option<u64>,
    /// Do not watch which processes receive and send: saves 50 ns for each such call, and leaves an accepted
    /// socket to its listener's process, marked (listener), until it is closed
    #[arg(long)]
    pub no_io: bool,
    /// Size of the kernel's ring: 64K, 16M; rounded up to a power of two. Sixteen times as much may wait for the output
    #[arg(long, value_name = "SIZE", default_value = "2M", value_parser = ring_size)]
    pub buffer: u32,
}

impl LiveArgs {
    /// The recording that is to be made.
    #[must_use]
    pub fn recording(&self) -> Option<RecordingTarget> {
        let Self { record, record_max, .. } = self;
        let target = |path| RecordingTarget { path, most: *record_max };
        record.clone().map(target)
    }
}

/// The metrics of a live log.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Metrics",
    group = ArgGroup::new("listens").args(["listen_address", "systemd_socket"])
)]
pub struct WebArgs {
    /// Also serve metrics of all sockets, whatever the filters, at http://ADDR:PORT/metrics; repeat for more
    #[arg(long = "web.listen-address", value_name = "ADDR:PORT", value_parser = listen_address)]
    pub listen_address: Vec<SocketAddr>,
    /// Serve on the sockets that systemd passed instead
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,
    /// TLS, users, headers and a limit on requests: the file of Prometheus' exporter-toolkit
    #[arg(long = "web.config.file", value_name = "FILE", requires = "listens")]
    pub config_file: Option<PathBuf>,
}

/// What `tcpwatch serve` needs.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where http://ADDR:PORT/metrics is served; repeat for more; 0.0.0.0:PORT for every interface
    #[arg(
        long = "web.listen-address",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:10911",
        value_parser = listen_address
    )]
    pub listen_address: Vec<SocketAddr>,
    /// Serve on the sockets that systemd passed instead
    #[arg(long = "web.systemd-socket")]
    pub systemd_socket: bool,
    /// TLS, users, headers and a limit on requests: the file of Prometheus' exporter-toolkit
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Count only this network namespace: a name from `ip netns`, a path or an inode
    #[arg(long, value_name = "NAME|PATH|INODE")]
    pub netns: Option<String>,
    /// So many cgroups have series of their own; the rest is `other`
    #[arg(long, value_name = "N", default_value_t = DEFAULT_CGROUP_SERIES, value_parser = value_parser!(u16).range(..=1000))]
    pub cgroup_series: u16,
    /// What is kept of the privileges.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

/// The default of `--cgroup-series`.
pub const DEFAULT_CGROUP_SERIES: u16 = 20;

/// What `tcpwatch top` needs.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// What is shown; what is typed after / asks of these.
    #[command(flatten)]
    pub filters: FilterArgs,
    /// Look at a recording made with --record instead, step by step; needs no privilege
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "duration"])]
    pub replay: Option<PathBuf>,
    /// Colour
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// No characters but ASCII
    #[arg(long)]
    pub ascii: bool,
    /// Moments in UTC instead of local time
    #[arg(long)]
    pub utc: bool,
    /// How long, and with what means.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// The keys of `tcpwatch top`, from the table that makes them.
fn top_keys() -> String {
    let keys = tcpwatch_top::keys::list();
    format!(
        "Keys:\n{keys}\n\nExamples:\n  sudo tcpwatch top --port 443,8000-8080\n  \
         sudo tcpwatch top --state CLOSE_WAIT,SYN_SENT\n  tcpwatch top --replay FILE"
    )
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Text,
    /// One JSON object a line.
    Json,
}

/// How moments are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeFormat {
    /// Local time of day.
    Local,
    /// Time of day in UTC.
    Utc,
    /// Seconds since the start.
    Elapsed,
}

impl From<TimeFormat> for TimeStyle {
    fn from(clock: TimeFormat) -> Self {
        match clock {
            TimeFormat::Local => Self::Local,
            TimeFormat::Utc => Self::Utc,
            TimeFormat::Elapsed => Self::Elapsed,
        }
    }
}

impl OutputArgs {
    /// How much the kernel side has to report.
    #[must_use]
    pub fn tells(&self, filters: &FilterArgs) -> Tells {
        let connections = self.lives || self.failed || self.format == Format::Json;
        if connections && !self.retries && filters.state.is_empty() {
            Tells::Lives
        } else {
            Tells::Happenings
        }
    }

    /// Are sockets shown that stay in a state?
    #[must_use]
    pub const fn shows_waits(&self) -> bool {
        !self.lives && !self.failed && !self.retries
    }

    /// Is this event of the kind that is shown?
    #[must_use]
    pub fn shows(&self, tracked: &TrackedEvent) -> bool {
        match tracked {
            TrackedEvent::Connection(connection) => {
                let asked = self.lives || self.failed || self.format == Format::Json;
                asked && !self.retries && (!self.failed || connection.end.is_failure())
            }
            _ if self.lives || self.failed => false,
            TrackedEvent::Retransmit(_) => true,
            _ if self.retries => false,
            // The line of the change to CLOSED has the reason already.
            TrackedEvent::Error(error) => {
                self.format == Format::Json || error.event.state != TcpState::Closed
            }
            _ => true,
        }
    }
}

impl FilterArgs {
    /// The part of the filters that asks who owns a socket, and who connected to whom, as far as that is known
    /// when a line is shown.
    #[must_use]
    pub fn want(&self, subject: &Subject) -> bool {
        let Self { pid, ref comm, uid, accepted, connected, .. } = *self;
        let owner = |is_it: &dyn Fn(&Process) -> bool| subject.process.as_ref().is_some_and(is_it);
        pid.is_none_or(|pid| owner(&|owner| owner.pid == Some(pid)))
            && uid.is_none_or(|uid| owner(&|owner| owner.uid == Some(uid)))
            && comm.as_ref().is_none_or(|name| owner(&|owner| owner.is_called(name.as_bytes())))
            && (!accepted || subject.direction == Some(Direction::Incoming))
            && (!connected || subject.direction == Some(Direction::Outgoing))
    }

    /// The part of the filters that asks where the owner of a socket runs.
    #[must_use]
    pub fn places(&self) -> PlaceFilter {
        PlaceFilter {
            cgroup: self.cgroup.as_ref().map(|path| path.as_os_str().as_bytes().to_vec()),
            unit: self.unit.clone(),
            container: self.container.clone(),
            by_name: true,
        }
    }

    /// The part of the filters that runs in the kernel, without the network namespace.
    #[must_use]
    pub fn in_kernel(&self) -> Filters {
        Filters {
            ports: self.port.clone(),
            local_ports: self.local_port.clone(),
            remote_ports: self.remote_port.clone(),
            prefixes: self.addr.clone(),
            family: match (self.ipv4, self.ipv6) {
                (true, _) => Some(FamilyFilter::V4),
                (false, true) => Some(FamilyFilter::V6),
                (false, false) => None,
            },
            states: self.state.clone(),
            netns: None,
            direction: match (self.accepted, self.connected) {
                (true, _) => Some(Direction::Incoming),
                (false, true) => Some(Direction::Outgoing),
                (false, false) => None,
            },
            by_cgroup: self.places().asks(),
            tells: Tells::default(),
            holders: false,
        }
    }
}

/// A path as `/proc/PID/cgroup` shows it; one below the place where the hierarchy is mounted will do.
fn cgroup() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let below = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .find_map(|mount| path.strip_prefix(mount).ok().map(|below| Path::new("/").join(below)));
        let path = below.unwrap_or(path);
        if path.is_absolute() {
            return Ok(path);
        }
        Err(format!(
            "{} is no path from the root of the hierarchy; write it as /proc/PID/cgroup has it after 0::, such \
             as /system.slice/nginx.service",
            path.display()
        ))
    })
}

fn listen_address(word: &str) -> Result<SocketAddr, String> {
    // As Go writes every interface.
    let every = word.strip_prefix(':').filter(|port| !port.is_empty());
    let spelled = every.map_or_else(|| word.to_owned(), |port| format!("[::]:{port}"));
    spelled.parse().map_err(|_error: AddrParseError| {
        format!(
            "\"{word}\" is no address with a port; write 127.0.0.1:10911, [::1]:10911, or \
             0.0.0.0:10911 for every interface"
        )
    })
}

fn port(word: &str) -> Result<u16, String> {
    match word.parse::<u16>() {
        Ok(0) => Err("port 0 is no port; ports are 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("\"{word}\" is no port; ports are 1 to 65535")),
    }
}

fn port_range(word: &str) -> Result<PortRange, String> {
    let Some((first, last)) = word.split_once('-') else {
        return port(word).map(|port| port..=port);
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(format!("the range {word} runs backwards; write {last}-{first}"));
    }
    Ok(first..=last)
}

fn prefix(word: &str) -> Result<IpNet, String> {
    word.parse::<IpNet>()
        .or_else(|_| word.parse::<std::net::IpAddr>().map(IpNet::from))
        .map(|net| net.trunc())
        .map_err(|error| format!("{error}; write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"))
}

/// A file name, as the system has it: any bytes.
pub(super) fn recording_file() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path.as_os_str() == "-" {
            return Err(
                "standard output has the log; write the recording to a file or a named pipe, \
                        or to ./- if the file is called -",
            );
        }
        Ok(path)
    })
}

/// Seconds, or numbers with units; `None` for other words.
pub(super) fn any_duration(word: &str) -> Option<Duration> {
    let seconds = word.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.or_else(|| humantime::parse_duration(word).ok())
}

pub(super) fn duration(word: &str) -> Result<Duration, String> {
    any_duration(word)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("\"{word}\" is no duration; write seconds (30) or 1m30s"))
}

fn bytes(word: &str) -> Option<u64> {
    let (number, unit) = match word.char_indices().last()? {
        (at, 'k' | 'K') => (&word[..at], 1 << 10),
        (at, 'm' | 'M') => (&word[..at], 1 << 20),
        (at, 'g' | 'G') => (&word[..at], 1 << 30),
        _ => (word, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

fn ring_size(word: &str) -> Result<u32, String> {
    const RULE: &str = "write a size from 4K to 1G, such as 64K or 16M";
    bytes(word)
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| (4096..=1 << 30).contains(bytes))
        .map(u32::next_power_of_two)
        .ok_or_else(|| format!("\"{word}\" is no ring size; {RULE}"))
}

fn recording_size(word: &str) -> Result<u64, String> {
    bytes(word).filter(|bytes| *bytes >= 1 << 20).ok_or_else(|| {
        format!("\"{word}\" is no size of a recording; write a size from 1M on, such as 500M or 1G")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tcpwatch_common::config::RING_BYTES;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ports_are_single_listed_or_ranged() {
        let cli = Cli::try_parse_from(["tcpwatch", "--port", "80,443,8000-8080"]).unwrap();
        assert_eq!(cli.filters.port, [80..=80, 443..=443, 8000..=8080]);
    }

    #[test]
    fn the_kernel_side_tells_no_more_than_is_shown() {
        for (words, tells) in [
            ([].as_slice(), Tells::Happenings),
            (&["--lives"], Tells::Lives),
            (&["--failed"], Tells::Lives),
            (&["--lives", "--failed"], Tells::Lives),
            (&["--retries"], Tells::Happenings),
            (&["--state", "LISTEN"], Tells::Happenings),
            (&["--format", "json"], Tells::Lives),
            (&["--format", "json", "--retries"], Tells::Happenings),
            (&["--format", "json", "--state", "LISTEN"], Tells::Happenings),
        ] {
            let cli = Cli::try_parse_from([&["tcpwatch"], words].concat()).unwrap();
            assert_eq!(cli.output.tells(&cli.filters), tells, "{words:?}");
        }
    }

    #[test]
    fn a_bad_port_is_refused_with_the_rule() {
        for (word, says) in [
            ("0", "port 0 is no port"),
            ("65536", "\"65536\" is no port; ports are 1 to 65535"),
            ("x", "\"x\" is no port"),
            ("", "\"\" is no port"),
            ("80-70", "runs backwards; write 70-80"),
            ("1-", "\"\" is no port"),
        ] {
            let error = port_range(word).unwrap_err();
            assert!(error.contains(says), "{word}: {error}");
        }
    }

    #[test]
    fn a_prefix_may_be_an_address_and_its_host_bits_do_not_matter() {
        assert_eq!(prefix("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(prefix("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
        assert!(prefix("10.0.0.0/33").unwrap_err().contains("write 192.0.2.1"));
    }

    #[test]
    fn a_duration_is_seconds_or_words() {
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for word in ["0", "-1", "x", "", "nan"] {
            assert!(duration(word).unwrap_err().contains("no duration"), "{word}");
        }
    }

    #[test]
    fn a_listen_address_has_a_port_and_no_name() {
        assert_eq!(listen_address("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(listen_address(":80").unwrap().to_string(), "[::]:80", "every interface");
        for word in ["localhost:80", "127.0.0.1", ""] {
            assert!(listen_address(word).unwrap_err().contains("write 127.0.0.1:10911"), "{word}");
        }
    }

    #[test]
    fn a_limit_of_a_recording_is_large_enough_for_its_parts() {
        assert_eq!(recording_size("1G"), Ok(1 << 30));
        assert_eq!(recording_size("64G"), Ok(64 << 30), "more than a ring");
        for word in ["4K", "x", "", "1T"] {
            assert!(recording_size(word).unwrap_err().contains("from 1M on"), "{word}");
        }
    }

    #[test]
    fn a_ring_size_is_rounded_up_to_what_the_kernel_takes() {
        assert_eq!(ring_size("4K"), Ok(4096));
        assert_eq!(ring_size("5000"), Ok(8192));
        assert_eq!(ring_size("2M"), Ok(RING_BYTES), "the default");
        for word in ["1K", "2G", "x", "", "4T", "M"] {
            assert!(ring_size(word).unwrap_err().contains("no ring size"), "{word}");
        }
    }
}
