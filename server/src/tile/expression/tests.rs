//! The language, case by case, against values worked out by hand or by numpy.

use super::super::image::{SamplesOf, ValidOf};
use super::super::pixels::Samples;
use super::*;

const U16: OperandKind = OperandKind::Int(0, 65535);
const I64: OperandKind = OperandKind::Int(i64::MIN as i128, i64::MAX as i128);

fn band<'a>(samples: &'a Samples, valid: &'a [u8]) -> Band<'a> {
    Band { samples: SamplesOf::Block(samples), stride: 1, sample: 0, valid: Some(ValidOf::Block(valid)), nodata: None }
}

/// The pixels of an expression over `v1` and `v2`; None is transparent.
fn pixels(text: &str, v1: &Samples, v2: &Samples, valid: &[u8]) -> Vec<Option<f64>> {
    let kind = |samples: &Samples| match samples {
        Samples::F64(_) => OperandKind::Float,
        Samples::I64(_) => I64,
        _ => U16,
    };
    let parsed = Parsed::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let bands = [band(v1, valid), band(v2, valid)];
    let used: Vec<&Band<'_>> = parsed.operands().iter().map(|i| &bands[*i]).collect();
    let kinds: Vec<OperandKind> = parsed.operands().iter().map(|i| kind([v1, v2][*i])).collect();
    let expression = parsed.check(&kinds).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let (values, valid) = expression.evaluate(&used, 4);
    values.into_iter().zip(valid).map(|(value, valid)| (valid != 0).then_some(value)).collect()
}

fn u16s(text: &str) -> Vec<Option<f64>> {
    pixels(text, &Samples::U16(vec![10, 0, 3, 7]), &Samples::U16(vec![4, 0, 8, 7]), &[1, 1, 1, 0])
}

#[test]
fn precedence_is_pythons() {
    for (text, want) in [
        ("v1+v2*2", 18.0),
        ("(v1+v2)*2", 28.0),
        ("-v1**2", -100.0),
        ("2**-1*v1", 5.0),
        ("2**3**2+0*v1", 512.0),
        ("v1-v2-1", 5.0),
        ("v1/v2/5", 0.5),
        ("-v1%3", 2.0),
        ("-7%-3+0*v1", -1.0),
        ("v1 & 2 | 5", 7.0),
        ("~v1", -11.0),
        ("0x1F+1_0+.5+1e1+v1-v1", 51.5),
        ("where(v1 > v2,\n  1, 2)", 1.0),
        ("1.0*(v1==10)+(v1!=10)", 1.0),
        ("masked_inside(v1, 3, 1)", 10.0),
        ("mod(v1, 4)", 2.0),
        ("minimum(v1, 3) + maximum(v2, 7)", 10.0),
        ("abs(v2-v1)", 6.0),
    ] {
        assert_eq!(u16s(text)[0], Some(want), "{text}");
    }
}

#[test]
fn small_integers_do_not_wrap_around() {
    assert_eq!(u16s("v2-v1")[0], Some(-6.0));
    assert_eq!(u16s("v1*65535*65535")[0], Some(10.0 * 65535.0 * 65535.0));
}

#[test]
fn masks_unite_and_what_has_no_value_is_transparent() {
    assert_eq!(u16s("v1+v2"), [Some(14.0), Some(0.0), Some(11.0), None]);
    assert_eq!(u16s("(v1-v2)/(v1+v2)"), [Some(6.0 / 14.0), None, Some(-5.0 / 11.0), None]);
    assert_eq!(u16s("v1%v2")[1], None);
    assert_eq!(u16s("log(v1)")[1], None);
    assert_eq!(u16s("sqrt(v1-5)"), [Some(5f64.sqrt()), None, None, None]);
    assert_eq!(u16s("v1*nan"), [None; 4]);
    assert_eq!(u16s("where(getmask(v1), 5, v1)"), [Some(10.0), Some(0.0), Some(3.0), Some(5.0)]);
    assert_eq!(u16s("masked_less(v1, 5)"), [Some(10.0), None, None, None]);
    assert_eq!(u16s("masked_equal(v1, 3)"), [Some(10.0), Some(0.0), None, None]);
    assert_eq!(u16s("masked_outside(v1, 1, 9)"), [None, None, Some(3.0), None]);
    assert_eq!(u16s("setmask(v1, v2 > 4)"), [Some(10.0), Some(0.0), None, None]);
    assert_eq!(u16s("masked_where((v1 & 8) == 0, v1)"), [Some(10.0), None, None, None]);
    assert_eq!(u16s("masked_where(v1 > 5, v2)"), [None, Some(0.0), Some(8.0), None]);
    assert_eq!(u16s("getmask(v1) | ~getmask(v2)"), [Some(1.0); 4]);
    assert_eq!(u16s("v1*(v2 > 4)"), [Some(0.0), Some(0.0), Some(3.0), None]);
}

