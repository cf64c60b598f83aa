//! Netlink attributes: a length, a kind, a value, and nothing up to the next multiple of four bytes.

/// The value is attributes itself (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;

/// Attributes, one after the other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in super::super) struct Attributes(Vec<u8>);

impl Attributes {
    /// The same and one more.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// The same and a name more.
    pub(super) fn with_name(self, kind: u16, name: &str) -> Self {
        let terminated: Vec<u8> = name.bytes().chain([0]).collect();
        self.with(kind, &terminated)
    }

    /// The same and a number more.
    pub(super) fn with_number(self, kind: u16, number: u32) -> Self {
        self.with(kind, &number.to_be_bytes())
    }

    /// The same and one more that holds others.
    pub(super) fn with_nested(self, kind: u16, inner: &Self) -> Self {
        self.with(kind | NESTED, &inner.0)
    }

    /// The value of the first attribute of that kind among `bytes`.
    pub(super) fn value_in(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
        loop {
            let (head, rest) = bytes.split_first_chunk::<4>()?;
            let [length, found] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_ne_bytes);
            let length = usize::from(length).checked_sub(4)?;
            if found & !NESTED == kind {
                return rest.get(..length);
            }
            bytes = rest.get(length.next_multiple_of(4)..)?;
        }
    }

    /// As they are sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_lengths_are_not() {
        let inner = Attributes::default().with_number(3, 1);
        let attributes = Attributes::default().with_name(1, "ab").with_nested(2, &inner);
        let mut expected = Vec::new();
        for words in [[7_u16, 1], [12, 2 | NESTED], [8, 3]] {
            expected.extend(words.map(u16::to_ne_bytes).concat());
            if words[1] == 1 {
                expected.extend(*b"ab\0\0");
            }
        }
        expected.extend([0, 0, 0, 1]);
        assert_eq!(attributes.bytes(), expected);
    }
}
