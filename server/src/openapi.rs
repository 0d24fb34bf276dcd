//! The API described: OpenAPI 3.1, made from the limits in force and the keys of the collection that is served.

mod schemas;

use serde_json::{Map, Value, json};

use crate::geojson::VERTICES_MAX;
use crate::limits::{BODY_BYTES_MAX, LISTENERS_MAX, Limits, MOSAIC_SCENES_MAX, POINTS_MAX, WMTS_LAYERS_MAX};
use crate::routes::cursor;
use crate::tile::expression::{OPERANDS, TEXT_BYTES_MAX};

/// Terracotta's release whose API this is: its client compares major and minor.
const TERRACOTTA: &str = "0.10.1";

/// What the description is made from.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    /// Key names of the default collection.
    pub(crate) keys: Vec<String>,
    /// Key values of a dataset that exists, for examples.
    pub(crate) example: Vec<String>,
    pub(crate) limits: &'a Limits,
    /// Where the API is reached.
    pub(crate) url: String,
}

/// An operation under construction.
struct Operation {
    value: Map<String, Value>,
}

impl Operation {
    fn new(tag: &str, summary: &str) -> Self {
        let mut value = Map::new();
        value.insert("tags".to_owned(), json!([tag]));
        value.insert("summary".to_owned(), json!(summary));
        value.insert("parameters".to_owned(), json!([]));
        let error = |text: &str| json!({ "description": text, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } });
        value.insert(
            "responses".to_owned(),
            json!({
                "400": error("A parameter is wrong; the message says which, and what it takes"),
                "404": error("No such dataset, collection or route"),
                "405": error("The route does not know that method"),
                "413": error("The URL or the body is too long"),
                "503": error("Nothing is served yet, or too many requests wait; see Retry-After"),
            }),
        );
        Self { value }
    }

    fn with(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        if let Some(list) = self.value.get_mut("parameters").and_then(Value::as_array_mut) {
            list.extend(parameters);
        }
        self
    }

    fn answers(mut self, media: &[&str], schema: &Value) -> Self {
        let content: Map<String, Value> =
            media.iter().map(|media| ((*media).to_owned(), json!({ "schema": schema }))).collect();
        self.value["responses"]["200"] = json!({ "description": "The answer", "content": content });
        self
    }

    fn may_be_unchanged(mut self) -> Self {
        self.value["responses"]["304"] = json!({ "description": "If-None-Match names what is there" });
        self
    }

    fn body(mut self, schema: &Value, example: &Value) -> Self {
        let content = json!({ "application/json": { "schema": schema, "example": example } });
        self.value.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
        self
    }

    fn done(self) -> Value {
        Value::Object(self.value)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what is given is made for this, and reads best so")]
fn query(name: &str, schema: Value, about: &str, example: Value) -> Value {
    json!({ "name": name, "in": "query", "description": about, "schema": schema, "example": example })
}

#[expect(clippy::needless_pass_by_value, reason = "as above")]
fn path(name: &str, schema: Value, about: &str, example: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema, "example": example })
}

fn text(name: &str, about: &str, example: &str) -> Value {
    query(name, json!({ "type": "string" }), about, json!(example))
}

/// Parameters of layers that are mosaics, or that are asked for by version.
fn of_mosaics() -> [Value; 2] {
    let methods = json!({ "type": "string", "enum": ["first", "min", "max", "mean"], "default": "first" });
    let method = format!("Where a key is *: which of the {MOSAIC_SCENES_MAX} topmost that match a pixel shows");
    let version = "The layer's version, from TileJSON or /metadata: makes the answer immutable";
    [query("method", methods, &method, json!("first")), text("v", version, "")]
}

fn required(mut parameter: Value) -> Value {
    parameter["required"] = true.into();
    parameter
}

