//! WMTS 1.0.0 (OGC 07-057r7): capabilities, and tiles by key–value pairs. RESTful tiles are those of `/singleband`, which the capabilities name.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use shared::bbox::Bbox;
use shared::catalog::query::DatasetQuery;
use shared::dataset::Dataset;
use shared::grid::{HALF_WORLD_M, TILE_SIZE, TileCoord, pixel_side_m};

use super::ask::{Ask, decode};
use super::subject::Subject;
use super::target::{PlaceAsked, Target};
use super::{colormaps, singleband, style};
use crate::error::ApiError;
use crate::limits::WMTS_LAYERS_MAX;
use crate::links::{query_value, segment};
use crate::params::Params;
use crate::tile::encode::Format;
use crate::tile::legend::escaped;
use crate::tile::plan::Scene;

/// The tile matrix set of the OGC's registry, and its zooms that are told.
const MATRIX_SET: &str = "WebMercatorQuad";
const ZOOMS: u8 = shared::grid::COG_ZOOM_MAX + 1;
/// Metres of a pixel at scale 1:1 (OGC 06-042): 0.28 mm.
const PIXEL_M: f64 = 0.000_28;
/// Parameters of WMTS itself, in lower case; every other one is a filter, or goes on to the tiles.
const OWN: [&str; 12] = [
    "service",
    "request",
    "version",
    "layer",
    "style",
    "format",
    "tilematrixset",
    "tilematrix",
    "tilerow",
    "tilecol",
    "acceptversions",
    "updatesequence",
];
/// Parameters of layers: those of the capabilities' URL are those of the tiles it names.
const PASSED_ON: [&str; 4] = ["stretch_range", "colormap", "explicit_color_map", "color_transform"];
/// Bytes of them: each layer repeats them.
const PASSED_ON_BYTES_MAX: usize = 1024;
/// Formats of tiles.
const FORMATS: [Format; 3] = [Format::Png, Format::Webp, Format::Jpeg];

/// Capabilities, or a tile.
pub(super) async fn show(ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let own =
        |name: &str| ask.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned());
    match own("request").as_deref() {
        Some(request) if request.eq_ignore_ascii_case("GetTile") => tile(ask, headers).await,
        Some(request) if !request.eq_ignore_ascii_case("GetCapabilities") => {
            Err(ApiError::bad(format!("request={request} is not GetCapabilities or GetTile")))
        }
        _ => capabilities(&ask).await,
    }
}

async fn tile(mut ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let own = |name: &str| {
        let found = ask.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned());
        found.ok_or_else(|| ApiError::bad(format!("{name} is missing")))
    };
    let set = own("TileMatrixSet")?;
    if set != MATRIX_SET {
        return Err(ApiError::bad(format!("TileMatrixSet={set} is not {MATRIX_SET}, the only one there is")));
    }
    let number = |name: &str| {
        let text = own(name)?;
        text.parse::<u32>().map_err(|_| ApiError::bad(format!("{name}={text} is not a whole number")))
    };
    let (z, x, y) = (number("TileMatrix")?, number("TileCol")?, number("TileRow")?);
    if z > u32::from(shared::grid::ZOOM_MAX) {
        return Err(ApiError::bad(format!("TileMatrix={z} is deeper than {}", shared::grid::ZOOM_MAX)));
    }
    let media = own("Format")?;
    let format = FORMATS.into_iter().find(|format| format.content_type() == media);
    let format =
        format.ok_or_else(|| ApiError::bad(format!("Format={media} is not image/png, image/webp or image/jpeg")))?;
    let layer = own("Layer")?;
    let values = layer.split('/').filter(|part| !part.is_empty());
    (ask.segments, ask.wild) = values.map(|value| (decode(value), false)).unzip();
    let target = Target::Picture { place: PlaceAsked::Tile { tile: TileCoord::new(z as u8, x, y), times: 1 }, format };
    let pattern = ask.pattern(ask.segments.len())?;
    let subject = Subject::find(&ask, vec![pattern]).await?;
    let params = style::handed_out(&ask, &subject);
    singleband::answer(&ask, &params, &headers, &subject, target).await
}

