//! `GET /datasets`.

use axum::response::Response;
use serde_json::{Map, Value, json};
use shared::catalog::query::DatasetQuery;

use super::ask::{Ask, json};
use crate::error::ApiError;
use crate::limits::DATASETS_BYTES_MAX;

/// Datasets in an answer unless asked otherwise.
const LIMIT: usize = 100;
/// Values in all filters together: what the catalogue takes in one question.
const VALUES_MAX: usize = 10_000;

/// Key values of the datasets that match.
pub(super) async fn list(ask: Ask) -> Result<Response, ApiError> {
    let limit = ask.params.count("limit", LIMIT)?;
    let page = ask.params.count("page", 0)?;
    let max = ask.state.settings.limits.datasets_max;
    if limit > max {
        return Err(ApiError::bad(format!("limit={limit} is more than {max}; ask for pages")));
    }
    let query = query(&ask, limit, page)?;
    let collection = ask.collection.name.clone();
    let found = ask.with_snapshot(move |snapshot| snapshot.catalog.dataset_keys(&collection, &query)).await?;
    let names = ask.collection.key_names();
    let mut bytes = 0;
    let mut datasets = Vec::new();
    for values in found {
        bytes += values.iter().zip(&names).map(|(value, name)| value.len() + name.len() + 6).sum::<usize>();
        if bytes > DATASETS_BYTES_MAX {
            break;
        }
        let members = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), Value::String(value)));
        datasets.push(Value::Object(members.collect::<Map<_, _>>()));
    }
    Ok(json(&json!({ "datasets": datasets, "limit": limit, "page": page })))
}

fn query(ask: &Ask, limit: usize, page: usize) -> Result<DatasetQuery, ApiError> {
    let names = ask.collection.key_names();
    let index = |name: &str| names.iter().position(|known| *known == name);
    let unknown = |name: &str| {
        ApiError::bad(format!("{name:?} is not a key of this collection; its keys are {}", names.join(", ")))
    };
    let mut query = DatasetQuery { limit, offset: limit.saturating_mul(page), ..DatasetQuery::default() };
    let mut values = 0;
    for (name, text) in ask.params.iter() {
        match name {
            "limit" | "page" => {}
            "order_by" => {
                let wanted = list_of(text);
                let keys = wanted.iter().map(|name| index(name).ok_or_else(|| unknown(name)));
                query.order_by = keys.collect::<Result<_, _>>()?;
                if query.order_by.len() > names.len() {
                    return Err(ApiError::bad("order_by names a key more than once"));
                }
            }
            "ascending" => query.ascending = boolean(text)?,
            _ => {
                let wanted = list_of(text);
                values += wanted.len();
                query.filters.push((index(name).ok_or_else(|| unknown(name))?, wanted));
            }
        }
    }
    if values > VALUES_MAX {
        return Err(ApiError::bad(format!("the filters have {values} values; {VALUES_MAX} are the most")));
    }
    Ok(query)
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

fn boolean(text: &str) -> Result<bool, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err(ApiError::bad(format!("ascending={text} is not true or false"))),
    }
}
