//! How a question about datasets is asked: from which rows, in which order, and the SQL for it.
//!
//! SQLite has no statistics of a snapshot and would not know how many datasets have a key value. `key_values` says so, and here it is decided which
//! of the conditions finds rows; the others are tested row by row, by a function of ours that SQLite cannot mistake for a way to find any.

use std::fmt::Write as _;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql};

use super::query::{DatasetFilter, DatasetQuery};
use super::rows::join_keys;
use super::schema::KEY_SEPARATOR;
use super::{CatalogError, totals};

mod key_tests;
mod places;

use key_tests::{KeyTests, count_by_key, literal_start, tests_of, text_after};

/// Key values, and boxes, looked at to learn how many datasets a condition leaves: so many or more count as many.
const LOOKED_AT_MAX: usize = 2000;
/// What a row costs that is looked at, in units of one that is found in its place in an index: to sort it, to test its bounds.
const SORT_COST: f64 = 2.0;
const BOUNDS_COST: f64 = 3.0;
/// And to gather a footprint in the box first, and to look whether it is among these.
const FOOTPRINT_COST: f64 = 1.0;
const FOUND_COST: f64 = 0.5;

/// The edges of a dataset's bounds, as columns.
const EDGES: &str = "d.west, d.south, d.east, d.north";

/// A statement with its parameters, in order.
#[derive(Debug)]
pub(super) struct Sql<'a> {
    pub(super) text: String,
    pub(super) parameters: Vec<ToSqlOutput<'a>>,
}

/// What finds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finder {
    /// The index of names, in order of keys; leading keys that have one value, or the first key's other conditions, narrow it.
    Names,
    /// The index of one key's values, in order of these and then of keys; its rows have a column `value`.
    Key(usize),
    /// The R-tree.
    Bounds,
    /// The index of names, where values of the keys up to this one are met by the box.
    Places(usize),
}

/// A question about a collection's datasets.
pub(super) struct Plan<'a> {
    collection: i64,
    filter: &'a DatasetFilter,
    /// By index of the key; keys without a condition have none.
    tests: Vec<(usize, KeyTests<'a>)>,
    finder: Finder,
    /// Whether the footprints in the box are gathered first, however rows are found.
    knows_footprints: bool,
}

/// What a finder costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    finder: Finder,
    knows_footprints: bool,
    all: f64,
}

impl Sql<'_> {
    /// At most so many, leaving out so many: the end of a statement.
    fn page(&mut self, limit: usize, offset: usize) {
        self.text += " LIMIT ? OFFSET ?";
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.parameters.extend([number(limit).into(), number(offset).into()]);
    }
}

