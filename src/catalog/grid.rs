//! The cells of a table, in one text.

use super::error::Spot;

/// Rows of as many cells each, without the white space around them.
///
/// A catalog of some thousand models has some hundred thousand cells, hardly one of them longer than a few letters: they
/// lie behind each other in one text, and no row is allocated by itself.
#[derive(Debug)]
pub(super) struct Grid {
    width: usize,
    text: String,
    /// Where each cell ends; it begins where the one before ends.
    ends: Vec<usize>,
    /// Where each row stands in its file.
    spots: Vec<Spot>,
}

impl Grid {
    /// No rows yet, of `width` cells, with room for `bytes` of text.
    pub(super) fn new(width: usize, bytes: usize) -> Self {
        Self { width, text: String::with_capacity(bytes), ends: Vec::new(), spots: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push<'c>(&mut self, spot: Spot, cells: impl IntoIterator<Item = &'c str>) {
        for cell in cells {
            self.text.push_str(trimmed(cell));
            self.ends.push(self.text.len());
        }
        self.spots.push(spot);
        assert_eq!(self.ends.len(), self.spots.len() * self.width, "rows are of one width");
    }

    /// Counts the rows.
    pub(super) fn len(&self) -> usize {
        self.spots.len()
    }

    /// Where a row stands in its file.
    pub(super) fn spot(&self, row: usize) -> Spot {
        self.spots[row]
    }

    /// What stands in a cell.
    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        let index = row * self.width + column;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// The same, with only those rows that `keep` says yes to.
    pub(super) fn filtered(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut kept = Self::new(self.width, self.text.len());
        for row in (0..self.len()).filter(|row| keep(*row)) {
            kept.push(self.spot(row), (0..self.width).map(|column| self.cell(row, column)));
        }
        kept
    }
}

fn trimmed(text: &str) -> &str {
    // Hardly a cell has white space around it, and to look for all that counts as such takes longer.
    match text.as_bytes() {
        [] => text,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_by_row_and_column() {
        let mut grid = Grid::new(2, 0);
        grid.push(Spot::Line(2), ["a", ""]);
        grid.push(Spot::Line(3), [" \u{a0}bc ", "d"]);
        grid.push(Spot::Line(5), ["", "é"]);
        let all: Vec<&str> = (0..3).flat_map(|row| [grid.cell(row, 0), grid.cell(row, 1)]).collect();
        assert_eq!(all, ["a", "", "bc", "d", "", "é"]);
        let kept = grid.filtered(|row| row != 1);
        assert_eq!((kept.len(), kept.cell(1, 1), kept.spot(1)), (2, "é", Spot::Line(5)));
    }
}
