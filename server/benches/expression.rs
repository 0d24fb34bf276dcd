//! What band maths costs: NDVI of two bands, 256² pixels. `cargo bench -p server`.

use criterion::{Criterion, criterion_group, criterion_main};

fn expressions(criterion: &mut Criterion) {
    let cases = [
        ("ndvi", "(v1-v2)/(v1+v2)"),
        ("ndvi in floats", "(1.0*v1-v2)/(1.0*v1+v2)"),
        ("masked where cloudy", "masked_where((v1 & 8) == 0, sqrt(v2))"),
    ];
    for (name, text) in cases {
        let evaluate = server::bench::expression(text, 256);
        criterion.bench_function(&format!("{name}, 256²"), |bencher| bencher.iter(&evaluate));
    }
}

criterion_group!(benches, expressions);
criterion_main!(benches);
