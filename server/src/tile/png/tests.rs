//! Every picture decodes to what was encoded, and is small where it is simple.

use super::{Kind, PngError, encode};

/// Numbers that look random (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn colors() -> Vec<[u8; 4]> {
    (0..=255).map(|i| [i, 255 - i, 7, i]).collect()
}

/// The red, green, blue and alpha of every pixel.
fn rgba(kind: Kind<'_>, pixels: &[u8]) -> Vec<u8> {
    pixels.chunks_exact(kind.bytes()).flat_map(|pixel| kind.color(pixel).unwrap()).collect()
}

/// Encodes, decodes, compares; bytes of the PNG. The decoder checks CRCs and Adler-32.
fn check(kind: Kind<'_>, pixels: &[u8], width: u32, height: u32) -> usize {
    let out = encode(kind, pixels, width, height).unwrap();
    let mut decoder = ::png::Decoder::new(std::io::Cursor::new(&out));
    decoder.set_transformations(::png::Transformations::ALPHA);
    let mut reader = decoder.read_info().unwrap();
    let mut decoded = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut decoded).unwrap();
    assert_eq!((info.width, info.height), (width, height));
    if info.color_type == ::png::ColorType::GrayscaleAlpha {
        decoded = decoded.chunks_exact(2).flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect();
    }
    assert!(decoded == rgba(kind, pixels), "{kind:?} of {width}×{height}");
    reader.finish().unwrap();
    out.len()
}

/// Values that stay the same for a while, in a range, over nothing or a slope.
fn texture(random: &mut Random, row: usize, rows: usize) -> Vec<u8> {
    let mask = (1 << random.below(9)) - 1;
    let changes = random.below(101);
    let slope = random.below(2) as usize;
    let mut value = 0;
    let each = 0..row * rows;
    each.map(|at| {
        if random.below(100) < changes {
            value = random.next() & mask;
        }
        (value as usize + slope * (at % row + at / row)) as u8
    })
    .collect()
}

#[test]
fn any_picture_decodes_to_itself() {
    let colors = colors();
    let random = &mut Random(88);
    for round in 0..4000 {
        let kind = [Kind::Grey, Kind::Palette(&colors), Kind::Rgb, Kind::Rgba][round % 4];
        let (width, height) = match round % 9 {
            0 => (1, 1 + random.below(300)),
            1 => (1 + random.below(300), 1),
            2 if round % 8 == 0 => (256, 256),
            _ => (1 + random.below(90), 1 + random.below(90)),
        };
        let pixels = texture(random, width as usize * kind.bytes(), height as usize);
        check(kind, &pixels, width as u32, height as u32);
    }
}

#[test]
fn pictures_of_several_blocks_decode_to_themselves() {
    let random = &mut Random(7);
    for (width, height) in [(4096, 70), (1, 4096), (4096, 1), (800, 600), (513, 511)] {
        for kind in [Kind::Grey, Kind::Rgb, Kind::Rgba] {
            let mut pixels = texture(random, width * kind.bytes(), height);
            check(kind, &pixels, width as u32, height as u32);
            // Half noise, half nothing.
            let half = pixels.len() / 2;
            pixels[..half].fill_with(|| random.next() as u8);
            pixels[half..].fill(0);
            check(kind, &pixels, width as u32, height as u32);
        }
    }
}

#[test]
fn runs_of_any_length_decode_to_themselves() {
    for length in (0..1100).chain(65_000..65_020) {
        for end in [0, 1, 2] {
            let mut row = vec![9];
            row.resize(length + 1, 0);
            row.resize(length + 1 + end, 5);
            check(Kind::Grey, &row, row.len() as u32, 1);
        }
    }
}

#[test]
fn noise_grows_by_no_more_than_its_frame() {
    let random = &mut Random(3);
    for size in [1, 16, 256, 700] {
        let pixels: Vec<u8> = (0..size * size * 3).map(|_| random.next() as u8).collect();
        let bytes = check(Kind::Rgb, &pixels, size as u32, size as u32);
        let blocks = pixels.len() / 65_535 + 4;
        assert!(bytes <= pixels.len() + size + 5 * blocks + 250, "{size}: {bytes}");
    }
}

#[test]
fn simple_tiles_are_small() {
    let colors = colors();
    for value in [0, 1, 255] {
        assert!(check(Kind::Grey, &vec![value; 1 << 16], 256, 256) < 140);
        assert!(check(Kind::Rgba, &vec![value; 1 << 18], 256, 256) < 140);
    }
    assert!(check(Kind::Palette(&colors), &vec![3; 1 << 16], 256, 256) < 140);
    let stripes: Vec<u8> = (0..1 << 16).map(|at| (at % 256 / 20) as u8).collect();
    assert!(check(Kind::Palette(&colors), &stripes, 256, 256) < 700);
}

#[test]
fn rare_symbols_keep_their_codes_short() {
    // Frequencies of Fibonacci numbers make the deepest trees: 23 levels of them.
    let (mut a, mut b) = (1, 1);
    let mut pixels = Vec::new();
    for value in 1..=23 {
        pixels.extend(std::iter::repeat_n(value, a));
        (a, b) = (b, a + b);
    }
    // No neighbours alike, so that the filter is None.
    let random = &mut Random(5);
    for at in (1..pixels.len()).rev() {
        pixels.swap(at, random.below(at as u64 + 1) as usize);
    }
    check(Kind::Grey, &pixels, pixels.len() as u32, 1);
}

#[test]
fn pixels_that_are_no_picture_are_refused() {
    for (pixels, width, height) in [(5, 2, 2), (0, 0, 0), (0, 0, 4), (4, 2, 1), (0, u32::MAX, u32::MAX)] {
        let refused = encode(Kind::Grey, &vec![0; pixels], width, height);
        assert_eq!(refused, Err(PngError::Size { width, height, bytes: pixels }));
    }
    let refused = encode(Kind::Palette(&colors()[..3]), &[0, 3], 2, 1);
    assert_eq!(refused, Err(PngError::Color { index: 3, colors: 3 }));
    assert!(encode(Kind::Palette(&[]), &[0], 1, 1).is_err());
}
