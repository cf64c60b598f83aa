//! Figures as people read them, on the page and in the terminal.

/// A count with its thousands apart: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in binary units, to one decimal: `1.2 GiB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1 << 60, "EiB"),
        (1 << 50, "PiB"),
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    match UNITS.iter().find(|(size, _)| number >= *size) {
        None => format!("{number} B"),
        Some((size, unit)) => {
            let tenths = number % size * 10 / size;
            format!("{}.{tenths} {unit}", number / size)
        }
    }
}

/// A time span in its two largest units: `42s`, `3m 5s`, `2d 4h`.
#[must_use]
pub fn seconds(number: u64) -> String {
    const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let first = UNITS
        .iter()
        .position(|(size, _)| number >= *size)
        .unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[first];
    match UNITS.get(first + 1) {
        None => format!("{number}s"),
        Some((next_size, next_unit)) => {
            format!("{}{unit} {}{next_unit}", number / size, number % size / next_size)
        }
    }
}

/// A share, to one decimal: `33.3 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{share:.1} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let texts = [0, 7, 999, 1000, 1_234_567, u64::MAX].map(count);
        assert_eq!(
            texts,
            [
                "0",
                "7",
                "999",
                "1,000",
                "1,234,567",
                "18,446,744,073,709,551,615"
            ]
        );
    }

    #[test]
    fn bytes_have_a_unit_and_one_decimal() {
        let texts = [0, 1023, 1024, 1536, 1_048_575, 5 << 30, u64::MAX].map(bytes);
        assert_eq!(
            texts,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "1.5 KiB",
                "1023.9 KiB",
                "5.0 GiB",
                "15.9 EiB"
            ]
        );
    }

    #[test]
    fn time_spans_have_two_units() {
        let texts = [0, 42, 60, 185, 3600, 90_000, 864_000].map(seconds);
        assert_eq!(texts, ["0s", "42s", "1m 0s", "3m 5s", "1h 0m", "1d 1h", "10d 0h"]);
    }
}
