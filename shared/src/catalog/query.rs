//! Which datasets a request asks for.

use std::fmt::Write as _;

use rusqlite::types::ToSqlOutput;

use super::rows::join_keys;
use crate::bbox::Bbox;

/// A filter and an order over a collection's datasets. Keys are named by their index.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetQuery {
    /// Which datasets.
    pub filter: DatasetFilter,
    /// Key indexes to order by; empty: key order.
    pub order_by: Vec<usize>,
    /// Direction, for all of them.
    pub ascending: bool,
    /// At most so many.
    pub limit: usize,
    /// Leaving out so many.
    pub offset: usize,
    /// Only what comes after the dataset with these key values in this order.
    pub after: Option<Vec<String>>,
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetFilter {
    /// Key index → any of these values.
    pub values: Vec<(usize, Vec<String>)>,
    /// Key index → a glob, as `SQLite` has it: `*`, `?`, `[a-z]`.
    pub globs: Vec<(usize, String)>,
    /// Key index → at least this, by code points.
    pub from: Vec<(usize, String)>,
    /// Key index → at most this.
    pub to: Vec<(usize, String)>,
    /// The dataset's bounds meet this box.
    pub bbox: Option<Bbox>,
}

impl Default for DatasetQuery {
    fn default() -> Self {
        Self {
            filter: DatasetFilter::default(),
            order_by: Vec::new(),
            ascending: true,
            limit: 100,
            offset: 0,
            after: None,
        }
    }
}

/// A statement with its parameters, in order.
pub(super) struct Sql<'a> {
    collection: i64,
    pub(super) text: String,
    pub(super) parameters: Vec<ToSqlOutput<'a>>,
}

impl<'a> Sql<'a> {
    fn new(text: &str, collection: i64) -> Self {
        Self { collection, text: text.to_owned(), parameters: vec![collection.into()] }
    }

    fn value(&mut self, value: &'a str) {
        self.parameters.push(value.into());
    }

    /// At most so many, leaving out so many: the end of a statement.
    fn page(&mut self, limit: usize, offset: usize) {
        self.text += " LIMIT ? OFFSET ?";
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.parameters.extend([number(limit).into(), number(offset).into()]);
    }

    /// A condition on one key of dataset `d`; `test` has one mark for the value.
    fn key_test(&mut self, key: usize, test: &str, value: &'a str) {
        let collection = self.collection;
        let _ = write!(
            self.text,
            " AND d.id IN (SELECT dataset FROM dataset_keys WHERE collection = {collection} AND key = {key} AND {test})"
        );
        self.value(value);
    }

    /// The conditions, on a dataset called `d`.
    ///
    /// The collection stands in the text: were it taken from `d`, the lists below would be made anew for every row.
    fn filter(&mut self, filter: &'a DatasetFilter) {
        let collection = self.collection;
        for (key, wanted) in &filter.values {
            let marks = vec!["?"; wanted.len()].join(",");
            let _ = write!(
                self.text,
                " AND d.id IN (SELECT dataset FROM dataset_keys WHERE collection = {collection} AND key = {key} AND value IN ({marks}))"
            );
            for value in wanted {
                self.value(value);
            }
        }
        filter.globs.iter().for_each(|(key, glob)| self.key_test(*key, "value GLOB ?", glob));
        filter.from.iter().for_each(|(key, least)| self.key_test(*key, "value >= ?", least));
        filter.to.iter().for_each(|(key, most)| self.key_test(*key, "value <= ?", most));
        if let Some(bbox) = filter.bbox {
            let (first, second) = bbox.split();
            let mut boxes = Vec::new();
            for part in std::iter::once(first).chain(second) {
                boxes.push("d.id IN (SELECT id / 2 FROM footprints WHERE east >= ? AND west <= ? AND north >= ? AND south <= ?)");
                self.parameters.extend([part.west, part.east, part.south, part.north].map(ToSqlOutput::from));
            }
            let _ = write!(self.text, " AND ({})", boxes.join(" OR "));
        }
    }
}

/// A column of the datasets of a query.
pub(super) fn select<'a>(collection: i64, column: &str, query: &'a DatasetQuery) -> Sql<'a> {
    // Where there is a box, it is what finds rows: the sign keeps the collection's index from being taken instead.
    let sign = if query.filter.bbox.is_some() { "+" } else { "" };
    let mut sql = Sql::new(&format!("SELECT d.{column} FROM datasets d WHERE {sign}d.collection = ?"), collection);
    sql.filter(&query.filter);
    let of_key = |key: &usize| format!("(SELECT value FROM dataset_keys WHERE dataset = d.id AND key = {key})");
    // Ties, and the order when none was asked for: all keys.
    let order: Vec<String> = query.order_by.iter().map(of_key).chain(["d.keys".to_owned()]).collect();
    if let Some(after) = &query.after {
        let marks = vec!["?"; order.len()].join(",");
        let _ = write!(sql.text, " AND ({}) {} ({marks})", order.join(","), if query.ascending { '>' } else { '<' });
        for key in &query.order_by {
            sql.value(after.get(*key).map_or("", String::as_str));
        }
        sql.parameters.push(join_keys(after).into());
    }
    let direction = if query.ascending { "ASC" } else { "DESC" };
    let ordered: Vec<String> = order.iter().map(|part| format!("{part} {direction}")).collect();
    let _ = write!(sql.text, " ORDER BY {}", ordered.join(", "));
    sql.page(query.limit, query.offset);
    sql
}

/// How many datasets match.
pub(super) fn count(collection: i64, filter: &DatasetFilter) -> Sql<'_> {
    let mut sql = Sql::new("SELECT count(*) FROM datasets d WHERE d.collection = ?", collection);
    sql.filter(filter);
    sql
}

/// The smallest and largest zooms, and the edges, of all that match.
pub(super) fn extent(collection: i64, filter: &DatasetFilter) -> Sql<'_> {
    let text = "SELECT min(d.record ->> '$.cog.placement.minzoom'), max(d.record ->> '$.cog.placement.maxzoom'),
        min(d.record ->> '$.cog.placement.maxzoom'), min(f.west), min(f.south), max(f.east), max(f.north)
        FROM datasets d JOIN footprints f ON f.id IN (2 * d.id, 2 * d.id + 1) WHERE d.collection = ?";
    let mut sql = Sql::new(text, collection);
    sql.filter(filter);
    sql
}

/// The distinct values of a key among the datasets that match, and how many have each, in order.
pub(super) fn values<'a>(
    collection: i64,
    key: usize,
    prefix: &'a str,
    filter: &'a DatasetFilter,
    (limit, offset): (usize, usize),
) -> Sql<'a> {
    let text = format!(
        "SELECT k.value, count(*) FROM dataset_keys k JOIN datasets d ON d.id = k.dataset WHERE k.collection = ? AND k.key = {key}"
    );
    let mut sql = Sql::new(&text, collection);
    if !prefix.is_empty() {
        sql.text += " AND k.value >= ? AND substr(k.value, 1, length(?)) = ?";
        (0..3).for_each(|_| sql.value(prefix));
    }
    sql.filter(filter);
    sql.text += " GROUP BY k.value ORDER BY k.value";
    sql.page(limit, offset);
    sql
}
