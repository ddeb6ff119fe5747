//! Reads a folder: every file in it becomes a record of the root feature.

use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, SubsecRound, Utc};
use metaxy::DataVersion;

use crate::Result;
use crate::features::File;

/// Folders that hold what programs made, next to everything that is hidden.
const SKIPPED_FOLDERS: [&str; 3] = ["node_modules", "target", "wip"];
/// The pipeline's own metadata may lie in the folder that it reads.
const SKIPPED_FILES: [&str; 2] = [".duckdb", ".duckdb.wal"];

/// The paths of all files below `folder`, relative to it, in the order of their bytes.
///
/// # Errors
/// If a folder cannot be read.
pub fn paths(folder: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    walk(folder, "", &mut paths)?;
    paths.sort();
    Ok(paths)
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> Result<()> {
    let in_folder = |error: io::Error| format!("cannot read `{}`: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let entry = entry.map_err(in_folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Links are left out: a file is one record, whatever points at it.
        let kind = entry.file_type().map_err(in_folder)?;
        if kind.is_dir() && !name.starts_with('.') && !SKIPPED_FOLDERS.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{prefix}{name}/"), paths)?;
        } else if kind.is_file() && !SKIPPED_FILES.iter().any(|ending| name.ends_with(ending)) {
            paths.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// Looks at one file; `None` if it went away in the meantime.
///
/// # Errors
/// If the file cannot be read.
pub fn file(folder: &Path, path: &str) -> Result<Option<File>> {
    let on_disk = folder.join(path);
    let read = || io::Result::Ok((fs::read(&on_disk)?, fs::metadata(&on_disk)?));
    let (content, metadata) = match read() {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read `{}`: {error}", on_disk.display()).into()),
    };
    // The store keeps microseconds; more would make every record differ from its own row.
    let modified = DateTime::<Utc>::from(metadata.modified()?).trunc_subsecs(6);
    let (size, mode) = (metadata.len(), mode(&metadata));
    Ok(Some(File {
        path: path.to_owned(),
        size,
        modified,
        mode,
        content: DataVersion::of(&content),
        attributes: DataVersion::new(format!("{size} {} {mode:o}", modified.timestamp_micros())),
    }))
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode(metadata: &fs::Metadata) -> u32 {
    if metadata.permissions().readonly() { 0o444 } else { 0o644 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_built_and_own_files_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b.md", "a/x.rs", "target/y", ".git/config", "meta.duckdb", "meta.duckdb.wal"]
        {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        assert_eq!(paths(folder.path()).unwrap(), ["a/x.rs", "b.md"]);
    }

    #[test]
    fn content_and_attributes_have_versions_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        let before = file(folder.path(), "a").unwrap().unwrap();

        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        let touched = file(folder.path(), "a").unwrap().unwrap();
        assert_eq!(before.content, touched.content);
        assert_ne!(before.attributes, touched.attributes);

        fs::write(&path, "two").unwrap();
        assert_ne!(before.content, file(folder.path(), "a").unwrap().unwrap().content);
        assert!(file(folder.path(), "gone").unwrap().is_none());
    }
}
