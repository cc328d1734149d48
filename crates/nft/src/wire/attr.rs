//! Netlink's frame: messages of attributes of attributes.

/// Writes messages into one buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    message: usize,
}

impl Writer {
    /// Starts a message; `family` and `resource` fill the header of nfnetlink.
    pub fn begin(&mut self, kind: u16, flags: u16, sequence: u32, family: u8, resource: u16) {
        self.begin_raw(kind, flags, sequence);
        self.buffer.extend([family, 0]);
        self.buffer.extend(resource.to_be_bytes());
    }

    /// Starts a message without any header after netlink's own.
    pub fn begin_raw(&mut self, kind: u16, flags: u16, sequence: u32) {
        self.message = self.buffer.len();
        self.buffer.extend(0_u32.to_ne_bytes());
        self.buffer.extend(kind.to_ne_bytes());
        self.buffer.extend(flags.to_ne_bytes());
        self.buffer.extend(sequence.to_ne_bytes());
        self.buffer.extend(0_u32.to_ne_bytes());
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes);
    }

    /// Ends the message.
    pub fn end(&mut self) {
        let len = u32::try_from(self.buffer.len() - self.message).unwrap_or(u32::MAX);
        self.buffer[self.message..self.message + 4].copy_from_slice(&len.to_ne_bytes());
    }

    /// Adds flags to the message that was ended last.
    pub fn flag_last(&mut self, flags: u16) {
        let at = self.message + 6;
        let there = u16::from_ne_bytes([self.buffer[at], self.buffer[at + 1]]);
        self.buffer[at..at + 2].copy_from_slice(&(there | flags).to_ne_bytes());
    }

    /// An attribute of bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.buffer.extend(len.to_ne_bytes());
        self.buffer.extend(kind.to_ne_bytes());
        self.buffer.extend(value);
        self.buffer.resize(self.buffer.len().next_multiple_of(4), 0);
    }

    /// An attribute of a string, with its NUL.
    pub fn string(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An attribute of 32 bits in network order.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// An attribute of 64 bits in network order.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// An attribute of attributes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let at = self.buffer.len();
        self.buffer.extend(0_u16.to_ne_bytes());
        self.buffer.extend((kind | 0x8000).to_ne_bytes());
        fill(self);
        let len = u16::try_from(self.buffer.len() - at).unwrap_or(u16::MAX);
        self.buffer[at..at + 2].copy_from_slice(&len.to_ne_bytes());
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// True if nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The messages.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.buffer
    }
}

/// A message as it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// Its sequence number.
    pub sequence: u32,
    /// All after netlink's header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// `NLMSG_ERROR`: 0 for an acknowledgement, else the errno.
    #[must_use]
    pub fn error(&self) -> Option<i32> {
        let code = self.body.get(..4).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes)?;
        (self.kind == 2).then_some(code.saturating_neg())
    }

    /// `NLMSG_DONE`.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.kind == 3
    }

    /// `NLM_F_DUMP_INTR`: what is dumped changed meanwhile.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.flags & 0x10 != 0
    }

    /// The attributes after nfnetlink's header.
    pub fn attributes(&self) -> impl Iterator<Item = Attr<'a>> {
        attributes(self.body.get(4..).unwrap_or_default())
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type without the nest and byte-order bits.
    pub kind: u16,
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> Attr<'a> {
    /// 32 bits in network order.
    #[must_use]
    pub fn be32(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// 64 bits in network order.
    #[must_use]
    pub fn be64(&self) -> Option<u64> {
        self.value.try_into().ok().map(u64::from_be_bytes)
    }

    /// A string without its NUL.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        std::str::from_utf8(&self.value[..end]).ok()
    }

    /// The attributes in it.
    pub fn nested(&self) -> impl Iterator<Item = Attr<'a>> {
        attributes(self.value)
    }
}

/// The attributes in `bytes`; stops at the first that is cut off.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = Attr<'_>> {
    std::iter::from_fn(move || {
        let (&[l0, l1, k0, k1], _) = bytes.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attr { kind: u16::from_ne_bytes([k0, k1]) & 0x3fff, value })
    })
}

/// The messages in `bytes`; stops at the first that is cut off.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let half = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
        let len = usize::try_from(word(0)?).ok()?;
        let (kind, flags, sequence) = (half(4)?, half(6)?, word(8)?);
        let body = bytes.get(16..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, sequence, body })
    })
}
