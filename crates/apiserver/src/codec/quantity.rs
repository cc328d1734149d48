//! Resource quantities: `100m`, `1.5Gi`, `1e3`. Semantics: apimachinery `pkg/api/resource/quantity.go`.

/// Go's text for what is not a quantity.
pub(super) const ERROR: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const NANO: i128 = 1_000_000_000;

enum Format {
    Decimal,
    Binary,
    Exponent,
}

/// The canonical form: no fraction, the largest suffix, nothing below nano (rounded up). `None` if it is no quantity.
/// A number too large to compute with stays as it is written.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let sign_end = usize::from(text.starts_with(['+', '-']));
    let number_end = text[sign_end..]
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .map_or(text.len(), |at| at + sign_end);
    let (number, suffix) = text.split_at(number_end);
    let (multiplier, format) = read_suffix(suffix)?;
    let (whole, fraction) = number[sign_end..].split_once('.').unwrap_or((&number[sign_end..], ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let Some(nano) = nano_units(whole, fraction, multiplier) else { return Some(text.to_owned()) };
    Some(write(if text.starts_with('-') { -nano } else { nano }, format))
}

/// What one unit of the suffix is: (base, exponent).
fn read_suffix(suffix: &str) -> Option<((u32, i32), Format)> {
    const DECIMAL: [(&str, i32); 10] = [
        ("n", -9),
        ("u", -6),
        ("m", -3),
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const BINARY: [(&str, i32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
    let find = |table: &[(&str, i32)]| table.iter().find(|(s, _)| *s == suffix).map(|(_, e)| *e);
    if let Some(exponent) = find(&DECIMAL) {
        return Some(((10, exponent), Format::Decimal));
    }
    if let Some(exponent) = find(&BINARY) {
        return Some(((1024, exponent), Format::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(((10, exponent), Format::Exponent))
}

/// |number| × multiplier in units of 10⁻⁹, rounded up.
fn nano_units(whole: &str, fraction: &str, (base, exponent): (u32, i32)) -> Option<i128> {
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mut value: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let mut scale = 9 - i32::try_from(fraction.len()).ok()?;
    if base == 10 {
        scale = scale.checked_add(exponent)?;
    } else {
        value = value.checked_mul(i128::from(base).checked_pow(u32::try_from(exponent).ok()?)?)?;
    }
    if value == 0 {
        return Some(0);
    }
    if scale >= 0 {
        return value.checked_mul(10_i128.checked_pow(u32::try_from(scale).ok()?)?);
    }
    let divisor = 10_i128.checked_pow(u32::try_from(-scale).ok()?);
    Some(divisor.map_or(1, |d| value / d + i128::from(value % d != 0)))
}

fn write(nano: i128, format: Format) -> String {
    if nano == 0 {
        return "0".to_owned();
    }
    let small = nano.abs() < 1024 * NANO;
    if matches!(format, Format::Binary) && !small && nano % NANO == 0 {
        let (value, at) = strip(nano / NANO, 1024, 6);
        return format!("{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][at]);
    }
    let (value, at) = strip(nano, 1000, 9);
    if matches!(format, Format::Exponent) {
        return match at {
            3 => value.to_string(),
            _ => format!("{value}e{}", i64::try_from(at).unwrap_or_default() * 3 - 9),
        };
    }
    format!("{value}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][at])
}

/// Divides by `base` as long as that is exact, at most `limit` times.
fn strip(mut value: i128, base: i128, limit: usize) -> (i128, usize) {
    let mut times = 0;
    while times < limit && value % base == 0 {
        value /= base;
        times += 1;
    }
    (value, times)
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn writes_quantities_as_kubernetes_does() {
        for (text, wanted) in [
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500", "1500"),
            ("100000", "100k"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("512Ki", "512Ki"),
            ("1000Ki", "1000Ki"),
            ("0", "0"),
            ("0Mi", "0"),
            ("1e3", "1e3"),
            ("1E", "1E"),
            ("12e6", "12e6"),
            ("0.0000000001", "1n"),
            ("-5", "-5"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("100M", "100M"),
            ("64Mi", "64Mi"),
            ("123456789012345678901234567890123456789012", "123456789012345678901234567890123456789012"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "x", "1x", "1 Gi", "--1", ".", "1.2.3", "1e", "1ee3", "Ki", "é"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
