//! Which rows of a table of candidates are shown, and in which order: for looking at a table, never for making one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use minijinja::{Environment, Value};

use super::error::closest;
use super::known::{self, Kind};
use super::table::Catalog;
use crate::data::{Candidate, Place};

/// Why rows cannot be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// The condition does not parse, or does what cannot be done.
    #[error("the condition `{condition}` does not work: {message}")]
    BadCondition {
        /// The condition.
        condition: String,
        /// What is wrong.
        message: String,
    },
    /// A column is named that there is not.
    #[error("there is no column `{name}`")]
    UnknownColumn {
        /// The column.
        name: String,
        /// The column that was probably meant.
        suggestion: Option<String>,
    },
}

impl SelectError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::BadCondition { .. } => {
                "write it as `params_b < 9 and license_commercial`: column names, numbers, texts in quotes, `and`, `or`, `not`"
                    .to_owned()
            }
            Self::UnknownColumn { suggestion: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::UnknownColumn { suggestion: None, .. } => {
                "name a column of a catalog, or `id`, `place`, `rank`, `stars`, `fit`, `memory_gib`, `concerns`".to_owned()
            }
        }
    }
}

/// The columns that the table adds to those of the catalogs.
const OWN: &[&str] = &["place", "rank", "stars", "fit", "memory_gib", "concerns"];

/// Keeps the rows that `condition` holds for, and orders them by `sort`: column names, each with `-` before it to have the
/// largest first. Rows without a value in a column that the condition names do not match; in the order they come last.
///
/// # Errors
/// A column is not there, or the condition does not work.
pub fn select(
    catalog: &Catalog,
    rows: Vec<Candidate>,
    condition: Option<&str>,
    sort: &[String],
) -> Result<Vec<Candidate>, SelectError> {
    let environment = Environment::new();
    let expression = condition
        .map(|condition| {
            let bad = |error: &minijinja::Error| bad_condition(condition, error);
            environment.compile_expression(condition).map_err(|error| bad(&error)).map(|compiled| (condition, compiled))
        })
        .transpose()?;
    let mut named: Vec<String> =
        expression.iter().flat_map(|(_, compiled)| compiled.undeclared_variables(false)).collect();
    named.sort_unstable();
    let orders: Vec<(&str, bool)> = sort
        .iter()
        .map(|name| match name.strip_prefix('-') {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        })
        .collect();
    for name in named.iter().map(String::as_str).chain(orders.iter().map(|(name, _)| *name)) {
        check_column(catalog, name)?;
    }
    let mut kept: Vec<(BTreeMap<String, Value>, Candidate)> = Vec::new();
    for row in rows {
        let columns = named.iter().map(String::as_str).chain(orders.iter().map(|(name, _)| *name));
        let values: BTreeMap<String, Value> =
            columns.filter_map(|name| Some((name.to_owned(), value(catalog, &row, name)?))).collect();
        let matches = match &expression {
            None => true,
            Some(_) if !named.iter().all(|name| values.contains_key(name)) => false,
            Some((condition, compiled)) => {
                compiled.eval(&values).map_err(|error| bad_condition(condition, &error))?.is_true()
            }
        };
        if matches {
            kept.push((values, row));
        }
    }
    // The sort is stable, so that the table's order remains among equals.
    kept.sort_by(|(one, _), (other, _)| {
        let by_column = orders.iter().map(|(name, descending)| compare(one.get(*name), other.get(*name), *descending));
        by_column.fold(Ordering::Equal, Ordering::then)
    });
    Ok(kept.into_iter().map(|(_, row)| row).collect())
}

fn bad_condition(condition: &str, error: &minijinja::Error) -> SelectError {
    let message = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    SelectError::BadCondition { condition: condition.to_owned(), message }
}

fn check_column(catalog: &Catalog, name: &str) -> Result<(), SelectError> {
    if OWN.contains(&name) || catalog.columns().any(|column| column == name) {
        return Ok(());
    }
    let suggestion = closest(name, catalog.columns().chain(OWN.iter().copied()));
    Err(SelectError::UnknownColumn { name: name.to_owned(), suggestion })
}

