//! The only fold of commits into the catalogue. Deterministic: the same commits give the same rows everywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::schema::{KEY_SEPARATOR, head};
use super::{CatalogError, datasets, packed, rows, schema, totals};
use crate::collection::{Collection, OnConflict};
use crate::commit::{Change, Commit, InputRef};
use crate::dataset::Dataset;

/// Why a change cannot be made on the present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Somebody decided about the input, or set the collection, meanwhile.
    Decided {
        /// The number now in the row.
        n: u64,
    },
    /// The collection it names is not defined, or a dataset does not have its keys.
    Unfit(String),
    /// It would bring back a COG that may be deleted.
    Collected(String),
}

/// Applies the next commit. Every change is checked against the state before it, then all are applied in order; nothing is changed on an error.
pub fn apply(conn: &mut Connection, commit: &Commit) -> Result<(), CatalogError> {
    let at = head(conn)?;
    if commit.n != at + 1 {
        return Err(CatalogError::Gap { at, got: commit.n });
    }
    let invalid = |fault: String| CatalogError::Invalid { n: commit.n, fault };
    let mut seen = BTreeSet::new();
    let mut defined = BTreeMap::new();
    for change in &commit.changes {
        if let Change::PutCollection { collection, .. } = change {
            defined.insert(collection.name.as_str(), collection.keys.len());
        }
        if let Some(stale) = check_with(conn, change, &defined)? {
            return Err(invalid(format!("{stale:?}")));
        }
        if let Some(input) = change.input()
            && !seen.insert((input.source.as_str(), input.path.as_str()))
        {
            return Err(invalid(format!("two changes of the input {}", input.path)));
        }
    }
    let tx = conn.transaction()?;
    let fold = Fold { tx: &tx, n: commit.n, shrunk: RefCell::default() };
    commit.changes.iter().try_for_each(|change| fold.change(change))?;
    fold.shrunk.into_inner().into_iter().try_for_each(|collection| totals::settle(&tx, collection))?;
    tx.execute("UPDATE meta SET value = ?1 WHERE key = 'n'", params![commit.n as i64])?;
    tx.execute("INSERT OR REPLACE INTO meta VALUES ('uuid', ?1)", params![commit.uuid.to_string()])?;
    tx.commit()?;
    Ok(())
}

/// Whether a change could be made on the present state; None if it could.
pub fn check(conn: &Connection, change: &Change) -> Result<Option<Stale>, CatalogError> {
    check_with(conn, change, &BTreeMap::new())
}

/// `defined`: key counts of collections defined earlier in the same commit.
fn check_with(
    conn: &Connection,
    change: &Change,
    defined: &BTreeMap<&str, usize>,
) -> Result<Option<Stale>, CatalogError> {
    if let Change::PutCollection { prev, collection } = change {
        let n = rows::collection(conn, &collection.name)?.map_or(0, |(_, n, _)| n);
        return Ok((n != *prev).then_some(Stale::Decided { n }));
    }
    if let Change::Upgrade { format } = change {
        let now = schema::format(conn)?;
        return Ok((*format <= now).then(|| Stale::Unfit(format!("the catalogue has format {now} already"))));
    }
    let Some(input) = change.input() else { return Ok(None) };
    let n = row_number(conn, input)?;
    if n != input.prev {
        return Ok(Some(Stale::Decided { n }));
    }
    let Change::Put { collection, datasets, .. } = change else { return Ok(None) };
    let keys = match defined.get(collection.as_str()) {
        Some(keys) => Some(*keys),
        None => rows::collection(conn, collection)?.map(|(_, _, c)| c.keys.len()),
    };
    let Some(keys) = keys else {
        return Ok(Some(Stale::Unfit(format!("the collection {collection} is not defined"))));
    };
    let mut distinct = BTreeSet::new();
    let in_collection = |d: &Dataset| {
        let bounds = &d.metadata.bounds;
        d.keys.len() == keys
            && d.cog.placement.is_sound()
            && bounds.south <= bounds.north
            && bounds.west.is_finite()
            && bounds.east.is_finite()
            && unfit(d).is_none()
    };
    if !datasets.iter().all(|d| in_collection(d) && distinct.insert(&d.keys)) {
        return Ok(Some(Stale::Unfit(format!("a dataset of {} does not fit its collection", input.path))));
    }
    check_collected(conn, datasets)
}

/// Why no catalogue can hold a dataset, whatever its state.
pub fn unfit(dataset: &Dataset) -> Option<String> {
    if let Some(value) = dataset.keys.iter().find(|value| value.contains(|c| c <= KEY_SEPARATOR)) {
        return Some(format!("the key value {value:?} holds a control character; rename the file or the band"));
    }
    (!packed::fits(dataset)).then(|| "its record is too long; shorten its metadata, categories or colors".to_owned())
}