impl Described<'_> {
    /// The document.
    pub(crate) fn document(&self) -> Value {
        let mut paths = Map::new();
        let mut add = |path: &str, method: &str, operation: Operation| {
            let item = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
            item[method] = operation.done();
        };
        self.catalogue(&mut add);
        self.pictures(&mut add);
        self.values(&mut add);
        Self::service(&mut add);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Kiln",
                "version": format!("{TERRACOTTA}+kiln.{}", env!("CARGO_PKG_VERSION")),
                "description": "Map tiles of catalogued rasters. Every route that takes keys is also there under /collections/{collection}; \
                    at the root it is that of the default collection. In a query, + is a space; lists and objects are JSON.",
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            },
            "servers": [
                { "url": self.url },
                { "url": format!("{}/collections/{{collection}}", self.url), "variables": { "collection": { "default": "default" } } },
            ],
            "paths": paths,
            "components": { "schemas": schemas::schemas() },
        })
    }

    fn example(&self, key: usize) -> Value {
        self.example.get(key).map_or(json!("a"), |value| json!(value))
    }

    /// The first keys as path parameters: the template and the parameters.
    fn keys(&self, count: usize) -> (String, Vec<Value>) {
        let mut template = String::new();
        for name in self.keys.iter().take(count) {
            template += &["/{", name, "}"].concat();
        }
        let schema = || json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
        let of = |(i, name): (usize, &String)| {
            path(name, schema(), "Value of this key, percent-encoded; on layers * for any", self.example(i))
        };
        (template, self.keys.iter().take(count).enumerate().map(of).collect())
    }

    fn filters(&self) -> Vec<Value> {
        let text = || json!({ "type": "string" });
        let mut filters = vec![query(
            "bbox",
            json!({ "type": "string" }),
            "west,south,east,north in degrees: bounds meet it; west > east crosses the antimeridian",
            json!("-180,-85,180,85"),
        )];
        for (i, name) in self.keys.iter().enumerate() {
            filters.push(query(name, text(), "The value, or [a,b] for any of these", self.example(i)));
            filters.push(query(
                &format!("match.{name}"),
                json!({ "type": "string", "maxLength": 256 }),
                "Glob: *, ? and [a-z]",
                json!("*"),
            ));
            filters.push(query(&format!("from.{name}"), text(), "At least, in the order of code points", json!("0")));
            filters.push(query(&format!("to.{name}"), text(), "At most", json!("zzz")));
        }
        filters
    }

    fn paging(&self) -> Vec<Value> {
        let limit = json!({ "type": "integer", "minimum": 0, "maximum": self.limits.datasets_max, "default": 100 });
        let page = json!({ "type": "integer", "minimum": 0, "default": 0 });
        vec![
            query("limit", limit, "At most so many", json!(100)),
            query("page", page, "Which page of so many", json!(0)),
        ]
    }

    fn order(&self) -> Vec<Value> {
        let first = self.keys.first().map_or("key", String::as_str);
        let boolean = json!({ "type": "boolean", "default": true });
        vec![
            query(
                "order_by",
                json!({ "type": "string" }),
                "A key, or [key1,key2]; default: all keys in order",
                json!(format!("[{first}]")),
            ),
            query("ascending", boolean, "Direction, for all of them", json!(true)),
        ]
    }

    fn catalogue(&self, add: &mut dyn FnMut(&str, &str, Operation)) {
        let (all, keys) = self.keys(self.keys.len());
        let object = json!({ "type": "object" });
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        add(
            "/keys",
            "get",
            Operation::new("catalogue", "Key names, in order").answers(&["application/json"], &reference("Keys")),
        );
        let value = path(
            "key",
            json!({ "type": "string", "minLength": 1 }),
            "A key",
            self.keys.first().map_or(json!("key"), |k| json!(k)),
        );
        let prefix = query("prefix", json!({ "type": "string" }), "Only values that begin so", json!(""));
        let operation = Operation::new("catalogue", "Distinct values of a key, and how many datasets have each")
            .with([value, prefix])
            .with(self.paging())
            .with(self.filters())
            .answers(&["application/json"], &reference("KeyValues"));
        add("/keys/{key}", "get", operation);
        let total = query("total", json!({ "type": "boolean", "default": false }), "Count all that match", json!(true));
        let about = "The `next` of an earlier answer: cheaper than deep pages";
        let after = query("after", json!({ "type": "string" }), about, json!(cursor(&self.example)));
        let bounds =
            query("bounds", json!({ "type": "boolean", "default": false }), "Also the bounds of each", json!(true));
        let operation =
            Operation::new("catalogue", "Key values of the datasets that match. Any other parameter is a key")
                .with(self.paging())
                .with(self.order())
                .with([total, after, bounds])
                .with(self.filters())
                .answers(&["application/json"], &reference("Datasets"));
        add("/datasets", "get", operation);
        let columns = query(
            "columns",
            json!({ "type": "string" }),
            "JSON list of the members wanted",
            json!("[\"bounds\",\"range\"]"),
        );
        let operation = Operation::new("catalogue", "What is known of a dataset")
            .with(keys)
            .with([columns.clone()])
            .answers(&["application/json"], &object);
        add(&format!("/metadata{all}"), "get", operation);
        let list = json!({ "type": "array", "maxItems": self.limits.post_keys_max, "items": { "type": "array", "items": { "type": "string" } } });
        let body = json!({ "type": "object", "required": ["keys"], "properties": { "keys": list } });
        let operation = Operation::new("catalogue", "The same of several datasets, in their order, of one snapshot")
            .with([columns])
            .body(&body, &json!({ "keys": [self.example] }))
            .answers(&["application/json"], &json!({ "type": "array", "items": object }));
        add("/metadata", "post", operation);
        let operation =
            Operation::new("catalogue", "All collections").answers(&["application/json"], &reference("Collections"));
        add("/collections", "get", operation);
    }

    fn pictures(&self, add: &mut dyn FnMut(&str, &str, Operation)) {
        let stretch = |name: &str| {
            query(
                name,
                json!({ "type": "string" }),
                "[low,high], each a number, null (the dataset's own) or \"pN\", a percentile",
                json!("[0,255]"),
            )
        };
        let transform = query(
            "color_transform",
            json!({ "type": "string" }),
            "gamma BANDS g, sigmoidal BANDS contrast bias, saturation p",
            json!("gamma 1 1.2"),
        );
        let colormap =
            query("colormap", json!({ "type": "string" }), "A name of /colormaps, or explicit", json!("viridis"));
        let colors = query(
            "explicit_color_map",
            json!({ "type": "string" }),
            "{\"value\": \"RRGGBB\"}, with colormap=explicit",
            json!("{\"0\":\"99d594\"}"),
        );
        self.layer(
            add,
            "singleband",
            self.keys.len(),
            "One band",
            &[stretch("stretch_range"), colormap.clone(), colors, transform.clone()],
            true,
        );
        let last = self.keys.len().saturating_sub(1);
        let band = |name: &str| {
            query(
                name,
                json!({ "type": "string" }),
                "Value of the last key; NAME.key=value takes another value of another key",
                self.example(last),
            )
        };
        let rgb: Vec<Value> = ["r", "g", "b"]
            .into_iter()
            .map(|name| required(band(name)))
            .chain(["r_range", "g_range", "b_range"].map(stretch))
            .chain([transform])
            .collect();
        self.layer(add, "rgb", last, "Three bands as colors", &rgb, false);
        let text = json!({ "type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX });
        let expression = query("expression", text, "Band maths in Python's syntax over v1 to v5", json!("v1*1.0"));
        let operands = (1..=OPERANDS).map(|i| {
            let operand = band(&format!("v{i}"));
            if i == 1 { required(operand) } else { operand }
        });
        let mut compute: Vec<Value> = vec![required(expression), required(stretch("stretch_range")), colormap];
        compute.extend(operands);
        self.layer(add, "compute", last, "A formula of bands", &compute, true);
    }

    /// The routes of one kind of layer.
    fn layer(
        &self,
        add: &mut dyn FnMut(&str, &str, Operation),
        name: &str,
        count: usize,
        what: &str,
        own: &[Value],
        values: bool,
    ) {
        let (keys, key_parameters) = self.keys(count);
        let side = self.limits.tile_size_max;
        let formats: &[&str] = if values { &["png", "webp", "jpg", "npy", "tif"] } else { &["png", "webp", "jpg"] };
        let format = path("format", json!({ "type": "string", "enum": formats }), "Encoding", json!("png"));
        let media: &[&str] =
            &["image/png", "image/webp", "image/jpeg", "application/x-npy", "image/tiff; application=geotiff"];
        let size = text("tile_size", &format!("[height,width], each 1 to {side}"), "[256,256]");
        let number = |name: &str, max: u64| {
            path(name, json!({ "type": "integer", "minimum": 0, "maximum": max }), "Of the tile, XYZ, y down", json!(0))
        };
        let picture = |summary: &str| {
            Operation::new("layers", &format!("{what}: {summary}"))
                .with(key_parameters.clone())
                .with(own.to_vec())
                .with(self.order())
                .with(of_mosaics())
                .answers(media, &json!({ "type": "string", "format": "binary" }))
                .may_be_unchanged()
        };
        let tile =
            || [number("z", 30), number("x", (1 << 30) - 1), number("y", (1 << 30) - 1), format.clone(), size.clone()];
        add(&format!("/{name}{keys}/{{z}}/{{x}}/{{y}}.{{format}}"), "get", picture("a tile").with(tile()));
        add(
            &format!("/{name}{keys}/{{z}}/{{x}}/{{y}}@2x.{{format}}"),
            "get",
            picture("a tile of twice the size").with(tile()),
        );
        add(
            &format!("/{name}{keys}/preview.{{format}}"),
            "get",
            picture("all of it").with([format.clone(), size.clone()]),
        );
        let bbox = required(text("bbox", "west,south,east,north in degrees", "0,0,10,10"));
        let pixels = |name: &str| {
            query(
                name,
                json!({ "type": "integer", "minimum": 1, "maximum": side }),
                "Pixels; without, what keeps them square",
                json!(256),
            )
        };
        add(
            &format!("/{name}{keys}/crop.{{format}}"),
            "get",
            picture("a part of it").with([format.clone(), bbox, pixels("width"), pixels("height")]),
        );
        let tilejson = Operation::new("layers", &format!("{what}: TileJSON 3.0.0"))
            .with(key_parameters.clone())
            .with(own.to_vec())
            .with([size])
            .answers(&["application/json"], &json!({ "$ref": "#/components/schemas/TileJson" }));
        add(&format!("/{name}{keys}/tilejson.json"), "get", tilejson);
    }

    fn values(&self, add: &mut dyn FnMut(&str, &str, Operation)) {
        let (all, keys) = self.keys(self.keys.len());
        let degrees = |name: &str, max: f64| {
            required(query(name, json!({ "type": "number", "minimum": -max, "maximum": max }), "Degrees", json!(0)))
        };
        let limit = json!({ "type": "integer", "minimum": 0, "maximum": POINTS_MAX, "default": 100 });
        let operation = Operation::new("values", "Values at a place; * in a key makes a list, such as a time series")
            .with(keys.clone())
            .with([degrees("lon", 180.0), degrees("lat", 90.0), query("limit", limit, "At most so many", json!(100))])
            .with(self.order())
            .answers(&["application/json"], &json!({ "$ref": "#/components/schemas/Point" }));
        add(&format!("/point{all}"), "get", operation);
        let operation = Operation::new("values", "Statistics of the whole input")
            .with(keys.clone())
            .answers(&["application/json"], &json!({ "type": "object", "required": ["keys", "of", "statistics"] }));
        add(&format!("/statistics{all}"), "get", operation);
        let about = format!(
            "Statistics within polygons (at most {VERTICES_MAX} vertices, {BODY_BYTES_MAX} bytes), as properties.statistics"
        );
        let square = json!({ "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]] });
        let operation = Operation::new("values", &about)
            .with(keys.clone())
            .body(&json!({ "type": "object", "description": "GeoJSON: Feature, FeatureCollection, Polygon or MultiPolygon" }), &square)
            .answers(&["application/json"], &json!({ "type": "object", "required": ["type"] }));
        add(&format!("/statistics{all}"), "post", operation);
        let format =
            path("format", json!({ "type": "string", "enum": ["png", "svg", "json"] }), "Encoding", json!("svg"));
        let legend = Operation::new("legends", "What the colors of a picture mean")
            .with(keys)
            .with([format])
            .answers(&["application/json", "image/png", "image/svg+xml"], &json!(true));
        add(&format!("/legend{all}.{{format}}"), "get", legend);
        let range = required(query("stretch_range", json!({ "type": "string" }), "Two numbers", json!("[0,1]")));
        let count = json!({ "type": "integer", "minimum": 0, "maximum": self.limits.num_values_max, "default": 255 });
        let name = query("colormap", json!({ "type": "string" }), "A name; default greyscale", json!("viridis"));
        let operation = Operation::new("legends", "Values and their colors")
            .with([range, name, query("num_values", count, "How many", json!(255))])
            .answers(&["application/json"], &json!({ "$ref": "#/components/schemas/Colormap" }));
        add("/colormap", "get", operation);
        let names = json!({ "type": "object", "required": ["colormaps"], "properties": { "colormaps": { "type": "array", "items": { "type": "string" } } } });
        add(
            "/colormaps",
            "get",
            Operation::new("legends", "Names of color maps").answers(&["application/json"], &names),
        );
        let name = path("name", json!({ "type": "string", "minLength": 1 }), "A name", json!("viridis"));
        let strip = Operation::new("legends", "A color map as a strip")
            .with([name])
            .answers(&["image/png"], &json!({ "type": "string", "format": "binary" }));
        add("/colormaps/{name}.png", "get", strip);
        let request =
            query("REQUEST", json!({ "type": "string" }), "GetCapabilities or GetTile", json!("GetCapabilities"));
        let wmts =
            Operation::new("services", &format!("WMTS 1.0.0 of the datasets that match, at most {WMTS_LAYERS_MAX}"))
                .with([request])
                .with(self.filters())
                .answers(&["application/xml"], &json!({ "type": "string" }));
        add("/wmts", "get", wmts);
    }

    fn service(add: &mut dyn FnMut(&str, &str, Operation)) {
        let object = json!({ "type": "object" });
        let about = format!(
            "Server-sent events, at most {LISTENERS_MAX} at once: snapshot on connecting and per reload; jobs where the ingestor is in this process"
        );
        let events = Operation::new("services", &about).answers(&["text/event-stream"], &json!({ "type": "string" }));
        add("/events", "get", events);
        let page = Operation::new("services", "The web page; as JSON, where to begin")
            .answers(&["text/html; charset=utf-8", "application/json"], &json!(true))
            .may_be_unchanged();
        add("/", "get", page);
        let ui = Operation::new("services", "What the web page has to know of this server")
            .answers(&["application/json"], &json!({ "$ref": "#/components/schemas/Ui" }));
        add("/ui.json", "get", ui);
        add("/health", "get", Operation::new("services", "Alive").answers(&["application/json"], &object));
        let mut ready = Operation::new("services", "Whether a verified snapshot is served, and which")
            .answers(&["application/json"], &object);
        ready.value["responses"]["503"] =
            json!({ "description": "None is served yet", "content": { "application/json": { "schema": object } } });
        add("/ready", "get", ready);
        add(
            "/metrics",
            "get",
            Operation::new("services", "For Prometheus")
                .answers(&["application/openmetrics-text; version=1.0.0; charset=utf-8"], &json!({ "type": "string" })),
        );
        add(
            "/swagger.json",
            "get",
            Operation::new("services", "This description").answers(&["application/json"], &object),
        );
        add(
            "/apidoc",
            "get",
            Operation::new("services", "A page to read and try it")
                .answers(&["text/html; charset=utf-8"], &json!({ "type": "string" })),
        );
    }
}
