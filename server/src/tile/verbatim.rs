//! Pictures that are there already: a block that is a WebP picture, where a WebP picture of just its pixels is asked for.

use shared::dataset::Compression;

use super::cog::RawBlocks;
use super::encode::Format;
use super::kept::Brought;
use super::plan::{Paint, Plan, Scale, ScenePlan};

/// The bytes of the picture, where decoding them and painting the pixels would change none by more than one count.
pub(super) fn picture(plan: &Plan, scene: &ScenePlan, raw: &[RawBlocks]) -> Option<Vec<u8>> {
    let layer = &plan.layer;
    let ([source], [blocks]) = (scene.sources.as_slice(), raw) else { return None };
    let as_it_is = plan.scenes.len() == 1
        && layer.format == Format::Webp
        && layer.paint == Paint::Rgb
        && layer.formula.is_none()
        && layer.transform.is_empty()
        && layer.scales.iter().all(keeps)
        && scene.channels == [Some((0, 0)), Some((0, 1)), Some((0, 2))]
        && source.dataset.cog.compression == Compression::Webp
        && source.is_one_block();
    match blocks.first().filter(|_| as_it_is)?.as_ref()? {
        Brought::Raw(block, _) => Some(block.image.to_vec()),
        Brought::Decoded(_) => None,
    }
}

/// Whether 8-bit values stay: `low` becomes 1, for 0 is transparent.
fn keeps(scale: &Scale) -> bool {
    matches!(scale, Scale::Stretch { low, high } if (0.0..=1.0).contains(low) && *high == 255.0)
}
