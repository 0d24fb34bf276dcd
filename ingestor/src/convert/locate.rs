//! From pixels of a raster to the Earth and back: geotransform, then PROJ through GDAL; web Mercator by its own formula.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gdal::spatial_ref::{AxisMappingStrategy, SpatialRef};
use shared::grid::{HALF_WORLD_M, from_mercator, to_mercator};

use super::fault::Fault;
use super::ffi::{self, Transform};
use super::open::Raster;

/// Coordinate reference systems that are remembered from raster to raster: what PROJ is asked of one takes as long as a small raster.
const REMEMBERED_MAX: usize = 32;

/// What CRSs are, by their WKT.
static KINDS: Mutex<VecDeque<(Arc<str>, Kind)>> = Mutex::new(VecDeque::new());
/// Ways that nobody uses just now.
static IDLE: Mutex<VecDeque<(Arc<str>, Ways)>> = Mutex::new(VecDeque::new());

/// How a raster's CRS gets to longitude and latitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// It is EPSG:3857, under whatever name: no PROJ needed.
    WebMercator,
    /// Degrees (or another angle): x wraps round after `period`, y ends at ±`pole`.
    Geographic { period: f64, pole: f64 },
    /// Anything else.
    Projected,
}

/// Places points of one raster. Each thread needs its own.
#[derive(Debug)]
pub(super) struct Locator {
    forward: [f64; 6],
    inverse: [f64; 6],
    kind: Kind,
    /// The raster's middle in its CRS: x is wrapped to within half a period of it.
    middle_x: f64,
    wkt: Arc<str>,
    /// None for web Mercator.
    ways: Option<Ways>,
}

/// From a CRS to longitude and latitude, and back.
#[derive(Debug)]
struct Ways {
    to_degrees: Transform,
    from_degrees: Transform,
}

/// What a locator is made from; can cross threads.
#[derive(Clone, Debug)]
pub(super) struct Georeference {
    affine: [f64; 6],
    size: [f64; 2],
    wkt: Arc<str>,
    kind: Kind,
}

impl Georeference {
    /// Of a raster.
    pub(super) fn of(raster: &Raster) -> Result<Self, Fault> {
        let wkt = raster.srs.to_wkt().map_err(|e| Fault::Refused(format!("the CRS cannot be used: {e}")))?;
        let wkt: Arc<str> = wkt.into();
        let known = lock(&KINDS).iter().find(|(name, _)| *name == wkt).map(|(_, kind)| *kind);
        let kind = known.unwrap_or_else(|| {
            let kind = kind(&raster.srs);
            remember(&KINDS, Arc::clone(&wkt), kind);
            kind
        });
        Ok(Self { affine: raster.affine, size: [raster.width as f64, raster.height as f64], wkt, kind })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn affine(&self) -> &[f64; 6] {
        &self.affine
    }

    pub(super) fn size(&self) -> [f64; 2] {
        self.size
    }

    /// A locator for the calling thread.
    pub(super) fn locator(&self) -> Result<Locator, Fault> {
        let inverse = invert(&self.affine);
        let middle_x = apply(&self.affine, self.size[0] / 2.0, self.size[1] / 2.0).0;
        let ways = if self.kind == Kind::WebMercator { None } else { Some(Ways::of(&self.wkt)?) };
        Ok(Locator { forward: self.affine, inverse, kind: self.kind, middle_x, wkt: Arc::clone(&self.wkt), ways })
    }
}

impl Ways {
    /// Those that were given back, or new ones.
    fn of(wkt: &Arc<str>) -> Result<Self, Fault> {
        let mut idle = lock(&IDLE);
        if let Some((_, ways)) = idle.iter().position(|(name, _)| name == wkt).and_then(|at| idle.remove(at)) {
            return Ok(ways);
        }
        drop(idle);
        let unusable = || Fault::Refused(format!("PROJ knows no way from this CRS to WGS 84: {wkt}"));
        let mut srs = SpatialRef::from_wkt(wkt).map_err(|_| unusable())?;
        srs.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
        let wgs84 = wgs84()?;
        let to_degrees = Transform::new(&srs, &wgs84).ok_or_else(unusable)?;
        let from_degrees = Transform::new(&wgs84, &srs).ok_or_else(unusable)?;
        Ok(Self { to_degrees, from_degrees })
    }
}

impl Drop for Locator {
    fn drop(&mut self) {
        if let Some(ways) = self.ways.take() {
            remember(&IDLE, Arc::clone(&self.wkt), ways);
        }
    }
}

fn remember<T>(all: &Mutex<VecDeque<(Arc<str>, T)>>, name: Arc<str>, what: T) {
    let mut all = lock(all);
    all.push_back((name, what));
    if all.len() > REMEMBERED_MAX {
        all.pop_front();
    }
}

fn lock<T>(all: &Mutex<T>) -> MutexGuard<'_, T> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Locator {
    /// Pixel coordinates (0,0 is the raster's first corner) to longitude and latitude, in place. NaN where that is not on Earth.
    pub(super) fn degrees_of_pixels(&self, x: &mut [f64], y: &mut [f64]) {
        for (x, y) in x.iter_mut().zip(y.iter_mut()) {
            (*x, *y) = apply(&self.forward, *x, *y);
            if let Kind::Geographic { pole, .. } = self.kind {
                *y = y.clamp(-pole, pole);
            }
            if self.kind == Kind::WebMercator {
                (*x, *y) = from_mercator(*x, *y);
            }
        }
        if let Some(ways) = &self.ways {
            ways.to_degrees.apply(x, y);
        }
    }

