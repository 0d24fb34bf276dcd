//! Numbers in records. JSON has no NaN or infinity, and readers in other languages lose integers beyond 2^53, so those
//! are written as strings and read back from either form. Use with `#[serde(with = "crate::number")]`.

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest integer every JSON reader keeps.
const INTEGER_MAX_EXACT: f64 = 9_007_199_254_740_992.0;

#[derive(Serialize)]
#[serde(untagged)]
enum Wire {
    Number(f64),
    Text(String),
}

/// By hand: what serde makes of an untagged enum keeps each value aside before it looks at it, and records have many.
impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Wire;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, or one as a string")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Wire, E> {
                Ok(Wire::Number(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Wire, E> {
                Ok(Wire::Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Wire, E> {
                Ok(Wire::Number(value as f64))
            }

            fn visit_str<E>(self, text: &str) -> Result<Wire, E> {
                Ok(Wire::Text(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

fn to_wire(value: f64) -> Wire {
    if !value.is_finite() || (value.fract() == 0.0 && value.abs() > INTEGER_MAX_EXACT) {
        Wire::Text(value.to_string())
    } else {
        Wire::Number(value)
    }
}

fn from_wire<E: serde::de::Error>(wire: Wire) -> Result<f64, E> {
    match wire {
        Wire::Number(value) => Ok(value),
        Wire::Text(text) => text.parse().map_err(|_| E::custom(format!("{text:?} is not a number"))),
    }
}

/// Writes a number, as a string where JSON would lose it.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    to_wire(*value).serialize(serializer)
}

/// Reads a number from a JSON number or string.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    from_wire(Wire::deserialize(deserializer)?)
}

/// The same for `Option<f64>`.
pub mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Wire, from_wire, to_wire};

    /// Writes a number or null.
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(to_wire).serialize(serializer)
    }

    /// Reads a number, a string or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<Wire>::deserialize(deserializer)?.map(from_wire).transpose()
    }
}

/// The same for `Vec<f64>`.
pub mod list {
    use super::{Deserialize, Deserializer, Serializer, Wire, from_wire, to_wire};

    /// Writes a list of numbers.
    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| to_wire(*value)))
    }

    /// Reads a list of numbers and strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        Vec::<Wire>::deserialize(deserializer)?.into_iter().map(from_wire).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super::option")]
        value: Option<f64>,
    }

    #[test]
    fn every_number_survives_the_round_trip() {
        for value in [0.0, -1.5, f64::INFINITY, f64::NEG_INFINITY, -3.4e38, 9_223_372_036_854_775_807.0, 1e-300] {
            let text = serde_json::to_string(&Holder { value: Some(value) }).unwrap();
            let back: Holder = serde_json::from_str(&text).unwrap();
            assert_eq!(back.value, Some(value), "{text}");
        }
        let nan: Holder = serde_json::from_str(r#"{"value":"NaN"}"#).unwrap();
        assert!(nan.value.unwrap().is_nan());
    }

    #[test]
    fn what_json_would_lose_is_a_string() {
        assert_eq!(serde_json::to_string(&Holder { value: Some(f64::NAN) }).unwrap(), r#"{"value":"NaN"}"#);
        assert_eq!(
            serde_json::to_string(&Holder { value: Some(18_446_744_073_709_551_616.0) }).unwrap(),
            r#"{"value":"18446744073709552000"}"#
        );
    }
}
