//! Languages that texts may be in: those that can be told apart by their letters and runs of letters.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use whatlang::Lang;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Language(&'static str);

/// The two letters of ISO 639-1 for the three of ISO 639-3.
const SHORT: &[(&str, &str)] = &[
    ("afr", "af"),
    ("aka", "ak"),
    ("amh", "am"),
    ("ara", "ar"),
    ("aze", "az"),
    ("bel", "be"),
    ("ben", "bn"),
    ("bul", "bg"),
    ("cat", "ca"),
    ("ces", "cs"),
    ("cmn", "zh"),
    ("cym", "cy"),
    ("dan", "da"),
    ("deu", "de"),
    ("ell", "el"),
    ("eng", "en"),
    ("epo", "eo"),
    ("est", "et"),
    ("fin", "fi"),
    ("fra", "fr"),
    ("guj", "gu"),
    ("heb", "he"),
    ("hin", "hi"),
    ("hrv", "hr"),
    ("hun", "hu"),
    ("hye", "hy"),
    ("ind", "id"),
    ("ita", "it"),
    ("jav", "jv"),
    ("jpn", "ja"),
    ("kan", "kn"),
    ("kat", "ka"),
    ("khm", "km"),
    ("kor", "ko"),
    ("lat", "la"),
    ("lav", "lv"),
    ("lit", "lt"),
    ("mal", "ml"),
    ("mar", "mr"),
    ("mkd", "mk"),
    ("mya", "my"),
    ("nep", "ne"),
    ("nld", "nl"),
    ("nob", "nb"),
    ("ori", "or"),
    ("pan", "pa"),
    ("pes", "fa"),
    ("pol", "pl"),
    ("por", "pt"),
    ("ron", "ro"),
    ("rus", "ru"),
    ("sin", "si"),
    ("slk", "sk"),
    ("slv", "sl"),
    ("sna", "sn"),
    ("spa", "es"),
    ("srp", "sr"),
    ("swe", "sv"),
    ("tam", "ta"),
    ("tel", "te"),
    ("tgl", "tl"),
    ("tha", "th"),
    ("tuk", "tk"),
    ("tur", "tr"),
    ("ukr", "uk"),
    ("urd", "ur"),
    ("uzb", "uz"),
    ("vie", "vi"),
    ("yid", "yi"),
    ("zul", "zu"),
];

impl Language {
    /// Reads a code of two or three letters, such as `en` or `eng`; none where it stands for no language that can be told.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        let long = SHORT.iter().find(|(_, short)| *short == code).map_or(code, |(long, _)| long);
        Lang::from_code(long).map(Self::from)
    }

    /// The language that a text is surely in. Of short texts that is seldom known.
    #[must_use]
    pub fn detect(text: &str) -> Option<Self> {
        whatlang::detect(text).filter(whatlang::Info::is_reliable).map(|info| Self::from(info.lang()))
    }

    /// The code: two letters where there are such.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0
    }
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        let long = lang.code();
        Self(SHORT.iter().find(|(one, _)| *one == long).map_or(long, |(_, short)| short))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::of(&code).ok_or_else(|| de::Error::custom(format!("no language has the code `{code}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_known_by_either_code() {
        for (code, expected) in [("en", Some("en")), ("eng", Some("en")), ("de", Some("de")), ("xx", None), ("", None)]
        {
            assert_eq!(Language::of(code).map(Language::code), expected, "{code}");
        }
        for lang in Lang::all() {
            assert_eq!(Language::of(Language::from(*lang).code()), Some(Language::from(*lang)));
        }
    }

    #[test]
    fn sentences_are_told_apart() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(Language::detect(text).map(Language::code), expected);
        check("I have been awake since three in the morning, as on every night of this week.", Some("en"));
        check("Ich liege seit drei Uhr morgens wach, wie jede Nacht in dieser Woche.", Some("de"));
        check("眠れない夜が続いています", Some("ja"));
        check("", None);
        check("12:30", None);
    }
}