impl<'a> Plan<'a> {
    /// Decides what finds the datasets that match: `order` are keys to order by, `needed` is how many are asked for, None for all.
    pub(super) fn new(
        conn: &Connection,
        collection: i64,
        filter: &'a DatasetFilter,
        order: &[usize],
        needed: Option<usize>,
    ) -> Result<Self, CatalogError> {
        let mut plan =
            Self { collection, filter, tests: tests_of(filter), finder: Finder::Names, knows_footprints: false };
        let Some(all) = totals::of(conn, collection)? else { return Ok(plan) };
        let total = all.datasets as f64;
        let mut found = vec![];
        for (key, tests) in &plan.tests {
            found.push((*key, count_by_key(conn, collection, *key, tests)?.map_or(total, |n| n as f64)));
        }
        let in_bounds = match &filter.bbox {
            Some(_) => Some(plan.count_in_bounds(conn)?.min(total)),
            None => None,
        };
        // As if no condition had to do with another.
        let matching =
            found.iter().map(|(_, n)| *n).chain(in_bounds).fold(total, |left, n| left * (n / total.max(1.0)));
        // What is passed until a page is full, if it is found in order.
        let passed = |rows: f64, is_ordered: bool| match needed {
            Some(needed) if is_ordered => rows.min(needed as f64 * rows / matching.max(1.0)),
            _ => rows,
        };
        let cost = |finder: Finder| {
            let rows = match finder {
                Finder::Names => {
                    found.iter().filter(|(key, _)| plan.narrows_names(*key)).map(|(_, n)| *n).fold(total, f64::min)
                }
                Finder::Key(by) => found.iter().find(|(key, _)| *key == by).map_or(total, |(_, n)| *n),
                Finder::Bounds | Finder::Places(_) => in_bounds.unwrap_or(total),
            };
            let ordered = needed.is_none() || plan.is_ordered(finder, order);
            let passed = passed(rows, ordered);
            let (tested, gathered) = match in_bounds {
                None => (0.0, f64::INFINITY),
                Some(_) if finder == Finder::Bounds => (passed * BOUNDS_COST, f64::INFINITY),
                Some(n) => (passed * BOUNDS_COST, passed * FOUND_COST + n * FOOTPRINT_COST),
            };
            let all = passed * (1.0 + if ordered { 0.0 } else { SORT_COST }) + tested.min(gathered);
            Cost { finder, knows_footprints: gathered < tested, all }
        };
        let keys = plan.tests.iter().map(|(key, _)| *key).chain(order.iter().copied()).filter(|key| *key > 0);
        let finders = keys.map(Finder::Key).chain(filter.bbox.map(|_| Finder::Bounds));
        let mut costs: Vec<Cost> = std::iter::once(Finder::Names).chain(finders).map(cost).collect();
        if let Some(bbox) = filter.bbox.filter(|_| needed.is_some() && plan.sorted_by(order).is_empty()) {
            for depth in places::depths(conn, (collection, total), &plan.tests, &bbox)? {
                // The beginnings are passed as the rows are.
                let all = passed(depth.cost + depth.rows * (1.0 + BOUNDS_COST), true);
                costs.push(Cost { finder: Finder::Places(depth.key), knows_footprints: false, all });
            }
        }
        if let Some(best) = costs.iter().min_by(|a, b| a.all.total_cmp(&b.all)) {
            (plan.finder, plan.knows_footprints) = (best.finder, best.knows_footprints);
        }
        Ok(plan)
    }

    /// Keys of the datasets of a query, in order.
    pub(super) fn keys(conn: &Connection, collection: i64, query: &'a DatasetQuery) -> Result<Sql<'a>, CatalogError> {
        let plan = Self::of_page(conn, collection, query)?;
        Ok(plan.ordered(query, plan.rows(plan.names())))
    }

    /// The same with the edges of their bounds: west, south, east, north.
    pub(super) fn bounds(conn: &Connection, collection: i64, query: &'a DatasetQuery) -> Result<Sql<'a>, CatalogError> {
        let plan = Self::of_page(conn, collection, query)?;
        Ok(plan.ordered(query, plan.of_datasets(&format!("{}, {EDGES}", plan.names()))))
    }

    fn of_page(conn: &Connection, collection: i64, query: &'a DatasetQuery) -> Result<Self, CatalogError> {
        let needed = query.limit.saturating_add(query.offset);
        Self::new(conn, collection, &query.filter, &query.order_by, Some(needed))
    }

    /// The same rows in the order of a query, and its page of them.
    fn ordered(&self, query: &'a DatasetQuery, mut sql: Sql<'a>) -> Sql<'a> {
        let names = self.names();
        let sorted_by = self.sorted_by(&query.order_by);
        let direction = if query.ascending { "ASC" } else { "DESC" };
        // Ties, and the order when none was asked for: all keys.
        let by_names = match self.finder {
            Finder::Places(depth) if sorted_by.is_empty() => (0..=depth).map(places::value).collect(),
            _ => sorted_by.iter().map(|key| self.value(*key)).collect::<Vec<_>>(),
        };
        let order = by_names.into_iter().chain([names.to_owned()]);
        if let Some(after) = &query.after {
            self.write_after(query, after, &mut sql);
        }
        let ordered: Vec<String> = order.map(|part| format!("{part} {direction}")).collect();
        let _ = write!(sql.text, " ORDER BY {}", ordered.join(", "));
        sql.page(query.limit, query.offset);
        sql
    }

    /// The condition that a dataset comes after one in the order.
    fn write_after(&self, query: &'a DatasetQuery, after: &'a [String], sql: &mut Sql<'a>) {
        let value_after = |key: usize| after.get(key).map_or("", String::as_str);
        // One that the filter would not find may lie before or after all that have the filter's values.
        let is_found = self.tests.iter().all(|(key, tests)| tests.one().is_none_or(|one| one == value_after(*key)));
        let by = if is_found { self.sorted_by(&query.order_by) } else { query.order_by.clone() };
        let sign = if query.ascending { '>' } else { '<' };
        let order: Vec<String> = by.iter().map(|key| self.value(*key)).chain([self.names().to_owned()]).collect();
        let _ = write!(sql.text, " AND ({}) {sign} ({})", order.join(","), vec!["?"; order.len()].join(","));
        sql.parameters.extend(by.iter().map(|key| ToSqlOutput::from(value_after(*key))));
        sql.parameters.push(join_keys(after).into());
        if by.is_empty() && matches!(self.finder, Finder::Places(_)) {
            // No value before the first of its own is looked at.
            let _ = write!(sql.text, " AND {} {sign}= ?", places::value(0));
            sql.parameters.push(value_after(0).into());
        }
    }

    /// How many datasets match.
    pub(super) fn count(&self) -> Sql<'a> {
        match self.tests.as_slice() {
            [(key, _)] if self.filter.bbox.is_none() => self.of_values(*key, "coalesce(sum(datasets), 0)"),
            _ => self.rows("count(*)"),
        }
    }

