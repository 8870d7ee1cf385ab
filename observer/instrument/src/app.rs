//! The model: takes reports, keys and times, and holds everything that a frame is drawn from.
//!
//! It does no input and output. What it wants done are [`Command`]s.

use std::collections::BTreeMap;

use observer_core::{
    report::LossTotals,
    view::{GroupBy, Sort},
};

use crate::{
    command::{Command, Seek},
    ended::Ended,
    hits::Hits,
    input::{Frame, Input, Moment},
    listing::Listing,
    menu::Menu,
    prompt::Prompt,
    section::{Page, Section},
    settings::Settings,
    sheet::Sheet,
    target::Target,
    trace::Traces,
};

mod choosing;
mod keys;
mod saving;
#[cfg(test)]
mod tests;

/// A message stays for this many nanoseconds.
const MESSAGE: u64 = 6_000_000_000;

/// What the keys act on.
#[derive(Debug)]
pub enum Mode {
    Browse,
    Prompt(Prompt),
    Menu(Menu),
    /// Scrolled by this many lines.
    Help(usize),
    Notes(usize),
}

/// A page about one thing.
#[derive(Debug)]
pub struct Opened {
    pub target: Target,
    /// Scrolled by this many lines.
    pub scroll: usize,
}

/// A line for the human at the bottom of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub text: String,
    pub is_error: bool,
    until: u64,
}

/// The instrument.
#[derive(Debug)]
pub struct App {
    settings: Settings,
    pages: Vec<Page>,
    page: usize,
    /// The shown table of each page.
    shown: Vec<Option<Section>>,
    listings: BTreeMap<Section, Listing>,
    sheets: BTreeMap<&'static str, Sheet>,
    opened: Vec<Opened>,
    mode: Mode,
    /// The newest reports, while others are on the screen.
    waiting: Option<Frame>,
    paused: bool,
    /// The newest known time, nanoseconds since the Unix epoch, while an earlier one is on the screen.
    past: Option<u64>,
    is_recording: bool,
    shows_ended: bool,
    ended: Ended,
    traces: Traces,
    message: Option<Message>,
    commands: Vec<Command>,
    watched: Vec<&'static str>,
    hits: Hits,
    /// Lines of rows on the last frame.
    height: usize,
    now: u64,
}

/// What the instrument begins with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub page: usize,
    /// The view whose table is shown first on that page.
    pub view: Option<&'static str>,
    pub sort: Option<Sort>,
    pub group: GroupBy,
    /// Whether reports come from a recording: there is no present.
    pub is_recording: bool,
}

impl App {
    /// The instrument before its first report.
    #[must_use]
    pub fn new(pages: Vec<Page>, settings: Settings, start: Start) -> Self {
        let page = start.page.min(pages.len().saturating_sub(1));
        let mut app = Self {
            settings,
            shown: vec![None; pages.len()],
            pages,
            page,
            listings: BTreeMap::new(),
            sheets: BTreeMap::new(),
            opened: Vec::new(),
            mode: Mode::Browse,
            waiting: None,
            paused: false,
            past: None,
            is_recording: start.is_recording,
            shows_ended: false,
            ended: Ended::default(),
            traces: Traces::default(),
            message: None,
            commands: Vec::new(),
            watched: Vec::new(),
            hits: Hits::default(),
            height: 1,
            now: 0,
        };
        let view = start.view.or_else(|| app.pages.get(page)?.views.first().copied());
        if let Some(view) = view {
            // Every main table is called so; another one is chosen once the report has come.
            let section = Section { view, table: "rows" };
            let listing = app.listings.entry(section).or_default();
            (listing.sort, listing.group) = (start.sort, start.group);
            if let Some(shown) = app.shown.get_mut(page) {
                *shown = Some(section);
            }
        }
        app.watch();
        app
    }

    /// Takes the reports of one moment, at `now`: nanoseconds of any steady clock.
    pub fn take(&mut self, frame: Frame, now: u64) {
        self.now = now;
        match frame.moment {
            Moment::Now if self.paused || self.past.is_some() => self.waiting = Some(frame),
            Moment::Now => self.show(frame),
            Moment::Past { newest, answers } => {
                let at = frame.reports.first().map(|report| report.now.wall);
                let jumps = !matches!(answers, Seek::Later(_));
                if jumps {
                    self.ended.clear();
                    self.traces.clear();
                }
                self.past = at.filter(|at| self.is_recording || *at < newest).map(|_| newest);
                self.show(frame);
            }
        }
    }

    fn show(&mut self, frame: Frame) {
        for report in frame.reports {
            let mut sheet = Sheet::from(report);
            self.ended.take(&mut sheet);
            self.traces.take(&sheet);
            self.sheets.insert(sheet.view, sheet);
        }
        self.arrange();
    }

    /// Takes one event, at `now`.
    pub fn handle(&mut self, input: Input, now: u64) {
        self.now = now;
        match input {
            Input::Key(key) => self.key(key),
            Input::Paste(text) => self.paste(&text),
            Input::Click { x, y } => self.click(x, y),
            Input::Wheel(lines) => self.wheel(lines),
            Input::Resized => {}
        }
        self.watch();
    }

    /// Puts a message on the screen.
    pub fn say(&mut self, text: impl Into<String>, is_error: bool) {
        self.message = Some(Message { text: text.into(), is_error, until: self.now + MESSAGE });
    }

