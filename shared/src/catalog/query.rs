//! Which datasets a request asks for.

use std::fmt::Write as _;

/// A filter and an order over a collection's datasets. Keys are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetQuery {
    /// Key index → any of these values; all must hold.
    pub filters: Vec<(usize, Vec<String>)>,
    /// Key indexes to order by; empty: key order.
    pub order_by: Vec<usize>,
    /// Direction, for all of them.
    pub ascending: bool,
    /// At most so many.
    pub limit: usize,
    /// Leaving out so many.
    pub offset: usize,
}

impl Default for DatasetQuery {
    fn default() -> Self {
        Self { filters: Vec::new(), order_by: Vec::new(), ascending: true, limit: 100, offset: 0 }
    }
}

/// The statement and its text parameters. Parameter 1 is the collection's id, then the filters' values, then limit and offset.
pub(super) fn to_sql(query: &DatasetQuery) -> (String, Vec<&str>) {
    let mut sql = "SELECT d.keys FROM datasets d WHERE d.collection = ?".to_owned();
    let mut values = Vec::new();
    for (key, wanted) in &query.filters {
        let marks = vec!["?"; wanted.len()].join(",");
        let _ = write!(
            sql,
            " AND d.id IN (SELECT dataset FROM dataset_keys WHERE collection = d.collection AND key = {key} AND value IN ({marks}))"
        );
        values.extend(wanted.iter().map(String::as_str));
    }
    let direction = if query.ascending { "ASC" } else { "DESC" };
    sql += " ORDER BY ";
    for key in &query.order_by {
        let _ = write!(sql, "(SELECT value FROM dataset_keys WHERE dataset = d.id AND key = {key}) {direction}, ");
    }
    // Ties, and the order when none was asked for: all keys.
    let _ = write!(sql, "d.keys {direction} LIMIT ? OFFSET ?");
    (sql, values)
}