async fn capabilities(ask: &Ask) -> Result<Response, ApiError> {
    let is_own = |name: &&str| OWN.iter().any(|o| o.eq_ignore_ascii_case(name)) || PASSED_ON.contains(name);
    let own: Vec<&str> = ask.params.iter().map(|(name, _)| name).filter(is_own).collect();
    let filter = super::datasets::filter(ask, &own)?;
    let query = DatasetQuery { filter, limit: WMTS_LAYERS_MAX + 1, ..DatasetQuery::default() };
    let found = ask.datasets(query).await?;
    if found.len() > WMTS_LAYERS_MAX {
        return Err(ApiError::bad(format!(
            "more than {WMTS_LAYERS_MAX} datasets match; narrow them down with filters as of /datasets, such as /wmts?{}=…",
            ask.collection.keys.first().map_or("key", |key| key.name.as_str())
        )));
    }
    let url = ask.links.to(&ask.resource("wmts"));
    let passed = passed_on(&ask.params);
    if passed.len() > PASSED_ON_BYTES_MAX {
        return Err(ApiError::bad(format!("the parameters of layers are longer than {PASSED_ON_BYTES_MAX} bytes")));
    }
    check_passed_on(ask)?;
    let and = if passed.is_empty() { String::new() } else { format!("{passed}&") };
    let mut xml = head(&ask.collection.title, &format!("{url}?{and}"));
    for dataset in found {
        layer(ask, dataset, &mut xml);
    }
    matrix_set(&mut xml);
    let _ = writeln!(xml, "</Contents><ServiceMetadataURL xlink:href=\"{}\"/></Capabilities>", escaped(&url));
    let content_type = HeaderValue::from_static("application/xml");
    Ok(([(header::CONTENT_TYPE, content_type)], xml).into_response())
}