/// What a row has in a column: a number, true or false, or text; none where it has nothing.
fn value(catalog: &Catalog, row: &Candidate, name: &str) -> Option<Value> {
    match name {
        "place" => {
            return Some(Value::from(match row.place {
                Place::Primary => "primary",
                Place::Backup => "backup",
                Place::Shortlisted => "shortlisted",
                Place::Dropped => "dropped",
            }));
        }
        "rank" => return row.rank.map(Value::from),
        "stars" => return row.stars.map(Value::from),
        "fit" => return row.fit.map(Value::from),
        "memory_gib" => return row.memory_bytes.map(|bytes| Value::from(bytes as f64 / f64::from(1 << 30))),
        "concerns" => return Some(Value::from(row.concerns.len())),
        _ => {}
    }
    let text = catalog.text(&row.id, name)?;
    match known::find(name).map(|column| column.kind) {
        Some(Kind::Flag | Kind::Answer) => known::flag(text).map(Value::from),
        Some(Kind::Date | Kind::Sha256) => Some(Value::from(text)),
        Some(Kind::Score | Kind::Amount | Kind::Count) => known::number(text).map(Value::from),
        None => Some(known::number(text).map_or_else(|| Value::from(text), Value::from)),
    }
}

fn compare(one: Option<&Value>, other: Option<&Value>, descending: bool) -> Ordering {
    match (one, other) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) if descending => other.cmp(one),
        (Some(one), Some(other)) => one.cmp(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Profile, Require, Research};

    const CSV: &str = "id,params_b,license_commercial,x,team\n\
                       a,8,yes,3,red\nb,7,unknown,2,blue\nc,70,yes,9,red\nd,,no,1,\n";

    fn check(condition: Option<&str>, sort: &[&str], expected: Result<&[&str], (&str, &str)>) {
        let catalog = Catalog::read([("a.csv", CSV.as_bytes())]).unwrap();
        let asked = Research {
            catalog: Vec::new(),
            require: Require::default(),
            profile: Profile { prefer: [("x".to_owned(), 1.0)].into_iter().collect(), ..Profile::default() },
            shortlist: 9,
            pin: None,
            hosting: None,
            as_of: None,
        };
        let rows = crate::catalog::research(&catalog, &asked).unwrap().shortlist;
        let sort: Vec<String> = sort.iter().map(|name| (*name).to_owned()).collect();
        let found = select(&catalog, rows, condition, &sort);
        match (found, expected) {
            (Ok(rows), Ok(ids)) => assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ids),
            (Err(error), Err((message, help))) => {
                assert!(error.to_string().starts_with(message), "{error}");
                assert!(error.help().starts_with(help), "{}", error.help());
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn rows_are_kept_by_a_condition() {
        check(None, &[], Ok(&["c", "a", "b", "d"]));
        check(Some("params_b < 9 and license_commercial"), &[], Ok(&["a"]));
        check(Some("params_b < 9"), &[], Ok(&["a", "b"]));
        // What is not known does not match, whichever way it is asked for.
        check(Some("not license_commercial"), &[], Ok(&["d"]));
        check(Some("not params_b < 9"), &[], Ok(&["c"]));
        check(Some("team == 'red' and rank == 1"), &[], Ok(&["c"]));
        check(Some("fit > 2"), &[], Ok(&[]));
    }

    #[test]
    fn rows_are_ordered_by_columns() {
        check(None, &["params_b"], Ok(&["b", "a", "c", "d"]));
        check(None, &["-params_b"], Ok(&["c", "a", "b", "d"]));
        check(None, &["team", "-params_b"], Ok(&["b", "c", "a", "d"]));
    }

    #[test]
    fn mistakes_are_told() {
        check(Some("param_b < 9"), &[], Err(("there is no column `param_b`", "did you mean `params_b`?")));
        check(None, &["zzzz"], Err(("there is no column `zzzz`", "name a column of a catalog")));
        check(Some("params_b <"), &[], Err(("the condition `params_b <` does not work: ", "write it as")));
        check(Some("team + 1"), &[], Err(("the condition `team + 1` does not work: ", "write it as")));
    }
}
