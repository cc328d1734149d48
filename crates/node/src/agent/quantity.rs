//! Kubernetes quantities (`500m`, `64Mi`, `1e3`) as integers; exact for what resources use.

/// The quantity in thousandths of its unit, rounded up; none if it is not a quantity or is negative.
pub(crate) fn thousandths(text: &str) -> Option<u128> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let number = number.strip_prefix('+').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    // The value is digits × multiplier ÷ (divisor × 10^fraction digits).
    let (multiplier, divisor) = scale(suffix)?;
    let scaled = digits.checked_mul(multiplier)?.checked_mul(1000)?;
    let shift = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(scaled.div_ceil(divisor.checked_mul(shift)?))
}

fn scale(suffix: &str) -> Option<(u128, u128)> {
    const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let power = |base: u128, list: &[&str]| {
        let at = list.iter().position(|s| *s == suffix)?;
        base.checked_pow(u32::try_from(at).ok()?)
    };
    match suffix {
        "n" => return Some((1, 1_000_000_000)),
        "u" => return Some((1, 1_000_000)),
        "m" => return Some((1, 1000)),
        _ => {}
    }
    if let Some(multiplier) = power(1000, &DECIMAL).or_else(|| power(1024, &BINARY)) {
        return Some((multiplier, 1));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10u128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

/// Thousandths of a CPU.
pub(crate) fn millicores(text: &str) -> Option<u64> {
    thousandths(text)?.try_into().ok()
}

/// Whole units, rounded up; bytes for memory and storage.
pub(crate) fn units(text: &str) -> Option<u64> {
    thousandths(text)?.div_ceil(1000).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("500m", Some(500)),
            ("0.5", Some(500)),
            (".5", Some(500)),
            ("1.5Gi", Some(1536 * 1024 * 1024 * 1000)),
            ("64Mi", Some(64 * 1024 * 1024 * 1000)),
            ("2k", Some(2_000_000)),
            ("1e3", Some(1_000_000)),
            ("5E-1", Some(500)),
            ("1E", Some(1_000_000_000_000_000_000_000)),
            ("100u", Some(1)),
            ("", None),
            ("x", None),
            ("1x", None),
            ("-1", None),
            ("1.2.3", None),
        ] {
            assert_eq!(thousandths(text), wanted, "{text}");
        }
        assert_eq!((millicores("250m"), units("1Ki"), units("100m")), (Some(250), Some(1024), Some(1)));
    }
}
