//! [`Failure`]: why a command did not do what it was asked to, and the exit code that says so.

use crate::error::Error;
use crate::filter::FilterError;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use std::fmt;
use std::io::{self, IsTerminal};

/// The exit code for something that failed.
pub(super) const FAILED: u8 = 1;
/// The exit code for input that cannot be used.
pub(super) const INPUT: u8 = 2;
/// The exit code of a check that found something to do.
pub(super) const FOUND: u8 = 3;
/// The exit code for a limit that would be exceeded.
pub(super) const EXCEEDED: u8 = 4;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) enum Failure {
    /// The input cannot be used. Every line is a reason of its own.
    Input(Vec<String>),
    /// The store, or something else, failed; at this place of the input, if it is about one.
    Error(Box<Error>, Option<String>),
    /// It was done; the answer is that there is something to do.
    Found(String),
    /// What was asked for would cost more than is allowed.
    Exceeded(String),
    /// Standard output is gone.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error), None)
    }
}

impl Failure {
    /// Input that cannot be used, for one reason.
    pub(super) fn input(reason: impl Into<String>) -> Self {
        Self::Input(vec![reason.into()])
    }

    /// The same, of what stands at a place of the input.
    pub(super) fn about(self, place: String) -> Self {
        match self {
            Self::Error(error, _) => Self::Error(error, Some(place)),
            other => other,
        }
    }

    /// Says on standard error what is wrong; the exit code.
    pub(super) fn report(&self) -> u8 {
        match self {
            Self::Input(reasons) => {
                for reason in reasons {
                    say(&Report { message: reason.clone(), ..Report::default() });
                }
                INPUT
            }
            Self::Error(error, place) => {
                for mut report in reports(error) {
                    if let Some(place) = place {
                        report.message = format!("{place}: {}", report.message);
                    }
                    say(&report);
                }
                if is_about_input(error) { INPUT } else { FAILED }
            }
            Self::Found(what) => {
                eprintln!("{what}");
                FOUND
            }
            Self::Exceeded(what) => {
                say(&Report { message: what.clone(), ..Report::default() });
                EXCEEDED
            }
            // Whoever reads has seen enough: `metaxy .. | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(error) => {
                let message = format!("cannot write to standard output: {error}");
                say(&Report { message, ..Report::default() });
                FAILED
            }
        }
    }
}

/// Whether another input would have done, and nothing is wrong with the store.
fn is_about_input(error: &Error) -> bool {
    matches!(
        error,
        Error::Key(_)
            | Error::Graph(_)
            | Error::History(_)
            | Error::Lock(_)
            | Error::Spec(_)
            | Error::Row(_)
            | Error::NothingLinked(_)
            | Error::UnknownFeature { .. }
            | Error::UnknownField { .. }
            | Error::NotAField { .. }
            | Error::Write { .. }
            | Error::WrongKind { .. }
            | Error::NobodyAccepts { .. }
            | Error::NoUpstream { .. }
            | Error::NoColumn { .. }
            | Error::NoSamples { .. }
            | Error::Filter { .. }
            | Error::Setting { .. }
            | Error::OtherSettings { .. }
            | Error::Url { .. }
            | Error::File { .. }
    ) || is_about_files(error)
}

/// Whether migrations are not as they should be, before any of them has run.
#[cfg(feature = "sql")]
fn is_about_files(error: &Error) -> bool {
    use crate::migrate::MigrationError as M;
    matches!(error, Error::Migration(error) if !matches!(**error, M::Failed { .. } | M::Irreversible { .. }))
}

#[cfg(not(feature = "sql"))]
fn is_about_files(_: &Error) -> bool {
    false
}

/// What is said about an error: one report, or one for each mistake of a graph or a spec file.
fn reports(error: &Error) -> Vec<Report> {
    let of = |message: String| Report { message, ..Report::default() };
    match error {
        Error::Graph(errors) => errors.iter().map(|error| of(error.to_string())).collect(),
        Error::Spec(errors) => errors.messages().map(of).collect(),
        Error::Filter { feature, source } => vec![of_filter(feature.as_str(), source)],
        error => vec![of(in_words_of_commands(error))],
    }
}

/// What an error says, with a fix that is an option here where it is a call in a program.
fn in_words_of_commands(error: &Error) -> String {
    match error {
        Error::NoStore { place } => format!(
            "there is no store in `{place}`; a command that writes makes one, with `--create-tables`"
        ),
        Error::NoTable { feature, table } => format!(
            "`{feature}` has no table `{table}` in this store; write to it first, with `--create-tables`"
        ),
        Error::NoSystemTable { table } => {
            format!("this store has no table `{table}`; write to it first, with `--create-tables`")
        }
        Error::TableLacksColumns { feature, table, columns } => format!(
            "the table `{table}` of `{feature}` lacks the columns `{}`; add them to the table, or write \
             with `--create-tables`",
            columns.join("`, `")
        ),
        Error::ReadOnly => {
            "the configuration says `read_only` of this store: nothing can be written to it".to_owned()
        }
        Error::UnknownSettings => {
            "the store was made by the Python implementation, which does not record how it hashes; say \
             `compat = \"python\"` in the configuration, or `hash_algorithm` and `hash_truncation_length`"
                .to_owned()
        }
        Error::WrongKind { feature, problem, .. } => {
            format!("`{feature}` {problem}; `metaxy describe {feature}` says what it is")
        }
        // What a program calls, a command line runs.
        Error::History(error) => [
            ("`store.history()`", "`metaxy history`"),
            ("`store.push()`", "`metaxy push`"),
            ("`.project(\"..\")`", "`--project ..`"),
            ("`.all_projects(true)`", "`--all-projects`"),
        ]
        .into_iter()
        .fold(error.to_string(), |text, (call, command)| text.replace(call, command)),
        error => error.to_string(),
    }
}

fn of_filter(feature: &str, error: &FilterError) -> Report {
    Report {
        message: format!("a filter on `{feature}` cannot be used"),
        source: Some(error.text().to_owned()),
        label: Some((error.span(), error.message().to_owned())),
        help: error.help().map(str::to_owned),
    }
}

/// An error as it is shown.
#[derive(Debug, Default)]
struct Report {
    message: String,
    /// The text that has the mistake.
    source: Option<String>,
    /// Where in it, in bytes, and what is wrong there.
    label: Option<(std::ops::Range<usize>, String)>,
    help: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (span, message) = self.label.as_ref()?;
        let label = LabeledSpan::at(span.clone(), message.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// A mistake in a text is drawn, with a mark below it; everything else is one line that begins with
/// `error: `, which editors and CI look for.
fn say(report: &Report) {
    eprintln!("error: {}", report.message);
    if report.source.is_some() {
        let theme = match io::stderr().is_terminal() {
            true => GraphicalTheme::unicode(),
            false => GraphicalTheme::unicode_nocolor(),
        };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
        if handler.render_report(&mut text, report).is_ok() {
            // The first lines would be the message again.
            let drawn = text.find('╭').map_or("", |at| &text[at..]);
            eprintln!("   {drawn}");
        }
    }
}
