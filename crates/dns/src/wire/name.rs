//! Domain names in wire form.

/// A domain name: labels, each after its length, and a final 0; 255 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Reads `a.b.c`, with or without a final dot; `None` if it is no domain name. Labels may hold any byte but a dot.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        if !text.is_empty() {
            text.split('.').try_for_each(|label| push_label(&mut wire, label.as_bytes()))?;
        }
        wire.push(0);
        (wire.len() <= 255).then(|| Self(wire.into()))
    }

    /// The name below `self` with these labels before it; `None` if it would be too long.
    #[must_use]
    pub fn below(&self, labels: &[&[u8]]) -> Option<Self> {
        let mut wire = Vec::with_capacity(self.0.len() + 32);
        push_name(&mut wire, labels, self)?;
        Some(Self(wire.into()))
    }

    /// With `A` to `Z` made `a` to `z`.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        // No length of a label is as large as a letter.
        Self(self.0.to_ascii_lowercase().into())
    }

    /// A name whose bytes were checked.
    pub(super) fn of_wire(wire: Vec<u8>) -> Self {
        Self(wire.into())
    }

    /// The bytes.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels, the leftmost first.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first().filter(|(length, _)| **length > 0)?;
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(label)
        })
    }
}

/// Appends a label; `None` (and nothing appended) if it is empty or too long.
pub(crate) fn push_label(wire: &mut Vec<u8>, label: &[u8]) -> Option<()> {
    let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
    wire.push(length);
    wire.extend_from_slice(label);
    Some(())
}

/// Appends labels and the name above them; `None` if that is no name (what was appended is then of no use).
fn push_name(wire: &mut Vec<u8>, labels: &[&[u8]], above: &Name) -> Option<()> {
    let start = wire.len();
    labels.iter().try_for_each(|label| push_label(wire, label))?;
    wire.extend_from_slice(above.wire());
    (wire.len() - start <= 255).then_some(())
}
