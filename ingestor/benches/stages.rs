//! What each step of ingesting costs by itself: kernels of the warp, statistics, overviews, blocks. `cargo bench -p ingestor`.

use criterion::{Criterion, criterion_group, criterion_main};
use ingestor::cog::bench::{encoding, overviews};
use ingestor::convert::bench::{Resampling, statistics, warp, warp_floats};
use shared::dataset::{Compression, DataType};

fn warps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("warp a tile");
    for how in [Resampling::Nearest, Resampling::Bilinear, Resampling::WideBilinear, Resampling::Cubic] {
        for (name, holes) in [("all valid", false), ("with holes", true)] {
            let mut work = warp(how, holes);
            group.bench_function(format!("uint16, {how:?}, {name}"), |bencher| bencher.iter(&mut work));
        }
    }
    let mut work = warp_floats(Resampling::Bilinear);
    group.bench_function("float32, Bilinear, with NaN", |bencher| bencher.iter(&mut work));
}

fn measures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statistics of 1024²");
    for (name, floats) in [("uint16", false), ("float32", true)] {
        let work = statistics(floats);
        group.bench_function(name, |bencher| bencher.iter(&work));
    }
}

fn pyramids(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two overviews of 512²");
    for (name, by_mode) in [("uint16, mean", false), ("uint8 classes, mode", true)] {
        let work = overviews(by_mode);
        group.bench_function(name, |bencher| bencher.iter(&work));
    }
}

fn blocks(criterion: &mut Criterion) {
    let cases = [
        ("uint8 classes, zstd", DataType::Uint8, Compression::Zstd),
        ("uint16, zstd", DataType::Uint16, Compression::Zstd),
        ("uint16, none", DataType::Uint16, Compression::None),
        ("float32, zstd", DataType::Float32, Compression::Zstd),
    ];
    let mut group = criterion.benchmark_group("encode a block");
    for (name, data_type, compression) in cases {
        let mut work = encoding(data_type, compression);
        group.bench_function(name, |bencher| bencher.iter(&mut work));
    }
}

/// Short, for there are many.
fn short() -> Criterion {
    let second = std::time::Duration::from_secs(1);
    Criterion::default().sample_size(20).warm_up_time(second / 2).measurement_time(second)
}

criterion_group! {name = benches; config = short(); targets = warps, measures, pyramids, blocks}
criterion_main!(benches);
