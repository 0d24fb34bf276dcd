//! What a dataset looks like when a request does not say: its own style over its collection's, then what its file says of classes.

use std::borrow::Cow;

use shared::collection::{Collection, Style};
use shared::dataset::Dataset;
use shared::metadata::BandStatistics;

use super::ask::Ask;
use super::rgb::CHANNELS;
use super::subject::Subject;
use crate::params::{Bound, ExplicitMap, Params, bound, parse_hex};
use crate::tile::colormap::{self, COLORS};

/// Colors of classes that have names but none of their own: matplotlib's `tab20`, over and over.
const CLASS_COLORMAP: &str = "tab20";
/// Classes of that map: each has as many of its colors.
const CLASS_COLORS: usize = 20;

/// The style of a dataset.
pub(super) fn of<'a>(collection: &'a Collection, dataset: &Dataset) -> Cow<'a, Style> {
    match &dataset.metadata.style {
        None => Cow::Borrowed(&collection.style),
        Some(own) => Cow::Owned(own.clone().over(&collection.style)),
    }
}

/// The stretch of a style; one that makes no sense is none.
pub(super) fn stretch(style: &Style) -> Option<[Bound; 2]> {
    let [low, high] = style.stretch.as_ref()?;
    Some([bound("stretch", low).ok()?, bound("stretch", high).ok()?])
}

/// Value, label and color of each class: the style's categories, else the file's color table and names, where its values are classes.
pub(super) fn classes(style: &Style, subject: &Subject) -> Vec<(f64, Option<String>, [u8; 4])> {
    let spare = colormap::named(CLASS_COLORMAP).unwrap_or_default();
    // The map's 255 samples show each color several times.
    let nth = |i: usize| {
        spare.get((i % CLASS_COLORS * 2 + 1) * spare.len() / (2 * CLASS_COLORS)).copied().unwrap_or_default()
    };
    if !style.categories.is_empty() {
        let one = |(i, category): (usize, &shared::collection::Category)| {
            let color = category.color.as_deref().and_then(parse_hex).unwrap_or_else(|| nth(i));
            (category.value as f64, category.label.clone(), color)
        };
        return style.categories.iter().enumerate().map(one).take(COLORS).collect();
    }
    let Some(metadata) = subject.dataset(0).map(|dataset| &dataset.metadata) else { return Vec::new() };
    if !metadata.categorical.is || style.colormap.is_some() {
        return Vec::new();
    }
    let label = |value: i64| metadata.categories.iter().find(|(v, _)| *v == value).map(|(_, label)| label.clone());
    let seen = |value: i64| subject.statistics(0).is_none_or(|statistics| may_occur(statistics, value));
    let listed: Vec<(f64, Option<String>, [u8; 4])> = if metadata.color_table.is_empty() {
        let names = metadata.categories.iter().enumerate();
        names.map(|(i, (value, label))| (*value as f64, Some(label.clone()), nth(i))).collect()
    } else {
        metadata.color_table.iter().map(|(value, color)| (*value as f64, label(*value), *color)).collect()
    };
    listed.into_iter().filter(|(value, ..)| seen(*value as i64)).take(COLORS).collect()
}

/// The stretch of URLs that Kiln hands out for data of more than 8 bits: few far values must not make all else look alike.
const HANDED_OUT: &str = r#"["p2","p98"]"#;

/// A request's parameters with an explicit stretch, where neither they nor a style say one and values are not classes.
pub(super) fn handed_out(ask: &Ask, subject: &Subject) -> Params {
    with_stretch(ask, subject, &["stretch_range"])
}

/// The same for three channels.
pub(super) fn handed_out_rgb(ask: &Ask, subject: &Subject) -> Params {
    with_stretch(ask, subject, &CHANNELS.map(|(_, range)| range))
}

fn with_stretch(ask: &Ask, subject: &Subject, names: &[&str]) -> Params {
    let mut params = ask.params.clone();
    for (i, name) in names.iter().enumerate() {
        let Some(dataset) = subject.dataset(i) else { continue };
        let style = of(&ask.collection, dataset);
        let styled = style.stretch.is_some() || (names.len() == 1 && !classes(&style, subject).is_empty());
        let said = params.get(name).is_some() || params.get("explicit_color_map").is_some();
        if !said && !styled && dataset.cog.data_type.bytes() > 1 && !dataset.metadata.categorical.is {
            params.set(name, HANDED_OUT);
        }
    }
    params
}

/// The colors of classes by value.
pub(super) fn class_colors(style: &Style, subject: &Subject) -> ExplicitMap {
    classes(style, subject).into_iter().map(|(value, _, color)| (value, color)).collect()
}

/// Whether a value is among the valid pixels, as far as the histogram tells.
fn may_occur(statistics: &BandStatistics, value: i64) -> bool {
    let (value, histogram) = (value as f64, &statistics.histogram);
    if value < statistics.min || value > statistics.max {
        return false;
    }
    let bins = histogram.counts.len();
    let width = (histogram.max - histogram.min) / bins.max(1) as f64;
    if bins == 0 || width <= 0.0 {
        return true;
    }
    let bin = (((value - histogram.min) / width) as usize).min(bins - 1);
    histogram.counts.get(bin).is_none_or(|count| *count > 0)
}
