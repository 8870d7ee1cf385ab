//! Takes the terminal as the instrument does, draws a frame, and panics: the terminal must be given back.

use observer_instrument::{
    app::{App, Start},
    draw::{Palette, Style},
    section::Page,
    settings::Settings,
    terminal::Screen,
};

fn main() {
    let style = Style { palette: Palette { coloured: true }, ascii: false, braille: true };
    let mut screen = Screen::enter(style, true).expect("there is a terminal");
    let pages = vec![Page { title: "overview", views: vec!["overview"] }];
    let mut app = App::new(pages, Settings::default(), Start::default());
    screen.draw(&mut app).expect("the terminal takes a frame");
    let drawing = std::thread::spawn(|| panic!("in another thread"));
    // Nothing is drawn after the terminal was given back.
    assert!(drawing.join().is_err() && screen.draw(&mut app).is_ok());
    panic!("on the screen");
}
