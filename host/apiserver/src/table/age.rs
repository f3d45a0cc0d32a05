//! How long ago something was, as short as people say it.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The age of what happened at `then`, a time as JSON has it.
pub(super) fn since(then: &str, now: Timestamp) -> String {
    match then.parse::<Timestamp>() {
        Ok(then) => between(then, now),
        Err(_) => "<unknown>".to_owned(),
    }
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    short((to.as_millisecond() - from.as_millisecond()) / 1000)
}

/// Below how many seconds, in which unit, and in which lesser one the rest.
type Step = (i64, i64, &'static str, Option<(i64, &'static str)>);

/// Two units at most, and the lesser one only where it says something.
pub(super) fn short(seconds: i64) -> String {
    const STEPS: [Step; 9] = [
        (2 * MINUTE, 1, "s", None),
        (10 * MINUTE, MINUTE, "m", Some((1, "s"))),
        (3 * HOUR, MINUTE, "m", None),
        (8 * HOUR, HOUR, "h", Some((MINUTE, "m"))),
        (2 * DAY, HOUR, "h", None),
        (8 * DAY, DAY, "d", Some((HOUR, "h"))),
        (2 * YEAR, DAY, "d", None),
        (8 * YEAR, YEAR, "y", Some((DAY, "d"))),
        (i64::MAX, YEAR, "y", None),
    ];
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (_, unit, name, lesser) = STEPS.into_iter().find(|step| seconds < step.0).unwrap_or(STEPS[8]);
    let whole = format!("{}{name}", seconds / unit);
    match lesser {
        Some((part, part_name)) if seconds % unit / part > 0 => format!("{whole}{}{part_name}", seconds % unit / part),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_short_as_kubectl_shows_them() {
        let expected = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (7 * HOUR + 5 * MINUTE + 59, "7h5m"),
            (47 * HOUR + 59 * MINUTE, "47h"),
            (2 * DAY + 8 * HOUR, "2d8h"),
            (8 * DAY + HOUR, "8d"),
            (2 * YEAR, "2y"),
            (2 * YEAR + 3 * DAY, "2y3d"),
            (9 * YEAR + 3 * DAY, "9y"),
        ];
        for (seconds, text) in expected {
            assert_eq!(short(seconds), text, "{seconds} s");
        }
    }
}
