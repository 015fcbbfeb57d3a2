//! Personal data in texts: found by pattern, checked by its check digits where it has such, and covered.
//!
//! Owns what counts as personal data. A name in a sentence is not found: that takes a model and not a pattern. Start at
//! [`cover`].

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// One kind of personal data.
struct Kind {
    /// What stands in its place.
    cover: &'static str,
    pattern: Regex,
    is_one: fn(&str) -> bool,
}

/// All kinds, the more telling first: what one of them covered is no other's.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kind = |cover, pattern, is_one| Kind {
        cover,
        pattern: Regex::new(pattern).expect("it is written here and tested"),
        is_one,
    };
    vec![
        kind("[email]", r"(?i)\b[a-z0-9._%+-]+@[a-z0-9](?:[a-z0-9-]*\.)+[a-z]{2,24}\b", |_| true),
        kind("[iban]", r"(?i)\b[a-z]{2}[0-9]{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,4})?\b", is_iban),
        kind("[card]", r"\b[0-9](?:[ -]?[0-9]){12,18}\b", is_card),
        kind("[ssn]", r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", is_social_security),
        kind("[tax id]", r"\b[1-9][0-9](?: ?[0-9]{3}){3}\b", is_german_tax_id),
        kind("[ip]", r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b", |text| text.parse::<std::net::Ipv4Addr>().is_ok()),
        kind("[ip]", r"(?i)(?:\b|::)[0-9a-f:]*:[0-9a-f:]*:[0-9a-f]*\b", is_ipv6),
        kind("[phone]", r"(?:\+|\b00)[1-9](?:[ ()./-]{0,2}[0-9]){6,14}\b", |_| true),
        kind("[phone]", r"\(?\b[0-9]{3,5}\)?(?:[ ./-]{1,2}[0-9]{2,8}){1,4}\b", is_phone),
        kind("[phone]", r"\b0[1-9](?:[ ()./-]{0,2}[0-9]){7,11}\b", |_| true),
    ]
});

/// Puts a word such as `[email]` in the place of all personal data, and says how many it found.
pub(super) fn cover(text: &str) -> (Cow<'_, str>, u64) {
    let mut covered = Cow::Borrowed(text);
    let mut found = 0;
    if !text.contains(|letter: char| letter.is_ascii_digit() || letter == '@' || letter == ':') {
        return (covered, 0);
    }
    for Kind { cover, pattern, is_one } in KINDS.iter() {
        let replaced = pattern.replace_all(&covered, |part: &Captures<'_>| {
            if is_one(&part[0]) {
                found += 1;
                (*cover).to_owned()
            } else {
                part[0].to_owned()
            }
        });
        if let Cow::Owned(replaced) = replaced {
            covered = Cow::Owned(replaced);
        }
    }
    (covered, found)
}

/// Whether a text holds any.
pub(super) fn is_in(text: &str) -> bool {
    cover(text).1 > 0
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|letter| letter.to_digit(10)).collect()
}

/// Luhn's check digit.
fn is_card(text: &str) -> bool {
    let digits = digits(text);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    digits[0] != 0 && sum.is_multiple_of(10)
}

/// The remainder that ISO 13616 asks for.
fn is_iban(text: &str) -> bool {
    let plain: Vec<char> = text.chars().filter(|letter| *letter != ' ').collect();
    if !(15..=34).contains(&plain.len()) {
        return false;
    }
    let moved = plain[4..].iter().chain(&plain[..4]);
    let remainder = moved
        .filter_map(|letter| letter.to_digit(36))
        .fold(0, |rest, value| if value < 10 { (rest * 10 + value) % 97 } else { (rest * 100 + value) % 97 });
    remainder == 1
}

/// Numbers that the United States give to nobody are none.
fn is_social_security(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    !(parts[0] == "000" || parts[0] == "666" || parts[0].starts_with('9') || parts[1] == "00" || parts[2] == "0000")
}

/// The check digit of ISO 7064, MOD 11,10.
fn is_german_tax_id(text: &str) -> bool {
    let digits = digits(text);
    let product = digits[..10].iter().fold(10, |product, digit| {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    (11 - product) % 10 == digits[10]
}

fn is_ipv6(text: &str) -> bool {
    // A time such as 12:30:45 has no more than one meaning less than eight groups could have.
    text.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.segments()[0] != 0 && text.len() > 4)
}

/// Two or three groups, as people write a number to call, the last of four digits or more: what ends in fewer is a date, a
/// price or a size, and what has more digits an order or an account.
fn is_phone(text: &str) -> bool {
    let groups: Vec<&str> =
        text.split(|letter: char| !letter.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    let last = groups.last().map_or(0, |group| group.len());
    (2..=3).contains(&groups.len()) && last >= 4 && (10..=12).contains(&digits(text).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_data_is_covered() {
        let check = |text: &str, expected: &str| assert_eq!(cover(text).0, expected, "{text}");
        check("write to Ann.Lee+x@mail.example.co.uk, please", "write to [email], please");
        check("DE89 3704 0044 0532 0130 00 is it", "[iban] is it");
        check("pay GB82WEST12345698765432.", "pay [iban].");
        check("my card 4111 1111 1111 1111 was charged", "my card [card] was charged");
        check("5500-0000-0000-0004", "[card]");
        check("ssn 123-45-6789.", "ssn [ssn].");
        check("Steuer-ID 86 095 742 719", "Steuer-ID [tax id]");
        check("from 192.168.0.17 and 2001:db8::8a2e:370:7334", "from [ip] and [ip]");
        check("call +49 (0)30 901820 or 555-867-5309", "call [phone] or [phone]");
        check("ring me on (020) 7946 0958 today", "ring me on [phone] today");
        check("0151 23456789", "[phone]");
        check("+1 415 555 2671 and a@b.de", "[phone] and [email]");
        assert_eq!(cover("+1 415 555 2671 and a@b.de").1, 2);
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "I slept 3 hours, from 2:30 to 5:30, on 2024-03-12",
            "12:30:45 it was",
            "order 4111 1111 1111 1112 does not exist",
            "666-12-3456",
            "it cost 1,299.00 in 2023",
            "version 1.2.3 of 10.0.0",
            "999.999.999.999",
            "@home at 7",
            "12 345 678 901",
            "a::b",
            "on 2024-03-12 10:30 it rained",
            "IMG 20240312 1030",
        ] {
            assert_eq!(cover(text), (Cow::Borrowed(text), 0));
            assert!(!is_in(text));
        }
    }
}