/// After a `Gc`, a COG older than `cog_min` may come back only while the state still references it. (What only a kept snapshot references is
/// brought back by a restore, which puts it before anything is deleted.)
fn check_collected(conn: &Connection, datasets: &[Dataset]) -> Result<Option<Stale>, CatalogError> {
    let gc: Option<String> =
        conn.prepare_cached("SELECT value FROM meta WHERE key = 'gc'")?.query_row([], |row| row.get(0)).optional()?;
    let Some(gc) = gc else { return Ok(None) };
    let Change::Gc { cog_min, .. } = rows::parse(&gc, || "gc".to_owned())? else { return Ok(None) };
    let mut referenced = conn.prepare_cached("SELECT 1 FROM datasets WHERE path = ?1")?;
    for dataset in datasets {
        let old = crate::layout::parse_cog(&dataset.path).is_none_or(|id| id < cog_min);
        if old && !referenced.exists(params![dataset.path])? {
            return Ok(Some(Stale::Collected(dataset.path.clone())));
        }
    }
    Ok(None)
}

fn row_number(conn: &Connection, input: &InputRef) -> Result<u64, CatalogError> {
    let n: Option<i64> = conn
        .prepare_cached("SELECT n FROM inputs WHERE source = ?1 AND path = ?2")?
        .query_row(params![input.source, input.path], |row| row.get(0))
        .optional()?;
    Ok(n.unwrap_or(0) as u64)
}

/// An input's columns that a decision sets.
struct Row<'a> {
    decision: &'a str,
    version: Option<&'a str>,
    source_time_ms: Option<i64>,
    collection: Option<&'a str>,
    reason: Option<&'a str>,
    may_pass: bool,
}

const GONE: Row<'_> =
    Row { decision: "removed", version: None, source_time_ms: None, collection: None, reason: None, may_pass: false };

struct Fold<'t> {
    tx: &'t Transaction<'t>,
    n: u64,
    /// Collections whose totals must be settled.
    shrunk: RefCell<BTreeSet<i64>>,
}

