//! Compares passwords with what bcrypt made of them: one at a time, on a thread of its own, because that takes as long
//! as it is meant to. What was right once is known by a keyed digest, so that a scraper waits once.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use ring::{
    hmac::{self, HMAC_SHA256, Tag},
    rand::SystemRandom,
};
use tokio::sync::oneshot;

use super::config::Users;

/// Passwords that wait for the thread. Those of connections that were closed meanwhile are left out, at no cost.
const QUEUE: usize = 1024;

/// A password to be compared.
struct PasswordCheck {
    password: Vec<u8>,
    hash: String,
    answer: oneshot::Sender<bool>,
}

/// It cannot be said whether the password is right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Undecided {
    #[error("too many passwords are waiting to be compared")]
    Busy,
    #[error("no thread can be started to compare passwords")]
    NoThread,
}

pub(super) struct Passwords {
    /// `None` without random numbers: nothing is known then.
    key: Option<hmac::Key>,
    /// Digests of hashes and passwords that were right, by user.
    right: Mutex<HashMap<String, Tag>>,
    /// To the thread, which the first password starts and which ends with this.
    attempts: Mutex<Option<SyncSender<PasswordCheck>>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).ok();
        Self { key, right: Mutex::default(), attempts: Mutex::default() }
    }

    /// Whether there is such a user with this password.
    ///
    /// # Errors
    /// If that cannot be found out now.
    pub(super) async fn is_right(
        &self,
        users: &Users,
        name: String,
        password: Vec<u8>,
    ) -> Result<bool, Undecided> {
        let Some((hash, exists)) = users.hash(&name) else { return Ok(true) };
        // No hash has a zero byte.
        let digested = [hash.as_bytes(), &[0], &password].concat();
        if exists && self.is_known(&name, &digested) {
            return Ok(true);
        }
        let (answer, answered) = oneshot::channel();
        self.compare(PasswordCheck { password, hash: hash.to_owned(), answer })?;
        let is_right = answered.await.map_err(|_ended| Undecided::NoThread)? && exists;
        if is_right && let Some(key) = &self.key {
            self.right
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name, hmac::sign(key, &digested));
        }
        Ok(is_right)
    }

    fn is_known(&self, name: &str, digested: &[u8]) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(tag), Some(key)) = (right.get(name), &self.key) else { return false };
        hmac::verify(key, digested, tag.as_ref()).is_ok()
    }

    fn compare(&self, attempt: PasswordCheck) -> Result<(), Undecided> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match attempts.take() {
            Some(sender) => sender,
            None => start().map_err(|_refused| Undecided::NoThread)?,
        };
        let sent = sender.try_send(attempt);
        *attempts = Some(sender);
        sent.map_err(|error| match error {
            TrySendError::Full(_) => Undecided::Busy,
            TrySendError::Disconnected(_) => Undecided::NoThread,
        })
    }
}

fn start() -> std::io::Result<SyncSender<PasswordCheck>> {
    let (sender, receiver) = sync_channel(QUEUE);
    thread::Builder::new()
        .name("tcpwatch-bcrypt".to_owned())
        .spawn(move || compare_all(&receiver))?;
    Ok(sender)
}

fn compare_all(attempts: &Receiver<PasswordCheck>) {
    while let Ok(PasswordCheck { password, hash, answer }) = attempts.recv() {
        if !answer.is_closed() {
            // A hash was checked when its file was read.
            let _gone = answer.send(bcrypt::verify(&password, &hash).unwrap_or(false)).is_err();
        }
    }
}
