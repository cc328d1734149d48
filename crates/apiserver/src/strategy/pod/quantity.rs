//! Quantities (`500m`, `1Gi`), as far as comparing them needs.

/// The value in billionths; `None` for what is no quantity.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (base, power) = match suffix {
        "" => (10, 0),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        _ => (10, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    scale(nano(number)?, base, power)
}

fn nano(number: &str) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let padded: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let fraction: i128 = padded.parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)?.checked_mul(sign)
}

fn scale(value: i128, base: i128, power: i32) -> Option<i128> {
    let factor = base.checked_pow(power.unsigned_abs())?;
    if power < 0 { Some(value / factor) } else { value.checked_mul(factor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare() {
        for (a, b) in [("500m", "0.5"), ("1Gi", "1073741824"), ("1e3", "1k"), ("1.5Ki", "1536"), ("+2", "2")]
        {
            assert_eq!(parse(a).unwrap(), parse(b).unwrap(), "{a} {b}");
        }
        for bad in ["", "x", "1x", "1..2", "-", "1ki", "e3"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
