//! Runs the JavaScript suites from Rust tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a test file of `js/`, or all of a folder there, with Node's test runner, and panics with its report if one
/// fails.
///
/// `environment` names the servers under test. Fetches the official clients from npm if that has not been done.
///
/// # Panics
///
/// Also if `node` or `npm` is not installed.
pub fn run(file_or_folder: &str, environment: &[(&str, &str)]) {
    let folder = folder();
    fetch_packages(&folder);
    let output = Command::new("node")
        .args(["--test", "--test-reporter=spec"])
        .args(test_files(&folder.join(file_or_folder)))
        .envs(environment.iter().copied())
        .current_dir(&folder)
        .output()
        .expect("`node` runs: install Node.js 20 or later");
    let report = String::from_utf8_lossy(&output.stdout);
    print!("{report}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the JavaScript suite failed; its report is above");
}

/// Names the files one by one, as versions of Node differ in what they make of a folder.
fn test_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = path.read_dir().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    assert!(!files.is_empty(), "there are no tests in {}", path.display());
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("js")
}

/// Runs `npm ci` unless what it installs is there and as new as the lock file.
fn fetch_packages(folder: &Path) {
    let modified = |name: &str| folder.join(name).metadata().and_then(|metadata| metadata.modified()).ok();
    let installed = modified("node_modules/.package-lock.json");
    if installed.is_some() && installed >= modified("package-lock.json") {
        return;
    }
    let status = Command::new("npm")
        .args(["ci", "--ignore-scripts"])
        .current_dir(folder)
        .status()
        .expect("`npm` runs: install Node.js 20 or later");
    assert!(status.success(), "`npm ci` failed in {}", folder.display());
}
