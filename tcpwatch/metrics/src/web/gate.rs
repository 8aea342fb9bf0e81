//! Who is let in: what the configuration file says of the number of requests and of users.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
};

use super::{
    WebConfig,
    answer::{TEXT, WebResponse, answer},
    config::{Bucket, Loaded, credentials},
    passwords::Passwords,
};

pub(super) struct Gate {
    config: Option<WebConfig>,
    bucket: Mutex<Option<Bucket>>,
    passwords: Passwords,
}

impl Gate {
    pub(super) fn new(config: Option<WebConfig>) -> Self {
        Self { config, bucket: Mutex::default(), passwords: Passwords::new() }
    }

    /// What is in force now, if there is a file.
    pub(super) fn config(&self) -> Option<Arc<Loaded>> {
        self.config.as_ref().map(WebConfig::current)
    }

    /// The response to a request that is not let in, after no more work than that takes.
    pub(super) async fn refusal(
        &self,
        config: &Loaded,
        headers: &HeaderMap,
    ) -> Option<WebResponse> {
        if !self.is_within_rate(config) {
            return Some(refuse(StatusCode::TOO_MANY_REQUESTS));
        }
        if config.users.is_empty() {
            return None;
        }
        let is_right = match credentials(headers) {
            None => Ok(false),
            Some((name, password)) => self.passwords.is_right(&config.users, name, password).await,
        };
        match is_right {
            Ok(true) => None,
            Ok(false) => Some(with_headers(unauthorized(), config)),
            Err(error) => {
                let why = format!("{error}\n");
                Some(with_headers(answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why), config))
            }
        }
    }

    fn is_within_rate(&self, config: &Loaded) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match config.rate {
            None => {
                *bucket = None;
                true
            }
            Some(rate) => {
                let is_same = bucket.as_ref().is_some_and(|bucket| bucket.rate() == rate);
                if !is_same {
                    *bucket = Some(Bucket::new(rate, now));
                }
                bucket.as_mut().is_none_or(|bucket| bucket.take(now))
            }
        }
    }
}

/// A response with the headers of the file.
pub(super) fn with_headers(mut response: WebResponse, config: &Loaded) -> WebResponse {
    for (name, value) in &config.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

fn unauthorized() -> WebResponse {
    let mut response = refuse(StatusCode::UNAUTHORIZED);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response
}

/// As Go's `http.Error` has it.
fn refuse(status: StatusCode) -> WebResponse {
    let words = status.canonical_reason().unwrap_or_default();
    let mut response = answer(status, TEXT, format!("{words}\n"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
