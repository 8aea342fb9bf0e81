//! `tcpwatch lab`: from the command line's words to runs, and what the reader sees of them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    env, fs,
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tcpwatch::cli::{
    color::Color,
    exit,
    lab::{LabCommand, LabRun, Setting},
};
use tcpwatch_draw::{atlas, target::TargetFile};
use tcpwatch_kernel::{clock, probe::filters::FamilyFilter};
use tcpwatch_lab::{
    catalog, explain,
    hosts::{HostsError, HostsPlan, end_orphans, prepare_for},
    lacking::lacking,
    language::Language,
    observe, report,
    run::Laboratory,
    scenario::{self, Choices, Scenario},
    show::{self, ReportFile, RunProgress, TerminalLayout, TimelineWriter},
    story::{LeftOut, Profile, Run, StoryEvent},
};
use tcpwatch_stream::pipeline::Live;
use tokio::{sync::Semaphore, task::JoinSet, time::interval};

use crate::{drawing, graded, reconstructed, runtime};

/// How often the progress line is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// One run to be made.
type Job = (Arc<Scenario>, FamilyFilter);

pub(crate) fn run(command: &LabCommand) -> Result<ExitCode> {
    match command {
        LabCommand::Run(asked) => return perform(asked),
        LabCommand::Check(asked) => return graded::check(asked),
        LabCommand::Draw(asked) => drawing::draw(asked)?,
        LabCommand::From(asked) => exit::print(reconstructed::scenario(asked)?)?,
        LabCommand::Format => exit::print(explain::FORMAT)?,
        LabCommand::List { lang } => {
            let choices = choices(Profile::default(), &[], *lang);
            exit::print(explain::list(&choices, layout(Color::Auto).color))?;
        }
        LabCommand::Show { scenario, profile, lang } => {
            let choices = choices(*profile, &[], *lang);
            let scenario = find(scenario, &choices)?;
            exit::print(explain::show(&scenario, &choices, layout(Color::Auto)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn perform(asked: &LabRun) -> Result<ExitCode> {
    let choices = choices(asked.profile, &asked.set, asked.lang);
    let scenarios = if asked.all {
        let all = catalog::all().iter().map(|built_in| built_in.read(&choices));
        all.collect::<Result<Vec<_>, _>>()?
    } else {
        let named = asked.scenarios.iter().map(|name| find(name, &choices));
        named.collect::<Result<_>>()?
    };
    let jobs: Vec<Job> = scenarios
        .into_iter()
        .map(Arc::new)
        .flat_map(|scenario| {
            asked.families().iter().map(move |family| (Arc::clone(&scenario), *family))
        })
        .collect();
    let (jobs, left_out) = possible(jobs);
    if let ([], [first, ..]) = (&jobs[..], &left_out[..]) {
        return Err(first.why.clone().into());
    }
    // Before anything is run.
    let report = asked.report.as_deref().map(ReportFile::open).transpose()?;
    let page = asked.html.as_deref().map(TargetFile::open).transpose()?;
    let layout = layout(asked.color);
    let runs = in_laboratory(async |laboratory| match jobs.as_slice() {
        [job] if left_out.is_empty() => {
            one(laboratory, job, asked.profile, layout).await.map(|run| vec![run])
        }
        jobs => many(laboratory, (jobs, &left_out), asked, layout).await,
    })?;
    let Some(runs) = runs else { return Ok(ExitCode::FAILURE) };
    let document = show::document(&runs, &left_out, &clock::read());
    if let Some(report) = report {
        report.write(&document)?;
    }
    if let Some(page) = page {
        let document = report::read("of these runs", &document)?;
        page.finish(atlas::html(&[document], asked.lang.unwrap_or_default())?.as_bytes())?;
    }
    Ok(if runs.iter().all(Run::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `work` yields while the kernel side is attached; `None` after a signal, which is said.
pub(crate) fn in_laboratory<T>(
    work: impl AsyncFnOnce(&Laboratory) -> Result<T>,
) -> Result<Option<T>> {
    let runtime = runtime::start()?;
    for pid in end_orphans(&HostsPlan::this_program()).map_err(HostsError::Leftovers)? {
        exit::say(&format!(
            "tcpwatch: ended process {pid}, left behind by a run that was killed\n"
        ));
    }
    prepare_for(&HostsPlan::this_program())?;
    let done = runtime.block_on(async {
        let plan = observe::plan();
        let mut live = Live::attach(&plan)?;
        let laboratory = observe::laboratory(&mut live)?;
        tokio::select! {
            biased;
            // First: after a signal this ends at once, and no run continues.
            observed = observe::observe(&mut live, &laboratory.audience) => observed.map(|()| None),
            done = work(&laboratory) => done.map(Some),
        }
    })?;
    if done.is_none() {
        exit::say("tcpwatch: interrupted; the hosts and everything on them are gone\n");
    }
    Ok(done)
}

/// What this kernel can run, and what it is too old for.
fn possible(jobs: Vec<Job>) -> (Vec<Job>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let possible = jobs.into_iter().filter(|(scenario, family)| {
        let why = lacking(&scenario.sysctls);
        let is_possible = why.is_none();
        left_out.extend(why.map(|why| LeftOut {
            scenario: Arc::clone(scenario),
            family: *family,
            why,
        }));
        is_possible
    });
    (possible.collect(), left_out)
}

/// Shows it as it happens, then what was measured, then the verdicts.
async fn one(
    laboratory: &Laboratory,
    (scenario, family): &Job,
    profile: Profile,
    layout: TerminalLayout,
) -> Result<Run> {
    let mut text = Vec::new();
    show::heading(layout, scenario, &mut text);
    exit::print(&text)?;
    let mut timeline = None;
    let (fail, failed) = tokio::sync::oneshot::channel();
    let mut fail = Some(fail);
    let show = |moment: &StoryEvent| {
        let timeline = timeline
            .get_or_insert_with(|| TimelineWriter::new(layout, scenario, *family, moment.at));
        let mut text = Vec::new();
        timeline.moment(moment, &mut text);
        if let Err(error) = exit::print(&text)
            && let Some(fail) = fail.take()
        {
            let _told = fail.send(error).is_ok();
        }
    };
    let run = tokio::select! {
        biased;
        // Nobody sees it any more.
        Ok(error) = failed => return Err(error.into()),
        run = laboratory.run(scenario, (profile, *family), 0, show) => run?,
    };
    let mut text = b"\n".to_vec();
    show::diagram(layout, &run, &mut text);
    text.push(b'\n');
    show::verdicts(layout, &run, &mut text);
    exit::print(&text)?;
    Ok(run)
}

/// All at once, or as many as are allowed.
async fn many(
    laboratory: &Laboratory,
    (jobs, left_out): (&[Job], &[LeftOut]),
    asked: &LabRun,
    layout: TerminalLayout,
) -> Result<Vec<Run>> {
    let terminal = io::stdout().is_terminal();
    let progress = Rc::new(RefCell::new(RunProgress::new(layout, terminal, jobs.len())));
    let room = Arc::new(Semaphore::new(asked.jobs.map_or(jobs.len(), Into::into)));
    let mut going = JoinSet::new();
    let profile = asked.profile;
    let numbered = jobs.iter().cloned().zip(0..).enumerate();
    let local = tokio::task::LocalSet::new();
    for (place, ((scenario, family), number)) in numbered {
        let (laboratory, room) = (laboratory.clone(), Arc::clone(&room));
        let progress = Rc::clone(&progress);
        let job = async move {
            let _permit = room.acquire_owned().await?;
            let about = Some(scenario.takes);
            progress.borrow_mut().began(&scenario.name, family, clock::now(), about);
            let run = laboratory.run(&scenario, (profile, family), number, |_| {}).await?;
            anyhow::Ok((place, run))
        };
        going.spawn_local_on(job, &local);
    }
    let mut runs = Vec::new();
    let mut ticks = interval(DRAWN_EVERY);
    local
        .run_until(async {
            loop {
                let mut text = Vec::new();
                tokio::select! {
                    ended = going.join_next() => {
                        let Some(ended) = ended else { break };
                        let (place, run) = ended??;
                        progress.borrow_mut().ended(&run, &mut text);
                        runs.push((place, run));
                    }
                    _ = ticks.tick() => progress.borrow_mut().draw(clock::now(), &mut text),
                }
                exit::print(&text)?;
            }
            anyhow::Ok(())
        })
        .await?;
    runs.sort_by_key(|(place, _)| *place);
    let runs: Vec<_> = runs.into_iter().map(|(_, run)| run).collect();
    let mut text = Vec::new();
    progress.borrow_mut().clear(&mut text);
    progress.borrow_mut().summary(&runs, left_out, &mut text);
    exit::print(&text)?;
    Ok(runs)
}

/// A built-in scenario by its name, or a file.
fn find(name: &str, choices: &Choices) -> Result<Scenario> {
    let path = Path::new(name);
    if !name.contains('/') && path.extension().is_none_or(|extension| extension != "toml") {
        return Ok(catalog::find(name)?.read(choices)?);
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok(scenario::read(name, &text, choices)?)
}

/// Without a language, that of the locale, by the variable that POSIX looks at first.
pub(crate) fn choices(
    profile: Profile,
    settings: &[Setting],
    language: Option<Language>,
) -> Choices {
    let mut set: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for Setting { host, name, value } in settings {
        set.entry(*host).or_default().insert(name.clone(), value.clone());
    }
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(env::var_os);
    let locale = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let language = language.unwrap_or_else(|| Language::of_locale(&locale.to_string_lossy()));
    Choices { profile, set, rate: clock::tick_rate(), language, ..Choices::default() }
}

pub(crate) fn layout(color: Color) -> TerminalLayout {
    let terminal = io::stdout().is_terminal();
    let size = terminal_size::terminal_size().filter(|_| terminal);
    let width = size.map_or(TerminalLayout::USUAL_WIDTH, |(columns, _)| usize::from(columns.0));
    TerminalLayout { color: color.is_wanted(terminal), width }
}
