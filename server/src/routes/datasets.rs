//! `GET /datasets`, and the filters it shares with other routes.

use axum::response::Response;
use serde_json::{Map, Value, json};
use shared::bbox::Bbox;
use shared::catalog::query::{DatasetFilter, DatasetQuery};
use shared::collection::Collection;

use super::ask::{Ask, json};
use crate::error::ApiError;
use crate::limits::{DATASETS_BYTES_MAX, GLOB_BYTES_MAX, GLOB_STARS_MAX};

/// Datasets in an answer unless asked otherwise.
const LIMIT: usize = 100;
/// What the bounds of a dataset take in an answer.
const BOUNDS_BYTES: usize = 80;
/// Values in all filters together: what the catalogue takes in one question.
const VALUES_MAX: usize = 10_000;
/// Parameters that are no filters.
const OWN: [&str; 7] = ["limit", "page", "order_by", "ascending", "total", "after", "bounds"];

/// Key values of the datasets that match, with their bounds if those are wanted.
pub(super) async fn list(ask: Ask) -> Result<Response, ApiError> {
    let (limit, page) = pages(&ask)?;
    let order = ask.params.get("order_by").map_or(Ok(Vec::new()), |text| order_by(&ask.collection, text))?;
    let filter = filter(&ask, &OWN)?;
    let after = ask.params.get("after").map(parse_cursor).transpose()?;
    if after.is_some() && page > 0 {
        return Err(ApiError::bad("after and page exclude each other: after goes on from where the last answer ended"));
    }
    let (total, bounds) = (ask.params.boolean("total", false)?, ask.params.boolean("bounds", false)?);
    let query = DatasetQuery {
        filter: filter.clone(),
        order_by: order,
        ascending: ask.params.boolean("ascending", true)?,
        limit,
        offset: limit.saturating_mul(page),
        after,
    };
    let collection = ask.collection.name.clone();
    let (found, total) = ask
        .with_snapshot(move |snapshot| {
            let catalog = &snapshot.catalog;
            let count = total.then(|| catalog.dataset_count(&collection, &filter)).transpose()?;
            let found: Vec<(Vec<String>, Option<Bbox>)> = if bounds {
                let found = catalog.dataset_bounds(&collection, &query)?;
                found.into_iter().map(|(keys, bounds)| (keys, Some(bounds))).collect()
            } else {
                catalog.dataset_keys(&collection, &query)?.into_iter().map(|keys| (keys, None)).collect()
            };
            Ok((found, count))
        })
        .await?;
    let names = ask.collection.key_names();
    let (mut bytes, mut next) = (0, None);
    let (mut datasets, mut edges) = (Vec::new(), Vec::new());
    let whole_page = found.len() == limit;
    let count = found.len();
    for (values, bounds) in found {
        bytes += values.iter().zip(&names).map(|(value, name)| value.len() + name.len() + 6).sum::<usize>();
        bytes += bounds.map_or(0, |_| BOUNDS_BYTES);
        if bytes > DATASETS_BYTES_MAX {
            break;
        }
        next = Some(cursor(&values));
        edges.extend(bounds);
        let members = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), Value::String(value)));
        datasets.push(Value::Object(members.collect::<Map<_, _>>()));
    }
    let may_be_more = whole_page || datasets.len() < count;
    let mut body = json!({ "datasets": datasets, "limit": limit, "page": page });
    if let Some(members) = body.as_object_mut() {
        if bounds {
            members.insert("bounds".to_owned(), json!(edges));
        }
        if let Some(total) = total {
            members.insert("total".to_owned(), total.into());
        }
        if let Some(next) = next.filter(|_| may_be_more) {
            members.insert("next".to_owned(), next.into());
        }
    }
    Ok(json(&body))
}

/// `limit` and `page`.
pub(super) fn pages(ask: &Ask) -> Result<(usize, usize), ApiError> {
    let limit = ask.params.count("limit", LIMIT)?;
    let max = ask.state.settings.limits.datasets_max;
    if limit > max {
        return Err(ApiError::bad(format!("limit={limit} is more than {max}; ask for pages")));
    }
    Ok((limit, ask.params.count("page", 0)?))
}

