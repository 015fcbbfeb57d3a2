//! Numbers as people read them: `61.1 %`, `1,234`.

/// `1,234,567`: digits in groups of three.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `61.1 %`: a share in [0, 1] with one decimal.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `70 %`, `72.5 %`: a share that somebody wrote down, without digits that they did not write.
#[must_use]
pub fn round_percent(share: f64) -> String {
    let digits = format!("{:.6}", share * 100.0);
    format!("{} %", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// `61.1`, `47.8`, `73.0`: shares in percent, all with as many decimals (at least one) as it takes to show none of them on
/// the wrong side of one of the `edges`. A text must not say 70.0 of a rate that missed 70.
#[must_use]
pub fn percents<const N: usize>(shares: [f64; N], edges: &[f64]) -> [String; N] {
    let shown = |decimals: usize| shares.map(|share| format!("{:.decimals$}", share * 100.0));
    let honest = |texts: &[String; N]| {
        shares.iter().zip(texts).all(|(share, text)| {
            let read = text.parse::<f64>().map_or(*share, |number| number / 100.0);
            edges.iter().all(|edge| (read >= *edge) == (share >= edge))
        })
    };
    (1..=9).map(shown).find(honest).unwrap_or_else(|| shown(9))
}

/// `+7.1`, `−0.4`: differences of shares in percentage points, with a sign, and with as many decimals (at least one) as
/// [`percents`] takes. What is shown as 0 has no sign.
#[must_use]
pub fn points<const N: usize>(differences: [f64; N], edges: &[f64]) -> [String; N] {
    percents(differences, edges).map(|text| {
        if text.chars().all(|c| matches!(c, '0' | '.' | '-')) {
            return text.trim_start_matches('-').to_owned();
        }
        match text.strip_prefix('-') {
            Some(size) => format!("−{size}"),
            None => format!("+{text}"),
        }
    })
}

/// `5`, `2.5`: a difference of shares that somebody wrote down, in percentage points.
#[must_use]
pub fn round_points(difference: f64) -> String {
    round_percent(difference).trim_end_matches(" %").to_owned()
}

/// `1 scenario`, `54 scenarios`.
#[must_use]
pub fn count(number: u64, singular: &str) -> String {
    format!("{} {singular}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`, with the word that joins the last two.
#[must_use]
pub fn list(items: &[String], last: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), expected);
        }
        for (share, expected) in [(0.0, "0 %"), (0.7, "70 %"), (0.55, "55 %"), (0.725, "72.5 %"), (1.0, "100 %")] {
            assert_eq!(round_percent(share), expected);
        }
        assert_eq!(percent(33.0 / 54.0), "61.1 %");
        assert_eq!((count(1, "scenario"), count(0, "scenario")), ("1 scenario".to_owned(), "0 scenarios".to_owned()));
        let words = ["a", "b", "c"].map(ToOwned::to_owned);
        assert_eq!(list(&words, "and"), "a, b and c");
        assert_eq!(list(&words[..1], "or"), "a");
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!(points([0.0714, -0.12, 0.0, -0.000_01], &[]), ["+7.1", "−12.0", "0.0", "0.0"]);
        assert_eq!(points([-0.000_4, 0.02], &[0.0]), ["−0.04", "+2.00"]);
        assert_eq!((round_points(0.05), round_points(0.025)), ("5".to_owned(), "2.5".to_owned()));
    }

    #[test]
    fn nothing_is_shown_on_the_wrong_side_of_an_edge() {
        for (shares, expected) in [
            ([0.6111, 0.4778, 0.7299], ["61.1", "47.8", "73.0"]),
            // 728 of 1,000: the lower end misses 70 %, though one decimal would say 70.0.
            ([0.728, 0.699_586, 0.754_669], ["72.80", "69.96", "75.47"]),
            ([0.5, 0.4999, 0.7], ["50.00", "49.99", "70.00"]),
            ([0.0, 0.0, 1.0], ["0.0", "0.0", "100.0"]),
        ] {
            assert_eq!(percents(shares, &[0.5, 0.7]), expected);
        }
    }
}
