//! Checks that links in Markdown files lead to existing targets, and that paths of this repository named in Markdown or
//! in a comment exist. (`cargo doc` checks the links in rustdoc, see `.ci/run`.)

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::cargo;

/// One Markdown file.
#[derive(Debug, Default)]
struct MarkdownPage {
    /// The targets of its links, with their texts.
    links: Vec<(String, String)>,
    /// The anchors of its headings, as GitHub makes them.
    anchors: Vec<String>,
    /// Words in backticks.
    code: Vec<String>,
}

impl MarkdownPage {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut spoken = String::new();
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    spoken.clear();
                    page.links.push((dest_url.into_string(), String::new()));
                }
                Event::Start(Tag::Heading { .. }) => spoken.clear(),
                Event::End(TagEnd::Link | TagEnd::Image) => {
                    page.links.last_mut().unwrap().1.clone_from(&spoken);
                }
                Event::End(TagEnd::Heading(_)) => page.add_anchor(&spoken),
                Event::Text(text) => spoken.push_str(&text),
                Event::Code(code) => {
                    spoken.push_str(&code);
                    page.code.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }

    /// A heading that occurs again gets a number as suffix.
    fn add_anchor(&mut self, heading: &str) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let earlier = (0..).map(|n| if n == 0 { anchor.clone() } else { format!("{anchor}-{n}") });
        let free = earlier.into_iter().find(|name| !self.anchors.contains(name));
        self.anchors.extend(free);
    }
}

/// All files below a folder with this extension, except hidden files and build output.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

pub(crate) fn texts(extension: &str) -> BTreeMap<PathBuf, String> {
    let mut found = Vec::new();
    files(cargo::workspace(), extension, &mut found);
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Why a link is dead; `None` if it is not.
fn fault(from: &Path, link: &str, pages: &BTreeMap<PathBuf, MarkdownPage>) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { from.to_owned() } else { from.parent()?.join(file) };
    let Ok(target) = target.canonicalize() else { return Some("no such file") };
    if !target.starts_with(cargo::workspace().canonicalize().unwrap()) {
        return Some("outside the repository");
    }
    let anchors = pages.get(&target).map_or(&[][..], |page| &page.anchors);
    let is_there = anchor.is_empty() || anchors.iter().any(|known| known == anchor);
    (!is_there).then_some("no such heading")
}

/// Whether it is a path of this repository, from its top level, that does not exist.
fn is_dead_path(word: &str) -> bool {
    let root = cargo::workspace();
    let Some((first, _)) = word.split_once('/') else { return false };
    let is_path = !matches!(first, "" | "." | "..") && !word.contains([' ', '\u{2026}', '$', ':']);
    is_path && root.join(first).is_dir() && !root.join(word).exists()
}

/// Words in backticks in the comments of a source file.
fn named_in_comments(text: &str) -> impl Iterator<Item = &str> {
    let comments = text.lines().filter_map(|line| line.split_once("//"));
    comments.flat_map(|(_, comment)| comment.split('`').skip(1).step_by(2))
}

#[test]
fn every_link_in_markdown_leads_to_a_file_and_a_heading_of_this_repository() {
    let pages: BTreeMap<_, _> = texts("md")
        .into_iter()
        .map(|(path, text)| (path.canonicalize().unwrap(), MarkdownPage::read(&text)))
        .collect();
    let mut dead = Vec::new();
    let mut followed = 0;
    for (path, page) in &pages {
        for (link, text) in &page.links {
            followed += 1;
            let names_a_file = Path::new(text).extension().is_some_and(|it| it == "rs");
            let moved = names_a_file && !link.ends_with(text.as_str());
            let fault = fault(path, link, &pages)
                .or_else(|| moved.then_some("leads to another file than its text names"));
            dead.extend(fault.map(|fault| format!("{}: {link}: {fault}", path.display())));
        }
    }
    assert!(followed > 100, "{followed} links in {} pages", pages.len());
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn every_path_of_this_repository_in_markdown_and_in_comments_exists() {
    let (markdown, sources) = (texts("md"), texts("rs"));
    let in_markdown = markdown.iter().flat_map(|(path, text)| {
        MarkdownPage::read(text).code.into_iter().map(move |word| (path, word))
    });
    let in_comments = sources
        .iter()
        .flat_map(|(path, text)| named_in_comments(text).map(move |word| (path, word.to_owned())));
    let dead: Vec<_> = in_markdown
        .chain(in_comments)
        .filter(|(_, word)| is_dead_path(word))
        .map(|(path, word)| format!("{}: {word}", path.display()))
        .collect();
    assert!(dead.is_empty(), "paths that do not exist:\n{}", dead.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let root = cargo::workspace().canonicalize().unwrap();
    let page = MarkdownPage::read(
        "# Here & `there`\n\n## Twice\n\n## Twice\n\n[a](README.md#none), `b/c`",
    );
    assert_eq!(page.anchors, ["here--there", "twice", "twice-1"]);
    assert_eq!(page.links, [("README.md#none".to_owned(), "a".to_owned())]);
    assert_eq!(page.code, ["there", "b/c"]);
    let readme = root.join("README.md");
    let pages = BTreeMap::from([(readme.clone(), page)]);
    let fault = |link| fault(&readme, link, &pages);
    assert_eq!(fault("README.md#none"), Some("no such heading"));
    assert_eq!(fault("#twice-1"), None);
    assert_eq!(fault("docs/none.md"), Some("no such file"));
    assert_eq!(fault("../"), Some("outside the repository"));
    assert_eq!(fault("https://www.rfc-editor.org/rfc/rfc9293"), None);
    assert!(is_dead_path("tcpwatch/none.rs") && !is_dead_path("tcpwatch/core/src/lib.rs"));
    assert!(!is_dead_path("net/ipv4/tcp.c"), "not of this repository");
}
