//! The file as it is now: read again when it or a file that it names has changed. A file that cannot be used leaves the
//! last good one in force.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{ConfigError, Loaded};

/// Changes are looked for this often at most.
const PAUSE: Duration = Duration::from_secs(1);

/// What changes when a file is written or replaced; `None` if it cannot be looked at.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// A configuration that follows its file. Clones share it.
#[derive(Clone, Debug)]
pub struct WebConfig(Arc<Mutex<Followed>>);

#[derive(Debug)]
struct Followed {
    path: PathBuf,
    good: Arc<Loaded>,
    stamps: Vec<Stamp>,
    looked: Instant,
    /// Whether the file as it was last read is in force.
    is_current: bool,
}

impl WebConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// If it, or a file that it names, cannot be used.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let good = Arc::new(Loaded::read(path)?);
        let stamps = stamps(&good.files);
        let looked = Instant::now();
        let followed = Followed { path: path.to_owned(), good, stamps, looked, is_current: true };
        Ok(Self(Arc::new(Mutex::new(followed))))
    }

    /// Whether answers are encrypted.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.lock().good.tls.is_some()
    }

    /// Whether the file can still be read, with the privileges of now.
    ///
    /// # Errors
    /// If it cannot.
    pub fn can_be_read_again(&self) -> Result<(), ConfigError> {
        let path = self.lock().path.clone();
        Loaded::read(&path).map(drop)
    }

    /// The directories of all files, where links lead, too.
    #[must_use]
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let files = self.lock().good.files.clone();
        let real = files.iter().filter_map(|file| fs::canonicalize(file).ok());
        let all = files.iter().cloned().chain(real);
        let directory = |file: PathBuf| match file.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
            _ => PathBuf::from("."),
        };
        all.map(directory).collect()
    }

    /// What is in force now.
    pub(in crate::web) fn current(&self) -> Arc<Loaded> {
        let mut followed = self.lock();
        if followed.looked.elapsed() >= PAUSE {
            followed.look();
        }
        Arc::clone(&followed.good)
    }

    /// Whether the file was in order when it was last read.
    pub(crate) fn is_current(&self) -> bool {
        self.lock().is_current
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Followed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    fn look(&mut self) {
        self.looked = Instant::now();
        let stamps = stamps(&self.good.files);
        if stamps == self.stamps {
            return;
        }
        self.stamps = stamps;
        match self.read_again() {
            Ok(loaded) => {
                self.stamps = self::stamps(&loaded.files);
                self.good = Arc::new(loaded);
                self.is_current = true;
                tracing::warn!("{} is read again and in force", self.path.display());
            }
            Err(error) => {
                self.is_current = false;
                tracing::warn!("the web configuration as it was before stays in force: {error}");
            }
        }
    }

    fn read_again(&self) -> Result<Loaded, ConfigError> {
        let loaded = Loaded::read(&self.path)?;
        if loaded.tls.is_some() == self.good.tls.is_some() {
            return Ok(loaded);
        }
        Err(ConfigError::Value {
            path: self.path.clone(),
            key: "tls_server_config".to_owned(),
            what: "TLS is not switched on or off while tcpwatch runs; restart it".to_owned(),
        })
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let about = fs::metadata(file).ok()?;
        let (modified, changed) =
            ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
        Some((about.dev(), about.ino(), about.size(), modified.0, modified.1, changed.0, changed.1))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks now, whatever the pause.
    fn after_a_look(config: &WebConfig) -> (usize, bool) {
        config.lock().look();
        (config.current().headers.len(), config.is_current())
    }

    #[test]
    fn a_change_is_in_force_and_a_broken_file_leaves_the_last_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let write = |text: &str| fs::write(&path, text).unwrap();
        write("http_server_config: {headers: {X-XSS-Protection: a}}");
        let config = WebConfig::read(&path).unwrap();
        assert_eq!(after_a_look(&config), (1, true));
        write("http_server_config: {headers: {X-XSS-Protection: a, Content-Security-Policy: b}}");
        assert_eq!(after_a_look(&config), (2, true));
        for broken in ["http_server_config: {header: {}}", "tls_server_config: {cert_file: a}", "}"]
        {
            write(broken);
            assert_eq!(after_a_look(&config), (2, false), "{broken}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(after_a_look(&config), (2, false), "no file");
        write("{}");
        assert_eq!(after_a_look(&config), (0, true));
    }

    #[test]
    fn nothing_is_read_again_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, "{}").unwrap();
        let config = WebConfig::read(&path).unwrap();
        let before = config.current();
        after_a_look(&config);
        assert!(Arc::ptr_eq(&before, &config.current()));
        assert!(config.directories().contains(folder.path()));
    }
}