/// Every parameter that is not one of `own`, as a condition on datasets. An unknown key is a fault.
pub(super) fn filter(ask: &Ask, own: &[&str]) -> Result<DatasetFilter, ApiError> {
    let key = |name: &str| key_index(&ask.collection, name);
    let mut filter = DatasetFilter { bbox: ask.params.bbox("bbox")?, ..DatasetFilter::default() };
    let mut values = 0;
    for (name, text) in ask.params.iter().filter(|(name, _)| *name != "bbox" && !own.contains(name)) {
        match name.split_once('.') {
            Some(("match", of)) => {
                if text.len() > GLOB_BYTES_MAX || text.matches('*').count() > GLOB_STARS_MAX {
                    return Err(ApiError::bad(format!(
                        "{name}: a glob has at most {GLOB_BYTES_MAX} bytes and {GLOB_STARS_MAX} stars"
                    )));
                }
                filter.globs.push((key(of)?, text.to_owned()));
            }
            Some(("from", of)) => filter.from.push((key(of)?, text.to_owned())),
            Some(("to", of)) => filter.to.push((key(of)?, text.to_owned())),
            _ => {
                let wanted = list_of(text);
                values += wanted.len();
                filter.values.push((key(name)?, wanted));
            }
        }
    }
    if values > VALUES_MAX {
        return Err(ApiError::bad(format!("the filters have {values} values; {VALUES_MAX} are the most")));
    }
    Ok(filter)
}

/// The indexes of the keys of an `order_by`.
pub(super) fn order_by(collection: &Collection, text: &str) -> Result<Vec<usize>, ApiError> {
    let wanted = list_of(text);
    let keys: Vec<usize> = wanted.iter().map(|name| key_index(collection, name)).collect::<Result<_, _>>()?;
    if keys.len() > collection.keys.len() {
        return Err(ApiError::bad("order_by names a key more than once"));
    }
    Ok(keys)
}

/// Which key has this name.
pub(super) fn key_index(collection: &Collection, name: &str) -> Result<usize, ApiError> {
    let names = collection.key_names();
    names.iter().position(|known| *known == name).ok_or_else(|| {
        ApiError::bad(format!("{name:?} is not a key of this collection; its keys are {}", names.join(", ")))
    })
}

/// Where the next answer goes on: key values in hexadecimal, told apart by their lengths.
pub(crate) fn cursor(keys: &[String]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for key in keys {
        let _ = write!(text, "{:04x}", key.len());
        for byte in key.bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

fn parse_cursor(text: &str) -> Result<Vec<String>, ApiError> {
    let wrong = || ApiError::bad("after is not a `next` of an earlier answer");
    let digit = |b: u8| char::from(b).to_digit(16);
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8))
        .collect();
    let bytes = bytes.ok_or_else(wrong)?;
    let (mut keys, mut rest) = (Vec::new(), bytes.as_slice());
    while let [high, low, after @ ..] = rest {
        let (key, after) = after.split_at_checked(usize::from(*high) << 8 | usize::from(*low)).ok_or_else(wrong)?;
        keys.push(String::from_utf8(key.to_vec()).map_err(|_| wrong())?);
        rest = after;
    }
    if rest.is_empty() && !keys.is_empty() { Ok(keys) } else { Err(wrong()) }
}

/// `[a,b]`, or a bare `a`.
fn list_of(text: &str) -> Vec<String> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.split(',').map(|value| unquote(value.trim()).to_owned()).collect(),
        None => vec![text.to_owned()],
    }
}

/// Clients that write JSON quote what needs no quotes here.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let keys = ["S2", "", "b/c é"].map(str::to_owned);
        assert_eq!(parse_cursor(&cursor(&keys)).unwrap(), keys);
        for bad in ["", "0", "00", "0005aa", "zz", "0001ff"] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }
}
