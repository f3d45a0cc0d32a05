//! Times as the API writes them.

use std::time::Duration;

/// RFC 3339 with six digits of a second, the only form that a `MicroTime`
/// takes, of a time since the Unix epoch.
pub fn micro_time(wall: Duration) -> String {
    let micros = wall.as_micros().try_into().unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_time_has_six_digits_also_where_they_are_noughts() {
        assert_eq!(micro_time(Duration::from_millis(1_000_000_000_007)), "2001-09-09T01:46:40.007000Z");
        assert_eq!(micro_time(Duration::ZERO), "1970-01-01T00:00:00.000000Z");
    }
}
