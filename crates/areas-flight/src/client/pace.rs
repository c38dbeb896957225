//! How slow is too slow: a server that sends a byte now and then is not waited for.

use std::time::{Duration, Instant};

use areas::{Bytes, Error, Kind};

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
    /// Comes back with an error once too little has come. Where nothing came, others say so, if they can: they try again first.
    pub(crate) async fn too_slow(self, what: String, came: impl Fn() -> u64) -> Error {
        let start = Instant::now();
        let late = |what: String, detail: String, help: &'static str| {
            Error::new(Kind::TimedOut, what).detail(detail).help(help)
        };
        let (mut before, mut since, mut nothing) = (came(), start, false);
        loop {
            let left = self.whole.map(|whole| whole.saturating_sub(start.elapsed()));
            let window = self.window.saturating_sub(since.elapsed());
            tokio::time::sleep(left.map_or(window, |left| left.min(window))).await;
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
                continue;
            }
            let moved = now - before;
            // The first time they do.
            let enough_of_nothing = moved == 0 && nothing;
            if enough_of_nothing {
                let seconds = 2.0 * self.window.as_secs_f64();
                let detail = format!("nothing of it came for {seconds} s");
                return late(what, detail, "nothing was published; `--timeout SECONDS` waits longer");
            }
            nothing = moved == 0;
            if moved > 0 && (moved as f64) < self.least as f64 * self.window.as_secs_f64() {
                let (all, least, seconds) = (Bytes(moved), Bytes(self.least), self.window.as_secs_f64());
                return late(
                    what,
                    format!("{all:#} came in {seconds} s: that is less than {least:#} a second"),
                    "nothing was published; `--min-rate SIZE` takes it slower, 0 however slow",
                );
            }
            (before, since) = (now, Instant::now());
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
    fn slow_is_told_from_nothing_and_from_enough() {
        let pace = |least, whole| Pace { least, window: Duration::from_millis(50), whole };
        assert!(ran(pace(1000, None), 10).unwrap().to_string().contains("less than 1000 bytes a second"));
        assert!(ran(pace(0, None), 0).unwrap().to_string().contains("nothing of it came for 0.1 s"));
        for (least, step) in [(1000, 1000), (0, 1)] {
            assert!(ran(pace(least, None), step).is_none(), "{least} {step}");
        }
        let whole = ran(pace(0, Some(Duration::from_millis(120))), 7).unwrap();
        assert!(whole.to_string().contains("which was not all"), "{whole}");
        assert_eq!(whole.kind(), Kind::TimedOut);
    }
}
