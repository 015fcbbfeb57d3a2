//! Takes a web address apart as far as its parts are checked. Never asks the network anything.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The parts of `scheme://user@host:port/path?query#fragment`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: &'a str,
    pub(super) has_user_info: bool,
    pub(super) host: &'a str,
    pub(super) has_query: bool,
    pub(super) has_fragment: bool,
}

/// Takes an address apart; the error is a lower-case fragment that does not repeat the address.
pub(super) fn parse(text: &str) -> Result<Url<'_>, &'static str> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`')) {
        return Err("an address may not hold white space or quotes");
    }
    let (scheme, rest) = text.split_once("://").ok_or("an address begins with `https://` or `http://`")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let tail = &rest[authority.len()..];
    let (before_fragment, fragment) = tail.split_once('#').map_or((tail, None), |(head, tail)| (head, Some(tail)));
    let (user_info, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or("a port begins with `:`")?)),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let is_host = match place.starts_with('[') {
        true => host.parse::<Ipv6Addr>().is_ok(),
        false => host.split('.').all(|label| !label.is_empty() && label.chars().all(is_host_letter)),
    };
    if !is_host {
        return Err("the address names no host");
    }
    if port.is_some_and(|port| !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err()) {
        return Err("the port is not a number up to 65535");
    }
    Ok(Url {
        scheme,
        has_user_info: user_info.is_some(),
        host,
        has_query: before_fragment.contains('?'),
        has_fragment: fragment.is_some(),
    })
}

fn is_host_letter(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '-' | '_')
}

impl Url<'_> {
    /// Whether the host is this machine.
    pub(super) fn is_local(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || self.host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = parse("https://me:pw@example.com:8443/a@b?c#d").unwrap();
        assert_eq!(
            url,
            Url { scheme: "https", has_user_info: true, host: "example.com", has_query: true, has_fragment: true }
        );
        let url = parse("http://[::1]:80/v1").unwrap();
        assert!(url.is_local() && !url.has_query && !url.has_fragment && !url.has_user_info);
        // A question mark behind `#` belongs to the fragment.
        assert!(!parse("http://x/#?").unwrap().has_query);
    }

    #[test]
    fn this_machine_is_known() {
        for (address, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9/x", true),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("http://localhost@evil.example", false),
        ] {
            assert_eq!(parse(address).unwrap().is_local(), local, "{address}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "x",
            "https:/x",
            "https://",
            "https:///v1",
            "https://:80",
            "https://a b",
            "https://x:port",
            "https://x:99999",
            "https://x:+1",
            "https://[::1",
            "https://[::1]8",
            "https://[zz]",
            "https://a..b",
            "https://x\\y",
            "https://user@",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
