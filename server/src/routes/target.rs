//! What a path asks for of a layer: `{z}/{x}/{y}[@2x].png`, `preview.png`, `crop.png`, `tilejson.json`, matched from the end; before it are the keys.

use shared::bbox::Bbox;
use shared::grid::{TileCoord, ZOOM_MAX};

use crate::error::ApiError;
use crate::params::Params;
use crate::tile::encode::Format;
use crate::tile::place::{Place, Size, mercator};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    Picture { place: PlaceAsked, format: Format },
    TileJson,
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PlaceAsked {
    /// A tile, None off the grid; how many times as large as usual.
    Tile {
        tile: Option<TileCoord>,
        times: u32,
    },
    Preview,
    Crop,
}

/// How many segments of a path are keys, and what the rest asks for.
pub(super) fn target(segments: &[String]) -> Result<(usize, Target), ApiError> {
    let no_route = || {
        ApiError::not_found(
            "layers are at …/{z}/{x}/{y}.png, …/preview.png, …/crop.png (or .webp .jpg .npy .tif) and …/tilejson.json",
        )
    };
    let last = segments.last().ok_or_else(no_route)?;
    if last == "tilejson.json" {
        return Ok((segments.len() - 1, Target::TileJson));
    }
    let (stem, format) =
        last.rsplit_once('.').and_then(|(stem, end)| Some((stem, Format::of_extension(end)?))).ok_or_else(no_route)?;
    let named = match stem {
        "preview" => Some(PlaceAsked::Preview),
        "crop" => Some(PlaceAsked::Crop),
        _ => None,
    };
    if let Some(place) = named {
        return Ok((segments.len() - 1, Target::Picture { place, format }));
    }
    let [.., z, x, _] = segments else { return Err(no_route()) };
    let (y, times) = stem.strip_suffix("@2x").map_or((stem, 1), |y| (y, 2));
    if ![z, x, y].iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        return Err(no_route());
    }
    let zoom = z.parse().ok().filter(|z| *z <= ZOOM_MAX);
    let zoom = zoom.ok_or_else(|| ApiError::bad(format!("zoom {z} is deeper than {ZOOM_MAX}")))?;
    // A number too large to read is off the grid as well.
    let tile = x.parse().ok().zip(y.parse().ok()).and_then(|(x, y)| TileCoord::new(zoom, x, y));
    Ok((segments.len() - 3, Target::Picture { place: PlaceAsked::Tile { tile, times }, format }))
}

impl PlaceAsked {
    /// The place and the picture's size. `maxzoom` decides the size of a crop that names none.
    pub(super) fn resolve(self, params: &Params, maxzoom: u8, side_max: u32) -> Result<(Place, Size), ApiError> {
        match self {
            Self::Tile { tile, times } => {
                let size = params.size(side_max)?;
                let size = Size { height: size.height * times, width: size.width * times };
                if size.height.max(size.width) > side_max {
                    return Err(ApiError::bad(format!("@2x of this tile_size is more than {side_max} pixels")));
                }
                Ok((tile.map_or(Place::OffGrid, Place::Tile), size))
            }
            Self::Preview => Ok((Place::Preview, params.size(side_max)?)),
            Self::Crop => {
                let missing = || ApiError::bad("a crop needs bbox=west,south,east,north in degrees");
                let bbox = params.bbox("bbox")?.ok_or_else(missing)?;
                Ok((Place::Crop(bbox), crop_size(params, &bbox, maxzoom, side_max)?))
            }
        }
    }
}

/// `width` and `height`; one alone keeps square pixels, none takes the finest pixels there are within the limit.
fn crop_size(params: &Params, bbox: &Bbox, maxzoom: u8, side_max: u32) -> Result<Size, ApiError> {
    let [west, south, east, north] = mercator(bbox);
    let (across, down) = (east - west, north - south);
    if !(across > 0.0 && down > 0.0) {
        return Err(ApiError::bad("the bbox has no area between 85.05° S and 85.05° N"));
    }
    let side = |name: &str| match params.get(name) {
        None => Ok(None),
        Some(text) => text
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|n| (1..=side_max).contains(n))
            .map(Some)
            .ok_or_else(|| ApiError::bad(format!("{name}={text} is not a whole number from 1 to {side_max}"))),
    };
    let fitted = |pixels: f64| (pixels.round() as u32).clamp(1, side_max);
    Ok(match (side("width")?, side("height")?) {
        (Some(width), Some(height)) => Size { height, width },
        (Some(width), None) => Size { height: fitted(f64::from(width) * down / across), width },
        (None, Some(height)) => Size { height, width: fitted(f64::from(height) * across / down) },
        (None, None) => {
            let pixel = shared::grid::pixel_side_m(maxzoom).max(across.max(down) / f64::from(side_max));
            Size { height: fitted(down / pixel), width: fitted(across / pixel) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(usize, Target)> {
        target(&path.split('/').map(str::to_owned).collect::<Vec<_>>()).ok()
    }

    #[test]
    fn suffixes_are_matched_from_the_end() {
        let tile = TileCoord::new(3, 2, 1);
        let picture = |place, format| Target::Picture { place, format };
        assert_eq!(of("a/b/3/2/1.png"), Some((2, picture(PlaceAsked::Tile { tile, times: 1 }, Format::Png))));
        assert_eq!(of("3/2/1@2x.webp"), Some((0, picture(PlaceAsked::Tile { tile, times: 2 }, Format::Webp))));
        assert_eq!(of("a/preview.jpeg"), Some((1, picture(PlaceAsked::Preview, Format::Jpeg))));
        assert_eq!(of("a/1/2/crop.tif"), Some((3, picture(PlaceAsked::Crop, Format::Tiff))));
        assert_eq!(of("a/tilejson.json"), Some((1, Target::TileJson)));
        for none in ["a", "a/3/2/1.gif", "a/3/2/1@3x.png", "a/3/-2/1.png", "1.png", "", "a/31/0/0.png"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
