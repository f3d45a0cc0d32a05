//! Times as Go reads and writes them: RFC 3339 in UTC, to the second or to the
//! microsecond, with the words in which its parser says where a text goes wrong.

use jiff::Timestamp;

/// The form of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Seconds,
    Micros,
}

/// The parts of a layout in order, each with the digits that it takes; without
/// any, it stands for itself.
const PARTS: [(&str, usize); 11] = [
    ("2006", 4),
    ("-", 0),
    ("01", 2),
    ("-", 0),
    ("02", 2),
    ("T", 0),
    ("15", 2),
    (":", 0),
    ("04", 2),
    (":", 0),
    ("05", 2),
];
const MICROS: &str = ".000000";
const ZONE: &str = "Z07:00";

/// The one form in which a time is written.
///
/// # Errors
/// In the words of Go's parser.
pub(crate) fn normal(text: &str, layout: Layout) -> Result<String, String> {
    let whole = match layout {
        Layout::Seconds => "2006-01-02T15:04:05Z07:00",
        Layout::Micros => "2006-01-02T15:04:05.000000Z07:00",
    };
    let problem =
        |rest: &str, part: &str| format!("parsing time {text:?} as {whole:?}: cannot parse {rest:?} as {part:?}");
    let zone = skip(text, layout).map_err(|(rest, part)| problem(rest, part))?;
    let length = zone_length(zone).ok_or_else(|| problem(zone, ZONE))?;
    if zone.len() > length {
        return Err(format!("parsing time {text:?}: extra text: {:?}", &zone[length..]));
    }
    let time: Timestamp = text.parse().map_err(|_| format!("parsing time {text:?}: {}", out_of_range(text)))?;
    let format = match layout {
        Layout::Seconds => "%Y-%m-%dT%H:%M:%SZ",
        Layout::Micros => "%Y-%m-%dT%H:%M:%S.%6fZ",
    };
    Ok(time.strftime(format).to_string())
}

/// What is left after date and time, or the part that did not fit and what
/// stood in its place.
fn skip(text: &str, layout: Layout) -> Result<&str, (&str, &'static str)> {
    let mut rest = text;
    for (part, digits) in PARTS {
        let fits = match digits {
            0 => rest.starts_with(part),
            digits => rest.len() >= digits && rest.bytes().take(digits).all(|byte| byte.is_ascii_digit()),
        };
        if !fits {
            return Err((rest, part));
        }
        rest = &rest[part.len()..];
    }
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    match layout {
        // A fraction is read even where the layout has none.
        Layout::Seconds if digits > 0 => Ok(&rest[1 + digits..]),
        Layout::Seconds => Ok(rest),
        Layout::Micros if digits + 1 < MICROS.len() => Err((rest, MICROS)),
        Layout::Micros => Ok(&rest[MICROS.len()..]),
    }
}

/// The length of the zone at the start of a text, if one is there.
fn zone_length(text: &str) -> Option<usize> {
    match text.as_bytes() {
        [b'Z', ..] => Some(1),
        [b'+' | b'-', a, b, b':', c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_digit) => Some(6),
        _ => None,
    }
}

fn out_of_range(text: &str) -> String {
    let number = |at: usize| text.get(at..at + 2).and_then(|two| two.parse::<u8>().ok()).unwrap_or(0);
    let part = match (number(5), number(8), number(11), number(14), number(17)) {
        (month, ..) if month == 0 || month > 12 => "month",
        (_, _, hour, ..) if hour > 23 => "hour",
        (_, _, _, minute, _) if minute > 59 => "minute",
        (.., second) if second > 59 => "second",
        _ => "day",
    };
    format!("{part} out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_and_in_its_layout() {
        for (given, layout, written) in [
            ("2026-01-01T00:00:00Z", Layout::Seconds, "2026-01-01T00:00:00Z"),
            ("2026-01-01T01:00:00.25+01:00", Layout::Seconds, "2026-01-01T00:00:00Z"),
            ("2026-01-01T00:00:00.123456Z", Layout::Micros, "2026-01-01T00:00:00.123456Z"),
        ] {
            assert_eq!(normal(given, layout).unwrap(), written);
        }
    }

    #[test]
    fn the_parser_says_where_a_text_goes_wrong() {
        for (given, layout, part) in [
            ("x", Layout::Seconds, "cannot parse \"x\" as \"2006\""),
            ("2026-1-1", Layout::Seconds, "cannot parse \"1-1\" as \"01\""),
            ("2026-01-01T00:00:00", Layout::Seconds, "cannot parse \"\" as \"Z07:00\""),
            ("2026-01-01T00:00:00Z", Layout::Micros, "cannot parse \"Z\" as \".000000\""),
            ("2026-01-01T00:00:00.123456789Z", Layout::Micros, "cannot parse \"789Z\" as \"Z07:00\""),
            ("2026-13-01T00:00:00Z", Layout::Seconds, "month out of range"),
            ("2026-01-01T00:00:00ZZ", Layout::Seconds, "extra text: \"Z\""),
        ] {
            let message = normal(given, layout).unwrap_err();
            assert!(message.ends_with(part), "{given}: {message}");
        }
    }
}
