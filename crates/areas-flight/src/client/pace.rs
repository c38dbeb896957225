//! How slow is too slow: a server that sends a byte now and then is not waited for.

use std::time::{Duration, Instant};

use areas::{Bytes, Error, ErrorKind};

/// What must come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bytes a second at least; 0 is none.
    pub(crate) least: u64,
    /// On the average of so long.
    pub(crate) window: Duration,
    /// All of it within that.
    pub(crate) whole: Option<Duration>,
}

impl Pace {
    /// Comes back with an error once too little has come. Where nothing came, others say so, if
    /// they can: they try again first.
    pub(crate) async fn too_slow(self, what: String, came: impl Fn() -> u64) -> Error {
        let start = Instant::now();
        let late = |what: String, detail: String, help: &'static str| {
            Error::new(ErrorKind::TimedOut, what).with_facts(detail).with_remedy(help)
        };
        let (mut before, mut since, mut slow_before) = (came(), start, false);
        // What had come by the last quarter of the window.
        let mut late_in_window = None;
        loop {
            let left = self.whole.map(|whole| whole.saturating_sub(start.elapsed()));
            let until = if late_in_window.is_none() { self.window.mul_f64(0.75) } else { self.window };
            let pause = until.saturating_sub(since.elapsed());
            tokio::time::sleep(left.map_or(pause, |left| left.min(pause))).await;
            let now = came();
            if let Some(whole) = self.whole.filter(|&whole| start.elapsed() >= whole) {
                let (all, seconds) = (Bytes(now), whole.as_secs_f64());
                return late(
                    what,
                    format!("{all:#} came in {seconds} s, which was not all"),
                    "nothing was published; `--max-time SECONDS` gives it longer",
                );
            }
            if since.elapsed() < self.window {
                if since.elapsed() >= until {
                    late_in_window = late_in_window.or(Some(now));
                }
                continue;
            }
            let moved = now - before;
            let is_slow = (moved as f64) < (self.least as f64 * self.window.as_secs_f64()).max(1.0);
            // What stopped may be on its way to another connection: that has a window more.
            let goes_on = late_in_window.is_some_and(|late| now > late);
            if is_slow && (goes_on || slow_before) {
                let seconds = self.window.as_secs_f64();
                return match moved {
                    0 => late(
                        what,
                        format!("nothing of it came for {} s", 2.0 * seconds),
                        "nothing was published; `--timeout SECONDS` waits longer",
                    ),
                    _ => late(
                        what,
                        format!(
                            "{:#} came in {seconds} s: that is less than {:#} a second",
                            Bytes(moved),
                            Bytes(self.least)
                        ),
                        "nothing was published; `--min-rate SIZE` takes it slower, 0 however slow",
                    ),
                };
            }
            (before, since, slow_before, late_in_window) = (now, Instant::now(), is_slow, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn ran(pace: Pace, step: u64) -> Option<Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let came = Cell::new(0);
        let came = || came.replace(came.get() + step);
        runtime.block_on(async {
            let limit = Duration::from_millis(300);
            tokio::time::timeout(limit, pace.too_slow("fetch".to_owned(), came)).await.ok()
        })
    }

    #[test]
    fn slow_is_distinguished_from_nothing_and_from_enough() {
        let pace = |least, whole| Pace { least, window: Duration::from_millis(50), whole };
        assert!(ran(pace(1000, None), 10).unwrap().to_string().contains("that is less than"));
        assert!(ran(pace(0, None), 0).unwrap().to_string().contains("nothing of it came for 0.1 s"));
        for (least, step) in [(1000, 1000), (0, 1)] {
            assert!(ran(pace(least, None), step).is_none(), "{least} {step}");
        }
        let whole = ran(pace(0, Some(Duration::from_millis(120))), 7).unwrap();
        assert!(whole.to_string().contains("which was not all"), "{whole}");
        assert_eq!(whole.kind(), ErrorKind::TimedOut);
    }
}