#[test]
fn wide_integers_are_exact_until_they_overflow() {
    let (v1, v2) = (Samples::I64(vec![(1 << 60) + 1, i64::MAX, -5, 0]), Samples::I64(vec![2, 1, 3, 0]));
    let of = |text: &str| pixels(text, &v1, &v2, &[1; 4]);
    assert_eq!(of("(v1 - 1152921504606846976) * 1.0")[0], Some(1.0));
    assert_eq!(of("v1 % v2"), [Some(1.0), Some(0.0), Some(1.0), None]);
    assert_eq!(of("v1 & 1")[..3], [Some(1.0), Some(1.0), Some(1.0)]);
    assert_eq!(of("v1 + v2")[1], Some(9_223_372_036_854_775_808.0));
    assert_eq!(of("(v1 + v2) & 1")[1], None, "beyond 64 bits there are no bits");
    assert_eq!(of("v1 > 1152921504606846976")[..3], [Some(1.0), Some(1.0), Some(0.0)]);
}

#[test]
fn faults_say_what_and_where() {
    for (text, at, word) in [
        ("v1 +", 5, "ends"),
        ("+v1", 1, "unary +"),
        ("v1 // 2", 4, "//"),
        ("v1 ^ 2", 4, "^"),
        ("v1 << 2", 4, "<<"),
        ("v1 and v2", 4, "and"),
        ("not v1", 1, "not"),
        ("v1 if v2 else v1", 4, "if"),
        ("lambda: 1", 1, "lambda"),
        ("v1 < v2 < 3", 9, "chained"),
        ("v1.shape", 3, "attributes"),
        ("v1[0]", 3, "subscripts"),
        ("\"a\"", 1, "strings"),
        ("[1,2]", 1, "lists"),
        ("where(v1, b=2, c=3)", 11, "unknown name"),
        ("maximum(v1)", 1, "takes 2 arguments"),
        ("sqrt", 1, "function"),
        ("v9", 1, "unknown name"),
        ("v01+v1", 1, "unknown name"),
        ("(v1", 1, "never closed"),
        ("0", 1, "none of"),
        ("1+\nv1", 3, "newlines"),
        ("__import__('os')", 1, "unknown name"),
        ("1j*v1", 1, "number"),
        ("", 1, "ends"),
    ] {
        let fault = Parsed::parse(text).expect_err(text);
        assert_eq!((fault.at, fault.reason.contains(word)), (at, true), "{text}: {fault}");
    }
    let nested = format!("{}v1{}", "(".repeat(100), ")".repeat(100));
    assert!(Parsed::parse(&nested).unwrap_err().reason.contains("deep"));
    assert!(Parsed::parse(&format!("v1{}", "+1".repeat(2000))).unwrap_err().reason.contains("2048"));
    let check = |text: &str, kinds: &[OperandKind]| Parsed::parse(text).unwrap().check(kinds).unwrap_err();
    assert_eq!(check("v1 | v2", &[U16, OperandKind::Float]).at, 4);
    assert!(check("~(v1/2)", &[U16]).reason.contains('~'));
    assert!(check("v1+v2", &[U16]).reason.contains("v2 is used but not given"));
    let costly = Parsed::parse(&vec!["sin(v1)"; 40].join("+")).unwrap().check(&[U16]).unwrap();
    assert!(costly.check_cost(1 << 16, 1).is_ok() && costly.check_cost(1 << 20, 1).is_err());
    assert!(costly.check_cost(1 << 16, 64).unwrap_err().reason.contains("64 scenes"));
    assert!(Parsed::parse(&vec!["v1"; 300].join("+")).unwrap_err().reason.contains("operations"));
}
