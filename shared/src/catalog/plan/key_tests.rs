//! Conditions on one key, and how many datasets they leave.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension as _, ToSql, params};

use super::{LOOKED_AT_MAX, Sql};
use crate::catalog::CatalogError;
use crate::catalog::query::DatasetFilter;

/// The conditions of a filter on one key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTests<'a> {
    values: Vec<&'a [String]>,
    pub(super) globs: Vec<&'a str>,
    pub(super) from: Vec<&'a str>,
    pub(super) to: Vec<&'a str>,
}

impl<'a> KeyTests<'a> {
    /// The one value that passes, if that is known.
    pub(super) fn one(&self) -> Option<&'a str> {
        match self.values.as_slice() {
            [[one]] => Some(one),
            _ => None,
        }
    }

    /// The tests on an expression, each as ` AND …`.
    pub(super) fn write(&self, value: &str, sql: &mut Sql<'a>) {
        for wanted in &self.values {
            let _ = match wanted.len() {
                1 => write!(sql.text, " AND {value} = ?"),
                n => write!(sql.text, " AND {value} IN ({})", vec!["?"; n].join(",")),
            };
            sql.parameters.extend(wanted.iter().map(|one| ToSqlOutput::from(one.as_str())));
        }
        for start in self.globs.iter().map(|glob| literal_start(glob)) {
            if let Some(end) = text_after(start) {
                let _ = write!(sql.text, " AND {value} >= ? AND {value} < ?");
                sql.parameters.extend([start.to_owned(), end].map(ToSqlOutput::from));
            }
        }
        for (test, texts) in [("GLOB", &self.globs), (">=", &self.from), ("<=", &self.to)] {
            for text in texts {
                let _ = write!(sql.text, " AND {value} {test} ?");
                sql.parameters.push((*text).into());
            }
        }
    }
}

/// What every value that a glob matches begins with.
pub(super) fn literal_start(glob: &str) -> &str {
    &glob[..glob.find(['*', '?', '[']).unwrap_or(glob.len())]
}

/// The lowest text above all that begin with this; None if it is empty, or there is none.
pub(super) fn text_after(start: &str) -> Option<String> {
    let mut text = start.to_owned();
    while let Some(last) = text.pop() {
        // A range of characters leaves out what is none.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// By index of the key, those of a filter.
pub(super) fn tests_of(filter: &DatasetFilter) -> Vec<(usize, KeyTests<'_>)> {
    let mut tests = BTreeMap::<usize, KeyTests<'_>>::new();
    for (key, values) in &filter.values {
        tests.entry(*key).or_default().values.push(values);
    }
    for (key, glob) in &filter.globs {
        tests.entry(*key).or_default().globs.push(glob);
    }
    for (key, from) in &filter.from {
        tests.entry(*key).or_default().from.push(from);
    }
    for (key, to) in &filter.to {
        tests.entry(*key).or_default().to.push(to);
    }
    tests.into_iter().collect()
}

/// How many datasets pass the tests on one key; None if too many values would have to be looked at.
pub(super) fn count_by_key(
    conn: &Connection,
    collection: i64,
    key: usize,
    tests: &KeyTests<'_>,
) -> Result<Option<u64>, CatalogError> {
    if let Some(one) = tests.one() {
        let mut statement =
            conn.prepare_cached("SELECT datasets FROM key_values WHERE collection = ?1 AND key = ?2 AND value = ?3")?;
        let n: Option<i64> = statement.query_row(params![collection, key as i64, one], |row| row.get(0)).optional()?;
        return Ok(Some(n.unwrap_or(0) as u64));
    }
    let mut sql = Sql { text: "SELECT count(*), sum(CASE WHEN 1".to_owned(), parameters: Vec::new() };
    // Globs do not find values: they are tested on those that the others leave.
    KeyTests { globs: tests.globs.clone(), ..KeyTests::default() }.write("value", &mut sql);
    let _ = write!(
        sql.text,
        " THEN datasets ELSE 0 END) FROM (SELECT value, datasets FROM key_values WHERE collection = {collection} AND key = {key}"
    );
    KeyTests { globs: Vec::new(), ..tests.clone() }.write("value", &mut sql);
    let _ = write!(sql.text, " LIMIT {LOOKED_AT_MAX})");
    let parameters: Vec<&dyn ToSql> = sql.parameters.iter().map(|p| p as &dyn ToSql).collect();
    let (seen, n): (i64, Option<i64>) =
        conn.prepare_cached(&sql.text)?.query_row(parameters.as_slice(), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(((seen as usize) < LOOKED_AT_MAX).then_some(n.unwrap_or(0) as u64))
}
