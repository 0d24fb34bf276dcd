//! What answers look like, for those whose members are fixed.

use serde_json::{Value, json};

/// By the names that the operations refer to.
pub(super) fn schemas() -> Value {
    let string = json!({ "type": "string" });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let list = |items: Value| json!({ "type": "array", "items": items });
    json!({
        "Error": object(&["message"], json!({ "message": { "type": "string", "minLength": 1 } })),
        "Keys": object(&["keys"], json!({ "keys": list(object(&["key"], json!({ "key": string, "description": string }))) })),
        "KeyValues": object(&["key", "values", "limit", "page"], json!({
            "key": string, "values": list(object(&["value", "count"], json!({ "value": string, "count": { "type": "integer" } }))),
        })),
        "Datasets": object(&["datasets", "limit", "page"], json!({
            "datasets": list(json!({ "type": "object", "additionalProperties": string })),
            "bounds": list(json!({ "type": "array", "minItems": 4, "maxItems": 4, "items": { "type": "number" } })),
            "limit": { "type": "integer" }, "page": { "type": "integer" }, "total": { "type": "integer" }, "next": string,
        })),
        "Ui": object(&["version", "basemap", "events", "ingest", "limits"], json!({
            "version": string, "basemap": { "type": ["object", "null"] }, "events": { "type": "boolean" },
            "ingest": { "type": ["object", "null"] }, "limits": { "type": "object" },
        })),
        "Collections": object(&["collections"], json!({
            "collections": list(object(&["id", "title", "keys", "default", "datasets", "bounds"], json!({
                "id": string, "title": string, "keys": list(string.clone()), "default": { "type": "boolean" }, "datasets": { "type": "integer" },
            }))),
        })),
        "Colormap": object(&["colormap"], json!({
            "colormap": list(object(&["value", "rgba"], json!({ "value": { "type": "number" }, "rgba": list(json!({ "type": "number" })) }))),
        })),
        "Point": object(&["lon", "lat", "results"], json!({
            "lon": { "type": "number" }, "lat": { "type": "number" },
            "results": list(object(&["keys", "value", "scaled"], json!({ "keys": { "type": "object" } }))),
        })),
        "TileJson": object(&["tilejson", "tiles"], json!({
            "tilejson": { "const": "3.0.0" }, "tiles": list(string),
            "bounds": list(json!({ "type": "number" })), "center": list(json!({ "type": "number" })),
            "minzoom": { "type": "integer" }, "maxzoom": { "type": "integer" },
        })),
    })
}
