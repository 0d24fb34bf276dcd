//! What each step of a tile costs by itself, on blocks by formula, 256² pixels. `cargo bench -p server --bench stages`.
#![expect(clippy::unwrap_used, reason = "a benchmark for developers")]

use axum::http::StatusCode;
use criterion::{Criterion, criterion_group, criterion_main};
use server::bench::site::Site;
use server::bench::stages::{self, Painted, Resampling};
use shared::dataset::{Compression, DataType, Predictor};

fn reads(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("read");
    for (name, cold) in [("a block, its tables known", false), ("a block, its header too", true)] {
        let read = stages::read(folder.path(), cold);
        group.bench_function(name, |bencher| bencher.iter(&read));
    }
}

fn decodes(criterion: &mut Criterion) {
    let cases = [
        ("uint8 classes, zstd", DataType::Uint8, 1, Compression::Zstd, Predictor::None),
        ("uint8 RGB, zstd, horizontal", DataType::Uint8, 3, Compression::Zstd, Predictor::Horizontal),
        ("uint16, none", DataType::Uint16, 1, Compression::None, Predictor::None),
        ("uint16, zstd", DataType::Uint16, 1, Compression::Zstd, Predictor::None),
        ("uint16, zstd, horizontal", DataType::Uint16, 1, Compression::Zstd, Predictor::Horizontal),
        ("float32, zstd, floating point", DataType::Float32, 1, Compression::Zstd, Predictor::FloatingPoint),
    ];
    let mut group = criterion.benchmark_group("decode");
    for (name, data_type, samples, compression, predictor) in cases {
        let decode = stages::decoding(data_type, samples, compression, predictor);
        group.bench_function(name, |bencher| bencher.iter(&decode));
    }
}

fn resamples(criterion: &mut Criterion) {
    let cases = [
        ("reduce, mean of 4", Resampling::Mean),
        ("reduce, mode of 4", Resampling::Mode),
        ("enlarge, bilinear", Resampling::Bilinear),
    ];
    let mut group = criterion.benchmark_group("resample");
    for (name, how) in cases {
        let resample = stages::resampling(how);
        group.bench_function(name, |bencher| bencher.iter(&resample));
    }
}

fn scales(criterion: &mut Criterion) {
    let cases = [("classes", DataType::Uint8), ("uint16", DataType::Uint16), ("float32", DataType::Float32)];
    let mut group = criterion.benchmark_group("stretch");
    for (name, data_type) in cases {
        let scale = stages::scaling(data_type);
        group.bench_function(name, |bencher| bencher.iter(&scale));
    }
}

fn encodes(criterion: &mut Criterion) {
    let cases = [
        ("png", "a color map", Painted::Palette),
        ("png", "7 classes", Painted::Classes),
        ("png", "grey", Painted::Grey),
        ("png", "RGB", Painted::Rgb),
        ("png", "transparent", Painted::Transparent),
        ("webp", "a color map", Painted::Palette),
        ("webp", "RGB", Painted::Rgb),
        ("jpg", "a color map", Painted::Palette),
        ("jpg", "RGB", Painted::Rgb),
    ];
    let mut group = criterion.benchmark_group("encode");
    for (extension, name, painted) in cases {
        let encode = stages::encoding(extension, painted);
        group.bench_function(format!("{extension}, {name}"), |bencher| bencher.iter(&encode));
    }
}

fn answers(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new(folder.path());
    let tile = site.tile();
    let (status, tag) = site.get(&tile, None);
    assert_eq!(status, StatusCode::OK);
    let mut group = criterion.benchmark_group("answer");
    let plan = stages::planning();
    group.bench_function("the plan and its ETag", |bencher| bencher.iter(&plan));
    group.bench_function("304, without a socket", |bencher| {
        bencher.iter(|| assert_eq!(site.get(&tile, Some(&tag)).0, StatusCode::NOT_MODIFIED));
    });
    group.bench_function("200, without a socket", |bencher| {
        bencher.iter(|| assert_eq!(site.get(&tile, None).0, StatusCode::OK));
    });
}

/// Short, for there are many.
fn short() -> Criterion {
    let second = std::time::Duration::from_secs(1);
    Criterion::default().sample_size(20).warm_up_time(second / 2).measurement_time(second)
}

criterion_group! {name = benches; config = short(); targets = reads, decodes, resamples, scales, encodes, answers}
criterion_main!(benches);
