//! Looks at the end of a Parquet file before the library does.
//!
//! The library makes room for as many columns as a group says it has, and descends into groups as deep as they go: a file
//! that was made for it would end the program, which no thread can stop. So the schema is gone through first, in
//! Thrift's compact protocol and no further than it must be. Start at [`is_plausible`].

use std::io::{self, Read, Seek, SeekFrom};

/// Deepest groups within groups that are read.
const DEEPEST: usize = 64;

/// What a file ends with, behind the length of its footer.
const MAGIC: &[u8] = b"PAR1";

/// Thrift's compact types that are told apart here.
const STOP: u8 = 0;
const INT32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Whether the schema of a file is one that can be read; the file is then at its beginning.
///
/// # Errors
/// It cannot be read.
pub(super) fn is_plausible(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut tail = [0; 8];
    if length < 12 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if magic != *MAGIC || footer > length - 8 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(length - 8 - footer))?;
    let mut bytes = Vec::new();
    file.take(footer).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Thrift(&bytes).has_plausible_schema().unwrap_or(false))
}

/// Bytes in Thrift's compact protocol; whatever ends too early is nothing.
struct Thrift<'a>(&'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        i64::try_from(number >> 1).ok().map(|half| if number & 1 == 0 { half } else { -half - 1 })
    }

    /// The type and the number of the next field.
    fn field(&mut self, before: i64) -> Option<(u8, i64)> {
        let header = self.byte()?;
        let kind = header & 0xf;
        match header >> 4 {
            _ if kind == STOP => Some((STOP, before)),
            0 => Some((kind, self.signed()?)),
            step => Some((kind, before.checked_add(i64::from(step))?)),
        }
    }

    /// The type and the number of a list's items.
    fn list(&mut self) -> Option<(u8, u64)> {
        let header = self.byte()?;
        let count = if header >> 4 == 15 { self.number()? } else { u64::from(header >> 4) };
        // Each item takes a byte at least.
        (count <= self.0.len() as u64).then_some((header & 0xf, count))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.number().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let count = self.number()?;
                self.skip_bytes(count)
            }
            LIST | 10 => {
                let (items, count) = self.list()?;
                // In a list a flag takes a byte, and in a field none.
                (0..count).try_for_each(|_| if items <= 2 { self.skip_bytes(1) } else { self.skip(items, depth + 1) })
            }
            STRUCT => {
                let mut field = self.field(0)?;
                while field.0 != STOP {
                    self.skip(field.0, depth + 1)?;
                    field = self.field(field.1)?;
                }
                Some(())
            }
            // Maps and what else there may be are not in a schema.
            _ => None,
        }
    }

    /// Goes through the second field of the footer, which lists groups and columns with the deepest behind their groups.
    fn has_plausible_schema(&mut self) -> Option<bool> {
        let mut field = self.field(0)?;
        while field != (LIST, 2) {
            if field.0 == STOP {
                return None;
            }
            self.skip(field.0, 0)?;
            field = self.field(field.1)?;
        }
        let (_, count) = self.list()?;
        let mut open: Vec<u64> = Vec::new();
        for place in 0..count {
            let children = self.children()?;
            if children > count - place - 1 || open.len() > DEEPEST {
                return Some(false);
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            while open.last() == Some(&0) {
                open.pop();
            }
        }
        Some(open.is_empty())
    }

    /// How many columns and groups an item of the schema has in it.
    fn children(&mut self) -> Option<u64> {
        let mut children = 0;
        let mut field = self.field(0)?;
        while field.0 != STOP {
            if field == (INT32, 5) {
                children = u64::try_from(self.signed()?).ok()?;
            } else {
                self.skip(field.0, 0)?;
            }
            field = self.field(field.1)?;
        }
        Some(children)
    }
}
