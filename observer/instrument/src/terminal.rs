//! The terminal: raw mode, the alternate screen, and getting back out of both whatever happens.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the module that touches the terminal"
)]

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    ExecutableCommand as _, cursor,
    event::{
        DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event,
        KeyCode as Code, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
    },
    execute, queue, terminal,
};
use ratatui::{Terminal, backend::CrosstermBackend, layout::Rect};

use crate::{
    app::App,
    draw::{self, Style},
    input::Input,
    key::{Key, KeyCode, NamedKey},
};

/// Whether the terminal is in use. A panic in any thread ends that, and nothing is drawn afterwards.
static IN_USE: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Lines that the wheel moves.
const WHEEL: isize = 3;

/// The screen while it is in use. Dropping it gives the terminal back.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    style: Style,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal of standard output and the keys of standard input.
    ///
    /// # Errors
    /// When the terminal does not allow it.
    pub fn enter(style: Style, mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let usual = panic::take_hook();
            // First the terminal, then the message: it would be lost on the alternate screen.
            panic::set_hook(Box::new(move |panic| {
                give_back();
                usual(panic);
            }));
        });
        take(mouse)?;
        // A frame is one write.
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        Ok(Self { terminal: Terminal::new(backend)?, style, mouse })
    }

    /// Draws a frame over the one before; only what differs is written.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, app: &mut App) -> io::Result<()> {
        if !IN_USE.load(Ordering::SeqCst) {
            return Ok(());
        }
        let style = self.style;
        queue!(self.terminal.backend_mut(), terminal::BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            if let Some(cursor) = draw::draw(app, frame.buffer_mut(), style) {
                frame.set_cursor_position(cursor);
            }
        })?;
        self.terminal.backend_mut().execute(terminal::EndSynchronizedUpdate)?;
        Ok(())
    }

    /// Stops this process as Ctrl-Z does, with the terminal as it was before; returns when it continues.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        self.resume()
    }

    /// Takes the terminal again: the process was stopped, and others have used the terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        give_back();
        take(self.mouse)?;
        // Not `clear`: it asks the terminal for its cursor, and another thread reads the answer as keys.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Puts text on the clipboard of the terminal's user, if the terminal supports it (OSC 52).
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        self.terminal
            .backend_mut()
            .execute(crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.terminal.backend_mut().flush();
        give_back();
    }
}

fn take(mouse: bool) -> io::Result<()> {
    terminal::enable_raw_mode()?;
    IN_USE.store(true, Ordering::SeqCst);
    execute!(io::stdout(), terminal::EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    if mouse {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives the terminal back, if it is in use. Errors are of no use here: nothing more can be done.
fn give_back() {
    if IN_USE.swap(false, Ordering::SeqCst) {
        let _ = execute!(
            io::stdout(),
            terminal::EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            terminal::LeaveAlternateScreen,
            cursor::Show
        );
        let _ = terminal::disable_raw_mode();
    }
}

/// Waits for the next event that means something to the instrument; `None` for one that does not.
///
/// # Errors
/// When the terminal is gone.
pub fn next_input() -> io::Result<Option<Input>> {
    Ok(match crossterm::event::read()? {
        Event::Key(event) if event.kind != KeyEventKind::Release => {
            key(event.code, event.modifiers).map(Input::Key)
        }
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Mouse(event) => match event.kind {
            MouseEventKind::Down(MouseButton::Left) => Some(Input::Click { x: event.column, y: event.row }),
            MouseEventKind::ScrollDown => Some(Input::Wheel(WHEEL)),
            MouseEventKind::ScrollUp => Some(Input::Wheel(-WHEEL)),
            _ => None,
        },
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(_) | Event::FocusGained | Event::FocusLost => None,
    })
}

fn key(code: Code, modifiers: KeyModifiers) -> Option<Key> {
    let named = |key| Some(KeyCode::Named(key));
    let code = match code {
        Code::Char(character) => Some(KeyCode::Character(character)),
        Code::F(number) => Some(KeyCode::Function(number)),
        Code::Enter => named(NamedKey::Enter),
        Code::Esc => named(NamedKey::Escape),
        Code::Tab => named(NamedKey::Tab),
        Code::BackTab => named(NamedKey::BackTab),
        Code::Backspace => named(NamedKey::Backspace),
        Code::Delete => named(NamedKey::Delete),
        Code::Insert => named(NamedKey::Insert),
        Code::Left => named(NamedKey::Left),
        Code::Right => named(NamedKey::Right),
        Code::Up => named(NamedKey::Up),
        Code::Down => named(NamedKey::Down),
        Code::Home => named(NamedKey::Home),
        Code::End => named(NamedKey::End),
        Code::PageUp => named(NamedKey::PageUp),
        Code::PageDown => named(NamedKey::PageDown),
        _ => None,
    };
    let control = modifiers.contains(KeyModifiers::CONTROL);
    Some(Key { code: code?, control, alt: modifiers.contains(KeyModifiers::ALT) })
}
