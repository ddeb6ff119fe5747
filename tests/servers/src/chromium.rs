//! Where the browser is that opens pages in tests.

use std::env;
use std::path::PathBuf;

/// What to say where it is missing.
pub const MISSING: &str = "Chromium is missing: `apt-get install --no-install-recommends chromium` on Debian, \
                           `brew install --cask chromium` on macOS; or set CHROMIUM to the program of a \
                           Chromium or Chrome of your own";

/// The program that `CHROMIUM` names, or else the first one of `PATH` by a name that it goes by.
#[must_use]
pub fn program() -> Option<PathBuf> {
    if let Some(own) = env::var_os("CHROMIUM").filter(|own| !own.is_empty()) {
        return Some(own.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let places = names.iter().flat_map(|name| env::split_paths(&path).map(move |at| at.join(name)));
    let bundle = PathBuf::from("/Applications/Chromium.app/Contents/MacOS/Chromium");
    places.chain([bundle]).find(|program| program.is_file())
}
