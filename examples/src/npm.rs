//! Packages from npm, fetched the first time they are needed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the folder `node_modules` below `folder`, after having fetched the packages, each as `name@version`, unless they
/// are all there.
///
/// # Errors
///
/// Words for the one who has started the program.
pub fn install(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let modules = folder.join("node_modules");
    let is_there = |package: &&str| {
        let name = package.rsplit_once('@').map_or(*package, |(name, _)| name);
        modules.join(name).exists()
    };
    if !packages.iter().all(is_there) {
        let packages = packages.join(" ");
        println!("fetching {packages} from npm");
        let options = ["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--silent"];
        let mut npm = Command::new("npm");
        npm.args(options).args(packages.split(' ')).arg("--prefix").arg(folder);
        if !npm.status().is_ok_and(|status| status.success()) {
            return Err(format!(
                "npm could not fetch {packages}: install Node.js with npm, or go online once"
            ));
        }
    }
    Ok(modules)
}
