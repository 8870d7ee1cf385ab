//! What keys and the mouse do.

use super::{App, Mode, Opened};
use crate::{
    action::Action,
    command::{Command, Seek},
    filter::Filter,
    hits::Spot,
    jump,
    key::{Key, KeyCode, NamedKey},
    prompt::{Prompt, Purpose, Typed},
    section::Section,
    target::Target,
};

impl App {
    pub(super) fn key(&mut self, key: Key) {
        self.message = None;
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => {
                if let Some(action) = self.settings.bindings.action(key) {
                    self.act(action);
                }
            }
            Mode::Prompt(prompt) => self.type_key(prompt, key),
            Mode::Menu(menu) => self.choose(menu, key),
            Mode::Help(scroll) => self.mode = self.scroll_text(scroll, key, Mode::Help),
            Mode::Notes(scroll) => self.mode = self.scroll_text(scroll, key, Mode::Notes),
        }
    }

    /// A page of text stays until a key that does not scroll it.
    fn scroll_text(&mut self, scroll: usize, key: Key, mode: fn(usize) -> Mode) -> Mode {
        match self.settings.bindings.action(key) {
            Some(Action::Up) => mode(scroll.saturating_sub(1)),
            Some(Action::Down) => mode(scroll + 1),
            Some(Action::PageUp) => mode(scroll.saturating_sub(self.height)),
            Some(Action::PageDown) => mode(scroll + self.height),
            Some(Action::Quit) if key.control => {
                self.commands.push(Command::Quit);
                Mode::Browse
            }
            _ => Mode::Browse,
        }
    }

    fn act(&mut self, action: Action) {
        let page = isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1);
        match action {
            Action::Page(place) => self.go_to_page(usize::from(place)),
            Action::NextPage => self.go_to_page((self.page + 1) % self.pages.len().max(1)),
            Action::PreviousPage => {
                self.go_to_page(self.page.checked_sub(1).unwrap_or(self.pages.len().saturating_sub(1)));
            }
            Action::NextTable => self.next_table(),
            Action::Up => self.step(-1),
            Action::Down => self.step(1),
            Action::PageUp => self.step(-page),
            Action::PageDown => self.step(page),
            Action::First => self.step(isize::MIN),
            Action::Last => self.step(isize::MAX),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Filter => {
                let text = self.listing().map_or("", |listing| listing.filter.as_str()).to_owned();
                self.opened.clear();
                self.mode = Mode::Prompt(Prompt::new(Purpose::Filter, text));
            }
            Action::Sort => self.offer_sort(),
            Action::Reverse => self.reverse(),
            Action::Columns => self.offer_columns(),
            Action::Group => self.offer_groups(),
            Action::Pause => self.pause(),
            Action::Ended => {
                self.shows_ended = !self.shows_ended;
                self.arrange();
            }
            Action::Notes => self.mode = Mode::Notes(0),
            Action::Earlier => self.seek(Seek::Earlier(1)),
            Action::Later => self.seek(Seek::Later(1)),
            Action::Oldest => self.seek(Seek::Oldest),
            Action::Newest => self.seek(Seek::Newest),
            Action::Jump => self.mode = Mode::Prompt(Prompt::new(Purpose::Jump, "")),
            Action::Export => self.offer_export(),
            Action::Record => self.offer_recording(),
            Action::Copy => self.copy(),
            Action::Help => self.mode = Mode::Help(0),
            Action::Quit => self.commands.push(Command::Quit),
        }
    }

    fn go_to_page(&mut self, page: usize) {
        if page < self.pages.len() {
            self.opened.clear();
            self.page = page;
            self.arrange();
        }
    }

    fn next_table(&mut self) {
        let sections = self.sections();
        let place = self.section().and_then(|own| sections.iter().position(|section| *section == own));
        let next = place.map_or(0, |place| (place + 1) % sections.len());
        if let Some(section) = sections.get(next) {
            self.go_to_section(*section);
        }
    }

    fn go_to_section(&mut self, section: Section) {
        if let Some(shown) = self.shown.get_mut(self.page) {
            *shown = Some(section);
        }
        self.opened.clear();
        self.arrange();
    }

    /// Moves the cursor; on a page of text, scrolls it.
    fn step(&mut self, rows: isize) {
        let now = self.now;
        if let Some(opened) = self.opened.last_mut() {
            opened.scroll = opened.scroll.saturating_add_signed(rows);
        } else if let Some(listing) = self.listing_mut() {
            listing.step(rows, now);
        }
    }

    fn open(&mut self) {
        if !self.opened.is_empty() {
            return;
        }
        let target = self.section().zip(self.listing().and_then(|listing| listing.selected()));
        if let Some((section, row)) = target {
            let target = Target::of(section, row);
            self.opened.push(Opened { target, scroll: 0 });
        }
    }

    /// Leaves the innermost thing: a page about one thing, then the filter, then the held row.
    fn back(&mut self) {
        if self.opened.pop().is_some() {
            return;
        }
        let Some(listing) = self.listing_mut() else { return };
        if !listing.filter.is_empty() {
            listing.filter.clear();
            listing.changed();
        } else if !listing.release() && self.paused {
            return self.pause();
        }
        self.arrange();
    }

    fn reverse(&mut self) {
        let Some(listing) = self.listing_mut() else { return };
        match &mut listing.sort {
            Some(sort) => sort.ascending = !sort.ascending,
            None => return self.say("sort by a column first", false),
        }
        listing.changed();
        self.arrange();
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused
            && self.past.is_none()
            && let Some(frame) = self.waiting.take()
        {
            self.show(frame);
        }
    }

    fn seek(&mut self, seek: Seek) {
        if seek == Seek::Newest && !self.is_recording {
            self.past = None;
            self.paused = false;
            if let Some(frame) = self.waiting.take() {
                self.ended.clear();
                self.traces.clear();
                self.show(frame);
            }
        } else if matches!(seek, Seek::Later(_)) && self.past.is_none() && !self.is_recording {
            return self.say("this is the newest report", false);
        }
        self.commands.push(Command::Seek(seek));
    }

    fn type_key(&mut self, mut prompt: Prompt, key: Key) {
        let typed = prompt.key(key);
        match (prompt.purpose, typed) {
            (Purpose::Filter, Typed::Left) => self.filter(""),
            (Purpose::Filter, Typed::Entered) => {
                let columns = self.listing().map(|listing| listing.columns().to_vec()).unwrap_or_default();
                match Filter::parse(prompt.text(), &columns) {
                    Ok(_) => self.filter(prompt.text()),
                    Err(error) => {
                        self.say(error, true);
                        self.filter("");
                    }
                }
            }
            (_, Typed::Left) => {}
            (Purpose::Jump, Typed::Entered) => self.jump(prompt.text()),
            (Purpose::Export, Typed::Entered) => self.export(prompt.text()),
            (Purpose::Record, Typed::Entered) => self.record(prompt.text()),
            (purpose, Typed::Changed) => {
                if purpose == Purpose::Filter {
                    self.filter(prompt.text());
                }
                self.mode = Mode::Prompt(prompt);
            }
            (_, Typed::Nothing) => self.mode = Mode::Prompt(prompt),
        }
    }

    /// Applies a filter as far as it means something: it may still be being typed.
    fn filter(&mut self, text: &str) {
        let Some(listing) = self.listing_mut() else { return };
        if text.trim().is_empty() || Filter::parse(text, listing.columns()).is_err() {
            listing.filter.clear();
        } else {
            text.clone_into(&mut listing.filter);
        }
        listing.changed();
        self.arrange();
    }

    fn jump(&mut self, text: &str) {
        let Some(shown) = self.main_sheet().map(|sheet| sheet.now.wall) else { return };
        match jump::parse(text, shown, self.past.unwrap_or(shown).max(shown)) {
            Ok(at) => self.seek(Seek::At(at)),
            Err(error) => self.say(error, true),
        }
    }

    pub(super) fn paste(&mut self, text: &str) {
        if let Mode::Prompt(prompt) = &mut self.mode {
            prompt.insert(text);
            if prompt.purpose == Purpose::Filter {
                let text = prompt.text().to_owned();
                self.filter(&text);
            }
        }
    }

    pub(super) fn click(&mut self, x: u16, y: u16) {
        let Some(spot) = self.hits.at(x, y) else {
            if !matches!(self.mode, Mode::Prompt(_)) {
                self.mode = Mode::Browse;
            }
            return;
        };
        let now = self.now;
        match spot {
            Spot::Page(page) => self.go_to_page(page),
            Spot::Section(section) => self.go_to_section(section),
            Spot::Heading(column) => {
                if let Some(listing) = self.listing_mut() {
                    listing.sort_by(column);
                }
                self.arrange();
            }
            Spot::Row(place) => {
                let Some(listing) = self.listing_mut() else { return };
                // A second click opens the row.
                if listing.holds() && listing.cursor() == place {
                    self.open();
                } else {
                    listing.go(place, now);
                }
            }
            Spot::Item(place) => {
                if let Mode::Menu(mut menu) = std::mem::replace(&mut self.mode, Mode::Browse) {
                    menu.cursor = place;
                    self.choose(menu, Key::named(NamedKey::Enter));
                }
            }
        }
    }

    pub(super) fn wheel(&mut self, lines: isize) {
        let key = |key| Key { code: KeyCode::Named(key), control: false, alt: false };
        match &mut self.mode {
            Mode::Browse => self.step(lines),
            Mode::Menu(menu) => menu.step(lines.signum()),
            Mode::Help(_) | Mode::Notes(_) => {
                self.key(key(if lines < 0 { NamedKey::Up } else { NamedKey::Down }));
            }
            Mode::Prompt(_) => {}
        }
    }
}