impl Fold<'_> {
    fn change(&self, change: &Change) -> Result<(), CatalogError> {
        match change {
            Change::PutCollection { collection, .. } => self.put_collection(collection),
            Change::Put { input, version, source_time_ms, collection, content, datasets } => {
                let time = *source_time_ms;
                let row = Row {
                    decision: "ingested",
                    version: Some(version),
                    source_time_ms: Some(time),
                    collection: Some(collection),
                    ..GONE
                };
                let earlier = self.row_time(input)?;
                let id = self.decide(input, &row)?;
                self.put(id, (time, &input.path), earlier, collection, content, datasets)
            }
            Change::Reject { input, version, source_time_ms, collection, reason, may_pass, owner } => {
                let row = Row {
                    decision: "rejected",
                    version: Some(version),
                    source_time_ms: None,
                    collection: Some(collection),
                    reason: Some(reason),
                    may_pass: *may_pass,
                };
                let id = self.decide(input, &row)?;
                // The time of what is served stays with it; that of a newcomer is its own.
                if !datasets::any(self.tx, id)? {
                    self.tx
                        .prepare_cached("UPDATE inputs SET source_time_ms = ?2 WHERE id = ?1")?
                        .execute(params![id, source_time_ms])?;
                }
                self.name_owner(id, &input.source, owner.as_deref())
            }
            Change::Remove { input } => self.take_out(input, &GONE),
            Change::Hold { input, version } => {
                self.take_out(input, &Row { decision: "held", version: Some(version), ..GONE })
            }
            Change::Release { input } => {
                self.tx
                    .prepare_cached("UPDATE inputs SET version = NULL, n = ?3 WHERE source = ?1 AND path = ?2")?
                    .execute(params![input.source, input.path, self.n as i64])?;
                Ok(())
            }
            Change::Upgrade { format } => schema::upgrade(self.tx, *format),
            Change::Gc { .. } => {
                self.tx.execute("INSERT OR REPLACE INTO meta VALUES ('gc', ?1)", params![rows::json(change)?])?;
                Ok(())
            }
        }
    }

    fn put_collection(&self, collection: &Collection) -> Result<(), CatalogError> {
        self.tx
            .prepare_cached(
                "INSERT INTO collections (name, n, record) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET n = excluded.n, record = excluded.record",
            )?
            .execute(params![collection.name, self.n as i64, rows::json(collection)?])?;
        Ok(())
    }

    /// Replaces all datasets of an input, and settles who has their key values.
    fn put(
        &self,
        id: i64,
        me: (i64, &String),
        earlier: Option<i64>,
        collection: &str,
        content: &str,
        datasets: &[Dataset],
    ) -> Result<(), CatalogError> {
        let Some((collection_id, _, definition)) = rows::collection(self.tx, collection)? else {
            return Err(CatalogError::Invalid {
                n: self.n,
                fault: format!("the collection {collection} is not defined"),
            });
        };
        let before = datasets::keys_of(self.tx, id)?;
        self.drop_datasets(id)?;
        let after: BTreeSet<(i64, String)> =
            datasets.iter().map(|d| (collection_id, rows::join_keys(&d.keys))).collect();
        let rivals = datasets::rivals(self.tx, &after)?;
        let winner = match definition.on_conflict {
            OnConflict::First => rivals.iter().max_by_key(|(_, time, path)| (*time, path.clone())),
            OnConflict::Newest => rivals
                .iter()
                .filter(|(_, time, path)| (*time, path) > me)
                .max_by_key(|(_, time, path)| (*time, path.clone())),
        };
        if let Some((owner, _, _)) = winner {
            self.release_those_naming(id)?;
            return self.supersede(id, *owner);
        }
        let older_now = earlier.is_some_and(|earlier| earlier > me.0);
        if older_now || !before.is_subset(&after) {
            self.release_those_naming(id)?;
        }
        for (rival, _, _) in &rivals {
            self.release_those_naming(*rival)?;
            self.drop_datasets(*rival)?;
            self.supersede(*rival, id)?;
        }
        self.tx.prepare_cached("UPDATE inputs SET content = ?2 WHERE id = ?1")?.execute(params![id, content])?;
        datasets.iter().try_for_each(|dataset| datasets::insert(self.tx, collection_id, id, dataset))
    }

    /// Makes or changes an input's row; returns its id.
    fn decide(&self, input: &InputRef, row: &Row<'_>) -> Result<i64, CatalogError> {
        let id = self
            .tx
            .prepare_cached(
                "INSERT INTO inputs (source, path, n, decision, version, source_time_ms, collection, reason, may_pass)
                 VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, 0), ?7, ?8, ?9)
                 ON CONFLICT (source, path) DO UPDATE SET n = excluded.n, decision = excluded.decision, version = excluded.version,
                   source_time_ms = coalesce(?6, source_time_ms), collection = coalesce(?7, collection),
                   reason = excluded.reason, may_pass = excluded.may_pass, owner = NULL
                 RETURNING id",
            )?
            .query_row(
                params![
                    input.source,
                    input.path,
                    self.n as i64,
                    row.decision,
                    row.version,
                    row.source_time_ms,
                    row.collection,
                    row.reason,
                    row.may_pass
                ],
                |row| row.get(0),
            )?;
        Ok(id)
    }

    fn take_out(&self, input: &InputRef, row: &Row<'_>) -> Result<(), CatalogError> {
        let id = self.decide(input, row)?;
        self.drop_datasets(id)?;
        self.release_those_naming(id)
    }

    fn supersede(&self, id: i64, owner: i64) -> Result<(), CatalogError> {
        self.tx
            .prepare_cached("UPDATE inputs SET decision = 'superseded', owner = ?2, n = ?3, content = NULL, reason = NULL WHERE id = ?1")?
            .execute(params![id, owner, self.n as i64])?;
        Ok(())
    }

    /// The owner changed: whoever lost to it is looked at again.
    fn release_those_naming(&self, owner: i64) -> Result<(), CatalogError> {
        self.tx
            .prepare_cached("UPDATE inputs SET version = NULL, owner = NULL, n = ?2 WHERE owner = ?1")?
            .execute(params![owner, self.n as i64])?;
        Ok(())
    }

    /// A conflict is settled only while its owner has something: one that lost it meanwhile leaves the input undecided.
    fn name_owner(&self, id: i64, source: &str, owner: Option<&str>) -> Result<(), CatalogError> {
        let Some(owner) = owner else { return Ok(()) };
        self.tx
            .prepare_cached(
                "UPDATE inputs SET owner = (SELECT id FROM inputs WHERE source = ?2 AND path = ?3) WHERE id = ?1",
            )?
            .execute(params![id, source, owner])?;
        self.tx
            .prepare_cached(
                "UPDATE inputs SET version = NULL, owner = NULL
                 WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM datasets WHERE input = inputs.owner)",
            )?
            .execute(params![id])?;
        Ok(())
    }

    fn drop_datasets(&self, input: i64) -> Result<(), CatalogError> {
        self.shrunk.borrow_mut().extend(datasets::delete(self.tx, input)?);
        self.tx.prepare_cached("UPDATE inputs SET content = NULL WHERE id = ?1")?.execute(params![input])?;
        Ok(())
    }

    fn row_time(&self, input: &InputRef) -> Result<Option<i64>, CatalogError> {
        Ok(self
            .tx
            .prepare_cached("SELECT source_time_ms FROM inputs WHERE source = ?1 AND path = ?2")?
            .query_row(params![input.source, input.path], |row| row.get(0))
            .optional()?)
    }
}

#[cfg(test)]
mod tests;
