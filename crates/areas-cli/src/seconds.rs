//! Times on the command line, in seconds.

use std::time::Duration;

/// Seconds, with a fraction if wanted.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| match seconds < 0.0 {
        true => "a time is not negative".to_owned(),
        false => "it is not a number of seconds that a clock can count".to_owned(),
    })
}

/// The same, and not 0: for what can be waited for.
pub(crate) fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|time| match time.as_millis() {
        0 => Err("it is not a millisecond at least".to_owned()),
        _ => Ok(time),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_as_people_write_them() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "-1", "x", "1e400"] {
            assert!(seconds(wrong).is_err() && some_seconds(wrong).is_err(), "{wrong}");
        }
        assert!(seconds("0").is_ok() && some_seconds("0").is_err());
    }
}
