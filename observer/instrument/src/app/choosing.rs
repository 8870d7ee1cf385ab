//! The menus: which column to sort by, which columns to show, what to group by.

use observer_core::view::GroupBy;

use super::{App, Mode};
use crate::{
    action::Action,
    key::{Key, KeyCode, NamedKey},
    menu::{Choice, Item, Menu},
    sheet::label,
};

/// What rows can be grouped by, with the columns that have the key.
const GROUPS: [(GroupBy, &str, &[&str]); 6] = [
    (GroupBy::Process, "process", &[]),
    (GroupBy::Unit, "unit", &["unit"]),
    (GroupBy::Container, "container", &["container"]),
    (GroupBy::Comm, "command", &["comm"]),
    (GroupBy::User, "user", &["uid"]),
    (GroupBy::Remote, "peer", &["remote"]),
];

impl App {
    pub(super) fn offer_sort(&mut self) {
        let Some(listing) = self.listing() else { return };
        let sorted = listing.sort.as_ref().map(|sort| sort.column.clone());
        let usual =
            Item { name: String::new(), label: "most important first".to_owned(), marked: sorted.is_none() };
        let columns =
            listing.shown_columns().into_iter().map(|at| &listing.columns()[at]).map(|column| Item {
                name: column.name.to_owned(),
                label: label(column),
                marked: sorted.as_deref() == Some(column.name),
            });
        let items = std::iter::once(usual).chain(columns).collect();
        self.mode = Mode::Menu(Menu::new(Choice::Sort, "sort by", items));
    }

    pub(super) fn offer_columns(&mut self) {
        let Some(listing) = self.listing() else { return };
        let shown = listing.shown_columns();
        let columns = listing.columns().iter().enumerate();
        let items: Vec<Item> = columns
            .map(|(at, column)| Item {
                name: column.name.to_owned(),
                label: label(column),
                marked: shown.contains(&at),
            })
            .collect();
        let mut menu = Menu::new(Choice::Columns, "columns: Space shows or hides", items);
        menu.cursor = 0;
        self.mode = Mode::Menu(menu);
    }

    pub(super) fn offer_groups(&mut self) {
        let Some(section) = self.section() else { return };
        let grid = self.sheet(section.view).and_then(|sheet| sheet.table(section.table));
        let Some(grid) = grid.filter(|grid| grid.of_processes) else {
            return self.say("rows of this table concern no process", false);
        };
        let group = self.listing().map_or(GroupBy::Process, |listing| listing.group);
        let has = |names: &[&str]| names.is_empty() || names.iter().any(|name| grid.position(name).is_some());
        let items = GROUPS.iter().filter(|(.., columns)| has(columns)).map(|(by, name, _)| Item {
            name: (*name).to_owned(),
            label: (*name).to_owned(),
            marked: *by == group,
        });
        let items = items.collect();
        self.mode = Mode::Menu(Menu::new(Choice::Group, "group by", items));
    }

    /// Takes a key while a menu is open.
    pub(super) fn choose(&mut self, mut menu: Menu, key: Key) {
        let action = self.settings.bindings.action(key);
        match (key.code, action) {
            (KeyCode::Named(NamedKey::Escape), _) => return,
            (KeyCode::Named(NamedKey::Enter), _) => {
                if menu.choice == Choice::Columns {
                    menu.toggle();
                    self.apply(&menu);
                    self.mode = Mode::Menu(menu);
                } else {
                    self.apply(&menu);
                }
                return;
            }
            (KeyCode::Character(' '), _) if menu.choice == Choice::Columns => {
                menu.toggle();
                self.apply(&menu);
            }
            (_, Some(Action::Up)) => menu.step(-1),
            (_, Some(Action::Down)) => menu.step(1),
            (_, Some(Action::PageUp)) => menu.step(-10),
            (_, Some(Action::PageDown)) => menu.step(10),
            (_, Some(Action::First | Action::Oldest)) => menu.step(isize::MIN),
            (_, Some(Action::Last | Action::Newest)) => menu.step(isize::MAX),
            (KeyCode::Character(character), _) if !key.control => menu.find(character),
            _ => {}
        }
        self.mode = Mode::Menu(menu);
    }

    /// Does what is chosen in the menu.
    fn apply(&mut self, menu: &Menu) {
        let Some(listing) = self.listing_mut() else { return };
        let chosen = menu.selected().map_or("", |item| item.name.as_str());
        match menu.choice {
            Choice::Sort if chosen.is_empty() => listing.sort = None,
            Choice::Sort => {
                let same = listing.sort.as_ref().is_some_and(|sort| sort.column == chosen);
                if !same {
                    listing.sort_by(chosen);
                }
            }
            Choice::Columns => {
                let marked = |name: &str| menu.items.iter().any(|item| item.marked && item.name == name);
                let columns = listing.columns().iter().map(|column| column.name).filter(|name| marked(name));
                listing.chosen = Some(columns.collect());
            }
            Choice::Group => {
                let group = GROUPS.iter().find(|(_, name, _)| *name == chosen);
                listing.group = group.map_or(GroupBy::Process, |(by, ..)| *by);
                listing.chosen = None;
            }
        }
        listing.changed();
        self.arrange();
    }
}
