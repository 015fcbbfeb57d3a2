//! Taking secrets out of texts that people and logs see.

use regex::Regex;
use reqwest::Url;

/// The URL without credentials, query and fragment: any of them may be a signature.
pub(super) fn show_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail for a URL without a host only, and that has no credentials.
    shown.set_username("").ok();
    shown.set_password(None).ok();
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

/// The text with the credentials and the query of every URL in it replaced by `***`.
pub(super) fn redact(text: &str) -> String {
    let credentials = Regex::new(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@").expect("the pattern is valid");
    let query = Regex::new(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?#]*)\?[^\s#]+").expect("the pattern is valid");
    query.replace_all(&credentials.replace_all(text, "$1***@"), "$1?***").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        for (url, expected) in [
            ("https://user:pass@host/a/b.gguf?sig=1#x", "https://host/a/b.gguf"),
            ("https://token@host:8443/a", "https://host:8443/a"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/"),
        ] {
            assert_eq!(show_url(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn texts_are_shown_without_secrets() {
        for (text, expected) in [
            ("no secret at a@b", "no secret at a@b"),
            ("Looking in https://u:p@host/simple, http://t@x/", "Looking in https://***@host/simple, http://***@x/"),
            ("git+https://u:p@ss@host/a", "git+https://***@host/a"),
            ("get https://host/a?token=1&b=2 now", "get https://host/a?*** now"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
