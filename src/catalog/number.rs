//! How numbers are written in reasons.

use crate::stats::text::thousands;

/// Writes `1st`, `2nd`, `3rd`, `4th`…
pub(super) fn ordinal(value: usize) -> String {
    let suffix = match (value % 10, value % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{value}{suffix}")
}

/// Writes bytes in GB of 10⁹ bytes, or in MB of 10⁶ where GB would show nothing.
pub(super) fn bytes(value: u64) -> String {
    if value >= 10_000_000 {
        format!("{:.2} GB", value as f64 / 1e9)
    } else if value >= 10_000 {
        format!("{:.2} MB", value as f64 / 1e6)
    } else {
        format!("{} B", thousands(value))
    }
}

/// Writes bytes as [`bytes`] does, with GiB of 2³⁰ bytes behind.
pub(super) fn bytes_both(value: u64) -> String {
    format!("{} ({:.2} GiB)", bytes(value), value as f64 / 1_073_741_824.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (value, text) in [(0, "0"), (999, "999"), (2048, "2,048"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(value), text);
        }
        for (value, text) in
            [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (21, "21st")]
        {
            assert_eq!(ordinal(value), text);
        }
        for (value, text) in
            [(536_870_912, "0.54 GB"), (9_999_999, "10.00 MB"), (10_000, "0.01 MB"), (9_999, "9,999 B"), (0, "0 B")]
        {
            assert_eq!(bytes(value), text);
        }
        assert_eq!(bytes_both(17_179_869_184), "17.18 GB (16.00 GiB)");
    }
}
