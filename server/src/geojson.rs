//! `GeoJSON` (RFC 7946) as far as statistics need it: polygons of features, with the document kept as it came.

use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// Vertices in a document.
pub(crate) const VERTICES_MAX: usize = 10_000;
/// Features in a document.
pub(crate) const FEATURES_MAX: usize = 1000;
/// How far beyond the world a longitude may lie: a polygon that crosses the antimeridian either way.
const LONGITUDE_MAX: f64 = 540.0;

/// Rings in degrees; holes are rings like others.
pub(crate) type Rings = Vec<Vec<[f64; 2]>>;

/// A document and the polygons of its features.
#[derive(Debug)]
pub(crate) struct Document {
    root: Value,
    pub(crate) shapes: Vec<Rings>,
}

impl Document {
    /// Reads a Feature, a `FeatureCollection` or a bare geometry, which becomes a Feature.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let root: Value =
            serde_json::from_slice(body).map_err(|e| ApiError::bad(format!("the body is not JSON: {e}")))?;
        let root = match kind(&root) {
            "FeatureCollection" | "Feature" => root,
            "Polygon" | "MultiPolygon" => json!({ "type": "Feature", "properties": {}, "geometry": root }),
            other => {
                return Err(ApiError::bad(format!(
                    "the body is a {other:?}; send a Feature, a FeatureCollection, a Polygon or a MultiPolygon of GeoJSON"
                )));
            }
        };
        let features = features(&root)?;
        if features.len() > FEATURES_MAX {
            return Err(ApiError::bad(format!("{} features are more than {FEATURES_MAX}", features.len())));
        }
        let mut left = VERTICES_MAX;
        let shapes =
            features.iter().enumerate().map(|(i, feature)| rings(feature, i, &mut left)).collect::<Result<_, _>>()?;
        Ok(Self { root, shapes })
    }

    /// The document with these as `properties.statistics` of its features, in order.
    pub(crate) fn with_statistics(mut self, statistics: Vec<Value>) -> Value {
        let put = |feature: &mut Value, statistics: Value| {
            let Some(feature) = feature.as_object_mut() else { return };
            let properties = feature.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            if !properties.is_object() {
                *properties = Value::Object(Map::new());
            }
            properties["statistics"] = statistics;
        };
        if kind(&self.root) == "FeatureCollection" {
            let features = self.root.get_mut("features").and_then(Value::as_array_mut).into_iter().flatten();
            features.zip(statistics).for_each(|(feature, of)| put(feature, of));
        } else if let Some(of) = statistics.into_iter().next() {
            put(&mut self.root, of);
        }
        self.root
    }
}

fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn features(root: &Value) -> Result<Vec<&Value>, ApiError> {
    if kind(root) == "Feature" {
        return Ok(vec![root]);
    }
    let features = root.get("features").and_then(Value::as_array);
    Ok(features.ok_or_else(|| ApiError::bad("the FeatureCollection has no list of features"))?.iter().collect())
}

fn rings(feature: &Value, index: usize, left: &mut usize) -> Result<Rings, ApiError> {
    let wrong = |what: &str| ApiError::bad(format!("feature {index}: {what}"));
    let geometry = feature.get("geometry").unwrap_or(&Value::Null);
    let coordinates = geometry
        .get("coordinates")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("its geometry has no coordinates"))?;
    let polygons: Vec<&Value> = match kind(geometry) {
        "Polygon" => vec![&geometry["coordinates"]],
        "MultiPolygon" => coordinates.iter().collect(),
        other => return Err(wrong(&format!("its geometry is a {other:?}, not a Polygon or MultiPolygon"))),
    };
    let mut found = Rings::new();
    for ring in polygons.into_iter().flat_map(|polygon| polygon.as_array().into_iter().flatten()) {
        let points = ring.as_array().ok_or_else(|| wrong("a ring is not a list"))?;
        *left = left.checked_sub(points.len()).ok_or_else(|| {
            ApiError::too_large(format!("the polygons have more than {VERTICES_MAX} vertices; simplify them"))
        })?;
        let point = |value: &Value| {
            let number = |i: usize| value.get(i).and_then(Value::as_f64).filter(|v| v.is_finite());
            let (lon, lat) = (number(0)?, number(1)?);
            (lon.abs() <= LONGITUDE_MAX && lat.abs() <= 90.0).then_some([lon, lat])
        };
        let points: Option<Vec<[f64; 2]>> = points.iter().map(point).collect();
        found.push(points.ok_or_else(|| wrong("a position is not [longitude, latitude] in degrees"))?);
    }
    Ok(found)
}
