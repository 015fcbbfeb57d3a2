//! A table of words for the terminal.

use std::io::{self, Write};

/// Rows under a heading, each column as wide as its longest word. Columns without a word are left out.
pub(super) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row of as many words as the heading has.
    pub(super) fn row(&mut self, words: Vec<String>) {
        assert_eq!(words.len(), self.heading.len(), "a row has a word for each column");
        self.rows.push(words);
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let longest = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let used = (0..self.heading.len()).filter(|column| longest(*column) > 0);
        let widths: Vec<(usize, usize)> =
            used.map(|column| (column, longest(column).max(self.heading[column].len()))).collect();
        let line = |word: &dyn Fn(usize) -> String| {
            let words: Vec<String> = widths.iter().map(|(column, width)| format!("{:width$}", word(*column))).collect();
            words.join("  ").trim_end().to_owned()
        };
        writeln!(out, "{}", line(&|column| self.heading[column].to_owned()))?;
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", line(&|column| row[column].clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let mut table = Table::new(&["run", "cost", "what"]);
        table.row(vec!["1".to_owned(), String::new(), "naïve".to_owned()]);
        table.row(vec!["1234".to_owned(), String::new(), "x".to_owned()]);
        let mut text = Vec::new();
        table.write(&mut text).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "run   what\n1     naïve\n1234  x\n");
    }
}