    /// The commands since the last call.
    pub fn commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// Arranges the rows of the shown table again: they or the choices for them have changed.
    fn arrange(&mut self) {
        let Some(section) = self.section() else { return };
        let Some(grid) = self.sheets.get(section.view).and_then(|sheet| sheet.table(section.table)) else {
            return;
        };
        let ended = if self.shows_ended { self.ended.of(section) } else { Vec::new() };
        self.listings.entry(section).or_default().arrange(grid, &ended, self.now);
    }

    /// Asks for the views that the screen needs, if they have changed.
    fn watch(&mut self) {
        let all = || self.pages.iter().flat_map(|page| page.views.iter().copied());
        let views: Vec<&'static str> = if self.opened.is_empty() {
            self.pages.get(self.page).map(|page| page.views.clone()).unwrap_or_default()
        } else {
            all().collect()
        };
        if views != self.watched {
            self.watched.clone_from(&views);
            self.commands.push(Command::Watch(views));
        }
    }

    /// The tables of the shown page that have rows; of each view, the first one in any case.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        let Some(page) = self.pages.get(self.page) else { return Vec::new() };
        let mut sections = Vec::new();
        for view in &page.views {
            let Some(sheet) = self.sheets.get(view) else { continue };
            let main = sheet.tables.iter().position(|grid| grid.key == "rows").unwrap_or(0);
            for (place, grid) in sheet.tables.iter().enumerate() {
                let section = Section { view, table: grid.key };
                if place == main || !grid.rows.is_empty() {
                    sections.push(section);
                }
            }
        }
        sections
    }

    /// The table that the shown page has on the screen.
    #[must_use]
    pub fn section(&self) -> Option<Section> {
        let sections = self.sections();
        let chosen = self.shown.get(self.page).copied().flatten();
        chosen
            .filter(|chosen| sections.contains(chosen))
            .or_else(|| {
                // The view may call its table otherwise.
                let is_same = |section: &Section| chosen.is_some_and(|chosen| chosen.view == section.view);
                let same = |section: &&Section| is_same(section) && self.has_rows(**section);
                sections.iter().find(same).copied()
            })
            .or_else(|| sections.iter().find(|section| self.has_rows(**section)).copied())
            .or_else(|| sections.first().copied())
    }

    fn has_rows(&self, section: Section) -> bool {
        let grid = self.sheets.get(section.view).and_then(|sheet| sheet.table(section.table));
        grid.is_some_and(|grid| !grid.rows.is_empty())
    }

    /// The rows and choices of the shown table.
    #[must_use]
    pub fn listing(&self) -> Option<&Listing> {
        self.listings.get(&self.section()?)
    }

    /// The same, to be changed.
    pub fn listing_mut(&mut self) -> Option<&mut Listing> {
        let section = self.section()?;
        Some(self.listings.entry(section).or_default())
    }

    /// The report of a view.
    #[must_use]
    pub fn sheet(&self, view: &str) -> Option<&Sheet> {
        self.sheets.get(view)
    }

    /// The report that the screen is about: of the shown table's view, else any.
    #[must_use]
    pub fn main_sheet(&self) -> Option<&Sheet> {
        let view = self.section().map(|section| section.view);
        view.and_then(|view| self.sheets.get(view)).or_else(|| self.sheets.values().next())
    }

    /// Every report, in the order of the pages.
    #[must_use]
    pub fn all_sheets(&self) -> Vec<&Sheet> {
        self.pages.iter().flat_map(|page| &page.views).filter_map(|view| self.sheets.get(view)).collect()
    }

    /// What was lost, over all reports: each domain counts its own.
    #[must_use]
    pub fn loss(&self) -> LossTotals {
        let mut most = LossTotals::default();
        for loss in self.sheets.values().map(|sheet| sheet.loss) {
            most = LossTotals {
                ring: most.ring.max(loss.ring),
                map_full: most.map_full.max(loss.map_full),
                names: most.names.max(loss.names),
                unattributed: most.unattributed.max(loss.unattributed),
                skipped: most.skipped.max(loss.skipped),
            };
        }
        most
    }

    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    #[must_use]
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The place of the shown page.
    #[must_use]
    pub const fn page(&self) -> usize {
        self.page
    }

    #[must_use]
    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The page about one thing that covers the others, if one is open.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.last()
    }

    #[must_use]
    pub const fn traces(&self) -> &Traces {
        &self.traces
    }

    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    #[must_use]
    pub const fn is_recording(&self) -> bool {
        self.is_recording
    }

    #[must_use]
    pub const fn shows_ended(&self) -> bool {
        self.shows_ended
    }

    /// The number of rows of the shown table that ended lately.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.section().map_or(0, |section| self.ended.of(section).len())
    }

    /// The newest known time, while an earlier one is on the screen.
    #[must_use]
    pub const fn newest(&self) -> Option<u64> {
        self.past
    }

    /// The message for the human, while it is new.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref().filter(|message| self.now < message.until)
    }

    /// Remembers what is where, and how many lines of rows there are: called by the drawing.
    pub fn drawn(&mut self, hits: Hits, height: usize, scroll_end: usize) {
        (self.hits, self.height) = (hits, height.max(1));
        if let Some(opened) = self.opened.last_mut() {
            opened.scroll = opened.scroll.min(scroll_end);
        }
        if let Mode::Help(scroll) | Mode::Notes(scroll) = &mut self.mode {
            *scroll = (*scroll).min(scroll_end);
        }
    }
}
