//! `GET /compute/<all keys but the last>/…`: band maths.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use shared::dataset::DataType;

use super::ask::Ask;
use super::colormaps;
use super::picture::{self, Look};
use super::subject::Subject;
use super::target::{Target, target};
use crate::error::ApiError;
use crate::params::Bound;
use crate::tile::expression::{Expression, OPERANDS, OperandKind, Parsed};
use crate::tile::plan::{Paint, Scale};

/// A formula of bands as a picture.
pub(super) async fn show(ask: Ask, headers: HeaderMap) -> Result<Response, ApiError> {
    let (keys, target) = target(&ask.segments)?;
    let pattern = ask.pattern_but_last(keys)?;
    let text = ask.params.get("expression");
    let text = text.ok_or_else(|| ApiError::bad("expression is missing, such as expression=(v1-v2)/(v1%2Bv2)"))?;
    let fault = |fault: &dyn std::fmt::Display| ApiError::bad(format!("expression: {fault}"));
    let parsed = Parsed::parse(text).map_err(|e| fault(&e))?;
    let mut patterns = Vec::new();
    for index in parsed.operands() {
        let name = format!("v{}", index + 1);
        let value = ask.params.get(&name).map(str::to_owned);
        let value =
            value.ok_or_else(|| fault(&format!("{name} is used but not given; give it a value of the last key")))?;
        patterns.push(ask.channel_pattern(&pattern, &name, value)?);
    }
    let subject = Subject::find(&ask, patterns).await?;
    let kinds: Vec<OperandKind> =
        (0..parsed.operands().len()).map(|i| subject.common_type(i).map_or(OperandKind::Float, kind)).collect();
    debug_assert!(kinds.len() <= OPERANDS, "operands are v1 to v5");
    let expression = parsed.check(&kinds).map_err(|e| fault(&e))?;
    let look = look(&ask, expression, target)?;
    picture::answer(&ask, &ask.params, &headers, &subject, &look, target).await
}

fn look(ask: &Ask, expression: Expression, target: Target) -> Result<Look, ApiError> {
    let values = matches!(target, Target::Picture { format, .. } if format.is_values());
    let (low, high) = match ask.params.stretch("stretch_range")? {
        Some([Bound::Number(low), Bound::Number(high)]) if high > low => (low, high),
        None if values => (0.0, 1.0),
        _ => {
            return Err(ApiError::bad(
                "stretch_range takes two numbers, the second above the first, such as [-1,1], and cannot be left out",
            ));
        }
    };
    let paint = match ask.params.get("colormap") {
        None => Paint::Grey,
        Some(name) => Paint::Palette(colormaps::require(&ask.collection, name)?.into_owned()),
    };
    let scales = vec![Scale::Stretch { low, high }];
    Ok(Look { formula: Some(Arc::new(expression)), scales, paint, transform: Vec::new() })
}

fn kind(data_type: DataType) -> OperandKind {
    let int = |low: i64, high: u64| OperandKind::Int(low.into(), high.into());
    match data_type {
        DataType::Uint8 => int(0, u8::MAX.into()),
        DataType::Int8 => int(i8::MIN.into(), i8::MAX as u64),
        DataType::Uint16 => int(0, u16::MAX.into()),
        DataType::Int16 => int(i16::MIN.into(), i16::MAX as u64),
        DataType::Uint32 => int(0, u32::MAX.into()),
        DataType::Int32 => int(i32::MIN.into(), i32::MAX as u64),
        // Beyond 63 bits there is no integer; what does not fit is the largest that does.
        DataType::Uint64 => int(0, i64::MAX as u64),
        DataType::Int64 => int(i64::MIN, i64::MAX as u64),
        DataType::Float32 | DataType::Float64 => OperandKind::Float,
    }
}
