//! Quantities with units: memory, durations, ranges. Pure.

use super::research::{DateRange, Range};

const UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads `24GiB`, `1.5 GB` or `512B` as bytes; at least one.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.trim().strip_suffix(name)?, *unit)))?;
    let (whole, fraction) = number.trim_end().split_once('.').unwrap_or((number.trim_end(), "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let unit = u128::from(unit);
    // Exact: at most 15 digits, a factor below 2^41 and a power of ten below 10^16.
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let value = whole.parse::<u128>().ok()? * unit + fraction.parse::<u128>().ok()? * unit / scale;
    u64::try_from(value).ok().filter(|bytes| *bytes > 0)
}

/// Reads `60s`, `5m`, `1h` or `7d` as seconds.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), unit)))?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads `7..10`, `7..` or `..10`, ends included, none below 0.
pub(super) fn range(text: &str) -> Option<Range> {
    let (low, high) = text.split_once("..")?;
    let end = |text: &str| match text.trim() {
        "" => Some(None),
        text => text.parse::<f64>().ok().filter(|end| end.is_finite() && *end >= 0.0).map(Some),
    };
    let range = Range { min: end(low)?, max: end(high)? };
    (range.min.is_some() || range.max.is_some()).then_some(range)
}

/// Reads `2024-06..2025`, `2024-06-01..` or `..2025`, ends included.
pub(super) fn dates(text: &str) -> Option<DateRange> {
    let (low, high) = text.split_once("..")?;
    let end = |text: &str| match text.trim() {
        "" => Some(None),
        text => is_date(text).then(|| Some(text.to_owned())),
    };
    let range = DateRange { min: end(low)?, max: end(high)? };
    (range.min.is_some() || range.max.is_some()).then_some(range)
}

/// Whether a text is a year, a month `2024-06` or a day `2024-06-01`.
#[must_use]
pub fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let part = parts.next()?;
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<u32>().ok())?
    };
    let (year, month, day) = (part(4), part(2), part(2));
    let rest = text.len();
    match (year, month, day) {
        (Some(_), None, None) => rest == 4,
        (Some(_), Some(month), None) => rest == 7 && (1..=12).contains(&month),
        (Some(_), Some(month), Some(day)) => rest == 10 && (1..=12).contains(&month) && (1..=31).contains(&day),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory() {
        for (text, expected) in [
            ("512B", Some(512)),
            ("24GiB", Some(24 << 30)),
            ("24 GB", Some(24_000_000_000)),
            ("1.5KiB", Some(1536)),
            ("0.1KB", Some(100)),
            ("16TiB", Some(16 << 40)),
            ("0B", None),
            ("24", None),
            ("24gib", None),
            ("24G", None),
            ("-1GB", None),
            ("1e3GB", None),
            (".5GB", None),
            ("GB", None),
            ("é1GB", None),
            ("999999999999999TB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("60s", Some(60)),
            ("5 m", Some(300)),
            ("1h", Some(3600)),
            ("7d", Some(604_800)),
            ("0s", Some(0)),
            ("60", None),
            ("s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges() {
        let some = |min, max| Some(Range { min, max });
        for (text, expected) in [
            ("7..10", some(Some(7.0), Some(10.0))),
            ("6.5 .. 9", some(Some(6.5), Some(9.0))),
            ("7..", some(Some(7.0), None)),
            ("..10", some(None, Some(10.0))),
            ("..", None),
            ("7", None),
            ("-1..2", None),
            ("a..b", None),
            ("nan..2", None),
            ("1..inf", None),
            ("1...2", some(Some(1.0), Some(0.2))),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }

    #[test]
    fn date_ranges() {
        let some = |min: Option<&str>, max: Option<&str>| {
            Some(DateRange { min: min.map(str::to_owned), max: max.map(str::to_owned) })
        };
        for (text, expected) in [
            ("2024-06-01..2025", some(Some("2024-06-01"), Some("2025"))),
            ("2024-06 ..", some(Some("2024-06"), None)),
            ("..2024-12-31", some(None, Some("2024-12-31"))),
            ("..", None),
            ("2024", None),
            ("2024-13..", None),
            ("2024-06-32..", None),
            ("24-06..", None),
            ("2024-6..", None),
            ("2024-06-01-01..", None),
            ("June..", None),
        ] {
            assert_eq!(dates(text), expected, "{text}");
        }
    }
}