fn head(title: &str, url: &str) -> String {
    let operation = |name: &str| {
        format!(
            "<ows:Operation name=\"{name}\"><ows:DCP><ows:HTTP><ows:Get xlink:href=\"{}\"><ows:Constraint name=\"GetEncoding\">\
             <ows:AllowedValues><ows:Value>KVP</ows:Value></ows:AllowedValues></ows:Constraint></ows:Get></ows:HTTP></ows:DCP></ows:Operation>",
            escaped(url)
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Capabilities xmlns=\"http://www.opengis.net/wmts/1.0\" xmlns:ows=\"http://www.opengis.net/ows/1.1\" \
         xmlns:xlink=\"http://www.w3.org/1999/xlink\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xsi:schemaLocation=\"http://www.opengis.net/wmts/1.0 http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd\" version=\"1.0.0\">\
         <ows:ServiceIdentification><ows:Title>{}</ows:Title><ows:ServiceType>OGC WMTS</ows:ServiceType>\
         <ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion></ows:ServiceIdentification>\
         <ows:OperationsMetadata>{}{}</ows:OperationsMetadata><Contents>",
        escaped(title),
        operation("GetCapabilities"),
        operation("GetTile")
    )
}

fn layer(ask: &Ask, dataset: Arc<Dataset>, xml: &mut String) {
    let keys = dataset.keys.clone();
    let bounds = dataset.metadata.bounds;
    let (placement, subject) = (dataset.cog.placement, Subject::One(Scene { channels: vec![Some(dataset)] }));
    let params = style::handed_out(ask, &subject);
    let id = keys.iter().map(|value| segment(value)).collect::<Vec<_>>().join("/");
    // A box over the antimeridian cannot be written here.
    let bounds = if bounds.crosses_antimeridian() { Bbox { west: -180.0, east: 180.0, ..bounds } } else { bounds };
    let query = passed_on(&params);
    let query = if query.is_empty() { query } else { format!("?{query}") };
    let _ = write!(
        xml,
        "<Layer><ows:Title>{}</ows:Title><ows:WGS84BoundingBox><ows:LowerCorner>{} {}</ows:LowerCorner>\
         <ows:UpperCorner>{} {}</ows:UpperCorner></ows:WGS84BoundingBox><ows:Identifier>{}</ows:Identifier>\
         <Style isDefault=\"true\"><ows:Identifier>default</ows:Identifier><LegendURL format=\"image/png\" xlink:href=\"{}\"/></Style>",
        escaped(&keys.join(" / ")),
        bounds.west,
        bounds.south,
        bounds.east,
        bounds.north,
        escaped(&id),
        escaped(&format!("{}{query}", ask.links.to(&format!("{}/{id}.png", ask.resource("legend")))))
    );
    for format in FORMATS {
        let _ = write!(xml, "<Format>{}</Format>", format.content_type());
    }
    // Deeper than the data there is nothing new to see, but maps go on asking.
    let _ = write!(
        xml,
        "<TileMatrixSetLink><TileMatrixSet>{MATRIX_SET}</TileMatrixSet>{}</TileMatrixSetLink>",
        limits(&bounds, placement.minzoom, placement.maxzoom)
    );
    for format in FORMATS {
        let template = format!(
            "{}/{id}/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.{}{query}",
            ask.resource("singleband"),
            format.extension()
        );
        let _ = write!(
            xml,
            "<ResourceURL format=\"{}\" resourceType=\"tile\" template=\"{}\"/>",
            format.content_type(),
            escaped(&ask.links.to(&template))
        );
    }
    *xml += "</Layer>";
}

/// Refuses what the tiles would refuse.
fn check_passed_on(ask: &Ask) -> Result<(), ApiError> {
    let params = &ask.params;
    params.stretch("stretch_range")?;
    params.explicit_map()?;
    params.operations(1)?;
    if let Some(name) = params.get("colormap").filter(|name| *name != "explicit") {
        colormaps::require(&ask.collection, name)?;
    }
    Ok(())
}

/// The parameters of layers, as a query.
fn passed_on(params: &Params) -> String {
    let found = PASSED_ON.iter().filter_map(|name| Some(format!("{name}={}", query_value(params.get(name)?))));
    found.collect::<Vec<_>>().join("&")
}

/// Which tiles of each zoom the layer has.
fn limits(bounds: &Bbox, minzoom: u8, maxzoom: u8) -> String {
    let [west, south, east, north] = crate::tile::place::mercator(bounds);
    let mut xml = "<TileMatrixSetLimits>".to_owned();
    for z in minzoom..=maxzoom {
        let last = (1u64 << z) - 1;
        let tile = |m: f64| ((m / (pixel_side_m(z) * TILE_SIZE as f64)).max(0.0) as u64).min(last);
        let (left, right) = (tile(west + HALF_WORLD_M), tile(east + HALF_WORLD_M));
        let (top, bottom) = (tile(HALF_WORLD_M - north), tile(HALF_WORLD_M - south));
        let _ = write!(
            xml,
            "<TileMatrixLimits><TileMatrix>{z}</TileMatrix><MinTileRow>{top}</MinTileRow><MaxTileRow>{bottom}</MaxTileRow>\
             <MinTileCol>{left}</MinTileCol><MaxTileCol>{right}</MaxTileCol></TileMatrixLimits>"
        );
    }
    xml + "</TileMatrixSetLimits>"
}

fn matrix_set(xml: &mut String) {
    let west = -HALF_WORLD_M;
    let _ = write!(
        xml,
        "<TileMatrixSet><ows:Identifier>{MATRIX_SET}</ows:Identifier><ows:BoundingBox crs=\"urn:ogc:def:crs:EPSG::3857\">\
         <ows:LowerCorner>{west} {west}</ows:LowerCorner><ows:UpperCorner>{HALF_WORLD_M} {HALF_WORLD_M}</ows:UpperCorner></ows:BoundingBox>\
         <ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>\
         <WellKnownScaleSet>urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible</WellKnownScaleSet>"
    );
    for z in 0..ZOOMS {
        let (scale, n) = (pixel_side_m(z) / PIXEL_M, 1u64 << z);
        let _ = write!(
            xml,
            "<TileMatrix><ows:Identifier>{z}</ows:Identifier><ScaleDenominator>{scale}</ScaleDenominator>\
             <TopLeftCorner>{west} {HALF_WORLD_M}</TopLeftCorner><TileWidth>{TILE_SIZE}</TileWidth><TileHeight>{TILE_SIZE}</TileHeight>\
             <MatrixWidth>{n}</MatrixWidth><MatrixHeight>{n}</MatrixHeight></TileMatrix>"
        );
    }
    *xml += "</TileMatrixSet>";
}
