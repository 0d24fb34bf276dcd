//! Several scenes on one picture: of each pixel the topmost that is valid, or the least, the greatest, the mean of all.

use super::image::Band;
use super::plan::Method;

/// A mosaic that scenes are laid onto, one channel at a time or whole pixels.
#[derive(Debug)]
pub(super) struct Mosaic {
    method: Method,
    channels: Vec<Channel>,
    /// With [`Method::First`], the pixels that still show nothing.
    open: usize,
    taken: Vec<u8>,
}

#[derive(Debug)]
struct Channel {
    values: Vec<f64>,
    /// How many scenes are in a pixel: 0 is invalid.
    counts: Vec<u32>,
}

impl Mosaic {
    /// Nothing yet.
    pub(super) fn new(method: Method, channels: usize, pixels: usize) -> Self {
        let channel = || Channel { values: vec![0.0; pixels], counts: vec![0; pixels] };
        Self { method, channels: (0..channels).map(|_| channel()).collect(), open: pixels, taken: vec![0; pixels] }
    }

    /// Lays a scene under what is there. Returns whether another could still show.
    pub(super) fn add(&mut self, bands: &[Option<Band<'_>>]) -> bool {
        let pixels = self.taken.len();
        let mut found: Vec<Option<(Vec<f64>, Vec<u8>)>> = Vec::with_capacity(bands.len());
        for band in bands {
            let mut valid = Vec::with_capacity(pixels);
            found.push(band.as_ref().map(|band| (band.floats(0..pixels, &mut valid), valid)));
        }
        if self.method == Method::First {
            // A pixel is of one scene in all its channels: colors of two are none of either.
            let mut fresh = vec![0u8; pixels];
            for (_, valid) in found.iter().flatten() {
                fresh.iter_mut().zip(valid).for_each(|(fresh, valid)| *fresh |= valid);
            }
            for (fresh, taken) in fresh.iter_mut().zip(&mut self.taken) {
                *fresh &= *taken ^ 1;
                *taken |= *fresh;
                self.open -= usize::from(*fresh);
            }
            for (_, valid) in found.iter_mut().flatten() {
                valid.iter_mut().zip(&fresh).for_each(|(valid, fresh)| *valid &= fresh);
            }
        }
        for (channel, found) in self.channels.iter_mut().zip(found) {
            if let Some((values, valid)) = found {
                channel.add(self.method, &values, &valid);
            }
        }
        self.open > 0
    }

    /// The channels of the picture.
    pub(super) fn finish(self) -> Vec<Option<Band<'static>>> {
        let method = self.method;
        let band = |mut channel: Channel| {
            if method == Method::Mean {
                channel.values.iter_mut().zip(&channel.counts).for_each(|(v, n)| *v /= f64::from((*n).max(1)));
            }
            let valid = channel.counts.iter().map(|n| u8::from(*n > 0)).collect();
            Some(Band::of_values(channel.values, valid))
        };
        self.channels.into_iter().map(band).collect()
    }
}

impl Channel {
    fn add(&mut self, method: Method, values: &[f64], valid: &[u8]) {
        let mine = self.values.iter_mut().zip(&mut self.counts);
        for ((mine, count), (value, valid)) in mine.zip(values.iter().zip(valid)) {
            if *valid == 0 {
                continue;
            }
            *mine = match method {
                _ if *count == 0 => *value,
                Method::First => *mine,
                Method::Min => mine.min(*value),
                Method::Max => mine.max(*value),
                Method::Mean => *mine + value,
            };
            *count += 1;
        }
    }
}
