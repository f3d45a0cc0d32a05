//! Resource quantities: `500m`, `1Gi`, `1e3`. Read, compared, and written in the
//! one form that Kubernetes writes a value in.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// One unit in the finest that is kept.
const NANO: i128 = 1_000_000_000;
/// Binary suffixes, each 1024 times the one before.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Decimal suffixes, each a thousand times the one before, from nano.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Below this, binary quantities are written in decimal.
const BINARY_MIN: i128 = 1024;

/// How a quantity was written, which it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
    Exponent,
}

/// An amount in billionths of its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    nanos: i128,
    format: Format,
}

/// A text that is no quantity.
#[derive(Debug, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub(crate) struct NoQuantity;

impl Quantity {
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = NoQuantity;

    fn from_str(text: &str) -> Result<Self, NoQuantity> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(NoQuantity);
        }
        let (format, scale, power) = scale_of(suffix).ok_or(NoQuantity)?;
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| NoQuantity)?;
        let places = i32::try_from(fraction.len()).map_err(|_| NoQuantity)?;
        let nanos = digits.checked_mul(scale).and_then(|value| shift(value, power + 9 - places)).ok_or(NoQuantity)?;
        let nanos = if text.starts_with('-') { -nanos } else { nanos };
        Ok(Self { nanos, format })
    }
}

/// The format that a suffix stands for, its factor and its power of ten.
fn scale_of(suffix: &str) -> Option<(Format, i128, i32)> {
    if let Some(at) = BINARY.iter().position(|one| *one == suffix).filter(|at| *at > 0) {
        return Some((Format::Binary, 1024_i128.pow(u32::try_from(at).ok()?), 0));
    }
    if let Some(at) = DECIMAL.iter().position(|one| *one == suffix) {
        return Some((Format::Decimal, 1, i32::try_from(at).ok()? * 3 - 9));
    }
    let power = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((Format::Exponent, 1, power))
}

/// A value times a power of ten; what is finer than one is rounded up.
fn shift(value: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 { value.checked_mul(factor) } else { Some((value + factor - 1) / factor) }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let nanos = self.nanos.abs();
        if nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && nanos >= BINARY_MIN * NANO {
            let mut value = (nanos + NANO - 1) / NANO;
            let mut at = 0;
            while value % 1024 == 0 && at + 1 < BINARY.len() {
                value /= 1024;
                at += 1;
            }
            return write!(f, "{sign}{value}{}", BINARY[at]);
        }
        let mut value = nanos;
        let mut at = 0;
        while value % 1000 == 0 && at + 1 < DECIMAL.len() {
            value /= 1000;
            at += 1;
        }
        match (self.format, at) {
            (Format::Exponent, 3) | (Format::Binary | Format::Decimal, _) => write!(f, "{sign}{value}{}", DECIMAL[at]),
            (Format::Exponent, at) => write!(f, "{sign}{value}e{}", at as i32 * 3 - 9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_amount_has_one_form_in_its_format() {
        for (given, written) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("1000000", "1M"),
            ("1500", "1500"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("0", "0"),
            ("0Gi", "0"),
            ("+1", "1"),
            ("-1", "-1"),
            ("1Ki", "1Ki"),
            ("1.", "1"),
            (".5", "500m"),
            ("0.1n", "1n"),
            ("100m", "100m"),
            ("5E", "5E"),
        ] {
            assert_eq!(given.parse::<Quantity>().unwrap().to_string(), written, "{given}");
        }
        for bad in ["", "x", "1x", "1.2.3", "-", "1 ", "1KI", "."] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_compare_whatever_their_format() {
        let quantity = |text: &str| text.parse::<Quantity>().unwrap();
        assert!(quantity("1") == quantity("1000m") && quantity("1Gi") > quantity("1G"));
        assert!(quantity("-1").is_negative() && quantity("0Ki").is_zero());
    }
}
