//! The configuration file: where it is, and what is in force.

use std::{env, fs, io, os::unix::ffi::OsStrExt as _, path::PathBuf};

use observer_core::{error::Error, text::printable};
use observer_instrument::settings::Settings;

/// `$XDG_CONFIG_HOME/observer/config.toml`, else `$HOME/.config/observer/config.toml`; `None` without either variable.
#[must_use]
pub fn path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A relative path is to be ignored, according to the XDG Base Directory Specification.
    let folder = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("observer").join("config.toml"))
}

/// The settings in force; the usual ones if there is no file.
///
/// # Errors
/// When the file cannot be read, or is wrong: with its line, and what to do.
pub fn read() -> Result<Settings, Error> {
    let Some(path) = path() else { return Ok(Settings::default()) };
    let doing = || format!("reading {}", printable(path.as_os_str().as_bytes()));
    match fs::read_to_string(&path) {
        Ok(text) => Settings::read(&text).map_err(|why| {
            Error::usage(doing(), why)
                .advise("`observer config --show` prints every setting with its meaning.")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(Error::failed(doing(), error)),
    }
}

/// The settings in force as a configuration file, with the path of the file that was read or would be.
///
/// # Errors
/// As for [`read`].
pub fn shown() -> Result<String, Error> {
    let settings = read()?;
    let file = path().map(|path| {
        let state = if path.exists() { "from" } else { "not there; the usual settings are in force:" };
        format!("# {state} {}\n", printable(path.as_os_str().as_bytes()))
    });
    Ok(format!("{}\n{}", file.unwrap_or_default().trim_end(), settings.shown()))
}
