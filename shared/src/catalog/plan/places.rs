//! Names in order, but only of key values that have something in the box: `key_values` tells where each value's datasets lie.
//!
//! Scenes of a tile have one place and one name after the other: a page of a box that is met by one tile in ten is found without passing over the other nine.

use std::fmt::Write as _;

use rusqlite::{Connection, ToSql, params};

use super::key_tests::KeyTests;
use super::{LOOKED_AT_MAX, Sql};
use crate::bbox::Bbox;
use crate::catalog::CatalogError;

/// What it costs to pass over a value, and to begin at one, in units of a row that is found in its place in an index.
const VALUE_COST: f64 = 0.3;
const BEGIN_COST: f64 = 2.0;
/// So many combinations of values are not thought of.
const COMBINATIONS_MAX: f64 = 1e7;

/// What gathering by the first keys costs, if all were gathered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    /// The last key whose values are gone through.
    pub(super) key: usize,
    /// To find where names begin.
    pub(super) cost: f64,
    /// Datasets that have such names.
    pub(super) rows: f64,
}

/// Each way to go through the values of the first keys, of one, of two …
pub(super) fn depths(
    conn: &Connection,
    (collection, total): (i64, f64),
    tests: &[(usize, KeyTests<'_>)],
    bbox: &Bbox,
) -> Result<Vec<Depth>, CatalogError> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(key) FROM key_values WHERE collection = ?1")?
        .query_row(params![collection], |row| row.get(0))?;
    let (mut depths, mut combinations, mut cost, mut rows) = (Vec::new(), 1.0, 0.0, total);
    for key in 0..=last.map_or(0, |last| last as usize) {
        let of_key = tests.iter().find(|(tested, _)| *tested == key).map(|(_, tests)| tests);
        let values = values(conn, (collection, key), of_key, bbox, total)?;
        cost += combinations * values.passed * VALUE_COST;
        combinations *= values.met;
        // As if one key's values had nothing to do with another's.
        rows *= values.part;
        depths.push(Depth { key, cost: cost + combinations * BEGIN_COST, rows });
        if combinations > COMBINATIONS_MAX {
            break;
        }
    }
    Ok(depths)
}

/// Of one key.
struct Values {
    /// How many pass the tests.
    passed: f64,
    /// How many of these meet the box.
    met: f64,
    /// The part of all datasets that have one of these.
    part: f64,
}

fn values(
    conn: &Connection,
    (collection, key): (i64, usize),
    tests: Option<&KeyTests<'_>>,
    bbox: &Bbox,
    total: f64,
) -> Result<Values, CatalogError> {
    let mut sql = Sql {
        text: "SELECT count(*), sum(datasets), sum(met), sum(met * datasets) FROM (SELECT datasets, ".to_owned(),
        parameters: Vec::new(),
    };
    write_meets("v", bbox, &mut sql);
    sql.text += " AS met FROM key_values v WHERE v.collection = ? AND v.key = ?";
    sql.parameters.extend([collection.into(), (key as i64).into()]);
    if let Some(tests) = tests {
        tests.write("v.value", &mut sql);
    }
    let _ = write!(sql.text, " LIMIT {LOOKED_AT_MAX})");
    let parameters: Vec<&dyn ToSql> = sql.parameters.iter().map(|p| p as &dyn ToSql).collect();
    let number = |row: &rusqlite::Row<'_>, column: usize| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0) as f64)
    };
    let (passed, datasets, met, met_datasets) =
        conn.prepare_cached(&sql.text)?.query_row(parameters.as_slice(), |row| {
            Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?, number(row, 3)?))
        })?;
    if (passed as usize) < LOOKED_AT_MAX {
        return Ok(Values { passed, met, part: met_datasets / total.max(1.0) });
    }
    // The others are as those that were looked at.
    let more = (total / datasets.max(1.0)).max(1.0);
    Ok(Values { passed: passed * more, met: met * more, part: met_datasets / datasets.max(1.0) })
}

/// The start of a statement: a table of values for each of the keys, then the datasets whose names they begin.
pub(super) fn write<'a>(
    (collection, depth): (i64, usize),
    tests: &[(usize, KeyTests<'a>)],
    bbox: &Bbox,
    sql: &mut Sql<'a>,
) {
    let tables: Vec<String> = (0..=depth).map(|key| format!("key_values v{key}")).collect();
    let _ = write!(sql.text, "{} CROSS JOIN datasets d WHERE d.collection = ?", tables.join(" CROSS JOIN "));
    sql.parameters.push(collection.into());
    for key in 0..=depth {
        let _ = write!(sql.text, " AND v{key}.collection = ? AND v{key}.key = {key} AND ");
        sql.parameters.push(collection.into());
        write_meets(&format!("v{key}"), bbox, sql);
        if let Some((_, tests)) = tests.iter().find(|(tested, _)| *tested == key) {
            tests.write(&value(key), sql);
        }
    }
    let start = (0..=depth).map(value).collect::<Vec<_>>().join(" || char(31) || ");
    let _ = write!(sql.text, " AND d.keys >= {start} AND d.keys < {start} || char(32)");
}

/// The expression for a key's value.
pub(super) fn value(key: usize) -> String {
    format!("v{key}.value")
}

/// Whether the datasets of a row of `key_values` may meet the box.
fn write_meets(table: &str, bbox: &Bbox, sql: &mut Sql<'_>) {
    let (first, second) = bbox.split();
    let mut boxes = Vec::new();
    for part in std::iter::once(first).chain(second) {
        boxes.push(format!("({table}.east >= ? AND {table}.west <= ? AND {table}.north >= ? AND {table}.south <= ?)"));
        sql.parameters.extend([part.west, part.east, part.south, part.north].map(Into::into));
    }
    let _ = write!(sql.text, "({})", boxes.join(" OR "));
}
