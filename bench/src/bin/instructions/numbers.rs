//! The numbers to compare with, and where they are from: compilers, and the processor's features by which the copying and
//! searching functions are chosen, make for some per cent.

use std::{collections::BTreeMap, env, fs, io, process::Command};

use serde::{Deserialize, Serialize};

use crate::FEATURES;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

/// What the file holds.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Numbers {
    rustc: String,
    valgrind: String,
    libc: String,
    /// Of the processor, as seen under valgrind.
    features: String,
    /// By scenario.
    pub(crate) instructions: BTreeMap<String, u64>,
}

impl Numbers {
    /// Reads the file; nothing is known where there is none.
    pub(crate) fn read() -> io::Result<Self> {
        match fs::read_to_string(FILE) {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file, with what was found in place of what was committed.
    pub(crate) fn write(mut self, committed: Self) -> io::Result<()> {
        for (name, number) in committed.instructions {
            self.instructions.entry(name).or_insert(number);
        }
        fs::write(FILE, serde_json::to_string_pretty(&self)? + "\n")
    }

    /// Notes what the numbers depend on.
    pub(crate) fn look_around(&mut self) -> io::Result<()> {
        self.rustc = first_line("rustc", &["--version"])?;
        self.valgrind = first_line("valgrind", &["--version"])?;
        self.libc = first_line("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_default();
        // Valgrind is a processor of its own.
        let this = env::current_exe()?;
        self.features =
            first_line("valgrind", &["--tool=none", "--quiet", &this.to_string_lossy(), FEATURES])?;
        Ok(())
    }

    /// What is not as it was: its name, what it was, and what it is.
    pub(crate) fn differences<'a>(
        &'a self,
        now: &'a Self,
    ) -> impl Iterator<Item = (&'static str, &'a str, &'a str)> {
        let pairs = [
            ("rustc", &self.rustc, &now.rustc),
            ("valgrind", &self.valgrind, &now.valgrind),
            ("libc", &self.libc, &now.libc),
            ("a processor with", &self.features, &now.features),
        ];
        let known = pairs.into_iter().filter(|(_, was, is)| !was.is_empty() && was != is);
        known.map(|(what, was, is)| (what, was.as_str(), is.as_str()))
    }
}

fn first_line(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// The features that libc, memchr, simdutf8 and sha2 choose by.
pub(crate) fn features() -> String {
    let mut names = vec![env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected;
        let features = [
            ("sse4.2", is_x86_feature_detected!("sse4.2")),
            ("avx", is_x86_feature_detected!("avx")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("bmi2", is_x86_feature_detected!("bmi2")),
            ("sha", is_x86_feature_detected!("sha")),
            ("ermsb", is_x86_feature_detected!("ermsb")),
            ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ];
        names.extend(features.into_iter().filter_map(|(name, there)| there.then_some(name)));
    }
    names.join(" ")
}