    /// Longitude and latitude to pixel coordinates, in place. Longitudes may lie beyond ±180. NaN where the CRS does not reach.
    pub(super) fn pixels_of_degrees(&self, x: &mut [f64], y: &mut [f64]) {
        if let Some(ways) = &self.ways {
            for x in x.iter_mut() {
                *x = wrap(*x, 0.0, 360.0);
            }
            ways.from_degrees.apply(x, y);
        } else {
            for (x, y) in x.iter_mut().zip(y.iter_mut()) {
                (*x, *y) = to_mercator(*x, *y);
            }
        }
        self.pixels_of_crs(x, y);
    }

    /// Web Mercator metres to pixel coordinates, in place. x may lie beyond the world.
    pub(super) fn pixels_of_mercator(&self, x: &mut [f64], y: &mut [f64]) {
        if self.kind == Kind::WebMercator {
            self.pixels_of_crs(x, y);
            return;
        }
        for (x, y) in x.iter_mut().zip(y.iter_mut()) {
            (*x, *y) = from_mercator(*x, *y);
        }
        self.pixels_of_degrees(x, y);
    }

    fn pixels_of_crs(&self, x: &mut [f64], y: &mut [f64]) {
        let period = match self.kind {
            Kind::WebMercator => Some(2.0 * HALF_WORLD_M),
            Kind::Geographic { period, .. } => Some(period),
            Kind::Projected => None,
        };
        for (x, y) in x.iter_mut().zip(y.iter_mut()) {
            let unwrapped = period.map_or(*x, |period| wrap(*x, self.middle_x, period));
            (*x, *y) = apply(&self.inverse, unwrapped, *y);
        }
    }
}

/// The value, moved by whole periods to within half a period of `middle`.
fn wrap(value: f64, middle: f64, period: f64) -> f64 {
    if (value - middle).abs() <= period / 2.0 { value } else { value - ((value - middle) / period).round() * period }
}

/// WGS 84, longitude first.
fn wgs84() -> Result<SpatialRef, Fault> {
    let mut srs =
        SpatialRef::from_epsg(4326).map_err(|e| Fault::Machine(format!("PROJ does not know EPSG:4326: {e}")))?;
    srs.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    Ok(srs)
}

fn kind(srs: &SpatialRef) -> Kind {
    if srs.is_geographic() {
        let radians =
            Some(srs.angular_units()).filter(|unit| unit.is_normal() && *unit > 0.0).unwrap_or(1f64.to_radians());
        return Kind::Geographic {
            period: std::f64::consts::TAU / radians,
            pole: std::f64::consts::FRAC_PI_2 / radians,
        };
    }
    let same = SpatialRef::from_epsg(3857).is_ok_and(|mut mercator| {
        mercator.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
        ffi::is_same(srs, &mercator)
    });
    let spherical = || {
        let proj = srs.to_proj4().unwrap_or_default();
        ["+proj=merc", "+a=6378137 ", "+b=6378137 ", "+lon_0=0 ", "+k=1 ", "+x_0=0 ", "+y_0=0 ", "+units=m"]
            .iter()
            .all(|part| proj.contains(part))
    };
    if same || spherical() { Kind::WebMercator } else { Kind::Projected }
}

fn apply(affine: &[f64; 6], x: f64, y: f64) -> (f64, f64) {
    (affine[0] + x * affine[1] + y * affine[2], affine[3] + x * affine[4] + y * affine[5])
}

/// The inverse of a geotransform whose determinant is not zero.
fn invert(gt: &[f64; 6]) -> [f64; 6] {
    let det = gt[1] * gt[5] - gt[2] * gt[4];
    let [a, b, d, e] = [gt[5] / det, -gt[2] / det, -gt[4] / det, gt[1] / det];
    [-(gt[0] * a + gt[3] * b), a, b, -(gt[0] * d + gt[3] * e), d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_geotransform_is_inverted() {
        let gt = [440_720.0, 60.0, -10.0, 3_751_320.0, 7.0, -60.0];
        let (x, y) = apply(&gt, 12.25, 7.5);
        let (i, j) = apply(&invert(&gt), x, y);
        assert!((i - 12.25).abs() < 1e-6 && (j - 7.5).abs() < 1e-6);
    }

    #[test]
    fn longitudes_wrap_to_the_raster() {
        assert_eq!(wrap(-170.0, 180.0, 360.0), 190.0);
        assert_eq!(wrap(190.0, 0.0, 360.0), -170.0);
        assert_eq!(wrap(180.0, 0.0, 360.0), 180.0);
    }
}