    /// The smallest and largest zooms, and the edges, of all that match.
    pub(super) fn extent(&self) -> Sql<'a> {
        let (west, east) = (totals::WEST, totals::EAST);
        self.of_datasets(&format!(
            "min(d.minzoom), max(d.maxzoom), min(d.maxzoom), min({west}), min(d.south), max({east}), max(d.north)"
        ))
    }

    /// The distinct values of a key among the datasets that match, and how many have each, in order.
    pub(super) fn values(&self, key: usize, prefix: &'a str, (limit, offset): (usize, usize)) -> Sql<'a> {
        let is_alone = self.filter.bbox.is_none() && self.tests.iter().all(|(tested, _)| *tested == key);
        let value = if is_alone { "value".to_owned() } else { self.value(key) };
        let mut sql =
            if is_alone { self.of_values(key, "value, datasets") } else { self.rows(&format!("{value}, count(*)")) };
        if !prefix.is_empty() {
            let _ = write!(sql.text, " AND {value} >= ? AND substr({value}, 1, length(?)) = ?");
            (0..3).for_each(|_| sql.parameters.push(prefix.into()));
        }
        if !is_alone {
            let _ = write!(sql.text, " GROUP BY {value}");
        }
        let _ = write!(sql.text, " ORDER BY {value}");
        sql.page(limit, offset);
        sql
    }

    /// The same of the values of the one key that is asked about.
    fn of_values(&self, key: usize, columns: &str) -> Sql<'a> {
        let text = format!("SELECT {columns} FROM key_values WHERE collection = ? AND key = {key}");
        let mut sql = Sql { text, parameters: vec![self.collection.into()] };
        self.tests.iter().for_each(|(_, tests)| tests.write("value", &mut sql));
        sql
    }

    /// The statement up to its conditions, of rows that have `names()`.
    fn rows(&self, columns: &str) -> Sql<'a> {
        let Finder::Key(by) = self.finder else { return self.of_datasets(columns) };
        if self.filter.bbox.is_some() {
            return self.of_datasets(columns);
        }
        let text = format!("SELECT {columns} FROM dataset_keys k WHERE k.collection = ? AND k.key = {by}");
        let mut sql = Sql { text, parameters: vec![self.collection.into()] };
        self.write_tests(&mut sql);
        sql
    }

    /// The same, with all columns of `datasets`.
    fn of_datasets(&self, columns: &str) -> Sql<'a> {
        let mut sql = Sql { text: format!("SELECT {columns} FROM "), parameters: Vec::new() };
        match self.finder {
            Finder::Names => {
                sql.text += "datasets d WHERE d.collection = ?";
                sql.parameters.push(self.collection.into());
                self.write_range_of_names(&mut sql);
            }
            Finder::Key(by) => {
                let _ = write!(
                    sql.text,
                    "dataset_keys k CROSS JOIN datasets d ON d.collection = k.collection AND d.keys = k.keys
                     WHERE k.collection = ? AND k.key = {by}"
                );
                sql.parameters.push(self.collection.into());
            }
            Finder::Bounds => {
                sql.text += "datasets d WHERE d.id IN (";
                self.write_footprints(&mut sql);
                // The sign keeps the index of names from being taken instead.
                sql.text += ") AND +d.collection = ?";
                sql.parameters.push(self.collection.into());
            }
            Finder::Places(depth) => {
                if let Some(bbox) = &self.filter.bbox {
                    places::write((self.collection, depth), &self.tests, bbox, &mut sql);
                }
            }
        }
        self.write_tests(&mut sql);
        sql
    }

    fn write_tests(&self, sql: &mut Sql<'a>) {
        for (key, tests) in &self.tests {
            tests.write(&self.value(*key), sql);
        }
        if let Some(bbox) = self.filter.bbox {
            if self.knows_footprints {
                // The sign keeps this a test of what is found, which needs the index of names only.
                sql.text += " AND +d.id IN (";
                self.write_footprints(sql);
                sql.text += ")";
            }
            let (first, second) = bbox.split();
            let mut boxes = Vec::new();
            for part in std::iter::once(first).chain(second) {
                boxes.push(
                    "(CASE WHEN d.west > d.east THEN d.east >= ? OR d.west <= ? ELSE d.east >= ? AND d.west <= ? END
                      AND d.north >= ? AND d.south <= ?)",
                );
                let edges = [part.west, part.east, part.west, part.east, part.south, part.north];
                sql.parameters.extend(edges.map(ToSqlOutput::from));
            }
            let _ = write!(sql.text, " AND ({})", boxes.join(" OR "));
        }
    }

    /// Ids of datasets whose footprints meet the box; they are a little larger than bounds.
    fn write_footprints(&self, sql: &mut Sql<'a>) {
        let Some(bbox) = self.filter.bbox else { return };
        let (first, second) = bbox.split();
        for (index, part) in std::iter::once(first).chain(second).enumerate() {
            sql.text += if index > 0 { " UNION ALL " } else { "" };
            sql.text += "SELECT id / 2 FROM footprints WHERE east >= ? AND west <= ? AND north >= ? AND south <= ?";
            sql.parameters.extend([part.west, part.east, part.south, part.north].map(ToSqlOutput::from));
        }
    }

    /// The range of names that the leading keys leave.
    fn write_range_of_names(&self, sql: &mut Sql<'a>) {
        let fixed: Vec<&str> = (0..).map_while(|key| self.one(key)).collect();
        if let [_, ..] = fixed.as_slice() {
            let start = fixed.join(&KEY_SEPARATOR.to_string());
            // A collection of one key has names without a separator.
            sql.text += " AND d.keys >= ? AND d.keys < ?";
            let end = names_end(&start);
            sql.parameters.extend([start, end].map(ToSqlOutput::from));
            return;
        }
        let Some((_, first)) = self.tests.iter().find(|(key, _)| *key == 0) else { return };
        for from in &first.from {
            sql.text += " AND d.keys >= ?";
            sql.parameters.push((*from).into());
        }
        for start in first.globs.iter().map(|glob| literal_start(glob)) {
            if let Some(end) = text_after(start) {
                sql.text += " AND d.keys >= ? AND d.keys < ?";
                sql.parameters.extend([start.to_owned(), end].map(ToSqlOutput::from));
            }
        }
        // What is asked for may hold what no value does, and names of lower values come after it.
        for to in first.to.iter().filter(|to| !to.contains(|c| c <= KEY_SEPARATOR)) {
            sql.text += " AND d.keys < ?";
            sql.parameters.push(names_end(to).into());
        }
    }

    /// The expression for a key's value in the rows that are found.
    fn value(&self, key: usize) -> String {
        match self.finder {
            Finder::Key(by) if by == key => "value".to_owned(),
            _ => format!("key_value({}, {key})", self.names()),
        }
    }

    /// The keys in the rows that are found: where two tables have them, those of the one that is read first.
    fn names(&self) -> &'static str {
        if matches!(self.finder, Finder::Key(_)) { "k.keys" } else { "d.keys" }
    }

    fn one(&self, key: usize) -> Option<&'a str> {
        self.tests.iter().find(|(tested, _)| *tested == key).and_then(|(_, tests)| tests.one())
    }

    /// Whether conditions on this key narrow the range of names.
    fn narrows_names(&self, key: usize) -> bool {
        key == 0 || (0..=key).all(|earlier| self.one(earlier).is_some())
    }

    /// The keys that must be sorted by, before all keys: neither those that have one value, nor what is in that order anyhow.
    fn sorted_by(&self, order: &[usize]) -> Vec<usize> {
        let told: Vec<usize> = order.iter().copied().filter(|key| self.one(*key).is_none()).collect();
        let mut natural = (0..).filter(|key| self.one(*key).is_none());
        if told.iter().all(|key| natural.next() == Some(*key)) { Vec::new() } else { told }
    }

    /// Whether what is found comes in this order, at least by its first key.
    fn is_ordered(&self, finder: Finder, order: &[usize]) -> bool {
        match (finder, self.sorted_by(order).first()) {
            (Finder::Names | Finder::Places(_), None) => true,
            (Finder::Key(by), None) => self.one(by).is_some(),
            (Finder::Key(by), Some(first)) => by == *first,
            (Finder::Names | Finder::Places(_), Some(_)) | (Finder::Bounds, _) => false,
        }
    }

    fn count_in_bounds(&self, conn: &Connection) -> Result<f64, CatalogError> {
        let mut sql = Sql { text: "SELECT count(*) FROM (".to_owned(), parameters: Vec::new() };
        self.write_footprints(&mut sql);
        let _ = write!(sql.text, " LIMIT {LOOKED_AT_MAX})");
        let parameters: Vec<&dyn ToSql> = sql.parameters.iter().map(|p| p as &dyn ToSql).collect();
        let counted: i64 = conn.prepare_cached(&sql.text)?.query_row(parameters.as_slice(), |row| row.get(0))?;
        if (counted as usize) < LOOKED_AT_MAX {
            return Ok(counted as f64);
        }
        // Many: as if they lay evenly.
        let all = totals::of(conn, self.collection)?;
        Ok(self.filter.bbox.zip(all).map_or(0.0, |(bbox, all)| {
            let side = |least: f64, most: f64| (most - least).max(f64::MIN_POSITIVE);
            let wide = side(bbox.west.max(all.bounds.west), bbox.east_unwrapped().min(all.bounds.east));
            let high = side(bbox.south.max(all.bounds.south), bbox.north.min(all.bounds.north));
            let area = side(all.bounds.west, all.bounds.east) * side(all.bounds.south, all.bounds.north);
            (all.datasets as f64 * (wide * high / area).min(1.0)).max(counted as f64)
        }))
    }
}

/// What comes after all names that begin with these values: after the separator.
fn names_end(start: &str) -> String {
    format!("{start}{}", char::from(KEY_SEPARATOR as u8 + 1))
}

#[cfg(test)]
mod tests;
