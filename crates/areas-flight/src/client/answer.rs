//! An answer that has to come within some time.

use std::time::Duration;

use tonic::Status;

/// A call that is on its way.
pub(crate) trait Answer<T>: Future<Output = Result<T, Status>> {}

impl<T, F: Future<Output = Result<T, Status>>> Answer<T> for F {}

/// What comes of a call within that time.
pub(crate) async fn before<T>(limit: Duration, call: impl Answer<T>) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("nothing came for {} s", limit.as_secs_f64()))),
    }
}
