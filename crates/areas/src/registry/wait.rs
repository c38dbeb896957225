//! Waiting for a name.
//!
//! A process that waits sets a flag in the control file, has the folder's time say that there is
//! news, looks for the name, and sleeps as long as the count there is what it was. One that
//! publishes makes the area visible, looks at the folder, which it does anyway, and where its time
//! is another one than when the flag was last seen not to be set, looks at the flag
//! (`state/news.rs`); only if it is set it changes the count and wakes (`directory/control.rs`). A
//! publication that no process waits for costs nothing for it.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::directory::Control;
use super::source::Source;
use super::state;
use super::table::Name;
use crate::error::{Error, ErrorKind, Result};

/// How long to sleep without looking.
const SLICE: Duration = Duration::from_secs(1);
/// The same where there is nothing to sleep on: no registry yet.
const SHORT_SLICE: Duration = Duration::from_millis(20);

pub(super) fn wait(name: &Name, timeout: Option<Duration>) -> Result<Source> {
    wait_until(timeout, || state::state()?.find(name.as_bytes()))?.ok_or_else(|| {
        let within = timeout.unwrap_or_default();
        let hidden = state::state().ok().and_then(|state| state.hidden(name));
        Error::new(ErrorKind::TimedOut, format!("wait for area {name:?}")).with_facts(match hidden {
            None => format!("no process published it within {within:?}"),
            Some(hidden) => {
                format!("no process that can be read published it within {within:?}; {}", hidden.text)
            }
        })
    })
}

/// Looks until there is something, at every publication and every transfer; `None` after the
/// time-out.
pub(super) fn wait_until<T>(
    timeout: Option<Duration>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let begun = Instant::now();
    let mut publications = Publications::default();
    loop {
        publications.expect()?;
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        publications.sleep(left.map_or(SLICE, |left| left.min(SLICE)));
    }
}

/// Publications and transfers of others: first [expected](Publications::expect), then one looks,
/// then one [sleeps](Publications::sleep) until there was one since. For code that waits for
/// something that is not notified, and looks now and then all the same.
#[derive(Debug, Default)]
pub struct Publications {
    control: Option<Control>,
    count: Option<u32>,
}

impl Publications {
    /// From now on a publication ends the next sleep.
    ///
    /// # Errors
    /// As [`list`](super::list).
    pub fn expect(&mut self) -> Result<()> {
        if self.control.is_none() {
            // None where there is no registry yet.
            let file = state::state()?.control()?;
            self.control = file.map(Control::open).transpose()?.flatten();
        }
        self.count = self.control.as_ref().and_then(|control| control.expect().ok());
        if self.count.is_some() {
            // Behind the flag: who sees this looks at that.
            state::state()?.notify();
        }
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Sleeps until there was a publication, for so long at most.
    pub fn sleep(&mut self, longest: Duration) {
        match (&self.control, self.count) {
            (Some(control), Some(count)) => {
                if control.sleep(count, longest).is_err() {
                    // Cut short, or gone: a new one may be there.
                    self.control = None;
                    std::thread::sleep(longest.min(SHORT_SLICE));
                }
            }
            _ => {
                self.control = None;
                std::thread::sleep(longest.min(SHORT_SLICE));
            }
        }
    }
}
