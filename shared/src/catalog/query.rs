//! Which datasets a request asks for.

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
